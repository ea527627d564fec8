"""What one attempt took: seconds always, memory where it can be told honestly. Both runtimes measure with this.

**Seconds** are those of binding, checking and processing; setup, claiming and waiting are not in them.

**Memory** is what the process grew by: from before the attempt to the peak within it (``VmHWM``, reset before where
the kernel lets us), plus what building the node and its first attempt left behind (model, libraries). It is told
only of attempts beside which no other one executed in the process, because nobody could say whose growth it was; so
a prefork worker tells it of every attempt that it watches, a process with busy threads of few. Mapped files and shared
memory count once their pages are touched. Linux alone tells it.

**GPU memory** is the same from torch's allocator on the current device, without the context of CUDA itself.

Watching costs about 25 microseconds (about 100 more on a GPU), so attempts are watched that are worth it: the first of
a node in this process, those of nodes that last took 50 ms or more, and one of 1024 (GPU: of 16) of the others.
"""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from time import perf_counter
from typing import Any, Final, NamedTuple

from tyqi_core.protocol.foreign import imported
from tyqi_core.runtime.history import Fields, Sample, merge, of_durations, summed

WATCHED_S: Final = 0.05
"""A node whose last attempt took this long is watched at its next one."""
_NOW_AND_THEN: Final = 1024
_AT_ONCE: Final = _NOW_AND_THEN
_OFTEN: Final = 16
_MEBI: Final = 1024 * 1024
_STATUS: Final = re.compile(rb"VmHWM:\s+(\d+) kB\nVmRSS:\s+(\d+) kB")


class _Level(NamedTuple):
    """Memory at one moment, in MiB; ``None`` where it cannot be told."""

    resident: float | None
    peak: float | None
    gpu: float | None


Begun = tuple[str, int, bool, _Level | None, float]
"""An attempt under way: node, number, whether it was alone at first, memory before it if it is watched, its start."""


class Meter:
    """Measures the attempts of one process; its threads may share it. After a fork the child makes its own.

    Who is there beside a watched attempt is known from two counters without a lock. An attempt that is not watched
    counts in ``begun`` and, at its end, in ``ended``. A watched one counts in both when it begins and again when it
    ends; so their difference are the others that are not watched, and a gap in its own two numbers is somebody new.

    Attributes:
        quick: nodes that need not be watched now. Such an attempt on the CPU may be timed without the meter, if its
            caller takes a number from ``begun`` before and one from ``ended`` after it.
    """

    def __init__(self) -> None:
        self.quick: set[str] = set()
        self.begun = count()
        self.ended = count()
        self._watching: set[int] = set()
        self._met: set[str] = set()
        self._held: dict[str, tuple[float, float]] = {}

    def begin(self, node: str, device: str = "cpu") -> Begun:
        """An attempt begins.

        Args:
            node: id and major version.
            device: where the instance computes: ``cpu`` or a torch device.
        """
        number = next(self.begun)
        if node in self.quick and number % (_NOW_AND_THEN if device == "cpu" else _OFTEN):
            return node, number, False, None, perf_counter()
        alone = self._watch(number)
        return node, number, alone, _level_before(gpu=device != "cpu"), perf_counter()

    def end(self, begun: Begun, *, failed: bool = False) -> Sample:
        """The attempt is over; what it took. Call it once, whatever became of the attempt."""
        node, number, alone, before, started = begun
        seconds = perf_counter() - started
        if seconds < WATCHED_S:
            self.quick.add(node)
        else:
            self.quick.discard(node)
        if before is None:
            next(self.ended)
            return Sample(node, seconds, None, None, failed)
        memory, gpu = self._growth(node, before, alone=self._stop_watching(number) and alone)
        return Sample(node, seconds, memory, gpu, failed)

    @contextmanager
    def building(self, node: str) -> Iterator[None]:
        """Around importing a node and its ``setup``: what stays of it counts as the node's in every later attempt."""
        number = next(self.begun)
        alone, before = self._watch(number), _level_before(gpu=True)
        try:
            yield
        finally:
            if self._stop_watching(number) and alone:
                self._hold(node, before, _level(gpu=True))

    def _watch(self, number: int) -> bool:
        """Whether nobody else is there."""
        self._watching.add(number)
        return next(self.ended) == number and len(self._watching) == 1

    def _stop_watching(self, number: int) -> bool:
        """Whether nobody has come since."""
        self._watching.discard(number)
        next(self.ended)
        return next(self.begun) == number + 1

    def _growth(self, node: str, before: _Level, *, alone: bool) -> tuple[float | None, float | None]:
        if not alone:
            return None, None
        after, (held, held_gpu) = _level(gpu=before.gpu is not None), self._held.get(node, (0.0, 0.0))
        if node not in self._met:
            self._met.add(node)
            self._hold(node, before, after)
        memory, gpu = _host_growth(before, after), _gpu_growth(before)
        return None if memory is None else held + memory, None if gpu is None else held_gpu + gpu

    def _hold(self, node: str, before: _Level, after: _Level) -> None:
        memory, gpu = self._held.get(node, (0.0, 0.0))
        memory += max(0.0, (after.resident or 0.0) - (before.resident or 0.0))
        gpu += max(0.0, (after.gpu or 0.0) - (before.gpu or 0.0))
        self._held[node] = memory, gpu


class Tally:
    """The summaries of one process's attempts, and the meter that measures them."""

    def __init__(self) -> None:
        self.meter = Meter()
        self._lock = threading.Lock()
        self._durations: defaultdict[str, list[float]] = defaultdict(list)
        self._summaries: dict[str, Fields] = {}

    def took(self, node: str, seconds: float) -> None:
        """Take an attempt in that was not watched: a list of numbers, summed up now and then, is the cheapest."""
        durations = self._durations[node]
        durations.append(seconds)
        if seconds >= WATCHED_S or len(durations) >= _AT_ONCE:
            self.meter.quick.discard(node)
            self._sum_up(node)

    def add(self, sample: Sample) -> None:
        """Take an attempt in that the meter measured."""
        with self._lock:
            self._merge(sample.node, summed([sample]))

    def summaries(self) -> dict[str, Fields]:
        """By node and major version: see :mod:`tyqi_core.runtime.history`."""
        for node in list(self._durations):
            self._sum_up(node)
        with self._lock:
            return {node: dict(fields) for node, fields in self._summaries.items()}

    def taken(self, node: str) -> Fields:
        """The summary of one node, which is begun anew: for whoever adds it up elsewhere."""
        self._sum_up(node)
        with self._lock:
            return self._summaries.pop(node, {})

    def _sum_up(self, node: str) -> None:
        with self._lock:
            durations = self._durations[node]  # other threads go on adding to the same list
            known = len(durations)
            self._merge(node, of_durations(durations[:known]))
            del durations[:known]

    def _merge(self, node: str, newer: Fields) -> None:
        self._summaries[node] = merge(self._summaries.get(node, {}), newer)


def _level_before(*, gpu: bool) -> _Level:
    """Memory now, with the peaks begun anew."""
    try:
        with open("/proc/self/clear_refs", "wb", buffering=0) as file:  # noqa: PTH123 - a third of the time
            file.write(b"5")
    except OSError:  # another system, or a container that forbids it: then only a new overall peak is seen
        pass
    if gpu and (cuda := _cuda()):
        cuda.reset_peak_memory_stats()
    return _level(gpu=gpu)


def _level(*, gpu: bool) -> _Level:
    resident = peak = None
    try:
        with open("/proc/self/status", "rb", buffering=0) as file:  # noqa: PTH123 - see above
            if found := _STATUS.search(file.read(4096)):
                peak, resident = int(found[1]) / 1024, int(found[2]) / 1024
    except OSError:
        pass
    cuda = _cuda() if gpu else None
    return _Level(resident, peak, cuda.memory_allocated() / _MEBI if cuda else None)


def _host_growth(before: _Level, after: _Level) -> float | None:
    if before.resident is None or before.peak is None or after.resident is None or after.peak is None:
        return None
    highest = after.peak if after.peak > before.peak else after.resident
    return max(0.0, highest - before.resident)


def _gpu_growth(before: _Level) -> float | None:
    cuda = _cuda()
    if before.gpu is None or cuda is None:
        return None
    return max(0.0, float(cuda.max_memory_allocated()) / _MEBI - before.gpu)


def _cuda() -> Any:
    """``torch.cuda`` if somebody here computes with it: it is never begun for the sake of measuring."""
    torch = imported("torch")
    return torch.cuda if torch is not None and torch.cuda.is_initialized() else None
