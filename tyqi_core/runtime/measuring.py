"""What one attempt took: seconds always, memory where it can be told honestly. Both runtimes measure with this.

**Seconds** are those of binding, checking and processing; setup, claiming and waiting are not in them.

**Memory** is what the process grew by: from before the attempt to the peak within it (``VmHWM``, reset before where
the kernel lets us), plus what building the node and its first attempt left behind (model, libraries). It is told
only of attempts beside which no other one executed in the process, because nobody could say whose growth it was; so
a prefork worker tells it of every attempt that it watches, a process with busy threads of few. Mapped files and shared
memory count once their pages are touched. Linux alone tells it.

**GPU memory** is the same from torch's allocator on the current device, without the context of CUDA itself.

Watching costs about 25 microseconds (about 100 more on a GPU), so attempts are watched that are worth it: the first of
a node in this process, those of nodes that last took 50 ms or more, and one of 256 (GPU: of 16) of the others.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from time import perf_counter
from typing import Any, Final, NamedTuple

from tyqi_core.protocol.foreign import imported
from tyqi_core.runtime.history import Fields, Sample, merge, summed

WATCHED_S: Final = 0.05
"""A node whose last attempt took this long is watched at its next one."""
_NOW_AND_THEN: Final = 256
_OFTEN: Final = 16
_MEBI: Final = 1024 * 1024
_AT_ONCE: Final = 1024
_STATUS: Final = re.compile(rb"VmHWM:\s+(\d+) kB\nVmRSS:\s+(\d+) kB")


class _Level(NamedTuple):
    """Memory at one moment, in MiB; ``None`` where it cannot be told."""

    resident: float | None
    peak: float | None
    gpu: float | None


Begun = tuple[str, int, bool, _Level | None, float]
"""An attempt under way: node, ticket, whether it was alone at first, memory before it, its start. A plain tuple: a
class of its own would cost a third of what measuring a short attempt costs."""


class Meter:
    """Measures the attempts of one process; its threads may share it. After a fork the child makes its own."""

    def __init__(self) -> None:
        self._tickets = count(1)
        self._active: set[int] = set()
        self._quick: set[str] = set()
        self._met: set[str] = set()
        self._held: dict[str, tuple[float, float]] = {}

    def begin(self, node: str, device: str = "cpu") -> Begun:
        """An attempt begins.

        Args:
            node: id and major version.
            device: where the instance computes: ``cpu`` or a torch device.
        """
        ticket = next(self._tickets)
        active = self._active
        active.add(ticket)
        before = None
        if node not in self._quick or not ticket % (_NOW_AND_THEN if device == "cpu" else _OFTEN):
            before = _level_before(gpu=device != "cpu")
        return node, ticket, len(active) == 1, before, perf_counter()

    def end(self, begun: Begun, *, failed: bool = False) -> Sample:
        """The attempt is over; what it took. Call it once, whatever became of the attempt."""
        node, ticket, _, before, started = begun
        seconds = perf_counter() - started
        self._active.discard(ticket)
        if before is None:
            if seconds >= WATCHED_S:
                self._quick.discard(node)
            return Sample(node, seconds, None, None, failed)
        if seconds < WATCHED_S:
            self._quick.add(node)
        memory, gpu = self._growth(begun, before)
        return Sample(node, seconds, memory, gpu, failed)

    @contextmanager
    def building(self, node: str) -> Iterator[None]:
        """Around importing a node and its ``setup``: what stays of it counts as the node's in every later attempt."""
        ticket = next(self._tickets)
        self._active.add(ticket)
        alone, before = len(self._active) == 1, _level_before(gpu=True)
        try:
            yield
        finally:
            self._active.discard(ticket)
            if self._was_alone(ticket, alone=alone):
                self._hold(node, before, _level(gpu=True))

    def _growth(self, begun: Begun, before: _Level) -> tuple[float | None, float | None]:
        node, ticket, alone, _, _ = begun
        if not self._was_alone(ticket, alone=alone):
            return None, None
        after, (held, held_gpu) = _level(gpu=before.gpu is not None), self._held.get(node, (0.0, 0.0))
        if node not in self._met:
            self._met.add(node)
            self._hold(node, before, after)
        memory, gpu = _host_growth(before, after), _gpu_growth(before)
        return None if memory is None else held + memory, None if gpu is None else held_gpu + gpu

    def _was_alone(self, ticket: int, *, alone: bool) -> bool:
        """Nobody was there at the beginning, and nobody has begun since: the next ticket is the next number."""
        return alone and next(self._tickets) == ticket + 1

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
        self._summaries: dict[str, Fields] = {}
        self._pending: list[Sample] = []

    def add(self, sample: Sample) -> None:
        """Take an attempt in. Few at once are cheaper to sum up than one by one."""
        pending = self._pending
        pending.append(sample)
        if len(pending) >= _AT_ONCE:
            self._sum_up()

    def summaries(self) -> dict[str, Fields]:
        """By node and major version: see :mod:`tyqi_core.runtime.history`."""
        self._sum_up()
        with self._lock:
            return {node: dict(fields) for node, fields in self._summaries.items()}

    def _sum_up(self) -> None:
        with self._lock:
            by_node: dict[str, list[Sample]] = {}
            for _ in range(len(self._pending)):  # one by one: other threads go on adding to the same list
                sample = self._pending.pop()
                by_node.setdefault(sample.node, []).append(sample)
            for node, samples in by_node.items():
                summary = self._summaries.get(node, {})
                self._summaries[node] = merge(summary, summed(samples))


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
