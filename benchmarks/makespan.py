"""How close runs come to the best time that their graph allows: the longest path through it.

Tasks sleep, so that only waiting for the wrong thing makes a run longer. Two branches of 5 + 100 ms and 100 + 5 ms need
105 ms; who runs level by level needs 200. The same for many random graphs, whose longest path is taken over the times
that the sleeps really took. Beside ours: threads written by hand for the two branches, and level by level.

    python benchmarks/makespan.py --quick
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import _nodes
from _measure import Case, Size, interleaved, main, pick, say, scaled

from tyqi_core.runtime.inprocess import InProcessRuntime
from tyqi_core.workflow.compiler import compile_text

MARGIN = 1.05
OVERHEAD_MS = 1.0
"""Allowed on top of the optimum beside the 5%: opening a run and telling its end, and one oversleeping a task."""
THREADS = 32
SEED = 20_251

Graph = Mapping[str, tuple[int, tuple[str, ...]]]
"""Task -> milliseconds, and the tasks that it waits for; in an order that is right."""
BRANCHES: Graph = {"A1": (5, ()), "A2": (100, ("A1",)), "B1": (100, ()), "B2": (5, ("B1",))}


def cases(size: Size) -> list[Case]:
    say("two branches")
    found = two_branches(pick(size, full=50, quick=15, tiny=1))
    return found + random_graphs(pick(size, full=200, quick=40, tiny=2))


def two_branches(repetitions: int) -> list[Case]:
    with Runner(BRANCHES) as ours, ThreadPoolExecutor(THREADS) as pool:
        calls = {
            "ours": ours.run,
            "threads by hand": _by_hand,
            "level by level": lambda: _level_by_level(BRANCHES, pool),
        }
        samples = scaled(interleaved(calls, repetitions, warm_up=1).wall, 1000)
    limit = MARGIN * 105 + OVERHEAD_MS
    goal = f"median within 5% of the optimum of 105 ms, and {OVERHEAD_MS:g} ms overhead"
    return [Case("two branches, 5 + 100 ms and 100 + 5 ms", "ms", samples, goal, lambda median, _: median <= limit)]


def random_graphs(count: int) -> list[Case]:
    """Ours, level by level, and the longest path, of ``count`` seeded graphs, each in its second run."""
    source = random.Random(SEED)
    times: dict[str, list[float]] = {"ours": [], "longest path": [], "level by level": []}
    nominal = []
    with ThreadPoolExecutor(THREADS) as pool:
        for number in range(count):
            if number % 20 == 0:
                say(f"random graphs: {number} of {count}")
            graph = random_graph(source)
            with Runner(graph) as ours:
                ours.run()  # threads start and nodes are built once, not in every run
                took = _milliseconds(ours.run)
            times["ours"].append(took)
            times["longest path"].append(longest_path(graph, ours.slept))
            times["level by level"].append(_milliseconds(lambda graph=graph: _level_by_level(graph, pool)))
            nominal.append(took / longest_path(graph, {task: sleep for task, (sleep, _) in graph.items()}))
    ratios = [mine / best for mine, best in zip(times["ours"], times["longest path"], strict=True)]
    goal = "median within 5% of the longest path"

    def within(_: float, ratio: Mapping[str, float]) -> bool:
        return ratio["longest path"] <= MARGIN

    def small(median: float, _: Mapping[str, float]) -> bool:
        return median <= MARGIN

    name = f"{count} random graphs"
    return [
        Case(name, "ms", times, goal, within),
        Case(f"{name}, over the longest path of the times slept", "ratio", {"ours": ratios}, goal, small),
        Case(f"{name}, over the longest path of the times asked for", "ratio", {"ours": nominal}, goal, small),
    ]


class Runner:
    """A graph compiled and ready; a context manager."""

    def __init__(self, graph: Graph) -> None:
        tasks = [
            f"{task}: {{node: bench.sleep, params: {{ms: {sleep}}}, predecessor: [{', '.join(above)}]}}"
            for task, (sleep, above) in graph.items()
        ]
        outputs = "outputs: {" + ", ".join(f"{task}: {task}.seconds" for task in graph) + "}\n"
        catalog = _nodes.catalog()
        text = _nodes.HEAD + outputs + "tasks:\n" + "".join(f"  {line}\n" for line in tasks)
        self.runtime = InProcessRuntime(compile_text(text, "benchmark.yaml", catalog), catalog, threads=THREADS)
        self.slept: dict[str, float] = {}

    def run(self) -> None:
        result = self.runtime.run({})
        if result.status != "completed":
            raise RuntimeError(f"the run is {result.status}: {result.error}")
        self.slept = {task: seconds * 1000 for task, seconds in result.outputs.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.runtime.close()


def random_graph(source: random.Random) -> Graph:
    """5 to 30 tasks of 1 to 20 ms, each waiting for up to three earlier ones."""
    graph: dict[str, tuple[int, tuple[str, ...]]] = {}
    for number in range(source.randint(5, 30)):
        above = source.sample(sorted(graph), min(len(graph), source.randint(0, 3)))
        graph[f"T{number}"] = (source.randint(1, 20), tuple(above))
    return graph


def longest_path(graph: Graph, times: Mapping[str, float]) -> float:
    ends: dict[str, float] = {}
    for task, (_, above) in graph.items():
        ends[task] = times[task] + max((ends[name] for name in above), default=0.0)
    return max(ends.values())


def _by_hand() -> None:
    def branch(*milliseconds: int) -> None:
        for sleep in milliseconds:
            time.sleep(sleep / 1000)

    threads = [threading.Thread(target=branch, args=sleeps) for sleeps in ((5, 100), (100, 5))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _level_by_level(graph: Graph, pool: ThreadPoolExecutor) -> None:
    """All tasks of a level side by side; the next level once all are done."""
    level: dict[str, int] = {}
    for task, (_, above) in graph.items():
        level[task] = 1 + max((level[name] for name in above), default=0)
    for depth in range(1, max(level.values()) + 1):
        sleeps = [graph[task][0] / 1000 for task in graph if level[task] == depth]
        list(pool.map(time.sleep, sleeps))


def _milliseconds(call: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    call()
    return (time.perf_counter() - begun) * 1000


if __name__ == "__main__":
    main(__doc__, cases)
