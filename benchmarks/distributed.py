"""Our runtime on workers against Celery Canvas and against a floor, in one run, on the same broker.

Graphs of tasks that do nothing: a chain, a diamond, a condition, a fan-out with a join, a chain between two queues; and
one whose tasks take long, to see that they spread. Every system has two worker processes a queue. Measured are the time
of one run on idle workers, by turns; runs a second with many in flight; and processor time a task, of the workers and
of the servers apart. The floor is bare processes with BRPOP and one Lua script on Redis, whatever the broker is: it has
no Celery, no validation, no events, no recovery.

Starts a redis-server and a rabbitmq-server of its own on free ports. Needs Linux and the extra `workers`. In full it
takes about 15 minutes a broker; most of that is Canvas with 500 runs in flight.

    python benchmarks/distributed.py --quick
    python benchmarks/distributed.py --broker redis --json
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from _measure import Case, Size, interleaved, main, pick, say, scaled
from _servers import TICK_S, Program, Programs, Server, rabbitmq_installed
from _workloads import ITEM_MS, ITEMS, LONG, PROCESSES, SHORT, WIDTH, WORKLOADS, Workload

QUICK_S = 80.0
"""How long ``--quick`` measures, with the starts of servers and workers; what has begun by then is finished."""
PAUSE_S = 0.003
IDEAL_MS = ITEMS * ITEM_MS / PROCESSES
SPREAD = 1.15
BROKERS = {"redis": "Redis", "rabbitmq": "RabbitMQ"}
ALL_BRANCHES, EXECUTOR = "canvas, all branches", "canvas, branch executor"
Goals = Mapping[str, float]
"""Peer -> how many times better than it we want to be; below 1, how close to it."""
LATENCY: Mapping[str, Mapping[str, Goals]] = {
    "redis": {
        "W1": {"canvas": 5, "floor": 1 / 2},
        "W2": {"canvas": 3},
        "W3": {ALL_BRANCHES: 5, EXECUTOR: 2.5},
        "W4": {"canvas": 10, "floor": 1 / 2},
        "W5": {"canvas": 1},
    },
    "rabbitmq": {
        "W1": {"canvas": 4},
        "W2": {"canvas": 1},
        "W3": {EXECUTOR: 1.5},
        "W4": {"canvas": 8},
        "W5": {"canvas": 1},
    },
}
THROUGHPUT: Mapping[str, Mapping[str, Goals]] = {"redis": {"W1": {"canvas": 6}}, "rabbitmq": {}}


class System(Protocol):
    """What runs graphs on workers.

    Attributes:
        programs: its worker processes.
    """

    programs: Sequence[Program]

    def begin(self, graph: str) -> Any:
        """Begin a run; whatever tells it from others."""
        ...

    def end(self, begun: Any) -> Any:
        """Wait for the end of a run; its result."""
        ...

    def close(self) -> None: ...


@dataclass(slots=True)
class Budget:
    """Shares what time there is among what remains to be measured.

    Attributes:
        until: when all should be done; ``None``: there is time.
        weights: of all that has not had its share.
    """

    until: float | None
    weights: float

    def take(self, weight: float) -> float | None:
        """Seconds for one of them."""
        if self.until is None:
            return None
        share = max(0.0, self.until - time.monotonic()) * weight / self.weights
        self.weights -= weight
        return share


@dataclass(frozen=True, slots=True)
class Stand:
    """All systems on one broker, ready to run.

    Attributes:
        systems: name -> system.
        servers: those that they use.
    """

    broker: str
    systems: Mapping[str, System]
    servers: Sequence[Server]

    def on(self, key: str) -> dict[str, tuple[System, str]]:
        """Who runs a workload: name -> system, and what the workload is called there."""
        found = {name: (system, key) for name, system in self.systems.items()}
        if key == "W3":
            canvas = self.systems["canvas"]
            ways = {ALL_BRANCHES: "W3 all branches", EXECUTOR: "W3 branch executor"}
            others = {name: run for name, run in found.items() if name != "canvas"}
            found = {**others, **{name: (canvas, way) for name, way in ways.items()}}
        return found

    def servers_cpu(self) -> float:
        return sum(server.program.cpu() for server in self.servers)


def add_options(parser: argparse.ArgumentParser) -> None:
    broker = "whose messages wake the workers (default: both where rabbitmq-server is installed)"
    parser.add_argument("--broker", choices=[*BROKERS, "both"], help=broker)
    parser.add_argument("--peers-only", action="store_true", help=argparse.SUPPRESS)


def cases(size: Size, broker: str | None = None, *, peers_only: bool = False) -> list[Case]:
    began, found, due = time.monotonic(), [], brokers(broker)
    while due:
        name = due.pop(0)
        now = time.monotonic()
        until = None if size == "full" else now + (began + QUICK_S - now) / (len(due) + 1)
        found += on_broker(name, size, until, peers_only=peers_only)
    return [_floor_as_ours(case) for case in found] if peers_only else found


def brokers(chosen: str | None) -> list[str]:
    if chosen is None and not rabbitmq_installed():
        say("no rabbitmq-server is installed: Redis is the only broker")
        return ["redis"]
    return list(BROKERS) if chosen in {None, "both"} else [str(chosen)]


def on_broker(broker: str, size: Size, until: float | None, *, peers_only: bool) -> list[Case]:
    """All cases on one broker."""
    with Programs() as programs:
        stand = _stand(programs, broker, peers_only=peers_only)
        budget = Budget(until, 2.0 * len(WORKLOADS) - 1)
        found = []
        for key, workload in WORKLOADS.items():
            found.append(idle(stand, key, workload, size, budget))
            if key != "W6":
                found += saturated(stand, key, workload, size, budget, _round_s(found[-1]))
        for system in stand.systems.values():
            system.close()
        return found


def _stand(programs: Programs, broker: str, *, peers_only: bool) -> Stand:
    """Start servers and workers, and see that every system runs a chain."""
    from _canvas import Canvas  # noqa: PLC0415  (of the extra `workers`)
    from _floor import Floor  # noqa: PLC0415

    say(f"{BROKERS[broker]}: servers and workers start")
    redis = programs.redis()
    rabbit = programs.rabbitmq() if broker == "rabbitmq" else None
    systems: dict[str, System] = {}
    if not peers_only:
        systems["ours"] = _ours(programs, redis.url, rabbit.url if rabbit else f"{redis.url}/1")
    systems["canvas"] = Canvas(programs, rabbit.url if rabbit else f"{redis.url}/2", f"{redis.url}/3")
    systems["floor"] = Floor(programs, f"{redis.url}/4")
    for name, system in systems.items():
        say(f"{BROKERS[broker]}: {name} runs its first chain")
        run_once(system, "W1")
        programs.check()
    return Stand(broker, systems, [redis, rabbit] if rabbit else [redis])


def _ours(programs: Programs, redis: str, broker: str) -> System:
    from _ours import Ours, install_nodes  # noqa: PLC0415  (of the extra `workers`)

    site = programs.folder("site")
    install_nodes(site, WIDTH)
    projects = {key: workload.project for key, workload in WORKLOADS.items()}
    return Ours(programs, f"{redis}/0", broker, site, programs.folder("ours"), projects, (SHORT, LONG), PROCESSES)


def run_once(system: System, graph: str) -> None:
    """One run, which must compute the right thing."""
    _right(system.end(system.begin(graph)), graph)


def _right(value: Any, graph: str) -> None:
    if value != 1:
        raise RuntimeError(f"{graph} returned {value!r} and not 1")


# -- one run at a time ------------------------------------------------------------------------------------------------


def idle(stand: Stand, key: str, workload: Workload, size: Size, budget: Budget) -> Case:
    """The time of one run, on workers that have nothing else to do; the systems take turns."""
    say(f"{BROKERS[stand.broker]}: {workload.title}, one run at a time")
    heavy = key in {"W4", "W6"}
    repetitions = pick(size, full=60 if heavy else 300, quick=20 if heavy else 60, tiny=2)
    calls = {name: partial(run_once, system, graph) for name, (system, graph) in stand.on(key).items()}
    seconds = budget.take(1.0)
    warm_up = pick(size, full=5, quick=1 if heavy else 3, tiny=0)
    taken = interleaved(calls, repetitions, warm_up=warm_up, seconds=seconds, pause=PAUSE_S)
    name = f"{BROKERS[stand.broker]}: {workload.title}, idle latency"
    samples = scaled(taken.wall, 1000)
    if key == "W6":
        goal = f"median within {SPREAD:g} times of the ideal, {IDEAL_MS:g} ms"
        return Case(name, "ms", samples, goal, lambda median, _: median <= SPREAD * IDEAL_MS)
    return _compared(name, "ms", samples, LATENCY[stand.broker][key], lower=True)


# -- many runs in flight ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Load:
    """What many runs at once came to.

    Attributes:
        rate: runs a second.
        workers: milliseconds of processor time of the worker processes, a task; at least what the system's clock can
            tell, which few runs of a quick system do not exceed.
        servers: the same of Redis and the broker together.
    """

    rate: float
    workers: float
    servers: float


def saturated(stand: Stand, key: str, workload: Workload, size: Size, budget: Budget, round_s: float) -> list[Case]:
    """Runs a second, and processor time a task, with many runs in flight.

    Args:
        round_s: seconds that one run of each system takes on idle workers.
    """
    seconds, began = budget.take(1.0), time.monotonic()
    runs = pick(size, full=500, quick=_fitting(seconds or 0.0, round_s), tiny=2)
    repetitions = pick(size, full=1 if key == "W4" else 5, quick=2, tiny=1)
    say(f"{BROKERS[stand.broker]}: {workload.title}, {runs} runs in flight")
    loads: dict[str, list[Load]] = {name: [] for name in stand.on(key)}
    for turn in range(repetitions):
        if turn and seconds is not None and time.monotonic() - began > seconds:
            break
        for name, (system, graph) in stand.on(key).items():
            loads[name].append(_load(stand, system, graph, runs, workload.tasks))
    title = f"{BROKERS[stand.broker]}: {workload.title}, {runs} runs in flight"
    goals = THROUGHPUT[stand.broker].get(key) or dict.fromkeys(_canvases(loads), 1.0)
    cheaper = dict.fromkeys(_canvases(loads), 1.0)
    return [
        _compared(title, "runs/s", _each(loads, lambda load: load.rate), goals, lower=False),
        _compared(f"{title}, workers", "CPU ms a task", _each(loads, lambda load: load.workers), cheaper, lower=True),
        _compared(f"{title}, servers", "CPU ms a task", _each(loads, lambda load: load.servers), cheaper, lower=True),
    ]


def _round_s(case: Case) -> float:
    return sum(statistics.median(values) for values in case.samples.values()) / 1000


def _fitting(seconds: float, round_s: float) -> int:
    """How many runs in flight can be measured twice in so many seconds: a round number."""
    return max(number for number in (5, 10, 20, 50, 100) if number == 5 or 2 * number * round_s < seconds)


def _load(stand: Stand, system: System, graph: str, runs: int, tasks: int) -> Load:
    def used() -> tuple[float, float]:
        return sum(program.cpu() for program in system.programs), stand.servers_cpu()

    before, began = used(), time.perf_counter()
    begun = [system.begin(graph) for _ in range(runs)]
    for run in begun:
        _right(system.end(run), graph)
    took, after = time.perf_counter() - began, used()
    spent = (max(now - then, TICK_S) for now, then in zip(after, before, strict=True))
    workers, servers = (seconds * 1000 / (runs * tasks) for seconds in spent)
    return Load(runs / took, workers, servers)


def _each(loads: Mapping[str, Sequence[Load]], what: Callable[[Load], float]) -> dict[str, list[float]]:
    return {name: [what(load) for load in taken] for name, taken in loads.items()}


def _canvases(names: Mapping[str, Any]) -> list[str]:
    return [name for name in names if name.startswith("canvas")]


# -- goals ------------------------------------------------------------------------------------------------------------


def _compared(name: str, unit: str, samples: Mapping[str, list[float]], goals: Goals, *, lower: bool) -> Case:
    """A case whose goal is told in ratios to peers."""

    def met(_: float, ratio: Mapping[str, float]) -> bool:
        better = {peer: 1 / max(value, 1e-9) if lower else value for peer, value in ratio.items()}
        return all(better[peer] >= times for peer, times in goals.items() if peer in better)

    words = "lower" if lower else "higher"
    return Case(name, unit, samples, "; ".join(_told(peer, times, words) for peer, times in goals.items()), met)


def _told(peer: str, times: float, words: str) -> str:
    if times == 1:
        return f"no {'higher' if words == 'lower' else 'lower'} than {peer}"
    return f"at least {times:g} times {words} than {peer}" if times > 1 else f"within {1 / times:g} times of {peer}"


def _floor_as_ours(case: Case) -> Case:
    """A case that was measured without us, the floor in our place."""
    others = {name: values for name, values in case.samples.items() if name != "floor"}
    samples = {"ours": case.samples["floor"], **others}
    return Case(f"{case.name} (the floor in our place)", case.unit, samples, case.goal, case.met)


if __name__ == "__main__":
    main(__doc__, cases, add_options)
