"""Runs of a conditional project while worker processes are killed, frozen and disconnected at random.

Every second a random process of the workers is killed (SIGKILL), frozen beyond its lease (SIGSTOP, later SIGCONT), or
loses all its connections. At the end every run must have completed with the outputs that the in-process runtime gives,
every task settled once, and nothing may be left::

    python benchmarks/faults/chaos.py --broker redis --runs 500 --json
    python benchmarks/faults/chaos.py --broker rabbitmq --runs 500 --seed 2

It starts and ends servers and workers of its own and prints one document; the exit status is 1 if anything is wrong.
The same seed gives the same kinds of fault, not the same course. A task is quarantined after 1000 deaths here, not
after 3: faults that come at random every second would meet one task three times sooner or later.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

import redis  # noqa: E402
from rabbit_servers import RabbitServer  # noqa: E402 - found by the path above
from redis_servers import RedisServer  # noqa: E402
from trial_runs import install_plugin  # noqa: E402
from workforce import LEASE_S, Crew, Server, Work, Workforce, lost_workers, mix  # noqa: E402

from tyqi_core.catalog.catalog import Catalog  # noqa: E402
from tyqi_core.stores.base import TERMINAL  # noqa: E402

CREWS = (Crew("w1", "prefork"), Crew("w2", "prefork"), Crew("w3", "threads"))
IN_FLIGHT, PAUSE_MS, STUCK_S = 24, 60, 120.0
DIFFERENT = 6
"""Inputs that lead to different courses."""


class Chaos:
    """Harms workers.

    Args:
        workforce: the workers.
        chance: where randomness comes from.
    """

    def __init__(self, workforce: Workforce, chance: random.Random) -> None:
        self._workforce = workforce
        self._chance = chance
        self._helpers: list[threading.Thread] = []
        self.done: Counter[str] = Counter()

    def harm(self) -> None:
        """Do something to a random process."""
        members = sorted(self._workforce.members())
        if not members:
            return
        act = self._chance.choice([self._kill, self._freeze, self._disconnect])
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            act(self._chance.choice(members))
            self.done[act.__name__.strip("_")] += 1

    def close(self) -> None:
        """Let everything go on that is frozen."""
        for helper in self._helpers:
            helper.join()

    def _kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)

    def _freeze(self, pid: int) -> None:
        os.kill(pid, signal.SIGSTOP)
        self._later(LEASE_S * self._chance.uniform(1.2, 3.0), pid)

    def _later(self, seconds: float, pid: int) -> None:
        def thaw() -> None:
            time.sleep(seconds)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

        self._help(threading.Thread(target=thaw))

    def _disconnect(self, pid: int) -> None:
        ports = set(_ports_of(pid))
        for server in (self._workforce.state, self._workforce.broker):
            if isinstance(server, RedisServer):
                with server.client() as client:
                    _disconnect(client, ports)
            else:
                rabbit = server
                self._help(threading.Thread(target=rabbit.control, args=("close_all_connections", "chaos")))

    def _help(self, helper: threading.Thread) -> None:
        self._helpers = [one for one in self._helpers if one.is_alive()]
        self._helpers.append(helper)
        helper.start()


def _ports_of(pid: int) -> Iterator[int]:
    """The local ports of a process's connections."""
    inodes = set()
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            target = str(handle.readlink())
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if fields[9] in inodes:
            yield int(fields[1].partition(":")[2], 16)


def _disconnect(client: redis.Redis, ports: set[int]) -> None:
    for connection in client.client_list():
        if int(connection["addr"].rpartition(":")[2]) in ports:
            with contextlib.suppress(redis.exceptions.ResponseError):  # it is gone already
                client.client_kill(connection["addr"])


def storm(work: Work, workforce: Workforce, arguments: argparse.Namespace) -> tuple[Counter[str], list[str]]:
    """Have all runs done, faults in between. Returns the faults that were caused, and the runs that did not end."""
    chaos = Chaos(workforce, random.Random(arguments.seed))
    left: list[str] = []
    begun, next_fault, moved = 0, time.monotonic() + arguments.seconds_between, time.monotonic()
    while (left or begun < arguments.runs) and time.monotonic() - moved < STUCK_S:
        while begun < arguments.runs and len(left) < IN_FLIGHT:
            left.append(work.submit(workforce, {"x": begun % DIFFERENT}))
            begun += 1
        if time.monotonic() >= next_fault:
            next_fault = time.monotonic() + arguments.seconds_between
            chaos.harm()
        ended = {run_id for run_id, status in workforce.client.store.statuses(left).items() if status in TERMINAL}
        moved = time.monotonic() if ended else moved
        left = [run_id for run_id in left if run_id not in ended]
        time.sleep(0.05)
    chaos.close()
    return chaos.done, left


def measured(broker: Server, folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """One storm, and everything that is wrong after it."""
    ledger = folder / "ledger"
    work = Work(mix(PAUSE_MS, str(ledger)), Catalog.load())
    for x in range(DIFFERENT):
        work.expected({"x": x})
    ledger.unlink()
    state = RedisServer(_made(folder / "state"))
    try:
        with Workforce(folder / "workforce", state, broker, *CREWS, deaths=1000) as workforce:
            begun = time.monotonic()
            faults, left = storm(work, workforce, arguments)
            seconds = time.monotonic() - begun
            return {**_document(work, workforce, left, ledger), "faults": dict(faults), "seconds": round(seconds, 1)}
    finally:
        state.kill()


def _document(work: Work, workforce: Workforce, left: list[str], ledger: Path) -> dict[str, Any]:
    runs = list(work.runs)
    statuses = Counter(workforce.client.store.statuses(runs).values())
    lost = sum(len(lost_workers(workforce, run_id)) for run_id in runs)
    useful = sum(_ledger_tasks(work, run_id) for run_id in runs)
    lines = ledger.read_text(encoding="utf-8").splitlines()
    began, ended = (sum(line.startswith(word) for line in lines) for word in ("start", "end"))
    problems = [f"run {run_id} has not ended" for run_id in left]
    if not left:
        problems += work.faults(workforce)
    return {
        "runs": len(runs),
        "statuses": dict(statuses),
        "given_to_others": lost,
        "executions_cut_off": began - ended,
        "results_dropped": ended - useful,
        "orphaned_payloads": workforce.orphans(),
        "problems": problems,
    }


def _ledger_tasks(work: Work, run_id: str) -> int:
    """How many tasks of a run write into the ledger."""
    told = (event for event in work.expected(work.runs[run_id]).events if event.kind == "task.completed")
    return sum(event.subject.rpartition("/")[2] in {"A", "B2", "I"} for event in told)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def run(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The document."""
    site = install_plugin(_made(folder / "plugin"))
    sys.path.insert(0, str(site))
    os.environ["PYTHONPATH"] = os.pathsep.join((str(site), str(ROOT)))
    os.environ["TYQI_CACHE"] = str(folder / "cache")
    importlib.invalidate_caches()
    make = RedisServer if arguments.broker == "redis" else RabbitServer
    broker = make(_made(folder / "broker"))
    try:
        return {"broker": arguments.broker, "seed": arguments.seed, **measured(broker, folder, arguments)}
    finally:
        broker.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--broker", choices=["redis", "rabbitmq"], default="redis")
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--seconds-between", type=float, default=1.0, help="between two faults")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print the document alone")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tyqi-chaos-") as folder:
        document = run(arguments, Path(folder))
    if arguments.json:
        print(json.dumps(document))
    else:
        print("\n".join(f"{name}: {value}" for name, value in document.items()))
    sys.exit(1 if document["problems"] else 0)


if __name__ == "__main__":
    main()
