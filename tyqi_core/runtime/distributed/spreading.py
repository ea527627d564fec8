"""Which ready tasks a worker goes on with, and which it sends to others: pure, no clock, no network.

The rules
---------
1.  A task of a queue that this worker does not serve is sent.
2.  Tasks that are known to be shorter than a hop stay here, up to :data:`KEEP_S` of them; more are sent, as many in
    one message as fill that time, because an idle worker is worth a hop by then.
3.  Of the others, which may be long, one (or one batch of items) stays if the worker has nothing else in hand; each of
    the rest is sent alone.
4.  Items of a loop whose duration nobody knows are sent in :data:`PARTS` messages. Who gets such a message executes
    one item, knows its duration then, and sends on what it should not keep: so chunks adapt to what the items take.
5.  Of tasks that share batches one message a batch is sent: who gets it looks for what waits in their group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from tyqi_core.scheduler import Ready, task_id
from tyqi_core.stores.base import split_range
from tyqi_core.workflow.plan import Plan, PlanTask

HOP_S: Final = 0.003
"""What sending a task through the broker costs, measured: 2.7 ms until it begins, 2 to 3 ms of processor time."""
TASK_S: Final = 0.0003
"""What claiming and settling a task costs, whatever it does."""
KEEP_S: Final = 0.010
PARTS: Final = 16

Expected = Callable[[PlanTask], float | None]
"""Seconds that a task takes; ``None`` where nobody knows."""


class Stretch(NamedTuple):
    """A task, or the items ``first`` to ``stop - 1`` of a path with ``[*]``."""

    path: str
    first: int = 0
    stop: int | None = None

    @property
    def size(self) -> int:
        """How many tasks it stands for."""
        return 1 if self.stop is None else self.stop - self.first

    def instances(self) -> Iterator[str]:
        """Their paths."""
        if self.stop is None:
            yield self.path
            return
        before, after = split_range(self.path)
        for index in range(self.first, self.stop):
            yield f"{before}[{index}]{after}"

    def split(self, size: int) -> tuple[Stretch, Stretch | None]:
        """The first ``size`` tasks, and the rest."""
        if self.stop is None or self.size <= size:
            return self, None
        middle = self.first + size
        return Stretch(self.path, self.first, middle), Stretch(self.path, middle, self.stop)

    def to_json(self) -> Any:
        """As it travels in a message."""
        return self.path if self.stop is None else [self.path, self.first, self.stop]

    @classmethod
    def from_json(cls, body: Any) -> Stretch:
        """What :meth:`to_json` wrote.

        Raises:
            ValueError: it is nothing of that form.
        """
        if isinstance(body, str):
            return cls(body)
        match body:
            case [str(path), int(first), int(stop)] if 0 <= first < stop <= MOST_ITEMS and path.count("[*]") == 1:
                return cls(path, first, stop)
        raise ValueError(f"{str(body)[:100]!r} names no tasks")


MOST_ITEMS: Final = 10**9


@dataclass(slots=True)
class Spread:
    """What stays, and what is sent: lists of tasks of one node and one queue, each a message."""

    keep: list[Stretch] = field(default_factory=list)
    send: list[tuple[PlanTask, list[Stretch]]] = field(default_factory=list)


def stretches(ready: Iterable[Ready]) -> list[Stretch]:
    """Ready tasks as stretches."""
    return [Stretch(entry.path, 0, entry.items) if entry.items else Stretch(entry.path) for entry in ready]


def spread(
    plan: Plan, ready: Sequence[Stretch], serves: Callable[[Stretch], bool], expected: Expected, *, idle: bool
) -> Spread:
    """Divide ready tasks of one run.

    Args:
        plan: the run's.
        ready: the tasks.
        serves: whether this worker may execute a task.
        expected: how long a task takes.
        idle: the worker has nothing else in hand.
    """
    found = Spread()
    room = KEEP_S
    away: list[tuple[PlanTask, Stretch]] = []
    for stretch in ready:
        task = plan.tasks[task_id(stretch.path)]
        mine, seconds = serves(stretch), expected(task)
        if mine and seconds is not None and seconds < HOP_S and not task.max_batch:
            kept, rest = stretch.split(max(1, int(room / (seconds + TASK_S)))) if room > 0 else (None, stretch)
            room -= (seconds + TASK_S) * (kept.size if kept else 0)
        elif mine and idle and not found.keep:
            kept, rest = stretch.split(max(1, task.max_batch))
        else:
            kept, rest = None, stretch
        if kept is not None:
            found.keep.append(kept)
        if rest is not None:
            away.append((task, rest))
    found.send = list(messages(away, expected))
    return found


def messages(away: Iterable[tuple[PlanTask, Stretch]], expected: Expected) -> Iterator[tuple[PlanTask, list[Stretch]]]:
    """Tasks that are sent, as many in one message as are expected to take :data:`KEEP_S`."""
    started: dict[tuple[str, str], tuple[PlanTask, list[Stretch], float]] = {}
    for task, whole in away:
        seconds = expected(task)
        rest: Stretch | None = whole
        while rest is not None:
            part, rest = rest.split(_size(task, whole, seconds))
            if seconds is None or part.size > 1 or task.max_batch:
                yield task, [part]
                continue
            # Single short tasks of one node share a message until it is full.
            _, together, filled = started.pop((task.node.id, task.queue), (task, [], 0.0))
            together.append(part)
            filled += seconds + TASK_S
            if filled >= KEEP_S:
                yield task, together
            else:
                started[task.node.id, task.queue] = task, together, filled
    for task, together, _ in started.values():
        yield task, together


def _size(task: PlanTask, whole: Stretch, seconds: float | None) -> int:
    """How many items of a stretch one message holds."""
    if task.max_batch:
        return task.max_batch
    if seconds is None:
        return -(-whole.size // PARTS)
    return max(1, int(KEEP_S / (seconds + TASK_S)))
