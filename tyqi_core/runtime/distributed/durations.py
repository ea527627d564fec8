"""How long tasks take: what this process has seen, else what all have seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final

from tyqi_core.stores.base import Count
from tyqi_core.workflow.plan import PlanTask

ENOUGH: Final = 3
"""Executions from which on a mean is believed."""
TELL_S: Final = 1.0
"""How often what was seen is handed to the history that all share: with a settlement, for several executions."""
_WEIGHT: Final = 0.1


@dataclass(slots=True)
class _Seen:
    """What this process knows of a node, and what it has not told yet."""

    count: int = 0
    mean: float = 0.0
    untold: int = 0
    untold_us: int = 0
    longest_us: int = 0
    told: float = 0.0


class Durations:
    """Expected durations by node and major version.

    Args:
        shared: reads the histories that all workers share: node -> (executions, mean seconds).
    """

    def __init__(self, shared: Callable[[], Mapping[str, tuple[int, float]]] = dict) -> None:
        self._shared = shared
        self._seen: dict[str, _Seen] = {}

    def refresh(self) -> None:
        """Take over what others have seen of nodes that this process has not seen yet."""
        for node, (count, mean) in self._shared().items():
            if count and node not in self._seen:
                self._seen[node] = _Seen(min(count, ENOUGH), mean)

    def expected(self, task: PlanTask) -> float | None:
        """Seconds, or ``None`` while too little is known."""
        seen = self._seen.get(reference(task))
        return seen.mean if seen is not None and seen.count >= ENOUGH else None

    def note(self, task: PlanTask, seconds: float, times: int = 1) -> None:
        """Executions took so long each."""
        seen = self._seen.setdefault(reference(task), _Seen())
        seen.count += times
        seen.mean += (seconds - seen.mean) * max(_WEIGHT, times / seen.count)
        seen.untold += times
        us = round(seconds * 1e6)
        seen.untold_us += us * times
        seen.longest_us = max(seen.longest_us, us)

    def counts(self, task: PlanTask) -> tuple[str, Sequence[Count]]:
        """What the history that all share is to be told now; mostly nothing."""
        node, now = reference(task), monotonic()
        seen = self._seen.get(node)
        if seen is None or not seen.untold or now - seen.told < TELL_S:
            return "", ()
        counts = (
            Count("n", "add", seen.untold),
            Count("us", "add", seen.untold_us),
            Count("max_us", "max", seen.longest_us),
        )
        seen.untold, seen.untold_us, seen.longest_us, seen.told = 0, 0, 0, now
        return node, counts


def reference(task: PlanTask) -> str:
    """The node of a task as histories name it."""
    return f"{task.node.id}@{task.node.major}"
