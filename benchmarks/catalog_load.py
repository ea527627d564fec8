"""How long it takes to know which nodes are installed.

Plugins are generated (generate_plugins.py) and put on the search path. A cold start discovers and validates them all;
a warm one reads the index that the first left behind. Each is a fresh process: what the load takes there, what the
imports before it take, and what the whole process takes beyond a bare interpreter that was started just before.

    python benchmarks/catalog_load.py --quick
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from _measure import REPOSITORY, BeyondBare, Case, Size, below, beyond_bare, main, pick, process, say
from generate_plugins import generate

WARM_MS = 15.0
"""For 100 plugins."""
COLD_MS = 1000.0
IMPORTS_MS = 40.0
SETTLED_S = 2.5
"""The index does not trust files that changed within the last two seconds: so long are plugins left alone."""
LOAD = """
import sys, time
moments = [(time.perf_counter(), time.process_time())]
from tyqi_core.catalog.catalog import Catalog
moments.append((time.perf_counter(), time.process_time()))
entries = [entry for entry in Catalog.load().entries() if entry.id.startswith("generated_")]
moments.append((time.perf_counter(), time.process_time()))
print(len(entries))
print(*[(end - begun) * 1000 for one, next in zip(moments, moments[1:]) for begun, end in zip(one, next)])
print(*[name for name in sys.modules if name.startswith("tyqi_node_")])
"""


@dataclass(frozen=True, slots=True)
class Loads:
    """Several loads: their processes, and milliseconds inside them, of imports and of the load by two clocks."""

    processes: BeyondBare
    imports: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def cases(size: Size) -> list[Case]:
    found = []
    for count in pick(size, full=(100, 1000), quick=(100, 1000), tiny=(3,)):
        found += loaded(count, size)
    return found


def loaded(count: int, size: Size) -> list[Case]:
    with tempfile.TemporaryDirectory() as folder:
        site, cache = Path(folder) / "site", Path(folder) / "cache"
        site.mkdir()
        generate(site, count)
        environment = {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(site)]), "TYQI_CACHE": str(cache)}
        script = Path(folder) / "load.py"
        script.write_text(LOAD, encoding="utf-8")
        arguments = ["-P", str(script)]
        say(f"{count:,} plugins, cold")
        cold_runs = pick(size, full=10, quick=3, tiny=1) if count < 1000 else pick(size, full=3, quick=1, tiny=1)
        cold = _load(arguments, cold_runs, environment, count, cache)
        say(f"{count:,} plugins, warm")
        time.sleep(SETTLED_S)
        process(arguments, environment)
        warm = _load(arguments, pick(size, full=50, quick=15, tiny=2), environment, count)
    scale = max(1.0, count / 100)
    return [
        *_cases(f"{count:,} plugins, warm", warm, WARM_MS * scale),
        *_cases(f"{count:,} plugins, cold", cold, COLD_MS * scale),
    ]


def _load(
    arguments: list[str], repetitions: int, environment: dict[str, str], count: int, cache: Path | None = None
) -> Loads:
    """Load in fresh processes; a ``cache`` is emptied before each."""
    empty = None if cache is None else partial(shutil.rmtree, cache, ignore_errors=True)
    processes = beyond_bare(arguments, repetitions, environment, before=empty)
    loads = Loads(processes)
    for output in processes.outputs:
        found, milliseconds, plugins = output.split("\n")[:3]
        if int(found) != count or plugins:
            raise RuntimeError(f"{found} of {count} plugins were found; imported were: {plugins or 'none'}")
        imports, _, load, load_cpu = map(float, milliseconds.split())
        loads.imports.append(imports)
        loads.wall.append(load)
        loads.cpu.append(load_cpu)
    return loads


def _cases(name: str, loads: Loads, limit: float) -> list[Case]:
    timings = {
        "load": (loads.wall, limit),
        "load, processor time": (loads.cpu, limit),
        "imports before the load": (loads.imports, IMPORTS_MS),
        "whole process beyond a bare interpreter": (loads.processes.wall, limit + IMPORTS_MS),
        "whole process beyond a bare interpreter, processor time": (loads.processes.cpu, limit + IMPORTS_MS),
    }
    return [
        Case(f"{name}: {what}", "ms", {"ours": values}, f"median under {goal:g} ms", below(goal))
        for what, (values, goal) in timings.items()
    ]


if __name__ == "__main__":
    main(__doc__, cases)
