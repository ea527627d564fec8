"""What a project compiles to."""
# ruff: noqa: E501 - a project is easier to read with one task a line

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tyqi_core.catalog.catalog import Catalog
from tyqi_core.errors import InvalidProject, Problem
from tyqi_core.workflow.compiler import compile_file, compile_text
from tyqi_core.workflow.plan import Binding, Plan, Source

FACADE = Path(__file__).with_name("facade.yaml")

Compile = Callable[..., Plan]
Problems = Callable[..., list[Problem]]


def bound(plan: Plan, task: str) -> dict[str, str]:
    """Port -> where it comes from, in short."""
    return {binding.port: short(binding.source) for binding in plan.tasks[task].bindings}


def short(source: Source) -> str:
    if source.kind == "slot":
        return f"{source.task}.{source.name}"
    return f"{source.kind}:{source.name or source.task or source.value}"


@pytest.fixture
def facade(catalog: Catalog, check_plan: Callable[[Plan], None]) -> Plan:
    plan = compile_file(FACADE, catalog)
    check_plan(plan)
    return plan


# ---- the example of the design


def test_the_design_s_example_has_its_scopes_and_tails(facade: Plan) -> None:
    scopes = {task.id: task.scope for task in facade.tasks.values()}
    assert scopes["T1"] == scopes["T3"] == scopes["T4"] == scopes["T6"] == scopes["T8"] == ""
    assert [task for task, scope in scopes.items() if scope == "T2a"] == ["T2a", "T2a1", "T2a2"]
    assert [task for task, scope in scopes.items() if scope == "T5"] == ["T5", "T5b"]
    assert facade.roots == ("T1", "T4")
    assert facade.tails["T2a"] == ("T2a2",)


def test_what_is_handed_outward_climbs_from_the_inner_branch_to_the_outer_task(facade: Plan) -> None:
    offers = {offer.slot: (offer.task, offer.source_slot) for offer in facade.tasks["T1"].offers["T2a"]}
    assert offers["branch.measurements"] == ("T2a2", "measurements")
    assert offers["branch.closeup"] == ("T2a2", "branch.closeup")
    inner = facade.tasks["T2a2"].offers["T2a3"]
    assert [(offer.task, offer.source_slot, offer.slot) for offer in inner] == [("T2a3", "closeup", "branch.closeup")]


def test_project_parameters_reach_parameters_and_expressions(catalog: Catalog) -> None:
    plan = compile_file(FACADE, catalog, {"wide_mm": 0.7})
    assert plan.params == {"wide_mm": 0.7, "mm_per_px": 0.5}
    assert plan.tasks["T2a2"].params == {"mm_per_px": 0.5}
    assert plan.tasks["T2a2"].rules[0].expression == "T2a2.measurements.max_width.value > 0.7"
    assert plan.digest != compile_file(FACADE, catalog).digest


# ---- one text, one plan


def test_the_order_of_tasks_in_the_file_means_nothing(facade: Plan, catalog: Catalog) -> None:
    head, _, rest = FACADE.read_text(encoding="utf-8").partition("tasks:\n")
    tasks, _, tail = rest.partition("outputs:")
    entries = tasks.replace("\n         ", " ").splitlines()
    for seed in range(20):
        random.Random(seed).shuffle(entries)  # noqa: S311 - any order will do
        again = compile_text(f"{head}tasks:\n" + "\n".join(entries) + f"\noutputs:{tail}", "x", catalog)
        assert dict(again.tasks) == dict(facade.tasks)
        assert (again.roots, again.tails, again.outputs) == (facade.roots, facade.tails, facade.outputs)


def test_layout_and_comments_do_not_change_the_digest(facade: Plan, catalog: Catalog) -> None:
    text = FACADE.read_text(encoding="utf-8")
    assert (
        compile_text("# a comment\n" + text.replace("{node:", "{ node:"), "other name", catalog).digest == facade.digest
    )
    assert compile_text(text.replace("when: T2b1", "when:  T2b1"), "x", catalog).digest == facade.digest


def test_either_side_of_an_edge_may_be_left_out(compiled: Compile) -> None:
    one = compiled(
        "tasks:\n  A: {node: image.filter, inputs: {image: $input.image}, successor: B}\n  B: {node: image.resize}"
    )
    other = compiled(
        "tasks:\n  A: {node: image.filter, inputs: {image: $input.image}}\n  B: {node: image.resize, predecessor: [A]}"
    )
    both = compiled(
        "tasks:\n  A: {node: image.filter, inputs: {image: $input.image}, successor: [B]}\n  B: {node: image.resize, predecessor: A}"
    )
    data = compiled(
        "tasks:\n  A: {node: image.filter, inputs: {image: $input.image}}\n  B: {node: image.resize, inputs: {image: A.image}}"
    )
    assert one.digest == other.digest == both.digest == data.digest


def test_the_plan_holds_versions_digests_and_queues(compiled: Compile, catalog: Catalog) -> None:
    plan = compiled("""
tasks:
  A: {node: image.filter@1, inputs: {image: $input.image}, resources: {device: gpu, duration: heavy}, retries: 2, backoff: 0.5, timeout: 3}
  B: {node: image.filter, inputs: {image: A.image}, resources: {pool: io}}
  C: {node: image.filter, inputs: {image: A.image}, resources: {duration: long}, queue: cpu.short.2}
""")
    a = plan.tasks["A"]
    assert (a.node.id, a.node.version, a.node.digest) == ("image.filter", "1.0.0", catalog.find("image.filter").digest)
    assert (a.retries, a.backoff, a.timeout) == (2, 0.5, 3.0)
    assert [plan.tasks[task].queue for task in "ABC"] == ["gpu.long", "io", "cpu.short.2"]


# ---- order


def test_who_merely_reads_a_condition_runs_beside_its_branch(compiled: Compile) -> None:
    plan = compiled("""
tasks:
  T1: {node: anomaly.score, inputs: {image: $input.image}, condition: true, branches: {odd: T2, fine: null}}
  T2: {node: anomaly.refine, subchain: true, inputs: {image: $input.image}}
  R: {node: anomaly.grade, inputs: {score: T1.score}}
  S: {node: anomaly.grade, inputs: {score: T1.score}, predecessor: [T1]}
  B: {node: anomaly.grade, inputs: {score: T1.score, finding: T1.branch.finding}}
""")
    assert plan.tasks["T1"].beside == ("R",)
    assert plan.tasks["T1"].successors == ("B", "S")
    assert plan.tasks["R"].waits == 1


def test_the_user_of_a_subchain_waits_for_what_its_tasks_read_outside(compiled: Compile) -> None:
    plan = compiled("""
tasks:
  T0: {node: crack.segment, inputs: {image: $input.image}}
  T1: {node: anomaly.score, inputs: {image: $input.image}, condition: true, branches: {odd: T2, fine: null}}
  T2: {node: anomaly.score, subchain: true, inputs: {image: $input.image}, condition: true, branches: {odd: T3, fine: null}}
  T3: {node: report.closeup, subchain: true, inputs: {image: $input.image, mask: T0.mask}}
""")
    assert plan.tasks["T0"].successors == ("T1",)
    assert plan.tasks["T1"].frees == ("T0",)
    assert plan.tasks["T0"].readers == 1
    assert plan.tasks["T2"].frees == ()


def test_a_subchain_used_twice_makes_both_users_wait(compiled: Compile) -> None:
    plan = compiled("""
tasks:
  T1: {node: anomaly.score, inputs: {image: $input.image}, condition: true, branches: {odd: S, fine: null}}
  T2: {node: anomaly.score, inputs: {image: $input.image}, condition: true, branches: {odd: S, fine: null}}
  S: {node: anomaly.grade, subchain: true, inputs: {score: T1.score}}
""")
    assert plan.tasks["T1"].beside == ("T2",)
    assert plan.tasks["T1"].frees == ("T1",)
    assert plan.tasks["T2"].frees == ("T1",)
    assert plan.tasks["T1"].readers == 2


# ---- what is not written


def test_an_unwritten_port_takes_the_output_of_equal_name(compiled: Compile) -> None:
    plan = compiled("""
tasks:
  A: {node: crack.segment, inputs: {image: $input.image}}
  B: {node: crack.skeleton, predecessor: [A]}
  C: {node: crack.width, predecessor: [A, B]}
""")
    assert bound(plan, "C") == {"mask": "A.mask", "skeleton": "B.skeleton"}


def test_a_required_port_takes_the_only_output_that_fits(compiled: Compile) -> None:
    plan = compiled("""
tasks:
  A: {node: crack.segment, inputs: {image: $input.image}}
  B: {node: crack.skeleton, predecessor: [A]}
  C: {node: report.closeup, inputs: {image: $input.image}, predecessor: [B]}
""")
    assert bound(plan, "C") == {"image": "input:image", "mask": "B.skeleton"}


def test_one_output_does_not_serve_two_ports_unasked(problems: Problems) -> None:
    (problem,) = problems("""
tasks:
  A: {node: crack.segment, inputs: {image: $input.image}}
  B: {node: crack.width, inputs: {mask: A.mask}}
""")
    assert problem.code == "MISSING_INPUT"
    assert "B.skeleton" in problem.message


def test_an_optional_port_takes_only_equal_names_and_null_keeps_it_free(compiled: Compile) -> None:
    text = """
tasks:
  A: {node: spall.segment, inputs: {image: $input.image}}
  B: {node: spall.area, predecessor: [A]}
  C: {node: report.page, predecessor: [A, B], inputs: {image: $input.image%s}}
"""
    assert bound(compiled(text % ""), "C") == {"image": "input:image", "measurements": "B.measurements"}
    assert bound(compiled(text % ", measurements: null"), "C") == {"image": "input:image"}


def test_a_head_takes_what_its_only_user_has(compiled: Compile) -> None:
    plan = compiled("""
tasks:
  A: {node: spall.segment, inputs: {image: $input.image}}
  B: {node: spall.area, predecessor: [A], condition: true, branches: [{when: B.measurements.area.value > 3, to: C}, {default: null}]}
  C: {node: report.closeup, subchain: true, inputs: {image: $input.image}}
""")
    assert bound(plan, "C")["mask"] == "B.mask"
    assert plan.tasks["B"].frees == ("A", "B")


def test_a_head_with_two_users_takes_nothing_that_only_one_has(problems: Problems) -> None:
    (problem,) = problems("""
tasks:
  A: {node: crack.segment, inputs: {image: $input.image}, condition: true, branches: [{when: "true", to: C}, {default: null}]}
  B: {node: spall.segment, inputs: {image: $input.image}, condition: true, branches: [{when: "true", to: C}, {default: null}]}
  C: {node: crack.skeleton, subchain: true}
""")
    assert problem.code == "MISSING_INPUT"


def test_a_body_takes_its_item_and_an_error_branch_its_error(compiled: Compile) -> None:
    plan = compiled("""
tasks:
  A: {node: image.tiles, inputs: {image: $input.image}, foreach: {over: tiles, body: B}}
  B: {node: crack.segment, subchain: true, on_error: {branch: E}}
  E: {node: report.page, subchain: true, inputs: {image: $item.item, severity: $error}}
""")
    assert bound(plan, "B") == {"image": "item:item"}
    assert bound(plan, "E") == {"image": "item:item", "severity": "error:E"}
    assert plan.tasks["B"].frees == ("B",)
    assert plan.tasks["A"].frees == ("A",)


# ---- branches


def test_an_optional_port_may_read_a_branch_that_may_be_null(compiled: Compile) -> None:
    plan = compiled("""
tasks:
  T1: {node: anomaly.score, inputs: {image: $input.image}, condition: true, branches: {odd: T2, fine: null}}
  T2: {node: anomaly.refine, subchain: true, inputs: {image: $input.image}}
  T3: {node: anomaly.grade, inputs: {score: T1.score, finding: T1.branch.finding}}
""")
    assert plan.tasks["T3"].bindings[1] == Binding("finding", Source("slot", "branch.finding", "T1"), required=False)


def test_branches_that_all_give_a_value_may_feed_a_required_port(compiled: Compile) -> None:
    plan = compiled("""
tasks:
  T1: {node: anomaly.score, inputs: {image: $input.image}, condition: true, branches: {odd: T2, fine: T3}}
  T2: {node: crack.segment, subchain: true, inputs: {image: $input.image}}
  T3: {node: spall.segment, subchain: true, inputs: {image: $input.image}}
  T4: {node: crack.skeleton, inputs: {mask: T1.branch.mask}}
outputs: {mask: T1.branch.mask}
""")
    assert set(plan.tasks["T1"].offers) == {"T2", "T3"}
    assert plan.tasks["T1"].kept
    assert plan.tasks["T1"].readers == 0
    assert plan.outputs["mask"] == Source("slot", "branch.mask", "T1")


def test_a_fallback_at_the_end_of_a_branch_stands_in_for_its_output(compiled: Compile) -> None:
    plan = compiled("""
tasks:
  T1: {node: anomaly.score, inputs: {image: $input.image}, condition: true, branches: {odd: T2, fine: T4}}
  T2: {node: crack.segment, subchain: true, inputs: {image: $input.image}, on_error: {branch: T3}}
  T3: {node: spall.segment, subchain: true, inputs: {image: $input.image}}
  T4: {node: spall.segment, subchain: true, inputs: {image: $input.image}}
  T5: {node: crack.skeleton, inputs: {mask: T1.branch.mask}}
""")
    offers = {(offer.task, offer.source_slot) for offer in plan.tasks["T1"].offers["T2"]}
    assert offers == {("T2", "mask"), ("T2", "branch.mask")}


def test_an_error_branch_need_not_offer_what_the_others_do(compiled: Compile, problems: Problems) -> None:
    text = """
tasks:
  T1: {node: anomaly.score, inputs: {image: $input.image}, condition: true, branches: {odd: T2, fine: T2}, on_error: {branch: T3}}
  T2: {node: crack.segment, subchain: true, inputs: {image: $input.image}}
  T3: {node: report.page, subchain: true, inputs: {image: $input.image, severity: $error}}
"""
    compiled(text + "  T4: {node: report.annotate, inputs: {image: $input.image, mask: T1.branch.mask}}")
    (problem,) = problems(text + "  T4: {node: crack.skeleton, inputs: {mask: T1.branch.mask}}")
    assert problem.code == "ABSENT_ON_PATH"
    assert "T1 fails" in problem.message


def test_in_its_error_branch_a_task_has_no_outputs(problems: Problems) -> None:
    (problem,) = problems("""
tasks:
  T1: {node: crack.segment, inputs: {image: $input.image}, on_error: {branch: T2}}
  T2: {node: crack.skeleton, subchain: true, inputs: {mask: T1.mask}}
""")
    assert (problem.code, problem.line) == ("ABSENT_ON_PATH", 7)


def test_a_required_input_after_a_skip_is_allowed(compiled: Compile) -> None:
    plan = compiled("""
tasks:
  A: {node: crack.segment, inputs: {image: $input.image}, on_error: skip}
  B: {node: crack.skeleton, predecessor: [A]}
""")
    assert plan.tasks["B"].bindings[0].required


def test_expressions_may_read_other_tasks_and_ask_whether_a_value_is_there(
    compiled: Compile, problems: Problems
) -> None:
    text = """
tasks:
  A: {node: anomaly.score, inputs: {image: $input.image}, condition: true, branches: {odd: B, fine: null}}
  B: {node: anomaly.refine, subchain: true, inputs: {image: $input.image}}
  C: {node: image.filter, inputs: {image: $input.image}, condition: true, branches: [{when: "%s", to: D}, {default: null}]}
  D: {node: image.resize, subchain: true}
"""
    plan = compiled(text % "A.score > 3 && has(A.branch.finding) && A.branch.finding.score > 1")
    whens = [binding for binding in plan.tasks["C"].bindings if binding.port.startswith("when:")]
    assert whens == [
        Binding("when:A.branch.finding", Source("slot", "branch.finding", "A"), required=False),
        Binding("when:A.score", Source("slot", "score", "A")),
    ]
    assert plan.tasks["A"].successors == ("C",)
    (problem,) = problems(text % "A.branch.finding.score > 1")
    assert problem.code == "ABSENT_ON_PATH"


# ---- foreach


def test_a_list_that_may_hold_null_needs_a_port_that_takes_it(compiled: Compile) -> None:
    text = """
tasks:
  A: {node: image.tiles, inputs: {image: $input.image}, foreach: {over: tiles, as: t, body: B, collect: {scores: %s}}}
  B: {node: anomaly.score, subchain: true, inputs: {image: $item.t}, condition: true, branches: {odd: C, fine: null}%s}
  C: {node: anomaly.grade, subchain: true}
  D: {node: anomaly.map, inputs: {scores: A.each.scores}}
"""
    for source, more in (("B.score", ""), ("B.branch.score", ""), ("B.score", ", on_error: skip")):
        plan = compiled(text % (source, more))
        assert bound(plan, "D") == {"scores": "A.each.scores", "grid": "A.grid"}


def test_inner_lists_of_json_are_json_outside(compiled: Compile) -> None:
    plan = compiled("""
tasks:
  A: {node: image.tiles, inputs: {image: $input.image}, foreach: {over: tiles, as: a, body: B, collect: {all: B.each.scores}}}
  B: {node: image.tiles, subchain: true, inputs: {image: $item.a}, foreach: {over: tiles, as: b, body: C, collect: {scores: C.score}}}
  C: {node: anomaly.score, subchain: true, inputs: {image: $item.b}, condition: true, branches: {odd: null, fine: null}}
outputs: {all: A.each.all}
""")
    assert [offer.source_slot for offer in plan.tasks["A"].offers["B"]] == ["each.scores"]
    assert [offer.source_slot for offer in plan.tasks["B"].offers["C"]] == ["score"]


def test_a_body_may_read_the_other_outputs_of_its_foreach_and_tasks_outside(compiled: Compile) -> None:
    plan = compiled("""
tasks:
  Z: {node: crack.segment, inputs: {image: $input.image}}
  A: {node: image.tiles, inputs: {image: $input.image}, foreach: {over: tiles, as: a, body: B}}
  B: {node: report.page, subchain: true, inputs: {image: $item.a, severity: A.grid}, successor: [C]}
  C: {node: report.annotate, inputs: {image: $item.a, mask: Z.mask}}
""")
    assert plan.tasks["A"].frees == ("A", "Z")
    assert plan.tasks["A"].waits == 1


def test_inner_items_hide_outer_ones_of_the_same_name(compiled: Compile) -> None:
    plan = compiled("""
tasks:
  A: {node: image.tiles, inputs: {image: $input.image}, foreach: {over: tiles, as: t, body: B}}
  B: {node: image.tiles, subchain: true, inputs: {image: $item.t}, foreach: {over: tiles, as: t, body: C}}
  C: {node: image.filter, subchain: true, inputs: {image: $item.t}}
""")
    assert plan.tasks["B"].frees == ("B",)
    assert plan.tasks["A"].frees == ("A",)


# ---- inputs and constants


def test_constants_and_project_parameters_feed_json_ports(compiled: Compile) -> None:
    plan = compiled("""
params: {score: {type: number, default: 0.25}, finding: {type: object, default: {score: 1}}}
tasks:
  A: {node: anomaly.grade, inputs: {score: $param.score, finding: {value: {score: $param.score, note: $$free}}}}
  B: {node: anomaly.grade, inputs: {score: {value: 3}, finding: $param.finding}, predecessor: [A]}
""")
    assert [binding.source.value for binding in plan.tasks["A"].bindings] == [0.25, {"score": 0.25, "note": "$free"}]
    assert [binding.source.value for binding in plan.tasks["B"].bindings] == [3, {"score": 1}]


def test_a_run_input_with_a_default_may_feed_a_required_port(compiled: Compile) -> None:
    plan = compiled("""
inputs: {score: {type: json, schema: {type: number}, default: 0.5}}
tasks:
  A: {node: anomaly.grade, inputs: {score: $input.score}}
outputs: {given: $input.score}
""")
    assert plan.inputs["score"] == {"type": "json", "schema": {"type": "number"}, "required": False, "default": 0.5}
    assert plan.outputs["given"] == Source("input", "score")


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"limi": 1}, "UNKNOWN_PARAM"),
        ({"limit": "high"}, "BAD_PARAM"),
        ({"limit": 2}, "BAD_PARAM"),
        ({"limit": float("nan")}, "BAD_PARAM"),
        ({"limit": float("inf")}, "BAD_PARAM"),
        ({"any": 2**63}, "BAD_PARAM"),
        ({"any": int("9" * 4000)}, "BAD_PARAM"),
        ({"any": "\ud800"}, "BAD_PARAM"),
        ({"any": "x" * 10_000_000}, "BAD_PARAM"),
        ({"any": (1, 2)}, "BAD_PARAM"),
    ],
)
def test_unfit_values_for_project_parameters_are_refused(params: dict[str, Any], code: str, problems: Problems) -> None:
    (problem,) = problems(
        """
params:
  limit: {type: number, maximum: 1, default: 1}
  any: {default: null}
tasks: {A: {node: image.filter, inputs: {image: $input.image}}}
""",
        **params,
    )
    assert problem.code == code
    assert problem.line in {5, 6, 7}
    assert len(str(problem)) < 1000


def test_a_parameter_200_000_levels_deep_is_refused(problems: Problems) -> None:
    deep: list[Any] = []
    for _ in range(200_000):
        deep = [deep]
    (problem,) = problems(
        "params: {any: {default: null}}\ntasks: {A: {node: image.filter, inputs: {image: $input.image}}}", any=deep
    )
    assert problem.code == "BAD_PARAM"


# ---- all problems at once


def test_all_problems_of_a_file_are_told_in_one_go_in_its_order(problems: Problems) -> None:
    found = problems("""
params: {limit: {type: number, default: high}}
tasks:
  A: {node: image.fliter, inputs: {image: $input.image}}
  B: {node: crack.segment, inputs: {image: $input.imgae}, queue: slow}
  C: {node: crack.skeleton, predecessor: [B], successor: [D], colour: red}
  D: {node: crack.width, successor: [C]}
  E: {node: anomaly.score, inputs: {image: B.mask}, condition: true, branches: {odd: Z, fin: null}}
  F: {node: report.page, predecessor: [A], inputs: {measurements: D.measurement}}
outputs: {x: Q.report}
""")
    assert [(problem.line, problem.code) for problem in found] == [
        (5, "BAD_PARAM"),
        (7, "NODE_UNKNOWN"),
        (8, "UNKNOWN_INPUT"),
        (8, "BAD_QUEUE"),
        (9, "CYCLE"),
        (9, "UNKNOWN_FIELD"),
        (10, "CONTRADICTION"),
        (11, "TYPE_MISMATCH"),
        (11, "UNKNOWN_TASK"),
        (11, "UNKNOWN_OUTCOME"),
        (12, "UNKNOWN_PORT"),
        (13, "UNKNOWN_TASK"),
    ]


def test_more_than_10_000_tasks_are_refused(problems: Problems) -> None:
    tasks = "".join(f"  T{index}: {{node: image.filter}}\n" for index in range(10_001))
    (problem,) = problems(f"tasks:\n{tasks}")
    assert problem.code == "TOO_MANY_TASKS"


def test_a_missing_file_and_a_folder_are_refused_as_projects(catalog: Catalog, tmp_path: Path) -> None:
    for path, code in ((tmp_path / "none.yaml", "FILE_NOT_FOUND"), (tmp_path, "NOT_A_FILE")):
        with pytest.raises(InvalidProject) as raised:
            compile_file(path, catalog)
        assert [problem.code for problem in raised.value.problems] == [code]


# ---- no path is followed


def series(count: int) -> str:
    """``count`` independent conditions in a row; each has two branches, whose value the next task needs."""
    lines = []
    for i in range(count):
        before = f"J{i - 1}.image" if i else "$input.image"
        lines += [
            f"  C{i}: {{node: anomaly.score, inputs: {{image: {before}}}, condition: true, branches: {{odd: A{i}, fine: B{i}}}}}",
            f"  A{i}: {{node: image.filter, subchain: true, inputs: {{image: {before}}}}}",
            f"  B{i}: {{node: image.resize, subchain: true, inputs: {{image: {before}}}}}",
            f"  J{i}: {{node: image.filter, inputs: {{image: C{i}.branch.image}}}}",
        ]
    return "tasks:\n" + "\n".join(lines)


def test_thirty_conditions_in_series_compile(compiled: Compile) -> None:
    assert len(compiled(series(30)).tasks) == 120


def test_thirty_conditions_within_each_other_that_share_both_branches_compile(compiled: Compile) -> None:
    lines = [
        f"  S{i}: {{node: anomaly.score, {'subchain: true, ' if i else ''}inputs: {{image: $input.image}}, condition: true, "
        f"branches: {{odd: S{i + 1}, fine: S{i + 1}}}}}"
        for i in range(30)
    ]
    lines += [
        "  S30: {node: crack.segment, subchain: true, inputs: {image: $input.image}}",
        "  End: {node: crack.skeleton, inputs: {mask: S0.branch.mask}}",
    ]
    plan = compiled("tasks:\n" + "\n".join(lines))
    assert plan.tasks["S0"].offers["S1"][0].source_slot == "branch.mask"


def test_nests_deeper_than_python_s_stack_compile(compiled: Compile) -> None:
    depth = 1200
    lines = [
        f"  S{i}: {{node: anomaly.score, {'subchain: true, ' if i else ''}inputs: {{image: R.image}}, condition: true, "
        f"branches: {{odd: S{i + 1}, fine: null}}}}"
        for i in range(depth)
    ]
    lines += [
        "  R: {node: image.filter, inputs: {image: $input.image}}",
        f"  S{depth}: {{node: crack.segment, subchain: true, inputs: {{image: R.image}}}}",
        "  End: {node: report.annotate, inputs: {image: R.image, mask: S0.branch.mask}}",
    ]
    plan = compiled("tasks:\n" + "\n".join(lines))
    assert plan.tasks["R"].readers == 2


def test_three_hundred_nested_foreachs_compile(compiled: Compile) -> None:
    depth = 300
    lines = [
        f"  F{i}: {{node: image.tiles, {'subchain: true, ' if i else ''}inputs: {{image: {f'$item.i{i - 1}' if i else '$input.image'}}}, "
        f"foreach: {{over: tiles, as: i{i}, body: F{i + 1}, collect: {{all: F{i + 1}.{'each.all' if i + 1 < depth else 'score'}}}}}}}"
        for i in range(depth)
    ]
    lines.append(
        f"  F{depth}: {{node: anomaly.score, subchain: true, inputs: {{image: $item.i0}}, condition: true, branches: {{odd: null, fine: null}}}}"
    )
    assert len(compiled("tasks:\n" + "\n".join(lines)).tasks) == depth + 1


# ---- what it costs those who only run plans


@pytest.mark.parametrize("module", ["tyqi_core.workflow.plan", "tyqi_core.workflow.expressions", "tyqi_core.scheduler"])
def test_workers_import_no_networkx_no_yaml_and_no_compiler(module: str) -> None:
    heavy = "{'networkx', 'yaml', 'numpy', 'jsonschema', 'jsonschema_rs', 'tyqi_core.workflow.compiler'}"
    code = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
