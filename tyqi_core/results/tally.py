"""What became of each place of a plan, over the items of one run and over the runs of a batch.

A *place* is an instance without its item numbers: ``T4[3]/T5/T5a`` and ``T4[9]/T5/T5a`` are both ``T4/T5/T5a``. A
drawing has one box for each place.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

_INDEX = re.compile(r"\[\d+\]")


State = Literal["plain", "idle", "completed", "failed", "skipped", "running"]
_WORST_FIRST: tuple[State, ...] = ("failed", "running", "completed", "skipped")


class StepLike(Protocol):
    """What a drawing needs to know of one task instance; ``runtime.story.Step`` has it."""

    status: str
    outcome: str | None

    @property
    def duration_ms(self) -> float:
        """Milliseconds of the last attempt."""
        ...


Story = Mapping[str, StepLike]
"""Task instance -> what became of it."""


@dataclass(slots=True)
class Tally:
    """How often each status and each outcome came about at one place, and the milliseconds spent there."""

    statuses: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    duration_ms: float = 0.0

    @property
    def total(self) -> int:
        """How many instances were there."""
        return self.statuses.total()


def state_of(tallied: Tally | None) -> State:
    """The one word for a place: the worst that happened there; ``plain`` where there is no story to tell."""
    if tallied is None:
        return "plain"
    if not tallied.total:
        return "idle"
    return next((status for status in _WORST_FIRST if tallied.statuses[status]), "running")


def place_of(instance: str) -> str:
    """``T4[3]/T5`` -> ``T4/T5``."""
    return _INDEX.sub("", instance)


def tally(stories: Iterable[Story]) -> dict[str, Tally]:
    """Place -> what became of it in all these runs together. A place where nothing happened is not in it."""
    tallies: dict[str, Tally] = {}
    for story in stories:
        for instance, step in story.items():
            entry = tallies.setdefault(place_of(instance), Tally())
            entry.statuses[step.status] += 1
            entry.duration_ms += step.duration_ms
            if step.outcome is not None:
                entry.outcomes[step.outcome] += 1
    return tallies
