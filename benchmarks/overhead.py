"""What running a task costs beyond the work itself, in one process.

Graphs of steps that do nothing: a chain, a fan-out with a join, diamonds in a row. Ours runs as in production, every
input and output validated and every event recorded, once in memory and once with the run's record written to a folder.
Beside it, in turns: the same calls in plain Python and, where installed (see requirements.txt), Haystack and Kedro.

    python benchmarks/overhead.py --quick
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import _nodes
import _peers
from _measure import Case, Size, interleaved, main, pick, say, scaled

from tyqi_core.runtime.inprocess import InProcessRuntime
from tyqi_core.runtime.record import RunRecorder
from tyqi_core.runtime.types import output_types
from tyqi_core.workflow.compiler import compile_text

GOAL = 60.0
"""Microseconds a task."""


def cases(size: Size) -> list[Case]:
    repetitions = pick(size, full=300, quick=60, tiny=2)
    length, width, count = pick(size, full=(50, 16, 10), quick=(50, 16, 10), tiny=(3, 2, 1))
    shapes = {
        f"chain of {length}": (_nodes.chain(length), _peers.chain(length)),
        f"fan-out of {width} with a join": (_nodes.fan_out(width), _peers.fan_out(width)),
        f"{count} diamonds in a row": (_nodes.diamonds(count), _peers.diamonds(count)),
    }
    found = []
    for name, (text, graph) in shapes.items():
        say(f"{name}: {repetitions} repetitions")
        found += measured(name, text, graph, repetitions)
    return found


def measured(name: str, text: str, graph: _peers.Graph, repetitions: int) -> list[Case]:
    """Two cases of one graph, measured in one run: without and with the record on disk."""
    catalog = _nodes.catalog()
    plan = compile_text(text, "benchmark.yaml", catalog)
    peers = _peers.installed(graph)
    with tempfile.TemporaryDirectory() as folder:
        recorder = RunRecorder(Path(folder), text, output_types(plan, catalog))
        with InProcessRuntime(plan, catalog) as bare, InProcessRuntime(plan, catalog, recorder=recorder) as recorded:
            ours = {"ours": _run(bare), "recorded": _run(recorded)}
            calls = {**ours, **peers}
            for framework, call in calls.items():
                if (answer := call()) != 1:
                    raise RuntimeError(f"{framework} computed {answer!r} and not 1 for {name}")
            samples = interleaved(calls, repetitions)
    wall, cpu = (scaled(taken, 1e6 / len(graph)) for taken in (samples.wall, samples.cpu))
    return [
        _case(f"{name}, events in memory", wall),
        _case(f"{name}, events in memory, processor time", cpu),
        _case(f"{name}, record written to disk", wall, "recorded"),
        _case(f"{name}, record written to disk, processor time", cpu, "recorded"),
    ]


def _run(runtime: InProcessRuntime) -> Callable[[], Any]:
    return lambda: runtime.run({"value": 1}).outputs["result"]


def _case(name: str, samples: Mapping[str, list[float]], which: str = "ours") -> Case:
    """One of our two ways of running, beside the peers."""
    peers = {peer: values for peer, values in samples.items() if peer not in {"ours", "recorded"}}

    def met(median: float, ratio: Mapping[str, float]) -> bool:
        return median < GOAL and all(value < 1 for peer, value in ratio.items() if peer != "python")

    goal = f"median under {GOAL:g} us a task, and faster than every framework beside it"
    return Case(name, "us a task", {"ours": samples[which], **peers}, goal, met)


if __name__ == "__main__":
    main(__doc__, cases)
