"""Whether more algorithms slow the platform: runs a second with 1, 10 and 50 plugins and projects loaded.

Every plugin brings one node, and every project is a chain of ten of its plugin's. Three sets of workers, one a number
of plugins, stand side by side on one redis-server, and take turns; the runs are spread over all projects of a set.

Starts a redis-server of its own on a free port. Needs Linux and the extra `workers`. In full it takes three minutes.

    python benchmarks/many_plugins.py --quick
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import cycle, islice
from pathlib import Path

import _nodes
import generate_plugins
from _measure import Case, Size, main, pick, say
from _servers import Programs
from _workloads import LENGTH, PROCESSES, SHORT

SLOWER = 0.05
"""What part of the throughput more plugins may cost."""
MODULE = """\
from tyqi_core import Node


class Generated(Node):
    def process(self, inputs, ctx):
        return {"value": inputs["value"]}
"""


def cases(size: Size) -> list[Case]:
    counts = pick(size, full=(1, 10, 50), quick=(1, 10, 50), tiny=(1, 2))
    runs = pick(size, full=500, quick=200, tiny=2)
    repetitions = pick(size, full=20, quick=9, tiny=1)
    with Programs() as programs:
        rates = _measured(programs, counts, runs, repetitions)
    alone = rates[counts[0]]
    return [_case(count, runs, rates[count], alone) for count in counts[1:]]


def _case(count: int, runs: int, rates: list[float], alone: list[float]) -> Case:
    def met(_: float, ratio: Mapping[str, float]) -> bool:
        return ratio["one plugin"] >= 1 - SLOWER

    name = f"chain of {LENGTH}, {count} plugins and projects, {runs} runs in flight"
    return Case(name, "runs/s", {"ours": rates, "one plugin": alone}, f"within {SLOWER:.0%} of one plugin", met)


def _measured(programs: Programs, counts: tuple[int, ...], runs: int, repetitions: int) -> dict[int, list[float]]:
    """Runs a second for each number of plugins, in turns."""
    from _ours import Ours  # noqa: PLC0415  (of the extra `workers`)

    redis = programs.redis().url
    sets = {}
    for index, count in enumerate(counts):
        say(f"workers with {count} plugins start")
        site = programs.folder(f"site{count}")
        projects = install(site, count)
        urls = f"{redis}/{2 * index}", f"{redis}/{2 * index + 1}"
        sets[count] = Ours(programs, *urls, site, programs.folder(f"ours{count}"), projects, (SHORT,), PROCESSES)
    for count, ours in sets.items():
        say(f"{count} plugins: every worker meets every project")
        _rate(ours, count, 4 * PROCESSES * count)
        programs.check()
    rates: dict[int, list[float]] = {count: [] for count in counts}
    for turn in range(repetitions):
        say(f"{turn + 1} of {repetitions}")
        for count, ours in sets.items():
            rates[count].append(_rate(ours, count, runs))
    for ours in sets.values():
        ours.close()
    return rates


def install(site: Path, count: int) -> dict[str, str]:
    """Install so many plugins, with one node each; a project for each."""
    number = {"value": _nodes.NUMBER}
    projects = {}
    for index in range(count):
        namespace = f"generated_{index:04}"
        manifest = _nodes.manifest_text("step", number, number)
        generate_plugins.install(site, namespace, {"step": manifest}, module=MODULE)
        text = _nodes.chain(LENGTH).replace("bench.step", f"{namespace}.step")
        projects[_project(index)] = text.replace("project: benchmark", f"project: benchmark-{index}")
    return projects


def _project(index: int) -> str:
    return f"P{index}"


def _rate(ours, count: int, runs: int) -> float:
    """Runs a second, spread over the projects."""
    began = time.perf_counter()
    begun = [ours.begin(_project(index)) for index in islice(cycle(range(count)), runs)]
    for run in begun:
        if ours.end(run) != 1:
            raise RuntimeError("a chain has not returned 1")
    return runs / (time.perf_counter() - began)


if __name__ == "__main__":
    main(__doc__, cases)
