"""Workers as they are in the field: process trees under the real supervisor with its watchdog, a sweeper, a client.

Leases are short, so that what a fault costs is a second. The oracle says of runs on it whether everything that was
promised holds: each has ended once, each task was settled once, the outputs are those of the in-process runtime, and
nothing is left over.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, ItemsView, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from rabbit_servers import RabbitServer
from redis_servers import RedisServer

from tyqi_core.app import Project, open_messenger, open_watchdog
from tyqi_core.catalog.catalog import Catalog
from tyqi_core.client import Client
from tyqi_core.failpoints import VARIABLE as FAILPOINT
from tyqi_core.runtime.distributed.sweeper import Sweeper
from tyqi_core.runtime.distributed.watchdog import EVERY_S
from tyqi_core.runtime.inprocess import InProcessRuntime
from tyqi_core.runtime.processes.boards import VARIABLE as BOARD
from tyqi_core.runtime.processes.boards import Held, read_boards
from tyqi_core.runtime.processes.child import Child
from tyqi_core.runtime.processes.supervisor import Patience, Supervisor
from tyqi_core.runtime.run import RunResult
from tyqi_core.settings import Settings
from tyqi_core.stores.redis import Options, RedisStore
from tyqi_core.workflow.compiler import compile_text

if TYPE_CHECKING:
    import redis

PATIENCE_S = 60.0
LEASE_S, GRACE_S, DEATHS = 1.0, 0.5, 3
QUEUES = "cpu.short,io"
UNDAUNTED = Patience(grace_s=20.0, backoff_s=0.05, longest_backoff_s=0.5, deaths=1_000_000)
SETTLED = frozenset({"task.completed", "task.skipped"})
ENDS = frozenset({"run.completed", "run.failed", "run.cancelled"})
PREFIX = b"tyqi:{s0}:"
LASTING = (b"tyqi:plan:", PREFIX + b"hist", b"_kombu.", b"unacked")
"""What is kept beyond the runs: their plans, how long nodes take; and what Celery keeps where it is the broker too: its
queues, and messages that a consumer had whose connection broke, which it gives to others a minute later.
"""

Server = RedisServer | RabbitServer


@dataclass(frozen=True)
class Crew:
    """One worker: a process, or a process with its children.

    Attributes:
        name: what the supervisor calls it.
        pool: Celery's name of it.
        count: threads or processes.
        failpoint: where it fails the first time that it runs; a worker that is started again does not.
        options: further options of ``celery worker``.
        env: further variables.
        queues: that it serves.
    """

    name: str = "w1"
    pool: str = "threads"
    count: int = 2
    failpoint: str = ""
    options: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    queues: str = QUEUES

    def child(self, settings: Settings, boards: Path) -> Child:
        """How it is started."""
        command = [
            sys.executable,
            "-m",
            "tyqi_core.worker",
            "-l",
            "WARNING",
            "-Q",
            self.queues,
            "-P",
            self.pool,
            "-c",
            str(self.count),
        ]
        own = {
            "TYQI_REDIS": settings.redis,
            "TYQI_BROKER": settings.broker,
            "TYQI_LEASE_S": str(settings.lease_s),
            "TYQI_GRACE_S": str(settings.grace_s),
            "TYQI_QUEUES": self.queues,
            BOARD: str(boards),
        }
        environment = _Environment({**os.environ, **own, **self.env})
        if self.failpoint:
            environment[FAILPOINT] = self.failpoint
        return Child(self.name, [*command, "-n", f"{self.name}@%h", *self.options], environment)


class _Environment(dict[str, str]):
    """What is handed to a program; to its second start without the failpoint."""

    def items(self) -> ItemsView[str, str]:  # what starting a program asks for
        handed = dict(self)
        self.pop(FAILPOINT, None)
        return handed.items()


class Workforce:
    """Workers on a store and a broker. Use it in a ``with`` statement.

    Args:
        folder: for logs and boards; a new one.
        state: the server that holds the runs.
        broker: the broker.
        crews: the workers.
        watched: whether a watchdog ends what does not get on.
        lease_s: how long a worker may be silent.
        deaths: after how many lost workers a task is quarantined.
    """

    def __init__(
        self,
        folder: Path,
        state: RedisServer,
        broker: Server,
        *crews: Crew,
        watched: bool = True,
        lease_s: float = LEASE_S,
        deaths: int = DEATHS,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.state, self.broker = state, broker
        self._folder, self._log = folder, folder / "workers.log"
        self._boards = folder / "boards"
        self._boards.mkdir()
        self.settings = Settings(
            folder / "state", redis=state.url, broker=broker.url, lease_s=lease_s, grace_s=GRACE_S, shared_memory=False
        )
        self._crews = crews or (Crew(),)
        self._watched, self._deaths = watched, deaths
        self._opened = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            log = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            stack.callback(os.close, log)
            self.client = stack.enter_context(Client.connect(self.settings))
            self.watchdog = open_watchdog(self.settings, self._boards, self._end)
            stack.callback(self.watchdog.close)
            children = [crew.child(self.settings, self._boards) for crew in self._crews]
            ticks = [(EVERY_S, self.watchdog.tick)] if self._watched else []
            self.supervisor = Supervisor(children, patience=UNDAUNTED, output=log, ticks=ticks)
            stack.enter_context(_running(self._sweeper()))
            stack.enter_context(_running((self.supervisor.run, self.supervisor.stop)))
            self._opened = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def _sweeper(self) -> tuple[Callable[[], None], Callable[[], None]]:
        options = Options(lease_s=self.settings.lease_s, grace_s=GRACE_S, deaths=self._deaths)
        sweeper = Sweeper(RedisStore.connect(self.state.url, options), open_messenger(self.settings))

        def run() -> None:
            sweeper.run()
            sweeper.close()

        return run, sweeper.stop

    def _end(self, pid: int) -> None:
        name = self.supervisor.owner(pid)
        if name is not None:
            self.supervisor.end(name, pid=pid)

    def pid(self, name: str = "w1") -> int:
        """The process of a worker; waits for it to be there."""
        eventually(lambda: name in self.supervisor.pids, self.log)
        return self.supervisor.pids[name]

    def orphans(self) -> int:
        """How many values lie in the store that workers had written when they died; they expire."""
        with self.state.client() as client:
            return sum(_is_staged(client, key) for key in client.scan_iter(PREFIX + b"p:*"))

    def held(self) -> Mapping[int, Sequence[Held]]:
        """Process -> what it says that it executes."""
        return {board.pid: board.entries for board in read_boards(self._boards) if board.alive}

    def members(self) -> list[int]:
        """All processes of all workers."""
        groups = set(self.supervisor.pids.values())
        return [pid for pid, group in _groups() if group in groups]

    def log(self) -> str:
        """The end of what the workers wrote."""
        return self._log.read_text(encoding="utf-8", errors="replace")[-6000:] if self._log.exists() else ""

    def wait(self, *runs: str) -> None:
        """Wait for the end of runs."""
        ended = set(self.client.wait_for(runs, PATIENCE_S))
        missing = [run_id for run_id in runs if run_id not in ended]
        assert not missing, f"{self._told(missing[0])}\n{self.log()}"

    def _told(self, run_id: str) -> str:
        lines = (f"{event.kind} {event.subject} {event.data or ''}" for event in self.client.events(run_id))
        return "\n".join([f"run {run_id} is {self.client.status(run_id)}", *lines])

    def left(self) -> dict[str, int]:
        """What is there that should not be once every run has ended: entries of the outbox, leases."""
        with self.state.client() as client:
            return {name: client.zcard(PREFIX + name.encode()) for name in ("outbox", "leases")}

    def forget(self, *runs: str) -> set[bytes]:
        """Drop the runs. Returns the keys that are left all the same; parts of values that a dead worker had written
        are not among them if they expire by themselves.
        """
        for run_id in runs:
            self.client.forget(run_id)
        self.client.store.tidy()
        with self.state.client() as client:
            keys = {key for key in client.scan_iter() if not key.startswith(LASTING)}
            return {key for key in keys if not _is_staged(client, key)}


def _is_staged(client: redis.Redis, key: bytes) -> bool:
    return key.startswith(PREFIX + b"p:") and client.hget(key, "n") in (b"0", None) and client.ttl(key) != -1


def _groups() -> Iterator[tuple[int, int]]:
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with contextlib.suppress(ProcessLookupError):
                yield int(path.name), os.getpgid(int(path.name))


@contextlib.contextmanager
def _running(work: tuple[Callable[[], None], Callable[[], None]]) -> Iterator[None]:
    """A thread that does something until it is told to stop."""
    run, stop = work
    faults: list[BaseException] = []

    def guarded() -> None:
        try:
            run()
        except BaseException as error:  # noqa: BLE001 - told by the test's thread
            faults.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    try:
        yield
    finally:
        stop()
        thread.join()
    for fault in faults:
        raise fault


def eventually(is_so: Callable[[], object], otherwise: Callable[[], object] = lambda: "") -> None:
    """Wait until something is so."""
    until = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < until, otherwise()
        time.sleep(0.01)


class Work:
    """A project, runs of it on workers, and what the in-process runtime makes of it.

    Args:
        text: the project.
        catalog: its nodes.
    """

    def __init__(self, text: str, catalog: Catalog) -> None:
        self.project = Project(compile_text(text, "p.yaml", catalog), text)
        self._catalog = catalog
        self._expected: dict[str, RunResult] = {}
        self.runs: dict[str, Mapping[str, Any]] = {}

    def submit(self, workforce: Workforce, inputs: Mapping[str, Any]) -> str:
        """Begin a run."""
        run_id = workforce.client.submit(self.project, inputs)
        self.runs[run_id] = inputs
        return run_id

    def expected(self, inputs: Mapping[str, Any]) -> RunResult:
        """How such a run ends where nothing can be lost."""
        key = repr(sorted(inputs.items()))
        if key not in self._expected:
            with InProcessRuntime(self.project.plan, self._catalog, threads=4) as runtime:
                self._expected[key] = runtime.run(inputs)
        return self._expected[key]

    def faults(self, workforce: Workforce) -> list[str]:
        """What is wrong with the runs, all of which have ended; nothing is left of them afterwards."""
        found = [fault for run_id in self.runs for fault in self._faults_of(workforce.client.result(run_id))]
        found += leftovers(workforce, self.runs)
        self.runs.clear()
        return found

    def check(self, workforce: Workforce) -> None:
        """Wait for all runs; all must be well."""
        workforce.wait(*self.runs)
        faults = self.faults(workforce)
        assert not faults, "\n".join([*faults, workforce.log()])

    def _faults_of(self, result: RunResult) -> Iterator[str]:
        expected = self.expected(self.runs[result.id])
        name = f"run {result.id}"
        if result.status != expected.status:
            yield f"{name} is {result.status}, not {expected.status}: {result.error}"
        if result.outputs != expected.outputs:
            yield f"{name} has the outputs {result.outputs}, not {expected.outputs}"
        if settled(result) != settled(expected):
            yield f"{name} settled {settled(result)}, not {settled(expected)}"
        yield from story_faults(result)


def leftovers(workforce: Workforce, runs: Mapping[str, Any]) -> list[str]:
    """What is left of runs that have ended, in words."""
    with contextlib.suppress(AssertionError):
        eventually(lambda: not any(workforce.left().values()))
    found = [f"{count} entries in {name}" for name, count in workforce.left().items() if count]
    left = sorted(workforce.forget(*runs))
    with workforce.state.client() as client:
        return found + [f"key {key.decode()} is left{_payload_told(client, key)}" for key in left]


def _payload_told(client: redis.Redis, key: bytes) -> str:
    if client.type(key) != b"hash":
        return ""
    return f": n is {client.hget(key, 'n')}, it lives for {client.ttl(key)} s"


def settled(result: RunResult) -> Counter[tuple[str, str]]:
    """How often each task was settled, and how."""
    return Counter((event.kind, event.subject) for event in result.events if event.kind in SETTLED)


def story_faults(result: RunResult) -> Iterator[str]:
    """Breaches of what every story promises: one end, at the end; each task settled once at most, after its start."""
    ends = [number for number, event in enumerate(result.events) if event.kind in ENDS]
    if ends != [len(result.events) - 1]:
        yield f"run {result.id} has its ends at {ends} of {len(result.events)} events"
    seen: set[tuple[str, str]] = set()
    for event in result.events:
        if event.kind in SETTLED and ("settled", event.subject) in seen:
            yield f"run {result.id} settled {event.subject} twice"
        if event.kind == "task.started" and not seen & {("task.ready", name) for name in _told_ready(event.subject)}:
            yield f"run {result.id} started {event.subject} before it was ready"
        if event.kind == "task.completed" and ("task.started", event.subject) not in seen:
            yield f"run {result.id} completed {event.subject} before it was started"
        seen.add(("settled" if event.kind in SETTLED else event.kind, event.subject))


def _told_ready(instance: str) -> tuple[str, str]:
    """How its readiness may have been told: by itself, or with all items of its foreach."""
    return instance, re.sub(r"\[\d+\](?=[^\[]*$)", "[*]", instance)


def lost_workers(workforce: Workforce, run_id: str) -> list[str]:
    """The tasks of which the run's story says that their worker was lost."""
    told = (event for event in workforce.client.events(run_id) if event.kind == "task.retried")
    return [event.subject for event in told if (event.data or {}).get("error", {}).get("code") == "WORKER_LOST"]


MIX = """
tyqi: 1
project: mix
inputs: {x: {type: json, schema: {type: number}}}
tasks:
  T1: {node: trial.add, inputs: {x: $input.x}, params: {plus: 1}}
  T2: {node: trial.decide, inputs: {x: $input.x}, condition: true, branches: {a: A, b: B1, none: null}, successor: [J]}
  A: {node: trial.ledger, subchain: true, inputs: {x: T2.value}, params: {pause_ms: PAUSE, file: "FILE"}}
  B1: {node: trial.scale, subchain: true, inputs: {x: T2.value}, successor: [B2]}
  B2: {node: trial.ledger, inputs: {x: B1.value}, params: {pause_ms: PAUSE, file: "FILE"}}
  F:
    node: trial.items
    inputs: {n: {value: 4}}
    foreach: {over: items, as: one, body: I, collect: {all: I2.sum}}
    successor: [G]
  I: {node: trial.ledger, subchain: true, inputs: {x: $item.one}, params: {pause_ms: PAUSE, file: "FILE"}, queue: io}
  I2: {node: trial.add, inputs: {x: I.value, y: $input.x}}
  G: {node: trial.total, inputs: {values: F.each.all}}
  P: {node: trial.picture, inputs: {x: T1.sum}, params: {side: 100}, queue: io}
  L: {node: trial.look, inputs: {image: P.image}}
  J: {node: trial.pair, inputs: {a: G.total, b: T2.branch.value}}
  K: {node: trial.pair, inputs: {a: L.mean, b: J.both}, predecessor: [J]}
outputs: {both: J.both, all: F.each.all, mean: L.mean, end: K.both}
"""
"""A decision, its branches, a foreach, joins, a value too large for a message; two queues."""


def mix(pause_ms: float = 0, ledger: str = "") -> str:
    """The project; some tasks take up to four times ``pause_ms`` and write down that they began and ended."""
    return MIX.replace("PAUSE", f"{pause_ms:g}").replace("FILE", ledger)
