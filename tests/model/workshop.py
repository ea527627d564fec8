"""Engines on a real Redis server, one call to the store at a time: a seed decides who makes the next one.

Messages are lost, doubled and reordered on the way; processes freeze and crash. What comes of it must be what the
reference tells, whatever the engines believe of how long nodes take.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from random import Random
from typing import Any
from unittest.mock import patch
from zlib import crc32

from bench import LEASE_S, Bench
from compare import SETTLED, assert_as_told
from memory_broker import MemoryBroker
from numeric import Behaviour  # noqa: TC002 - a module beside this one
from reference import Reference
from telling import tell
from turns import Member, Turns
from world import RUN, Case, Driver, Numeric, catalog_of, local_node

from tyqi_core.catalog.catalog import Catalog
from tyqi_core.client import Client
from tyqi_core.runtime.distributed import claiming, extending, finishing, upkeep
from tyqi_core.runtime.distributed.durations import Durations
from tyqi_core.runtime.distributed.engine import Engine
from tyqi_core.runtime.distributed.settling import Messenger
from tyqi_core.runtime.distributed.spreading import Stretch
from tyqi_core.runtime.distributed.sweeper import Sweeper
from tyqi_core.stores.base import TERMINAL
from tyqi_core.workflow.compiler import compile_text
from tyqi_core.workflow.plan import PlanTask

LONG_S = 2000.0
MOST_STEPS, MOST_ROUNDS = 20_000, 60
SERVED = (frozenset({"cpu.short"}), frozenset({"cpu.short", "cpu.long"}))
SOON_S, RELIEF_S, ENDLESS_S = 0.1, 0.01, 1e6


@dataclass(frozen=True)
class Circumstances:
    """What a run has to live with.

    Attributes:
        pace: what engines believe of durations: all are ``short``, nothing is ``unknown``, or ``mixed``.
        dressed: some nodes take batches, are not idempotent, or are of another queue.
        slow: some nodes take so long that their threads are relieved of all else.
        loses, doubles: shares of messages.
        freezes: how likely, at a step, an engine freezes; all leases end, and later it goes on.
        crashes: how many engines crash.
    """

    pace: str = "mixed"
    dressed: bool = False
    slow: bool = False
    loses: float = 0.0
    doubles: float = 0.0
    freezes: float = 0.0
    crashes: int = 0

    @property
    def repeats(self) -> bool:
        """Attempts may begin more often than nodes are executed to their end."""
        return bool(self.freezes or self.crashes or self.slow)


class Worked(Numeric):
    """A node that asks the store which attempt this is, and takes long where it is told to."""

    shop: Workshop
    slow = False

    def process(self, inputs: Mapping[str, Any], ctx: Any) -> Any:
        instance = ctx.effect_key.partition("/")[2]
        self.shop.executions[instance] += 1
        if self.slow:
            self.shop.wait_for_claim(instance, ctx)
        self.tries[instance] = self.shop.tries(instance) - 1
        return super().process(inputs, ctx)


class Batched(Worked):
    def process_batch(self, items: Any, ctxs: Any) -> list[Any]:
        return [self._one(inputs, ctx) for inputs, ctx in zip(items, ctxs, strict=True)]

    def _one(self, inputs: Any, ctx: Any) -> Any:
        try:
            return self.process(inputs, ctx)
        except ArithmeticError as error:
            return error


class Pace(Durations):
    """Believes what it is told to believe."""

    def __init__(self, believed: Callable[[PlanTask], float | None]) -> None:
        super().__init__()
        self.expected = believed


class Workshop:
    """One run of a case by engines.

    Args:
        bench: an empty store.
        case: the case.
        seed: of everything that is left to chance.
        what: its circumstances.
    """

    def __init__(self, bench: Bench, case: Case, seed: int, what: Circumstances) -> None:
        self.chance = Random(seed)  # noqa: S311 - an order, no secret
        self.case, self.seed, self.what = case, seed, what
        self.table: Callable[[str], Behaviour] = case.behaviour
        self.bench, self.store = bench, bench.store
        self.turns = bench.turns = Turns(self.chance)
        self.broker = MemoryBroker(self.chance, loses=what.loses, doubles=what.doubles, pause=self.turns.pause)
        self.catalog = Catalog.of(*(self._node(name, spec) for name, spec in case.nodes.items()))
        self.plan = compile_text(case.text, "project.yaml", self.catalog)
        self.messenger = Messenger(self.broker, self._believed)
        self.client = Client(self.store, self.messenger)
        self.sweeper = Sweeper(self.store, self.messenger)
        self.engines = [self._engine(number) for number in range(2)]
        self.threads = self.chance.choice([1, 2, 4])
        self.crashes = what.crashes
        self.frozen: set[Member] = set()
        self.executions: Counter[str] = Counter()
        self.attempts: Counter[str] = Counter()
        self.ended = ""

    # ---- what it is made of

    def _dice(self, *what: object) -> int:
        return crc32(repr((self.seed, *what)).encode()) % 100

    def _node(self, name: str, spec: Any) -> Any:
        dice, more = self._dice("node", name), {}
        base: type[Worked] = Worked
        if self.what.dressed:
            if dice < 15:
                base, more = Batched, {"batching": {"max_batch": 3, "max_wait_ms": 0}}
            elif dice < 30:
                more = {"idempotent": False}
            elif dice < 45:
                more = {"resources": {"duration": "long"}}
        base = type(base.__name__, (base,), {"shop": self, "slow": self.what.slow and dice >= 70})
        return local_node(name, spec, lambda instance: self.table(instance), base, more)  # noqa: PLW0108 - it changes

    def _believed(self, task: PlanTask) -> float | None:
        if self.what.pace == "mixed":
            return [None, 1e-5, 1e-5, 0.002, 1.0][self._dice("pace", task.node.id) % 5]
        return {"short": 1e-5, "unknown": None}[self.what.pace]

    def _engine(self, number: int) -> Engine:
        worker = f"w{number}.{self.chance.randrange(1000)}"
        return Engine(
            self.store, self.catalog, self.messenger, Pace(self._believed), worker=worker, queues=SERVED[number]
        )

    # ---- what nodes ask

    def _task(self, instance: str) -> list[str]:
        text = self.bench.client.hget(self.store.key(RUN), f"t:{instance}")
        return text.decode().split(" ") if text else []

    def tries(self, instance: str) -> int:
        """Which attempt of a task this is; one that the store does not know yet is executed for the first time."""
        task = self._task(instance)
        return max(1, int(task[2])) if task else 1

    def wait_for_claim(self, instance: str, ctx: Any) -> None:
        """Take so long that the pulse must claim what was executed without a claim."""
        until = time.monotonic() + SOON_S
        while not ctx.cancelled and self._task(instance)[:1] != ["e"] and time.monotonic() < until:
            time.sleep(0.001)

    # ---- what happens

    def submit(self) -> None:
        self.client.submit(self.plan, self.case.inputs, run_id=RUN)

    @property
    def status(self) -> str:
        return self.client.status(RUN)

    def drive(self, most: int = MOST_STEPS) -> None:
        """Go on in random order until nothing is left to do, or for some steps."""
        rounds = 0
        for _ in range(most):
            self._trouble()
            open_to = self._open_to()
            awake = self._awake()
            if awake and (not open_to or self.chance.random() < 0.8):
                self.turns.step(self.chance.choice(awake))
            elif open_to:
                self._deliver(self.chance.choice(open_to))
            elif self.frozen:
                self.frozen.clear()
            elif self.status in TERMINAL and not len(self.broker):
                return
            else:
                rounds += 1
                assert rounds < MOST_ROUNDS, f"the run does not come to an end: {self.left()}"
                self._sweep(LONG_S)
        assert most < MOST_STEPS, "the run does not come to an end"

    def _open_to(self) -> list[int]:
        """The engines to which a message can be delivered."""
        if len(self._awake()) >= self.threads:
            return []
        return [number for number, queues in enumerate(SERVED) if self.broker.fits(queues)]

    def _awake(self) -> list[Member]:
        return [member for member in self.turns.members if member not in self.frozen]

    def _deliver(self, number: int) -> None:
        engine, message = self.engines[number], self.broker.take(SERVED[number])
        run_id, digest, *ready = message.arguments
        parts = [Stretch.from_json(part) for part in ready]
        self.turns.begin(engine, lambda: engine.perform(run_id, digest, parts))

    def _trouble(self) -> None:
        if self.what.doubles and self.chance.random() < 0.02:
            self._sweep(0.0)
        if self.frozen and self.chance.random() < 0.2:
            self.frozen.clear()
        if self.chance.random() < self.what.freezes:
            frozen = self.chance.choice(self.engines)
            self.frozen = {member for member in self.turns.members if member.owner is frozen}
            self._sweep(LEASE_S + 1)
        if self.crashes and self.turns.members and self.chance.random() < 0.05:
            self.crashes -= 1
            self._crash(self.chance.randrange(2))

    def _crash(self, number: int) -> None:
        engine = self.engines[number]
        self.turns.crash(engine)
        self.frozen.clear()
        engine.close()
        self.engines[number] = self._engine(number)

    def _sweep(self, seconds: float) -> None:
        self.bench.clock.pass_s(seconds)
        self.sweeper.sweep()

    def resume(self) -> None:
        self.client.resume(RUN)

    def repair(self) -> None:
        """Mend the nodes of all tasks that are not settled, as somebody might before a resume."""
        table, lasting = self.table, self.settled()

        def repaired(instance: str) -> Behaviour:
            return table(instance) if instance in lasting else replace(table(instance), failures=0, wrong=False)

        self.table = repaired

    def close(self) -> None:
        while self.turns.members:
            self.turns.crash(self.turns.members[0].owner)
        for engine in self.engines:
            engine.close()
        self.bench.turns = None

    # ---- what is left in the store

    def run_fields(self) -> dict[str, str]:
        found = self.bench.client.hgetall(self.store.key(RUN))
        return {key.decode(): value.decode() for key, value in found.items()}

    def settled(self) -> set[str]:
        """The tasks that the store holds for settled."""
        return {name[2:] for name, text in self.run_fields().items() if name.startswith("t:") and text[0] == "d"}

    def left(self) -> set[str]:
        """The keys of the store, without its prefix."""
        prefix = self.store.prefix(RUN)
        return {key.decode().removeprefix(prefix) for key in self.bench.client.scan_iter()}

    def assert_tidy(self) -> None:
        """Nothing is under way, and nothing is held that nobody can need."""
        left, own = self.left(), f"run:{RUN}:"
        under_way = left & {"outbox", "leases", "stopping", "trash", f"{own}w"}
        under_way |= {key for key in left if key.startswith("group:")}
        assert not under_way, f"{under_way} are left"
        fields = self.run_fields()
        assert fields["live"] == "0"
        told = {event.subject: event.kind for event in self.client.events(RUN) if event.kind in SETTLED}
        stopped = {name for name, kind in told.items() if kind == "task.failed"} - self.settled()
        assert self.settled() == told.keys() - stopped, f"settled are {self.settled()}, events tell of {told}"
        assert not self.turns.members
        self._assert_own(left, own)
        self._assert_payloads(left, own)
        if fields["status"] == "completed":
            open_ones = [name for name in fields if name[:2] in ("c:", "q:", "u:")]
            assert not open_ones, f"{open_ones} are left of a run that is complete"
            assert f"{own}h" not in left
            self._assert_slots(left, own)

    def _assert_own(self, left: set[str], own: str) -> None:
        members = {member.decode() for member in self.bench.client.smembers(f"{self.store.key(RUN)}:own")}
        kept = {key.removeprefix(own) for key in left if key.startswith((f"{own}v:", f"{own}x:", f"{own}b:"))}
        assert members - {"self"} == kept, f"keys of the run are {kept}, it knows of {members}"

    def _assert_payloads(self, left: set[str], own: str) -> None:
        referred: dict[str, int] = {}
        for key in left:
            if key.startswith(f"{own}x:"):
                for payload in self.bench.client.lrange(self.store.prefix(RUN) + key, 0, -1):
                    referred[payload.decode()] = referred.get(payload.decode(), 0) + 1
        counted = {
            key[2:]: int(self.bench.client.hget(self.store.prefix(RUN) + key, "n")) for key in left if key[:2] == "p:"
        }
        assert counted == referred

    def _assert_slots(self, left: set[str], own: str) -> None:
        """What is still held is what the store of one process still holds when the same run is complete."""
        catalog = catalog_of(self.case.nodes, self.table)
        driver = Driver(self.plan, catalog, self.case.inputs, self.table)
        driver.accept()
        driver.drive(self.chance)
        holders = {key.removeprefix(f"{own}v:") for key in left if key.startswith(f"{own}v:")}
        due = {holder for holder, slots in driver.store.state(RUN).slots.items() if slots}
        assert holders == due, f"held are the values of {holders}, not of {due}"

    def forget(self) -> set[str]:
        """Forget the run. Returns what is left."""
        self.client.forget(RUN)
        return self.left()


@contextmanager
def workshop(bench: Bench, case: Case, seed: int, what: Circumstances) -> Iterator[Workshop]:
    """An empty store, and engines. How long things take on this machine decides nothing."""
    bench.client.flushall()
    chance = Random(seed)  # noqa: S311 - an order, no secret
    usual = extending.SEGMENT_S if what.slow else ENDLESS_S
    longest = usual if what.pace == "short" else chance.choice([0.0, usual])
    relief = RELIEF_S if what.slow else ENDLESS_S
    with (
        patch.object(extending, "SEGMENT_S", longest),
        patch.object(finishing, "YIELD_TASKS", chance.choice([1, 5, 64])),
        patch.object(upkeep, "RELIEF_S", relief),
        patch.object(extending, "RELIEF_S", relief),
        patch.object(claiming, "RELIEF_S", relief),
    ):
        shop = Workshop(bench, case, seed, what)
        try:
            yield shop
        finally:
            shop.close()


def hold(bench: Bench, case: Case, seed: int, what: Circumstances) -> None:
    """A run, held against the reference."""
    with workshop(bench, case, seed, what) as shop:
        shop.submit()
        shop.drive()
        assert_ends_as_told(shop)
        if not what.repeats and shop.ended == "completed":
            assert shop.executions == shop.attempts, f"nodes were executed {shop.executions} times"


def hold_stopped(bench: Bench, case: Case, seed: int, what: Circumstances) -> None:
    """A run that is cancelled somewhere on its way, or fails, and is resumed until it is complete."""
    chance = Random(seed)  # noqa: S311 - an order, no secret
    with workshop(bench, case, seed, what) as shop:
        shop.submit()
        shop.drive(chance.randrange(60))
        shop.store.cancel(RUN, give_up=chance.random() < 0.3)
        shop.drive()
        while shop.status != "completed":
            shop.assert_tidy()
            shop.repair()
            shop.resume()
            shop.drive()
        assert_ends_as_told(shop)


def assert_ends_as_told(shop: Workshop) -> None:
    told = tell(Reference(shop.case.project, shop.case.nodes), shop.case.inputs, shop.table)
    result = shop.client.result(RUN)
    shop.ended = result.status
    shop.attempts = Counter({name: fate.attempts for name, fate in told.fates.items() if fate.attempts})
    assert_as_told(told, result.status, result.outputs, result.events, repeated=shop.what.repeats, segments=True)
    shop.assert_tidy()
    assert not {key for key in shop.forget() if RUN in key or key.startswith("p:")}
