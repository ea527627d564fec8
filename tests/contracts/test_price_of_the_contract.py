"""What a task costs in calls to the store: two if it was published, one if a worker goes on with it, or less."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import pytest
from memory_broker import MemoryBroker
from trial_runs import HEAD, NUMBER, trial_catalog, trial_folder

from tyqi_core.client import Client
from tyqi_core.runtime.distributed import upkeep
from tyqi_core.runtime.distributed.durations import Durations
from tyqi_core.runtime.distributed.engine import Engine
from tyqi_core.runtime.distributed.settling import Messenger
from tyqi_core.runtime.distributed.spreading import Stretch
from tyqi_core.stores.redis import RedisStore
from tyqi_core.stores.redis_scripts import FLAGS, Line, digest_of, text_of
from tyqi_core.workflow.compiler import compile_text
from tyqi_core.workflow.plan import PlanTask

__all__ = ["trial_catalog", "trial_folder"]

CHAIN = f"""
inputs: {{n: {NUMBER}}}
tasks:
  T0: {{node: trial.add, inputs: {{x: $input.n}}}}
{chr(10).join(f"  T{at}: {{node: trial.add, inputs: {{x: T{at - 1}.sum}}}}" for at in range(1, 10))}
outputs: {{sum: T9.sum}}
"""
DIAMOND = f"""
inputs: {{n: {NUMBER}}}
tasks:
  T1: {{node: trial.add, inputs: {{x: $input.n}}}}
  T2: {{node: trial.add, inputs: {{x: T1.sum}}}}
  T3: {{node: trial.add, inputs: {{x: T1.sum}}}}
  T4: {{node: trial.add, inputs: {{x: T2.sum, y: T3.sum}}}}
outputs: {{sum: T4.sum}}
"""
CONDITION = f"""
inputs: {{n: {NUMBER}}}
tasks:
  T1: {{node: trial.decide, inputs: {{x: $input.n}}, condition: true, branches: {{a: A, b: B, none: null}}}}
  A: {{node: trial.add, subchain: true, inputs: {{x: T1.value}}}}
  B: {{node: trial.add, subchain: true, inputs: {{x: T1.value}}}}
  J: {{node: trial.pair, inputs: {{a: T1.value, b: T1.branch.sum}}}}
outputs: {{both: J.both}}
"""
FAN_OUT = f"""
inputs: {{n: {NUMBER}}}
tasks:
  T1: {{node: trial.items, inputs: {{n: $input.n}}, foreach: {{over: items, body: B, collect: {{sums: C.sum}}}}}}
  B: {{node: trial.add, subchain: true, inputs: {{x: $item.item}}}}
  C: {{node: trial.add, inputs: {{x: B.sum}}}}
  J: {{node: trial.total, inputs: {{values: T1.each.sums}}}}
outputs: {{total: J.total}}
"""


class CountingLine(Line):
    """Counts round trips by what they call."""

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self.trips: Counter[str] = Counter()
        self._names = {digest_of(name, shebang=True): name for name in FLAGS}
        self._names |= {text_of(name, shebang=True): name for name in FLAGS}

    def exchange(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        self.trips[" and ".join({self._names[command[1]] for command in commands})] += 1
        return super().exchange(commands)


class Believed(Durations):
    """Durations that never change."""

    def __init__(self, seconds: float | None) -> None:
        super().__init__()
        self._seconds = seconds

    def expected(self, task: PlanTask) -> float | None:
        return self._seconds


class Office:
    """One engine that does whatever is published, and the bill."""

    def __init__(self, store: RedisStore, catalog: Any, seconds: float | None) -> None:
        durations = Believed(seconds)
        self._store = store
        self._broker = MemoryBroker(Random(0))  # noqa: S311 - an order, no secret
        messenger = Messenger(self._broker, durations.expected)
        self._engine = Engine(store, catalog, messenger, durations, worker="w", queues=frozenset({"cpu.short"}))
        self._client = Client(store, messenger)
        self._published: set[str] = set()

    def bill(self, plan: Any, n: int) -> tuple[Counter[str], int, int]:
        """Round trips, how many tasks were published, how many were not."""
        self._store.scripts.load()
        run_id = self._client.submit(plan, {"n": n})
        self._store.scripts._line = line = CountingLine(self._store._client)
        while len(self._broker):
            _, _, (_, digest, *parts) = self._broker.take({"cpu.short"})
            ready = [Stretch.from_json(part) for part in parts]
            self._published.update(path for stretch in ready for path in stretch.instances())
            self._engine.perform(run_id, digest, ready)
        result = self._client.result(run_id)
        assert result.status == "completed"
        settled = {event.subject for event in result.events if event.kind == "task.completed"}
        line.trips.pop("beat", None)
        line.trips.pop("read", None)  # what this test asked for itself
        return line.trips, len(self._published), len(settled - self._published)

    def close(self) -> None:
        self._engine.close()


@pytest.fixture
def office(redis_store, trial_catalog, monkeypatch):
    monkeypatch.setattr(upkeep, "RELIEF_S", 1e6)  # a busy machine may make a thread late, which is not what is counted
    opened: list[Office] = []

    def open_with(seconds: float | None) -> Office:
        opened.append(Office(redis_store, trial_catalog, seconds))
        return opened[-1]

    yield open_with
    for one in opened:
        one.close()


SHAPES = [
    pytest.param(CHAIN, 1, id="chain"),
    pytest.param(DIAMOND, 1, id="diamond"),
    pytest.param(CONDITION, 1, id="condition"),
    pytest.param(CONDITION, 0, id="null branch"),
    pytest.param(FAN_OUT, 16, id="fan-out"),
    pytest.param(FAN_OUT, 200, id="wide fan-out"),
]


@pytest.mark.parametrize("seconds", [None, 1e-5, 1.0])
@pytest.mark.parametrize(("project", "n"), SHAPES)
def test_a_published_task_costs_two_calls_and_one_that_a_worker_goes_on_with_costs_one(
    office: Callable[[float | None], Office], trial_catalog, project, n, seconds
):
    plan = compile_text(HEAD + project, "p.yaml", trial_catalog)
    trips, published, continued = office(seconds).bill(plan, n)
    assert set(trips) <= {"claim", "commit"}, trips
    kept_items = sum(task.foreach is not None for task in plan.tasks.values())  # one item a loop stays, claimed apart
    assert trips.total() <= 2 * published + continued + kept_items, (trips, published, continued)


@pytest.mark.parametrize(
    ("project", "n"), [pytest.param(CHAIN, 1, id="chain"), pytest.param(CONDITION, 1, id="condition")]
)
def test_without_known_durations_a_task_that_follows_is_claimed_by_what_settles_the_one_before(
    office, trial_catalog, project, n
):
    plan = compile_text(HEAD + project, "p.yaml", trial_catalog)
    trips, published, continued = office(None).bill(plan, n)
    assert (published, trips["claim"]) == (1, 1)
    assert trips["commit"] == 1 + continued


@pytest.mark.parametrize(("project", "n"), [SHAPES[1], SHAPES[2]])
def test_short_tasks_that_surely_follow_cost_no_call(office, trial_catalog, project, n, monkeypatch):
    monkeypatch.setattr("tyqi_core.runtime.distributed.extending.SEGMENT_S", 60.0)
    plan = compile_text(HEAD + project, "p.yaml", trial_catalog)
    trips, published, _ = office(1e-5).bill(plan, n)
    assert published == 1
    assert trips == {"claim": 1, "commit": 1}
