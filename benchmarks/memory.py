"""How much memory runs take, and whether payloads go once nobody can need them.

Each measurement is a fresh process that tells how far its peak grew: by 200 runs at once rather than one, each a chain
of 20 no-op tasks with its events; and by a chain of 20 filters on a 25 MiB picture, whose peak tells how many pictures
were held at once.

    python benchmarks/memory.py --quick
"""

from __future__ import annotations

import json
import sys

from _measure import REPOSITORY, Case, Size, below, main, pick, process, say

RUN_KIB = 512.0
PICTURES = 3.5
"""A filter's input and output, the run's own input, and half a picture for everything else."""
CHILD = """
import json, resource, sys
sys.path.insert(0, sys.argv[1])
import numpy
import _nodes
from tyqi_core.runtime.inprocess import InProcessRuntime
from tyqi_core.workflow.compiler import compile_text

length, runs, side = map(int, sys.argv[2:])
catalog = _nodes.catalog()
text = _nodes.pictures(length) if side else _nodes.chain(length)
plan = compile_text(text, "benchmark.yaml", catalog)

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

def inputs(side):
    return {"image": numpy.full((side, side, 3), 1, numpy.uint8)} if side else {"value": 1}

with InProcessRuntime(plan, catalog) as runtime:
    runtime.run(inputs(8 if side else 0))
    before = peak()
    handles = [runtime.start(inputs(side)) for _ in range(runs)]
    ended = {handle.wait().status for handle in handles}
    assert ended == {"completed"}, ended
    print(json.dumps(peak() - before))
"""


def cases(size: Size) -> list[Case]:
    length = pick(size, full=20, quick=20, tiny=3)
    repetitions = pick(size, full=15, quick=5, tiny=1)
    return [
        concurrent(length, pick(size, full=200, quick=200, tiny=4), repetitions),
        *payloads(size, length, repetitions),
    ]


def concurrent(length: int, runs: int, repetitions: int) -> Case:
    """KiB by which each run beyond the first raises the peak; results, with all their events, are kept to the end."""
    growth = []
    for turn in range(repetitions):
        say(f"{runs} runs at once: {turn + 1} of {repetitions}")
        growth.append((grown(length, runs) - grown(length, 1)) / (runs - 1) / 1024)
    name = f"each of {runs} runs at once, chain of {length}, results and events kept"
    return Case(name, "KiB", {"ours": growth}, f"under {RUN_KIB:g} KiB", below(RUN_KIB))


def payloads(size: Size, length: int, repetitions: int) -> list[Case]:
    """Pictures that a chain of filters holds at its peak."""
    side = pick(size, full=2956, quick=2956, tiny=500)
    picture = side * side * 3
    held = []
    for turn in range(repetitions):
        say(f"chain of {length} on a picture of {picture / 2**20:.0f} MiB: {turn + 1} of {repetitions}")
        held.append(grown(length, 1, side) / picture)
    name = f"chain of {length} filters on a picture of {picture / 2**20:.0f} MiB: pictures held at the peak"
    return [Case(name, "pictures", {"ours": held}, f"under {PICTURES:g}", below(PICTURES))]


def grown(length: int, runs: int, side: int = 0) -> int:
    """Bytes by which the peak of a fresh process grew through so many runs."""
    arguments = [str(REPOSITORY / "benchmarks"), str(length), str(runs), str(side)]
    return int(json.loads(process(["-c", CHILD, *arguments]).output))


if __name__ == "__main__":
    if sys.platform == "win32":
        raise SystemExit("peaks of memory are read with the module 'resource', which Windows does not have")
    main(__doc__, cases)
