"""Every reachable state of small projects: any task may be taken next, and may end in any way that it can.

A state is reached by many ways. It is looked at once, and every other way must lead to the very same state of the
store: what a run looks like depends on what was settled and how, never on the order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from numeric import Behaviour
from reference import Reference
from small import FAMILIES
from telling import tell
from world import RUN, Case, Driver, Watcher, compiled

from tyqi_core.scheduler import task_id
from tyqi_core.stores.base import TERMINAL
from tyqi_core.stores.memory import MemoryStore, RunState, TaskState, check_invariants

Choices = dict[str, Behaviour]


@dataclass
class Explorer:
    """Goes through all states of one project."""

    case: Case
    seen: dict[Any, Any] = field(default_factory=dict)
    terminal: int = 0

    def __post_init__(self) -> None:
        self.plan, self.catalog = compiled(self.case)
        self.reference = Reference(self.case.project, self.case.nodes)
        self.driver = Driver(self.plan, self.catalog, {}, lambda instance: self.chosen[instance])
        self.chosen: Choices = {}

    def explore(self) -> None:
        self.driver.accept()
        waiting = [(self.saved(), {})]
        while waiting:
            state, chosen = waiting.pop()
            for successor in self.successors(state, chosen):
                key = _key(*successor)
                told = _state_of(successor[0])
                if key not in self.seen:
                    self.seen[key] = told
                    self.look(*successor)
                    waiting.append(successor)
                assert self.seen[key] == told, f"the order of settling is to be seen: {key}"

    def saved(self) -> Driver:
        """The driver with a state of its own, so that one state has many successors."""
        state = self.driver.store.state(RUN)
        store = MemoryStore()
        store.restore(_copied(state))
        return replace(self.driver, store=store, ready=list(self.driver.ready), executing=dict(self.driver.executing))

    def successors(self, state: Driver, chosen: Choices) -> Iterator[tuple[Driver, Choices]]:
        for action, instance in state.steps():
            if action == "claim":
                yield self.after(state, chosen, action, instance)
            elif state.executing[instance].skip:
                yield self.after(state, {**chosen, instance: Behaviour()}, action, instance)
            elif instance in chosen:  # it failed before, and is tried again
                yield self.after(state, chosen, action, instance)
            else:
                for behaviour in self.behaviours(instance):
                    yield self.after(state, {**chosen, instance: behaviour}, action, instance)

    def after(self, state: Driver, chosen: Choices, action: str, instance: str) -> tuple[Driver, Choices]:
        self.driver = state
        new = self.driver = self.saved()
        self.chosen = chosen
        new.step((action, instance))
        return new, chosen

    def behaviours(self, instance: str) -> Iterator[Behaviour]:
        """All that an instance may do: fail for good or only at first, decide for any outcome, give 0 to 2 items."""
        task = task_id(instance)
        body, spec = self.case.project["tasks"][task], self.reference.spec[task]
        retries = body.get("retries", 0)
        if retries:
            yield Behaviour(failures=1)
        yield Behaviour(failures=retries + 1)
        for outcome in spec.outcomes or (None,):
            for items in range(3) if "foreach" in body else (0,):
                yield Behaviour(outcome=outcome, items=items)

    def look(self, state: Driver, chosen: Choices) -> None:
        """What must be so in every state."""
        run = state.store.state(RUN)
        check_invariants(run)
        watcher = Watcher(state, self.reference)
        watcher.table = chosen.get
        watcher()
        if state.steps():
            assert run.status not in TERMINAL
            return
        self.terminal += 1
        settled = {name for name, task in run.tasks.items() if task.status == "settled"}
        told = tell(self.reference, {}, chosen.get)
        assert run.status == told.status
        if run.status == "completed":
            assert settled == set(told.fates)
            assert state.outputs() == dict(told.outputs)
        else:
            self.resume(state, {name: one for name, one in chosen.items() if name in settled})

    def resume(self, state: Driver, chosen: Choices) -> None:
        """A run that failed is mended and goes on: it ends as if nothing had failed."""

        def table(instance: str) -> Behaviour:
            return chosen.get(instance) or list(self.behaviours(instance))[-1]

        self.driver = state
        mended = self.saved()
        mended.table = table
        mended.resume()
        while steps := mended.steps():
            mended.step(steps[-1])
        told = tell(self.reference, {}, table)
        assert mended.status == told.status == "completed"
        assert mended.outputs() == dict(told.outputs)


def _copied(run: RunState) -> RunState:
    new = RunState(run.id, run.status, run.live, run.ended, dict(run.counters))
    new.tasks = {name: TaskState(task.status, task.token, task.tries) for name, task in run.tasks.items()}
    new.slots = {name: _copied_values(slots) for name, slots in run.slots.items()}
    new.held, new.error, new.events = list(run.held), run.error, []
    return new


def _key(state: Driver, chosen: Choices) -> Any:
    """What was settled and how, and what is under way; in a run that stops, also what was ready before it did."""
    run = state.store.state(RUN)
    stopping = None if run.status == "running" else frozenset(state.ready)
    tasks = frozenset((name, task.status, task.tries, chosen.get(name)) for name, task in run.tasks.items())
    return tasks, (run.error or {}).get("task"), stopping


def _state_of(state: Driver) -> Any:
    """All that the store holds, and what may be claimed; lists whose order means nothing as sets."""
    run = state.store.state(RUN)
    held = sorted(name for entry in run.held for name in entry.instances())
    return run.status, run.live, run.ended, dict(run.counters), _copied_values(run.slots), held, sorted(state.ready)


def _copied_values(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied_values(inner) for key, inner in value.items()}
    return [_copied_values(inner) for inner in value] if isinstance(value, list) else value


EXPECTED = {
    "graphs": (150, 11_358, 3_156),
    "conditions": (134, 4_086, 1_556),
    "nested": (40, 2_105, 765),
    "foreachs": (39, 30_172, 6_399),
    "shared": (9, 1_409, 492),
    "policies": (52, 1_625, 543),
}
"""Projects, states, ends: the exploration cannot come to explore less without somebody noticing."""


@pytest.mark.parametrize("family", FAMILIES)
def test_every_reachable_state_is_sound_and_every_end_is_the_one_the_reference_tells(family):
    projects = states = ends = 0
    for name, case in FAMILIES[family]():
        explorer = Explorer(case)
        try:
            explorer.explore()
        except AssertionError as error:
            error.add_note(f"in project '{name}':\n{case.text}")
            raise
        projects += 1
        states += len(explorer.seen)
        ends += explorer.terminal
    assert (projects, states, ends) == EXPECTED[family]
