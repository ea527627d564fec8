"""How the tasks of a batch are found on a real store: who waits how often, and who is told of what."""

from __future__ import annotations

import pytest
from trial_runs import HEAD, NUMBER

from tyqi_core.client import texts_of
from tyqi_core.runtime.distributed.batches import Batches
from tyqi_core.runtime.distributed.library import LoadedPlan, PlanLibrary
from tyqi_core.scheduler import start
from tyqi_core.workflow.compiler import compile_text

MAX_BATCH = 4
ONE = f"""
inputs: {{n: {NUMBER}}}
tasks:
  T: {{node: trial.sized, inputs: {{x: $input.n}}}}
outputs: {{out: T.value}}
"""


class Gathering:
    def __init__(self, store, catalog):
        self._store = store
        self._catalog = catalog
        self._plan = compile_text(HEAD + ONE, "p.yaml", catalog, {})
        self._loaded = LoadedPlan(self._plan, catalog)
        self.part = self._loaded.part("T")
        self._count = 0
        store.keep_plan(self._plan.digest, texts_of(self._plan, ""))

    def accept(self, runs):
        first = start(self._plan)
        for _ in range(runs):
            self._count += 1
            data = {"plan": self._plan.digest}
            self._store.accept(f"r{self._count}", {"n": 1}, first, data, groups=self._loaded.groups(first))

    def gather(self, during_the_pause=lambda: None):
        pauses = []

        def pause(seconds):
            pauses.append(seconds)
            during_the_pause()

        tasks, more = Batches(self._store, PlanLibrary(self._store, self._catalog), pause).gather(self.part)
        return sorted(task.run_id for task in tasks), more, pauses


@pytest.fixture
def gathering(redis_store, trial_catalog):
    return Gathering(redis_store, trial_catalog)


def test_a_batch_that_would_not_be_full_waits_once_for_others(gathering):
    gathering.accept(1)
    assert gathering.gather(lambda: gathering.accept(1)) == (["r1", "r2"], False, [0.1])


def test_a_full_batch_waits_for_nobody(gathering):
    gathering.accept(MAX_BATCH)
    assert gathering.gather() == (["r1", "r2", "r3", "r4"], False, [])


def test_nothing_is_waited_for_when_nothing_is_there(gathering):
    assert gathering.gather() == ([], False, [])


def test_processes_that_look_at_once_do_not_reach_for_the_same_tasks(gathering):
    gathering.accept(2 * MAX_BATCH + 1)
    first, more, _ = gathering.gather()
    assert more
    second, more, _ = gathering.gather()
    assert more
    third, more, _ = gathering.gather()
    assert not more
    assert [len(first), len(second), len(third)] == [4, 4, 1]
    assert len({*first, *second, *third}) == 9
