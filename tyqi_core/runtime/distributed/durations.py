"""How long tasks take: what this process has seen, else what all have seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from tyqi_core.stores.base import Count
from tyqi_core.workflow.plan import PlanTask

ENOUGH: Final = 3
"""Executions from which on a mean is believed."""
_WEIGHT: Final = 0.1


class Durations:
    """Expected durations by node and major version.

    Args:
        shared: reads the histories that all workers share: node -> (executions, mean seconds).
    """

    def __init__(self, shared: Callable[[], Mapping[str, tuple[int, float]]] = dict) -> None:
        self._shared = shared
        self._known: dict[str, tuple[int, float]] = {}

    def refresh(self) -> None:
        """Take over what others have seen of nodes that this process has not seen yet."""
        for node, (count, mean) in self._shared().items():
            if node not in self._known and count:
                self._known[node] = (min(count, ENOUGH), mean)

    def expected(self, task: PlanTask) -> float | None:
        """Seconds, or ``None`` while too little is known."""
        known = self._known.get(reference(task))
        return known[1] if known is not None and known[0] >= ENOUGH else None

    def note(self, task: PlanTask, seconds: float) -> None:
        """An execution took so long."""
        node = reference(task)
        count, mean = self._known.get(node, (0, 0.0))
        self._known[node] = (count + 1, mean + (seconds - mean) * max(_WEIGHT, 1 / (count + 1)))

    def counts(self, task: PlanTask, seconds: float) -> tuple[str, Sequence[Count]]:
        """What the history that all share is told of an execution."""
        us = round(seconds * 1e6)
        return reference(task), (Count("n", "add", 1), Count("us", "add", us), Count("max_us", "max", us))


def reference(task: PlanTask) -> str:
    """The node of a task as histories name it."""
    return f"{task.node.id}@{task.node.major}"
