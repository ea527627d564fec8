"""What is remembered of a node's executions: a summary of constant size that fades, merges, and fits a Redis hash.

A summary is a mapping of fields to whole numbers, one per node and major version:

==================  ==================================================================================================
field               meaning
==================  ==================================================================================================
``n``               executions ever
``bad``             attempts that failed ever; their durations are not kept, they would tell of something else
``b0`` .. ``b159``  executions whose duration in microseconds lies in [2^(i/4), 2^((i+1)/4)): a percentile read from
                    them is off by at most 9% (half of a bucket, in ratio)
``us``              sum of the durations in the buckets, in microseconds
``max``             longest duration, in microseconds
``mem``, ``gpu``    peak memory and GPU memory, in MiB, rounded up; see :mod:`tyqi_core.runtime.measuring`
``max1`` ..         the same peaks of the last period before in which they were measured
==================  ==================================================================================================

Old executions fade. Whenever ``n`` reaches a multiple of :data:`PERIOD`, the buckets are halved, ``us`` shrinks with
them so that the mean stays, and the peaks, if there are new ones, become those of the period before. So durations speak
of the last one to two periods, and a peak is forgotten when a whole later period was measured to stay below it.

Pure: no clock, no files. ``stores/scripts/history.lua`` does the same within a Redis script.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log2
from typing import Final, Literal, NamedTuple

import numpy as np

PERIOD: Final = 256
"""Executions after which what is older counts half."""
ENOUGH: Final = 5
"""Executions from which on a duration is believed."""
BUCKETS: Final = 160
"""The last one begins at 2^(159/4) microseconds, ten days."""
_LONGEST: Final = 2**40 - 1
"""Microseconds; thirteen days are no duration of a task."""
_PER_OCTAVE: Final = 4
_PEAKS: Final = ("max", "mem", "gpu")
_FORGOTTEN: Final = (2 * PERIOD).bit_length()
"""After so many halvings nothing of a summary is left."""
_MOST: Final = 2**53
"""Whole numbers up to here survive JSON readers and Lua."""

Fields = dict[str, int]
Change = tuple[str, Literal["add", "max"], int]


class Sample(NamedTuple):
    """One attempt that was executed.

    Attributes:
        node: id and major version, ``crack.segment@1``.
        seconds: how long it took, without setup and without waiting.
        memory_mb: peak memory that the node took, or ``None`` if it was not measured.
        gpu_memory_mb: the same on the GPU.
        failed: it ended with an error.
    """

    node: str
    seconds: float
    memory_mb: float | None = None
    gpu_memory_mb: float | None = None
    failed: bool = False


@dataclass(frozen=True, slots=True)
class NodeHistory:
    """A summary as people and planners read it.

    Attributes:
        count: executions ever.
        failures: attempts that failed ever.
        recent: how many executions the durations speak of.
        mean_s, p50_s, p95_s, max_s: durations in seconds; 0 when ``recent`` is 0.
        memory_mb, gpu_memory_mb: peaks in MiB, ``None`` if they were never measured.
    """

    count: int
    failures: int
    recent: int
    mean_s: float
    p50_s: float
    p95_s: float
    max_s: float
    memory_mb: int | None
    gpu_memory_mb: int | None

    @property
    def believed(self) -> bool:
        """Whether there are enough executions to speak of durations."""
        return self.recent >= ENOUGH


def fields_of(sample: Sample) -> list[Change]:
    """What a sample does to the summary of its node; ``n`` comes last, because it may start the fading."""
    if sample.failed:
        return [("bad", "add", 1)]
    microseconds = _microseconds(sample.seconds)
    changes: list[Change] = [
        (f"b{bucket_of(microseconds)}", "add", 1),
        ("us", "add", microseconds),
        ("max", "max", microseconds),
    ]
    if sample.memory_mb is not None:
        changes.append(("mem", "max", _mebibytes(sample.memory_mb)))
    if sample.gpu_memory_mb is not None:
        changes.append(("gpu", "max", _mebibytes(sample.gpu_memory_mb)))
    changes.append(("n", "add", 1))
    return changes


def summed(samples: Sequence[Sample]) -> Fields:
    """The summary of some samples of one node; cheaper than applying them one by one."""
    executed = [sample for sample in samples if not sample.failed]
    fields = of_durations([sample.seconds for sample in executed])
    if failures := len(samples) - len(executed):
        fields["bad"] = failures
    memory = [_mebibytes(one.memory_mb) for one in executed if one.memory_mb is not None]
    gpu = [_mebibytes(one.gpu_memory_mb) for one in executed if one.gpu_memory_mb is not None]
    return fields | {name: max(peaks) for name, peaks in (("mem", memory), ("gpu", gpu)) if peaks}


def of_durations(seconds: Sequence[float]) -> Fields:
    """The summary of executions of which nothing but their durations is known."""
    if not seconds:
        return {}
    durations = np.clip(np.array(seconds) * 1e6, 1, _LONGEST).astype(np.int64)
    times = np.bincount((_PER_OCTAVE * np.log2(durations)).astype(np.int64))
    fields = {f"b{number}": int(times[number]) for number in times.nonzero()[0]}
    return fields | {"n": len(durations), "us": int(durations.sum()), "max": int(durations.max())}


def bucket_of(microseconds: int) -> int:
    """The number of the bucket that a duration of 1 to 2^40 - 1 microseconds falls into."""
    return int(_PER_OCTAVE * log2(microseconds))


def changes_of(fields: Fields) -> list[Change]:
    """What adding a summary up does to another one; ``n`` comes last, because it may start the fading."""
    changes: list[Change] = [(name, "max" if name in _PEAKS else "add", value) for name, value in fields.items()]
    return sorted((change for change in changes if not change[0].endswith("1") or change[0][0] == "b"), key=_n_last)


def _n_last(change: Change) -> bool:
    return change[0] == "n"


def apply(fields: Fields, changes: Iterable[Change]) -> None:
    """Change a summary in place, and let it fade when a period is over."""
    for name, kind, value in changes:
        before = fields.get(name, 0)
        fields[name] = before + value if kind == "add" else max(before, value)
        if name == "n" and fields[name] // PERIOD > before // PERIOD:
            fade(fields)


def fade(fields: Fields) -> None:
    """Let a period end, in place."""
    before = after = 0
    for name in [name for name in fields if name[0] == "b" and name != "bad"]:
        before += fields[name]
        if half := fields[name] // 2:
            fields[name] = half
            after += half
        else:
            del fields[name]
    fields["us"] = int(fields.get("us", 0) / before * after) if before else 0
    for name in _PEAKS:
        if name in fields:
            fields[f"{name}1"] = fields.pop(name)


def merge(older: Mapping[str, int], newer: Mapping[str, int]) -> Fields:
    """Two summaries of one node as one. What is ``older`` fades by as many periods as ``newer`` has seen."""
    merged = dict(older)
    for _ in range(min(newer.get("n", 0) // PERIOD, _FORGOTTEN)):
        fade(merged)
    for name, value in newer.items():
        is_peak = name.rstrip("1") in _PEAKS
        merged[name] = max(merged.get(name, 0), value) if is_peak else merged.get(name, 0) + value
    if _recent(merged) > 2 * PERIOD:
        fade(merged)
    return merged


def parsed(raw: Mapping[str, object] | Mapping[bytes, object]) -> Fields:
    """A summary as a store or a file holds it, checked.

    Raises:
        ValueError: it is none.
    """
    fields = {}
    for key, value in raw.items():
        name = key.decode("ascii") if isinstance(key, bytes) else key
        if name not in _KNOWN or isinstance(value, bool) or not isinstance(value, int | str | bytes):
            raise ValueError(f"{name!r} with {value!r} is no field of a summary")
        fields[name] = int(value)
        if not 0 <= fields[name] <= _MOST:
            raise ValueError(f"the field {name!r} holds {value!r}")
    return fields


_KNOWN: Final = frozenset(
    [
        *("n", "bad", "us"),
        *_PEAKS,
        *(f"{name}1" for name in _PEAKS),
        *(f"b{number}" for number in range(BUCKETS)),
    ]
)


def from_fields(fields: Mapping[str, int]) -> NodeHistory:
    """A summary, ready to be read."""
    recent = _recent(fields)
    longest = max(fields.get("max", 0), fields.get("max1", 0)) / 1e6
    return NodeHistory(
        count=fields.get("n", 0),
        failures=fields.get("bad", 0),
        recent=recent,
        mean_s=fields.get("us", 0) / recent / 1e6 if recent else 0.0,
        p50_s=min(longest, _percentile(fields, recent, 0.5)),
        p95_s=min(longest, _percentile(fields, recent, 0.95)),
        max_s=longest,
        memory_mb=_peak(fields, "mem"),
        gpu_memory_mb=_peak(fields, "gpu"),
    )


class Expectations:
    """How long a node's next execution is expected to take: what decides whether a task stays or is published.

    Args:
        histories: by node and major version.
    """

    def __init__(self, histories: Mapping[str, NodeHistory] | None = None) -> None:
        self._known: dict[str, tuple[int, float]] = {}
        self.replace(histories or {})

    def replace(self, histories: Mapping[str, NodeHistory]) -> None:
        """Take what a store now holds for what is known; nodes that it does not name stay as they are."""
        for node, history in histories.items():
            self._known[node] = history.recent, history.mean_s

    def learn(self, node: str, seconds: float) -> None:
        """Take in an execution of this process. After many, one counts a sixteenth: the mean follows changes.

        One that took many times the mean counts as a few times it: a busy machine interrupts short executions for far
        longer than they take, and what is expected is what they take.
        """
        count, mean = self._known.get(node, _UNKNOWN)
        if count >= ENOUGH:
            seconds = min(seconds, _OUTLIER * mean)
        self._known[node] = count + 1, mean + (seconds - mean) / min(count + 1, _MEMORY)

    def expected_s(self, node: str) -> float | None:
        """Mean seconds, or ``None`` as long as too little is known: then any declared class is longer than a hop."""
        count, mean = self._known.get(node, _UNKNOWN)
        return mean if count >= ENOUGH else None


_MEMORY: Final = 16
_OUTLIER: Final = 4
_UNKNOWN: Final = (0, 0.0)


def _microseconds(seconds: float) -> int:
    """At least 1, and at most what the last bucket holds."""
    return max(1, min(_LONGEST, int(seconds * 1e6)))


def _mebibytes(memory: float) -> int:
    return max(0, ceil(memory))


def _recent(fields: Mapping[str, int]) -> int:
    return sum(value for name, value in fields.items() if name[0] == "b" and name != "bad")


def _percentile(fields: Mapping[str, int], recent: int, share: float) -> float:
    """The duration that ``share`` of the executions do not exceed: the geometric middle of its bucket."""
    seen = 0
    for number in range(BUCKETS):
        seen += fields.get(f"b{number}", 0)
        if seen and seen >= share * recent:
            return float(2 ** ((number + 0.5) / _PER_OCTAVE)) / 1e6
    return 0.0


def _peak(fields: Mapping[str, int], name: str) -> int | None:
    found = [fields[key] for key in (name, f"{name}1") if key in fields]
    return max(found, default=None)
