"""How long tasks take: what this process has seen, else what all have seen; and what it tells the others of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Final

from tyqi_core.runtime.history import Expectations, NodeHistory, changes_of
from tyqi_core.runtime.measuring import Tally
from tyqi_core.stores.base import Count
from tyqi_core.workflow.plan import PlanTask

TELL_S: Final = 1.0
"""How often what was seen of a node goes to the history that all share: with a settlement, for several executions."""


class Durations:
    """Expected durations by node and major version.

    Args:
        known: what all workers have seen so far.
    """

    def __init__(self, known: Mapping[str, NodeHistory] | None = None) -> None:
        self.tally = Tally()
        self._expectations = Expectations(known)
        self._told: dict[str, float] = {}
        self._untold: dict[str, float] = {}

    def expected(self, task: PlanTask) -> float | None:
        """Seconds, or ``None`` while too little is known."""
        return self._expectations.expected_s(reference(task))

    def note(self, task: PlanTask, seconds: float) -> None:
        """An execution took so long."""
        node = reference(task)
        self._expectations.learn(node, seconds)
        if node not in self._untold:
            self._untold[node] = max(monotonic(), self._told.get(node, 0.0) + TELL_S)

    def counts(self) -> tuple[str, Sequence[Count]]:
        """A node, and what the history that all share is to be told of it now; mostly nothing."""
        if not self._untold:
            return "", ()
        now, node = monotonic(), next(iter(self._untold))
        due = self._untold.pop(node, now)
        if now < due:
            self._untold[node] = due  # the others are looked at first
            return "", ()
        self._told[node] = now
        counts = [Count(*change) for change in changes_of(self.tally.taken(node))]
        return (node, counts) if counts else ("", ())


def reference(task: PlanTask) -> str:
    """The node of a task as histories name it."""
    return f"{task.node.id}@{task.node.major}"
