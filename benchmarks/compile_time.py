"""How long a project file takes to become a plan, from YAML text to the sealed digest.

Chains and wide graphs of 10 to 10,000 tasks, 30 conditions that know nothing of each other (2^30 combinations), and
conditions nested in each other's branches. Beside ours, in turns: PyYAML's C parser reading the same text, which is the
least that any compiler of YAML pays. A fresh process, with all its imports, is a case of its own.

    python benchmarks/compile_time.py --quick
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import _nodes
import yaml
from _measure import Case, Clocks, Size, below, beyond_bare, interleaved, main, pick, say, scaled

from tyqi_core.workflow.compiler import compile_text

THOUSAND_MS = 300.0
LEAST_MS = 10.0
LINEAR = 1.5
"""Ten times the tasks may take ten times the time and half as much again."""
MAX_COMBINED_MS = 1000.0
COLD = """
import sys
from pathlib import Path
sys.path.insert(0, "benchmarks")
import _nodes
from tyqi_core.workflow.compiler import compile_text
compile_text(Path(sys.argv[1]).read_text(), "cold.yaml", _nodes.catalog())
"""
WITHOUT_COMPILING = """
import sys
sys.path.insert(0, "benchmarks")
import _nodes
_nodes.catalog()
"""


def cases(size: Size) -> list[Case]:
    counts = pick(size, full=(10, 100, 1000, 10_000), quick=(10, 100, 1000, 10_000), tiny=(10, 20))
    found = []
    for shape, make in {"chain": _nodes.chain, "wide": _nodes.wide}.items():
        taken = {}
        for count in counts:
            say(f"{shape} of {count:,}")
            taken[count] = compiled(make(count), _repetitions(size, count))
            limit = max(LEAST_MS, count * THOUSAND_MS / 1000)
            name, goal = f"{shape} of {count:,}", f"under {limit:g} ms, which is {THOUSAND_MS:g} ms for 1,000 tasks"
            found.append(Case(name, "ms", scaled(taken[count].wall, 1000), goal, below(limit)))
            found.append(Case(f"{name}, processor time", "ms", scaled(taken[count].cpu, 1000), goal, below(limit)))
        found.append(growth(shape, counts[-2], counts[-1], taken))
    found += branches(size)
    return [*found, *cold(size)]


def growth(shape: str, few: int, many: int, taken: Mapping[int, Clocks]) -> Case:
    """How much more processor time a task takes in the largest project than in the one before; the same of YAML."""
    samples = {}
    for name, values in taken[many].cpu.items():
        small = statistics.median(taken[few].cpu[name]) / few
        samples[name] = [value / many / small for value in values]
    name = f"{shape}: processor time a task, {many:,} over {few:,} tasks"
    return Case(name, "ratio", samples, f"near-linear: at most {LINEAR:g}", below(LINEAR))


def branches(size: Size) -> list[Case]:
    repetitions = pick(size, full=30, quick=10, tiny=1)
    projects = {
        "30 independent conditions": _nodes.conditions(30),
        "20 conditions nested in each other": _nodes.nested(20),
        "300 independent conditions": _nodes.conditions(300),
    }
    goal = "under a second: combinations are not walked one by one"
    found = []
    for name, text in projects.items():
        say(name)
        found.append(Case(name, "ms", scaled(compiled(text, repetitions).wall, 1000), goal, below(MAX_COMBINED_MS)))
    return found


def cold(size: Size) -> list[Case]:
    """A fresh process that compiles 1,000 tasks, beyond a bare interpreter, and its part that is no compiling."""
    say("fresh processes")
    count, repetitions = pick(size, full=1000, quick=1000, tiny=10), pick(size, full=20, quick=5, tiny=1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cold.yaml"
        path.write_text(_nodes.chain(count), encoding="utf-8")
        ours = beyond_bare(["-c", COLD, str(path)], repetitions)
    without = beyond_bare(["-c", WITHOUT_COMPILING], repetitions)
    name = f"chain of {count:,}, in a fresh process, beyond a bare interpreter"
    goal = "under a second, the import of networkx included"
    return [
        Case(name, "ms", {"ours": ours.wall, "the same without compiling": without.wall}, goal, below(1000)),
        Case(f"{name}, processor time", "ms", {"ours": ours.cpu}, goal, below(1000)),
    ]


def compiled(text: str, repetitions: int) -> Clocks:
    """Compiling the text, and doing nothing but parse it."""
    catalog = _nodes.catalog()
    calls: dict[str, Any] = {
        "ours": lambda: compile_text(text, "benchmark.yaml", catalog),
        "yaml.CSafeLoader": lambda: yaml.CSafeLoader(text).get_single_data(),
    }
    return interleaved(calls, repetitions, warm_up=1)


def _repetitions(size: Size, count: int) -> int:
    if count >= 10_000:
        return pick(size, full=7, quick=3, tiny=1)
    return pick(size, full=30, quick=10, tiny=1)


if __name__ == "__main__":
    main(__doc__, cases)
