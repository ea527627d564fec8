"""Segments: settling many tasks in one call does what settling each of them alone does."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any

import pytest
from corners import CASES
from effort import examples
from hypothesis import given
from hypothesis import strategies as st
from long_projects import long_cases
from reference import Reference
from telling import tell
from world import RUN, Driver, compiled

from tyqi_core.errors import NodeError
from tyqi_core.node import LocalContext
from tyqi_core.runtime.distributed.segments import Segment
from tyqi_core.runtime.endings import Ending, completed
from tyqi_core.runtime.execute import Executable, Executed
from tyqi_core.scheduler import Place, Ready, Result, effects, task_id
from tyqi_core.stores import memory
from tyqi_core.stores.base import Claim, Settlement
from tyqi_core.stores.memory import MemoryStore, RunState, TaskState, check_invariants


def forked(store: MemoryStore) -> MemoryStore:
    """The store as it is now, apart from the one that goes on."""
    twin, run = MemoryStore(), store.state(RUN)
    kept = {name: deepcopy(getattr(run, name)) for name in ("counters", "tasks", "slots", "held")}
    twin._runs[RUN] = replace(run, events=list(run.events), lock=Lock(), **kept)
    return twin


def apply(run: RunState, merged: Settlement) -> list[Ready]:
    """What a store does with a settlement that carries others, in the plainest words."""
    for one in (merged, *merged.inner):
        run.tasks[one.instance] = TaskState("settled", 1, 1)
        run.slots.setdefault(one.instance, {}).update(one.slots or {})
        for export in one.effects.exports if isinstance(one, Settlement) else one.exports:
            memory._put(run, export, one.outputs)
    run.live -= 1
    ready = memory._make_ready(run, [*merged.effects.ready, *memory._apply(run, merged.effects)])
    memory._end_if_over(run)
    return list(ready)


def held(run: RunState) -> dict[str, Mapping[str, Any]]:
    return {holder: slots for holder, slots in run.slots.items() if slots}


@dataclass
class Segmented(Driver):
    """A driver that goes on, at random, with what a segment says is ready before it settles anything."""

    chance: random.Random = field(default_factory=random.Random)
    longest: int = 0

    def settle(
        self,
        executable: Executable,
        instance: str,
        claim: Claim,
        kind: str,
        result: Result,
        outputs: Mapping[str, Any],
        data: Mapping[str, Any] | None = None,
    ) -> None:
        if kind != "task.completed" or self.status != "running":
            super().settle(executable, instance, claim, kind, result, outputs, data)
            return
        one_by_one = replace(self, store=forked(self.store), ready=list(self.ready), executing=dict(self.executing))
        ending = Ending(kind, result, outputs)
        segment = self.begun(executable, instance, claim, ending)
        Driver.settle(one_by_one, executable, instance, claim, kind, result, outputs)
        for path in self.chosen(segment):
            self.go_on(one_by_one, segment, path)
        self.longest = max(self.longest, len(segment))
        run, twin = self.store.state(RUN), one_by_one.store.state(RUN)
        merged = segment.settlement()
        self.add(apply(run, merged))
        assert held(run) == held(twin), "other values are held than without segments"
        assert self.counts(run) == self.counts(twin)
        assert (run.live, run.ended, run.status) == (twin.live, twin.ended, twin.status)
        assert sorted(self.ready) == sorted(one_by_one.ready)

    def counts(self, run: RunState) -> dict[str, int]:
        """The counters that do not stand where they start: whether the others exist is all the same."""
        return {key: value for key, value in run.counters.items() if value != self.starts(key)}

    def starts(self, key: str) -> int:
        kind, _, path = key.partition(":")
        if kind == "end":
            return len(self.plan.tails[""])
        task = self.plan.tasks[task_id(path)]
        return task.waits if kind == "ready" else task.readers

    def begun(self, executable: Executable, instance: str, claim: Claim, ending: Ending) -> Segment:
        places = [want.place for want in executable.wanted(instance)]
        head = self.settlement(instance, claim.token, ending)
        values = dict(zip(places, claim.values, strict=True))
        if self.chance.random() < 0.7:
            values |= {place: self.store.read(RUN, place) for place in self.held_outputs()}
        return Segment(self.plan, head, ending, values.items())

    def held_outputs(self) -> list[Place]:
        """What the claim of a head might have fetched as well: values that nothing changes any more."""
        holders = self.store.state(RUN).slots.items()
        return [Place(holder, slot) for holder, slots in holders for slot in slots if "." not in slot]

    def settlement(self, instance: str, token: int, ending: Ending) -> Settlement:
        task = self.executable(instance).task
        worked_out = effects(self.plan, instance, ending.result)
        return Settlement(
            RUN, instance, token, ending.kind, ending.slots(task), ending.outputs, worked_out, ending.data
        )

    def chosen(self, segment: Segment) -> Iterator[str]:
        """Some of what is ready, while there is anything."""
        left_alone: set[str] = set()
        while able := [path for path in segment.ready if path not in left_alone]:
            path = self.chance.choice(able)
            left_alone.add(path)
            if self.chance.random() < 0.9:
                yield path

    def go_on(self, one_by_one: Driver, segment: Segment, path: str) -> None:
        assert path in one_by_one.ready, f"{path} is not ready: something that it waits for has not ended"
        executable = self.executable(path)
        wanted = executable.wanted(path)
        values = segment.values(wanted)
        done = None if values is None else self.executed(executable, path, values)
        if done is None:
            return
        one_by_one.ready.remove(path)
        claim = one_by_one.store.claim(RUN, path, wanted)
        assert claim is not None
        assert not claim.skip
        assert list(claim.values) == values, f"{path} was given other values than the store holds"
        ending = completed(done)
        segment.add(self.settlement(path, 0, ending), ending)
        Driver.settle(one_by_one, executable, path, claim, ending.kind, ending.result, ending.outputs)

    def executed(self, executable: Executable, instance: str, values: list[Any]) -> Executed | None:
        """``None``: it fails, which no segment carries."""
        node = self.catalog.activate(executable.manifest)()
        node.setup(None)
        try:
            return executable.run(node, values, LocalContext(effect_key=f"{RUN}/{instance}"))
        except NodeError:
            return None


def hold(case: Any, seed: int) -> int:
    """A whole run in segments. Returns the length of the longest."""
    plan, catalog = compiled(case)
    chance = random.Random(seed)  # noqa: S311 - an order, no secret
    driver = Segmented(plan, catalog, case.inputs, case.behaviour, chance=chance)
    driver.accept()
    driver.drive(chance, lambda: check_invariants(driver.store.state(RUN)))
    told = tell(Reference(case.project, case.nodes), case.inputs, case.behaviour)
    assert driver.status == told.status
    if told.status == "completed":
        assert driver.outputs() == told.outputs
    return driver.longest


@examples(200)
@given(long_cases(), st.integers(0, 2**32))
def test_a_segment_settles_what_its_tasks_settle_one_by_one(case, seed):
    hold(case, seed)


@pytest.mark.parametrize("number", range(len(CASES)))
def test_in_every_corner_a_segment_settles_what_its_tasks_settle_one_by_one(number):
    for seed in range(20):
        hold(CASES[number], seed)


def test_segments_are_not_short():
    longest = []
    examples(100)(given(long_cases(), st.integers(0, 2**32))(lambda case, seed: longest.append(hold(case, seed))))()
    assert sum(length >= 3 for length in longest) >= 10, sorted(longest)[::-1]
