"""What all benchmarks share: interleaved repetitions, figures, fresh processes, the printed document.

Absolute times mean little on a busy or small machine. So ours and each peer take turns, and a ratio is the median of
the ratios of neighbours: both had the same neighbours' load.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

REPOSITORY = Path(__file__).resolve().parents[1]
Size = Literal["full", "quick", "tiny"]
Samples = Mapping[str, Sequence[float]]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Case:
    """One row: our samples and our peers', in ``unit``, and what we aim at.

    Attributes:
        samples: ``ours`` and peers' names -> measurements; in turns where there are peers.
        met: decides from our median and the ratios whether the goal is met.
    """

    name: str
    unit: str
    samples: Samples
    goal: str
    met: Callable[[float, Mapping[str, float]], bool]

    def to_json(self) -> dict[str, Any]:
        ours = self.samples["ours"]
        peers = {name: values for name, values in self.samples.items() if name != "ours"}
        ratio = {name: round(paired_ratio(ours, values), 3) for name, values in peers.items()}
        return {
            "name": self.name,
            "unit": self.unit,
            "ours": figures(ours),
            "peers": {name: figures(values) for name, values in peers.items()},
            "ratio": ratio,
            "goal": self.goal,
            "met": self.met(statistics.median(ours), ratio),
        }


def below(limit: float) -> Callable[[float, Mapping[str, float]], bool]:
    """The goal that our median stays below ``limit``."""
    return lambda median, _: median < limit


def figures(values: Sequence[float]) -> dict[str, float]:
    """Median and 99th percentile; of fewer than a hundred samples the latter is about the largest."""
    ordered = sorted(values)
    p99 = ordered[min(len(ordered) - 1, round(0.99 * (len(ordered) - 1)))]
    return {"median": _short(statistics.median(ordered)), "p99": _short(p99)}


def paired_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median ratio of neighbouring samples; a coarse clock may have counted nothing for theirs."""
    return statistics.median(mine / max(other, 1e-9) for mine, other in zip(ours, theirs, strict=True))


@dataclass(frozen=True, slots=True)
class Clocks:
    """Samples in seconds, by two clocks.

    Attributes:
        wall: what a person waits.
        cpu: processor time of all threads together, which other programs on the machine hardly change.
    """

    wall: dict[str, list[float]]
    cpu: dict[str, list[float]]


def interleaved(
    calls: Mapping[str, Callable[[], Any]],
    repetitions: int,
    *,
    warm_up: int = 2,
    seconds: float | None = None,
    pause: float = 0.0,
) -> Clocks:
    """Call each in turn, ``repetitions`` times, after ``warm_up`` rounds that do not count.

    Args:
        seconds: after so long no further round begins, except the first one.
        pause: seconds before each call, in which other processes may finish what the last one left them.
    """
    end = None if seconds is None else time.monotonic() + seconds
    samples = Clocks({name: [] for name in calls}, {name: [] for name in calls})
    gc.collect()
    gc.freeze()  # what is there by now (a peer's thousands of classes) need not be looked at before every call
    for turn in range(-warm_up, repetitions):
        if turn > 0 and end is not None and time.monotonic() > end:
            break
        for name, call in calls.items():
            gc.collect()
            time.sleep(pause)
            begun, used = time.perf_counter(), time.process_time()
            call()
            used, took = time.process_time() - used, time.perf_counter() - begun
            if turn >= 0:
                samples.wall[name].append(took)
                samples.cpu[name].append(used)
    gc.unfreeze()
    return samples


def scaled(samples: Samples, factor: float) -> dict[str, list[float]]:
    """The samples in another unit."""
    return {name: [value * factor for value in values] for name, values in samples.items()}


@dataclass(frozen=True, slots=True)
class Finished:
    """A process that has ended.

    Attributes:
        seconds: from its start to its end.
        cpu: seconds of processor time that it used, which a busy machine changes less.
        output: what it printed.
    """

    seconds: float
    cpu: float
    output: str


def process(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> Finished:
    """Run Python with ``arguments`` in a fresh process that imports the package from this repository."""
    variables = {**os.environ, "PYTHONPATH": str(REPOSITORY), **(environment or {})}
    variables.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package is compiled once, not in every process
    used, begun = _children_cpu(), time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments], env=variables, capture_output=True, text=True, check=False, cwd=REPOSITORY
    )
    seconds = time.perf_counter() - begun
    if done.returncode:
        raise RuntimeError(f"python {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return Finished(seconds, _children_cpu() - used, done.stdout)


def _children_cpu() -> float:
    """Seconds of processor time of all processes that were started here and have ended."""
    try:
        import resource  # noqa: PLC0415  (Windows has none; os.times counts in hundredths of a second)
    except ImportError:
        used = os.times()
        return used.children_user + used.children_system
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@dataclass(slots=True)
class BeyondBare:
    """Milliseconds that processes take beyond a bare interpreter that was started just before, and what they print."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)


def beyond_bare(
    arguments: Sequence[str],
    repetitions: int,
    environment: Mapping[str, str] | None = None,
    *,
    before: Callable[[], Any] | None = None,
) -> BeyondBare:
    """Run a fresh process ``repetitions`` times, each after a bare interpreter; the first pair does not count.

    Args:
        before: called ahead of each run, unmeasured (to empty a cache).
    """
    found = BeyondBare()
    for turn in range(repetitions + 1):
        if before is not None:
            before()
        bare, full = process(["-c", "pass"], environment), process(arguments, environment)
        if turn:
            found.wall.append((full.seconds - bare.seconds) * 1000)
            found.cpu.append((full.cpu - bare.cpu) * 1000)
            found.outputs.append(full.output)
    return found


def pick(size: Size, *, full: T, quick: T, tiny: T) -> T:
    """The value for a size of benchmark."""
    return {"full": full, "quick": quick, "tiny": tiny}[size]


def say(text: str) -> None:
    """Tell the person who waits what is going on."""
    print(text, file=sys.stderr, flush=True)


def machine() -> dict[str, Any]:
    """What the figures were taken on, and how busy it was with other things."""
    load = round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None
    return {
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load_at_start": load,
    }


def main(
    document: str,
    cases: Callable[..., Sequence[Case]],
    add_options: Callable[[argparse.ArgumentParser], Any] | None = None,
) -> None:
    """The command line of a benchmark.

    Args:
        document: the script's docstring; its last paragraph shows how the script is called.
        cases: measures; is given the size and, as keywords, the options that ``add_options`` adds.
        add_options: adds to the command line what this benchmark alone has.
    """
    parser = argparse.ArgumentParser(description=document, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions: at most two minutes")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of a table")
    parser.add_argument("--tiny", action="store_true", help=argparse.SUPPRESS)
    if add_options is not None:
        add_options(parser)
    options = vars(parser.parse_args())
    quick, tiny, as_json = (options.pop(name) for name in ("quick", "tiny", "json"))
    about = machine()
    with contextlib.redirect_stdout(sys.stderr):  # peers talk; only the document goes to stdout
        rows = [case.to_json() for case in cases("tiny" if tiny else "quick" if quick else "full", **options)]
    if as_json:
        print(json.dumps({"machine": about, "cases": rows}, indent=2))
    else:
        _print_table(about, rows)


def _print_table(about: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    for row in rows:
        print(f"\n{row['name']} ({row['unit']})")
        print(f"  {'ours':24}{row['ours']['median']:>12,} median{row['ours']['p99']:>12,} p99")
        for name, peer in row["peers"].items():
            ratio = row["ratio"][name]
            print(f"  {name:24}{peer['median']:>12,} median{peer['p99']:>12,} p99    ours / {name}: {ratio:g}")
        print(f"  goal: {row['goal']}: {'met' if row['met'] else 'MISSED'}")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _short(value: float) -> float:
    """Four significant digits: no measurement here has more."""
    return float(f"{value:.4g}")
