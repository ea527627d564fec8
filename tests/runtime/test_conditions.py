"""Decisions: by outcome, by expression; what waits for a branch and what does not; branches within branches."""

from __future__ import annotations

import pytest
from trial_runs import NUMBER, completed, executed, position, subjects

OUTCOMES = f"""
inputs: {{n: {NUMBER}}}
tasks:
  T1: {{node: trial.decide, inputs: {{x: $input.n}}, condition: true, branches: {{a: A, b: B1, none: null}}, successor: [J]}}
  A: {{node: trial.add, subchain: true, inputs: {{x: T1.value}}, params: {{plus: 10}}}}
  B1: {{node: trial.add, subchain: true, inputs: {{x: T1.value}}, params: {{plus: 100}}, successor: [B2]}}
  B2: {{node: trial.add, inputs: {{x: B1.sum}}, params: {{plus: 100}}}}
  J: {{node: trial.pair, inputs: {{a: T1.value, b: T1.branch.sum}}}}
outputs: {{both: J.both, branch: T1.branch.sum}}
"""


@pytest.mark.parametrize(
    ("n", "tasks", "branch"),
    [(1, ["J", "T1", "T1/A"], 11), (2, ["J", "T1", "T1/B1", "T1/B2"], 202), (0, ["J", "T1"], None)],
    ids=["chain of one", "chain of two", "null branch"],
)
def test_the_outcome_chooses_what_runs_and_the_join_reads_what_the_branch_offers(run, n, tasks, branch):
    result = run(OUTCOMES, {"n": n})
    assert completed(result) == {"both": [n, branch], "branch": branch}
    assert executed(result) == tasks


def test_tasks_of_a_branch_that_was_not_chosen_leave_no_trace(run):
    result = run(OUTCOMES, {"n": 1})
    assert not [event for event in result.events if "B" in event.subject]
    assert not subjects(result, "task.skipped")


def test_a_successor_of_a_condition_waits_for_the_end_of_the_chosen_branch(run):
    result = run(OUTCOMES, {"n": 2})
    assert position(result, "task.completed", "T1/B2") < position(result, "task.ready", "J")


def test_the_outcome_stands_in_the_events(run):
    result = run(OUTCOMES, {"n": 2})
    assert result.events[position(result, "task.completed", "T1")].data == {"outcome": "b"}


def test_a_null_branch_releases_the_successors_at_once(run):
    result = run(OUTCOMES, {"n": 0})
    assert position(result, "task.ready", "J") == position(result, "task.completed", "T1") + 1


def test_who_merely_reads_a_condition_runs_beside_its_branch(run, tmp_path):
    """The reader and the branch meet: neither could end if one waited for the other."""
    result = run(f"""
tasks:
  T1: {{node: trial.decide, params: {{choose: a}}, condition: true, branches: {{a: A, b: null, none: null}}, successor: [J]}}
  A: {{node: trial.meet, subchain: true, params: {{folder: "{tmp_path}", name: branch, others: [reader]}}}}
  R: {{node: trial.meet, inputs: {{x: T1.value}}, params: {{folder: "{tmp_path}", name: reader, others: [branch]}}}}
  J: {{node: trial.pair, inputs: {{a: R.value, b: T1.branch.value}}}}
outputs: {{both: J.both}}
""")
    assert completed(result) == {"both": [0, 0]}


def test_a_reader_of_a_condition_does_not_run_before_the_condition_is_settled(run):
    result = run(
        OUTCOMES.replace("successor: [J]}", "successor: [J]}\n  R: {node: trial.add, inputs: {x: T1.value}}"), {"n": 1}
    )
    assert position(result, "task.completed", "T1") < position(result, "task.ready", "R")


RULES = f"""
inputs: {{n: {NUMBER}}}
params: {{high: {{type: number, default: 100}}}}
tasks:
  T0: {{node: trial.add, inputs: {{x: $input.n}}}}
  T1:
    node: trial.add
    inputs: {{x: T0.sum}}
    params: {{plus: 1}}
    condition: true
    branches:
      - {{when: "T1.sum > $param.high", to: HIGH}}
      - {{when: "T1.sum > 10 and T0.sum != 50", to: MIDDLE}}
      - {{when: "T1.sum == 1 || T0.sum in [2, 3]", to: null}}
      - {{default: LOW}}
    successor: [J]
  HIGH: {{node: trial.add, subchain: true, inputs: {{x: {{value: 3000}}}}}}
  MIDDLE: {{node: trial.add, subchain: true, inputs: {{x: {{value: 2000}}}}}}
  LOW: {{node: trial.add, subchain: true, inputs: {{x: {{value: 1000}}}}}}
  J: {{node: trial.pair, inputs: {{a: T1.branch.sum, b: T1.sum}}}}
outputs: {{both: J.both}}
"""


@pytest.mark.parametrize(
    ("n", "chosen"),
    [(100, 3000), (99, 2000), (11, 2000), (50, 1000), (0, None), (2, None), (3, None), (5, 1000), (-7, 1000)],
)
def test_the_first_rule_that_is_true_decides(run, n, chosen):
    assert completed(run(RULES, {"n": n})) == {"both": [chosen, n + 1]}


def test_a_project_parameter_in_a_rule_moves_the_decision(run):
    assert completed(run(RULES, {"n": 60}, high=50)) == {"both": [3000, 61]}
    assert completed(run(RULES, {"n": 60})) == {"both": [2000, 61]}


def test_a_rule_may_read_fields_of_what_a_task_returned(run):
    outputs = completed(
        run("""
tasks:
  T1:
    node: trial.context
    params: {level: 7, word: "grün"}
    condition: true
    branches:
      - {when: 'T1.told.params.level >= 7 && T1.told.params.word == "grün" and has(T1.told.device)', to: A}
      - {default: null}
  A: {node: trial.add, subchain: true, inputs: {x: {value: 1}}}
outputs: {x: T1.branch.sum}
""")
    )
    assert outputs == {"x": 1}


def test_a_rule_that_reads_a_field_that_is_not_there_fails_the_task_with_its_code(run):
    result = run("""
tasks:
  T1:
    node: trial.context
    condition: true
    retries: 3
    branches: [{when: "T1.told.nothing.here > 1", to: A}, {default: null}]
  A: {node: trial.add, subchain: true, inputs: {x: {value: 1}}}
outputs: {x: T1.branch.sum}
""")
    assert result.status == "failed"
    assert (result.error["code"], result.error["task"]) == ("CONDITION_ERROR", "T1")
    assert len(subjects(result, "task.started")) == 1, "an expression gives the same answer every time: no retry"


def test_a_rule_that_divides_by_zero_fails_alike_every_time(run):
    text = f"""
inputs: {{n: {NUMBER}}}
tasks:
  T1:
    node: trial.add
    inputs: {{x: $input.n}}
    condition: true
    branches: [{{when: "1 / T1.sum > 0", to: A}}, {{default: null}}]
  A: {{node: trial.add, subchain: true, inputs: {{x: {{value: 1}}}}}}
outputs: {{x: T1.branch.sum}}
"""
    first, second = run(text, {"n": 0}), run(text, {"n": 0})
    assert first.error == second.error
    assert first.error["code"] == "CONDITION_ERROR"
    assert completed(run(text, {"n": 2})) == {"x": 1}


def nested(depth: int) -> str:
    """A condition whose branch a holds a condition, and so on; the innermost offers ``sum`` through all of them."""
    tasks = []
    for level in range(1, depth + 1):
        head = "" if level == 1 else ", subchain: true"
        source = "$input.n" if level == 1 else f"T{level - 1}.value"
        tasks.append(
            f"  T{level}: {{node: trial.decide{head}, inputs: {{x: {source}}}, condition: true, "
            f"branches: {{a: T{level + 1}, b: B{level}, none: null}}}}\n"
            f"  B{level}: {{node: trial.pair, subchain: true, inputs: {{b: {{value: {level}}}}}}}\n"
            f"  J{level}: {{node: trial.pair, predecessor: [T{level}], inputs: {{a: {{value: {level}}}, b: T{level}.branch.both}}}}\n"
        )
    tasks.append(f"  T{depth + 1}: {{node: trial.pair, subchain: true, inputs: {{a: T1.value, b: T{depth}.value}}}}\n")
    return f"inputs: {{n: {NUMBER}}}\ntasks:\n{''.join(tasks)}outputs: {{both: J1.both}}\n"


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_branches_within_branches_join_inside_out(run, depth):
    result = run(nested(depth), {"n": 1})
    expected: list = [1, 1]
    for level in range(depth, 0, -1):
        expected = [level, expected]
    assert completed(result) == {"both": expected}
    deepest = "/".join(f"T{level}" for level in range(1, depth + 2))
    order = [position(result, "task.completed", deepest)]
    order += [
        position(result, "task.started", f"{'/'.join([f'T{i}' for i in range(1, level)])}/J{level}".lstrip("/"))
        for level in range(depth, 0, -1)
    ]
    assert order == sorted(order)


def test_the_same_project_takes_another_way_at_the_first_decision(run):
    result = run(nested(4), {"n": 2})
    assert completed(result) == {"both": [1, [None, 1]]}
    assert executed(result) == ["J1", "T1", "T1/B1"]


SHARED = f"""
inputs: {{n: {NUMBER}, m: {NUMBER}}}
tasks:
  T1: {{node: trial.decide, inputs: {{x: $input.n}}, condition: true, branches: {{a: S1, b: null, none: null}}}}
  T2: {{node: trial.decide, inputs: {{x: $input.m}}, condition: true, branches: {{a: S1, b: S1, none: null}}}}
  S1: {{node: trial.add, subchain: true, inputs: {{x: $input.n, y: $input.m}}, successor: [S2]}}
  S2: {{node: trial.add, inputs: {{x: S1.sum}}, params: {{plus: 1000}}}}
  J: {{node: trial.pair, predecessor: [T1, T2], inputs: {{a: T1.branch.sum, b: T2.branch.sum}}}}
outputs: {{both: J.both}}
"""


@pytest.mark.parametrize(
    ("n", "m", "both"),
    [(1, 1, [1002, 1002]), (1, 2, [1003, 1003]), (1, 3, [1004, None]), (2, 2, [None, 1004]), (0, 0, [None, None])],
)
def test_two_conditions_share_a_subchain_and_each_use_is_an_instance_of_its_own(run, n, m, both):
    result = run(SHARED, {"n": n, "m": m})
    assert completed(result) == {"both": both}
    uses = [f"T{user}/{task}" for user, value in ((1, both[0]), (2, both[1])) if value for task in ("S1", "S2")]
    assert executed(result) == sorted(["T1", "T2", "J", *uses])


TAILS = """
tasks:
  T1: {node: trial.decide, params: {choose: a}, condition: true, branches: {a: H, b: null, none: null}, successor: [J]}
  H: {node: trial.add, subchain: true, inputs: {x: {value: 1}}}
  L: {node: trial.add, inputs: {x: H.sum}, params: {plus: 10}}
  R: {node: trial.scale@1, inputs: {x: H.sum}}
  M: {node: trial.look, inputs: {image: P.image}}
  P: {node: trial.picture, inputs: {x: H.sum}}
  J: {node: trial.pair, inputs: {a: T1.branch.sum, b: T1.branch.value}}
outputs: {both: J.both, mean: T1.branch.mean}
"""


def test_a_subchain_that_is_a_graph_with_three_tails_is_joined_after_all_of_them(run):
    result = run(TAILS)
    assert completed(result) == {"both": [11, 2], "mean": 1}
    last = max(position(result, "task.completed", f"T1/{tail}") for tail in "LRM")
    assert last < position(result, "task.ready", "J")


def test_a_diamond_within_a_branch_joins_before_the_branch_ends(run):
    result = run("""
tasks:
  T1: {node: trial.decide, params: {choose: b}, condition: true, branches: {a: null, b: H, none: null}, successor: [J]}
  H: {node: trial.add, subchain: true, inputs: {x: {value: 1}}}
  L: {node: trial.add, inputs: {x: H.sum}, params: {plus: 10}}
  R: {node: trial.add, inputs: {x: H.sum}, params: {plus: 100}}
  D: {node: trial.pair, inputs: {a: L.sum, b: R.sum}}
  J: {node: trial.pair, inputs: {a: T1.branch.both}}
outputs: {both: J.both}
""")
    assert completed(result) == {"both": [[11, 101], None]}


def test_several_successors_of_a_condition_are_all_released_by_its_branch(run):
    result = run("""
tasks:
  T1: {node: trial.decide, params: {choose: a}, condition: true, branches: {a: A, b: null, none: null}, successor: [J, K, L]}
  A: {node: trial.add, subchain: true, inputs: {x: {value: 1}}}
  J: {node: trial.pair, inputs: {a: T1.branch.sum}}
  K: {node: trial.add, inputs: {x: T1.value}}
  L: {node: trial.pair, inputs: {a: J.both, b: K.sum}}
outputs: {both: L.both}
""")
    assert completed(result) == {"both": [[1, None], 0]}
    assert position(result, "task.completed", "T1/A") < min(position(result, "task.ready", task) for task in "JK")


def test_two_conditions_in_parallel_are_joined_after_both_branches(run):
    result = run("""
tasks:
  T1: {node: trial.decide, params: {choose: a}, condition: true, branches: {a: A, b: null, none: null}}
  T2: {node: trial.decide, params: {choose: b}, condition: true, branches: {a: null, b: B, none: null}}
  A: {node: trial.add, subchain: true, inputs: {x: {value: 1}}}
  B: {node: trial.add, subchain: true, inputs: {x: {value: 2}}}
  J: {node: trial.pair, predecessor: [T1, T2], inputs: {a: T1.branch.sum, b: T2.branch.sum}}
outputs: {both: J.both}
""")
    assert completed(result) == {"both": [1, 2]}


def test_a_condition_whose_branches_are_all_null_is_a_plain_task_to_those_behind_it(run):
    result = run("""
tasks:
  T1: {node: trial.decide, inputs: {x: {value: 5}}, condition: true, branches: {a: null, b: null, none: null}, successor: [T2]}
  T2: {node: trial.add, inputs: {x: T1.value}}
outputs: {x: T2.sum}
""")
    assert completed(result) == {"x": 5}
