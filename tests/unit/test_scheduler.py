"""The scheduler's laws, one small plan each."""

import pytest

from tyqi_core.errors import ContractViolation, InternalError, NodeError
from tyqi_core.scheduler import Change, Place, Ready, Result, after_failure, effects, locate, start
from tyqi_core.workflow.plan import ON_ERROR, Binding, Foreach, NodePin, Offer, Plan, PlanTask, Source

PIN = NodePin("test.node", "1.0.0", "d")
DONE = Result("completed")


def plan_of(*tasks: PlanTask) -> Plan:
    tails: dict[str, list[str]] = {}
    for task in tasks:
        if task.tail:
            tails.setdefault(task.scope, []).append(task.id)
    roots = tuple(task.id for task in tasks if not task.scope and not task.waits)
    sealed = {scope: tuple(names) for scope, names in tails.items()}
    return Plan("test", {}, {}, {task.id: task for task in tasks}, roots, sealed).sealed()


def condition_plan() -> Plan:
    """T1 decides: a (two tails), b (one tail) or nothing; T2 joins; R only reads T1."""
    return plan_of(
        PlanTask(
            "T1",
            "",
            PIN,
            successors=("T2",),
            beside=("R",),
            tail=False,
            branches={"a": "A", "b": "B", "none": None},
            outcomes=("a", "b", "none"),
            offers={"A": (Offer("A1", "mask", "branch.mask"),), "B": (Offer("B", "mask", "branch.mask"),)},
            readers=2,
        ),
        PlanTask("A", "A", PIN, successors=("A1", "A2"), tail=False),
        PlanTask("A1", "A", PIN, waits=1),
        PlanTask("A2", "A", PIN, waits=1),
        PlanTask("B", "B", PIN),
        PlanTask("R", "", PIN, waits=1, frees=("T1",)),
        PlanTask("T2", "", PIN, waits=1, frees=("T1",)),
    )


def foreach_plan() -> Plan:
    """T4 runs body T5 per item; T5 is a condition whose branch T5a reports a finding; T5b grades; T6 collects."""
    return plan_of(
        PlanTask(
            "T4",
            "",
            PIN,
            successors=("T6",),
            tail=False,
            foreach=Foreach("tiles", "tile", "T5"),
            offers={"T5": (Offer("T5b", "score", "each.scores"), Offer("T5", "branch.finding", "each.findings"))},
            frees=("T4",),
            readers=2,
        ),
        PlanTask(
            "T5",
            "T5",
            PIN,
            successors=("T5b",),
            tail=False,
            branches={"odd": "T5a", "fine": None},
            outcomes=("odd", "fine"),
            offers={"T5a": (Offer("T5a", "finding", "branch.finding"),)},
            bindings=(Binding("image", Source("item", "tile")),),
            readers=1,
        ),
        PlanTask("T5a", "T5a", PIN, bindings=(Binding("image", Source("item", "tile")),)),
        PlanTask("T5b", "T5", PIN, waits=1, frees=("T5",)),
        PlanTask("T6", "", PIN, waits=1, frees=("T4",)),
    )


def test_a_run_starts_with_the_tasks_that_wait_for_nothing():
    assert start(condition_plan()).ready == (Ready("T1"),)


def test_a_chosen_branch_makes_its_tails_speak_for_the_condition():
    settled = effects(condition_plan(), "T1", Result("completed", outcome="a"))
    assert settled.ready == (Ready("T1/A"),)
    assert Change("ready:T2", 1, 1) in settled.changes  # one obligation became two


def test_a_null_branch_releases_the_successors_at_once():
    settled = effects(condition_plan(), "T1", Result("completed", outcome="none"))
    assert settled.ready == ()
    assert Change("ready:T2", 1, -1) in settled.changes


def test_a_branch_with_one_tail_leaves_the_count_as_it_is():
    settled = effects(condition_plan(), "T1", Result("completed", outcome="b"))
    assert settled.ready == (Ready("T1/B"),)
    assert [change.key for change in settled.changes] == ["ready:R"]


@pytest.mark.parametrize("outcome", ["a", "b", "none"])
def test_who_only_reads_a_condition_does_not_wait_for_its_branch(outcome):
    settled = effects(condition_plan(), "T1", Result("completed", outcome=outcome))
    assert Change("ready:R", 1, -1) in settled.changes


def test_a_tail_counts_down_what_its_user_feeds():
    settled = effects(condition_plan(), "T1/A1", DONE)
    assert settled.changes == (Change("ready:T2", 1, -1),)
    assert [(export.instance, export.slot, export.port) for export in settled.exports] == [
        ("T1", "branch.mask", "mask")
    ]


def test_a_task_in_the_middle_of_a_branch_releases_only_its_own_scope():
    settled = effects(condition_plan(), "T1/A", DONE)
    assert settled.changes == (Change("ready:T1/A1", 1, -1), Change("ready:T1/A2", 1, -1))


def test_a_skipped_condition_opens_nothing_and_ends():
    settled = effects(condition_plan(), "T1", Result("skipped"))
    assert settled.ready == ()
    assert settled.exports == ()
    assert {change.key: change.delta for change in settled.changes} == {"ready:R": -1, "ready:T2": -1}


def test_the_items_of_a_foreach_become_ready_as_one_range():
    settled = effects(foreach_plan(), "T4", Result("completed", count=3))
    assert settled.ready == (Ready("T4[*]/T5", 3),)
    assert list(settled.ready[0].instances()) == ["T4[0]/T5", "T4[1]/T5", "T4[2]/T5"]
    assert Change("ready:T6", 1, 2) in settled.changes


def test_an_empty_list_releases_the_join_at_once_with_an_empty_list():
    settled = effects(foreach_plan(), "T4", Result("completed", count=0))
    assert settled.ready == ()
    assert Change("ready:T6", 1, -1) in settled.changes
    assert {(export.slot, export.length) for export in settled.exports} == {("each.scores", 0), ("each.findings", 0)}


def test_what_a_branch_inside_an_item_offers_climbs_to_the_collected_list():
    settled = effects(foreach_plan(), "T4[1]/T5/T5a", DONE)
    assert {(export.instance, export.slot, export.at) for export in settled.exports} == {
        ("T4[1]/T5", "branch.finding", ()),
        ("T4", "each.findings", (1,)),
    }


def test_each_tail_of_an_item_counts_down_the_join():
    settled = effects(foreach_plan(), "T4[2]/T5b", DONE)
    assert Change("ready:T6", 1, -1) in settled.changes
    assert Change("free:T4", 2, -1) in settled.changes


def test_a_source_in_an_enclosing_scope_is_found_by_walking_outward():
    plan = foreach_plan()
    assert locate(plan, "T4[7]/T5/T5a", Source("item", "tile")) == Place("T4", "tiles", (7,))
    assert locate(plan, "T4[7]/T5/T5a", Source("slot", "score", "T5")) == Place("T4[7]/T5", "score")
    assert locate(plan, "T4[7]/T5b", Source("slot", "grid", "T4")) == Place("T4", "grid")
    assert locate(plan, "T4[7]/T5b", Source("input", "image")) == Place("", "image")


def test_a_source_that_no_scope_holds_is_a_bug_of_ours():
    with pytest.raises(InternalError):
        locate(foreach_plan(), "T6", Source("item", "tile"))


def test_an_outcome_without_a_branch_is_a_bug_of_ours():
    with pytest.raises(InternalError):
        effects(condition_plan(), "T1", Result("completed", outcome="unheard"))


def test_a_failure_is_repeated_with_a_doubling_delay_and_then_follows_the_policy():
    task = PlanTask("T1", "", PIN, retries=2, backoff=0.5, on_error="skip")
    error = NodeError("boom")
    verdicts = [after_failure(task, tries, error) for tries in (1, 2, 3)]
    assert [(verdict.action, verdict.delay) for verdict in verdicts] == [("retry", 0.5), ("retry", 1.0), ("skip", 0.0)]


def test_a_value_that_does_not_fit_its_port_is_not_tried_again():
    task = PlanTask("T1", "", PIN, retries=5, backoff=1.0)
    assert after_failure(task, 1, ContractViolation("wrong")).action == "fail"


def test_a_failure_into_an_error_branch_opens_it():
    plan = plan_of(
        PlanTask("T1", "", PIN, successors=("T2",), tail=False, branches={ON_ERROR: "E"}, on_error="branch"),
        PlanTask("E", "E", PIN),
        PlanTask("T2", "", PIN, waits=1),
    )
    assert effects(plan, "T1", Result("failed")).ready == (Ready("T1/E"),)
    assert effects(plan, "T1", DONE).ready == ()
    assert locate(plan, "T1/E", Source("error", task="E")) == Place("T1", "$error")


def test_a_sub_chain_that_is_body_and_error_branch_fills_the_slots_of_the_use_it_is():
    plan = plan_of(
        PlanTask(
            "T1",
            "",
            PIN,
            foreach=Foreach("items", "item", "B"),
            branches={ON_ERROR: "B"},
            on_error="branch",
            offers={"B": (Offer("B", "x", "branch.x"), Offer("B", "x", "each.xs"))},
            kept=True,
        ),
        PlanTask("B", "B", PIN),
    )

    def places(instance, result=DONE):
        return [(export.slot, export.at) for export in effects(plan, instance, result).exports]

    assert places("T1", Result("completed", count=2)) == [("each.xs", ())]
    assert places("T1[1]/B") == [("each.xs", (1,))]
    assert places("T1/B") == [("branch.x", ())]


def test_the_last_tail_of_the_root_scope_ends_the_run():
    assert Change("end", 2, -1) in effects(condition_plan(), "T2", DONE).changes


def test_a_plan_survives_its_json_form():
    plan = foreach_plan()
    assert Plan.from_json(plan.to_json()) == plan
    with pytest.raises(ValueError, match="compile the project again"):
        Plan.from_json({**plan.to_json(), "format": 99})
