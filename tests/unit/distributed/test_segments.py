"""Segments, case by case; tests/model/test_segments.py holds random ones against settling each task alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tyqi_core.runtime.distributed.segments import Segment
from tyqi_core.runtime.endings import Ending
from tyqi_core.scheduler import Change, Place, Ready, Result, effects, task_id
from tyqi_core.stores.base import ABSENT, Settlement, Wanted
from tyqi_core.workflow.plan import Foreach, NodePin, Offer, Plan, PlanTask

RUN = "run"


def task(name: str, scope: str = "", **more: Any) -> PlanTask:
    return PlanTask(name, scope, NodePin("n.one", "1.0.0", "d"), **{"tail": False, **more})


def plan(*tasks: PlanTask) -> Plan:
    tails = {scope: tuple(t.id for t in tasks if t.scope == scope and t.tail) for scope in {t.scope for t in tasks}}
    return Plan("p", {}, {}, {t.id: t for t in tasks}, ("T0",), tails)


class Worker:
    """What a thread does with a segment."""

    def __init__(self, of: Plan, head: str, values: Mapping[Place, Any] | None = None, **how: Any) -> None:
        self.plan = of
        self.head, ending = self.settled(head, 7, **how)
        self.segment = Segment(of, self.head, ending, (values or {}).items())

    def settled(
        self, instance: str, token: int, outputs: Mapping[str, Any] | None = None, groups: Any = None, **result: Any
    ) -> tuple[Settlement, Ending]:
        ending = Ending("task.completed", Result("completed", **result), outputs or {"x": instance})
        slots, worked_out = (
            ending.slots(self.plan.tasks[task_id(instance)]),
            effects(self.plan, instance, ending.result),
        )
        settlement = Settlement(
            RUN, instance, token, ending.kind, slots, ending.outputs, worked_out, None, groups or {}
        )
        return settlement, ending

    def execute(self, instance: str, **how: Any) -> None:
        assert instance in self.segment.ready
        self.segment.add(*self.settled(instance, 0, **how))

    @property
    def ready(self) -> list[str]:
        return list(self.segment.ready)

    @property
    def merged(self) -> Settlement:
        return self.segment.settlement()


CHAIN = plan(
    task("T0", successors=("T1",), readers=1),
    task("T1", waits=1, successors=("T2",), frees=("T0",), readers=1),
    task("T2", waits=1, frees=("T1",), tail=True, kept=True),
)


def test_a_chain_is_settled_in_one_call_and_nothing_of_what_only_it_reads_is_written():
    worker = Worker(CHAIN, "T0")
    worker.execute("T1")
    worker.execute("T2")
    assert worker.merged.slots is None
    assert [(one.instance, one.slots) for one in worker.merged.inner] == [("T1", None), ("T2", {"x": "T2"})]
    assert worker.merged.effects.changes == (Change("end", 1, -1),)


def test_what_a_later_task_reads_is_written():
    worker = Worker(CHAIN, "T0")
    worker.execute("T1")
    assert [one.slots for one in worker.merged.inner] == [{"x": "T1"}]
    assert worker.merged.effects.changes == (Change("ready:T2", 1, -1),)


def test_a_head_that_nothing_follows_is_settled_as_it_is():
    assert Worker(CHAIN, "T2").merged == Worker(CHAIN, "T2").head


def test_values_of_others_are_freed_by_the_store():
    worker = Worker(CHAIN, "T1")
    worker.execute("T2")
    assert Change("free:T0", 1, -1) in worker.merged.effects.changes


def test_a_join_waits_for_the_store_if_anything_before_it_was_settled_elsewhere():
    join = plan(task("T0", successors=("J",)), task("T1", successors=("J",)), task("J", waits=2, tail=True))
    worker = Worker(join, "T0")
    assert worker.ready == []
    assert worker.merged.effects.changes == (Change("ready:J", 2, -1),)


OPENS = {"branches": {"p": "A", "none": None}, "offers": {"A": (Offer("B", "x", "branch.x"),)}}
SCOPES = plan(
    task("T0", successors=("J",), beside=("R",), readers=2, **OPENS),
    task("P", successors=("J",)),
    task("R", waits=1, frees=("T0",), tail=True),
    task("J", waits=2, frees=("T0",), tail=True),
    task("A", "A", successors=("B", "C")),
    task("B", "A", waits=1, tail=True),
    task("C", "A", waits=1, tail=True),
)


def test_tails_of_a_scope_that_others_opened_do_not_stand_for_what_its_user_waits_for():
    """Two tails end here, and J waits for two tasks; but of these nothing has been seen."""
    worker = Worker(SCOPES, "T0/A")
    worker.execute("T0/B")
    worker.execute("T0/C")
    assert worker.ready == []
    assert Change("ready:J", 2, -2) in worker.merged.effects.changes


def test_who_only_reads_runs_beside_the_branch_and_who_follows_waits_for_all_its_tails():
    alone = plan(*(t for t in SCOPES.tasks.values() if t.id not in ("P", "J")), task("J", waits=1, tail=True))
    worker = Worker(alone, "T0", outcome="p")
    assert sorted(worker.ready) == ["R", "T0/A"]
    worker.execute("T0/A")
    worker.execute("T0/B")
    assert "J" not in worker.ready
    worker.execute("T0/C")
    assert "J" in worker.ready


def test_a_null_branch_releases_at_once():
    alone = plan(*(t for t in SCOPES.tasks.values() if t.id not in ("P", "J")), task("J", waits=1, tail=True))
    assert sorted(Worker(alone, "T0", outcome="none").ready) == ["J", "R"]


def test_what_a_tail_hands_outward_is_known_to_who_reads_it():
    worker = Worker(SCOPES, "T0", outcome="p")
    worker.execute("T0/A")
    worker.execute("T0/B", outputs={"x": 5})
    assert worker.segment.values([Wanted(Place("T0", "branch.x"), required=True)]) == [5]
    assert Place("T0", "branch.x")[:2] in {export[:2] for one in worker.merged.inner for export in one.exports}


@pytest.mark.parametrize("values", [{}, {Place("", "n"): ABSENT}])
def test_a_value_that_was_not_fetched_or_is_absent_is_not_known(values):
    assert Worker(CHAIN, "T0", values).segment.values([Wanted(Place("", "n"), required=False)]) is None


def test_a_value_that_was_fetched_with_the_head_is_known_even_if_it_is_null():
    wanted = [Wanted(Place("", "n"), required=True), Wanted(Place("T0", "x"), required=True)]
    assert Worker(CHAIN, "T0", {Place("", "n"): None}).segment.values(wanted) == [None, "T0"]


ITEMS = plan(
    task("T0", successors=("J",)),
    task("J", waits=1, foreach=Foreach("x", "item", "B"), tail=True),
    task("B", "B", tail=True),
)


def test_items_of_a_loop_are_left_to_the_store():
    worker = Worker(ITEMS, "T0")
    worker.execute("J", count=3)
    assert worker.ready == []
    assert worker.merged.effects.ready == (Ready("J[*]/B", 3),)
    assert worker.merged.effects.changes == (Change("end", 1, 2),)


def test_groups_are_told_of_the_tasks_that_wait_and_not_of_those_that_were_executed():
    worker = Worker(CHAIN, "T0", groups={"T1": "g1"})
    worker.execute("T1", groups={"T2": "g2"})
    assert worker.merged.groups == {"T2": "g2"}


def test_a_sub_chain_that_is_used_twice_is_told_apart_by_its_path():
    twice = plan(
        task("T0", successors=("J",), branches={"p": "A"}),
        task("J", waits=1, branches={"p": "A"}, tail=True),
        task("A", "A", tail=True),
    )
    worker = Worker(twice, "T0", outcome="p")
    worker.execute("T0/A")
    worker.execute("J", outcome="p")
    assert worker.ready == ["J/A"]
    assert [one.instance for one in worker.merged.inner] == ["T0/A", "J"]
