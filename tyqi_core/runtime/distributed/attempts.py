"""What a worker process holds: attempts under lease, and the errands of its threads."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from time import monotonic
from typing import NamedTuple

from tyqi_core.errors import NodeError, TaskCancelled, TyqiError
from tyqi_core.runtime.context import TaskContext
from tyqi_core.runtime.distributed.library import Part, Task
from tyqi_core.runtime.distributed.segments import Segment
from tyqi_core.runtime.instances import Slot
from tyqi_core.runtime.processes.boards import Held
from tyqi_core.stores.base import Claim, Settlement

log = logging.getLogger("tyqi.attempts")


class Finished(NamedTuple):
    """An attempt that was executed, and what settles it; ``onward`` is a task to be claimed within that, if any."""

    attempt: Attempt
    settlement: Settlement
    onward: Attempt | None = None


@dataclass(slots=True, eq=False)
class Attempt:
    """One claimed task.

    Attributes:
        began: when its execution began, by the monotonic clock; 0 before.
        deadline: when it is to be given up, by the same clock.
        told: why it was asked to stop: ``timeout``, ``cancel`` or ``fenced``; empty while it is wanted.
        state: ``claimed``, ``executing``; ``executed``: its thread has ended it, it is not settled yet; ``expired``:
            its deadline has ended and settled it, its thread has not come back yet.
        errand: of the thread that holds it.
        answer: how it ended, of an attempt that was executed before it was claimed.
    """

    task: Task
    part: Part
    claim: Claim
    context: TaskContext
    began: float = 0.0
    deadline: float | None = None
    told: str = ""
    state: str = "claimed"
    errand: Errand | None = None
    answer: NodeError | TaskCancelled | None = None

    @property
    def address(self) -> tuple[str, str, int]:
        """Run, instance and token: what the store knows it by."""
        return self.task.run_id, self.task.instance, self.claim.token

    def shown(self) -> Held:
        """What the supervisor must know of it."""
        plan, tries = self.task.loaded.plan.digest, self.claim.tries
        return Held(*self.address, plan, self.deadline, tries, self.state, self.told)


class Attempts:
    """The attempts of this process. Whoever ends one first, its thread or its deadline, settles it.

    Args:
        show: told of all attempts whenever what the supervisor must know has changed.
    """

    def __init__(self, show: Callable[[Sequence[Held]], None]) -> None:
        self._held: dict[tuple[str, str, int], Attempt] = {}
        self._shows_some = False
        self._lock = Lock()
        self._show = show

    def add(self, attempts: Iterable[Attempt]) -> None:
        """Hold attempts that were claimed."""
        with self._lock:
            self._held.update((attempt.address, attempt) for attempt in attempts)
            self._tell()

    def begin(self, attempts: Sequence[Attempt]) -> None:
        """Attempts are executed from now on. The supervisor is told if it could not guess it."""
        with self._lock:
            for attempt in attempts:
                attempt.state = "executing"
            if len(self._held) > len(attempts) or attempts[0].deadline is not None:
                self._tell()

    def take(self, attempt: Attempt) -> bool:
        """Its thread ends an attempt. False: its deadline has ended it already."""
        with self._lock:
            if attempt.state == "expired":
                self._held.pop(attempt.address, None)
                self._tell()
                return False
            attempt.state = "executed"
            return attempt.address in self._held

    def expire(self, attempt: Attempt) -> bool:
        """Its deadline ends an attempt, which is held until its thread comes back. False: its thread has ended it."""
        with self._lock:
            if attempt.state == "executed" or attempt.address not in self._held:
                return False
            attempt.state = "expired"
            return True

    def drop(self, attempts: Iterable[Attempt]) -> None:
        """What was executed is settled, or given back."""
        with self._lock:
            for attempt in attempts:
                self._held.pop(attempt.address, None)

    def changed(self) -> None:
        """Let the supervisor know what has changed in an attempt."""
        with self._lock:
            self._tell()

    def rest(self) -> None:
        """If nothing is held any more, let the supervisor know: it would think that this process is stuck with it."""
        with self._lock:
            if self._shows_some and not self._held:
                self._tell()

    def all(self) -> list[Attempt]:
        """What is held now."""
        with self._lock:
            return list(self._held.values())

    def of(self, errand: Errand) -> list[Attempt]:
        """What the thread of an errand holds, and nobody has ended."""
        with self._lock:
            return [one for one in self._held.values() if one.errand is errand and one.state != "expired"]

    def _tell(self) -> None:
        self._shows_some = bool(self._held)
        try:
            self._show([attempt.shown() for attempt in self._held.values()])
        except TyqiError as error:  # without a board the supervisor knows less; no task fails for that
            log.warning("what this process holds cannot be shown: %s", error)


@dataclass(slots=True, eq=False)
class Errand:
    """What one thread has in hand: the tasks of a message, and what became ready by them.

    The thread works it off. When a task takes long, the pulse takes everything else out of its hands.

    Attributes:
        waiting: ready tasks that are not claimed yet.
        claimed: attempts that have not begun.
        finished: executed attempts that are not settled yet.
        oldest: since when the first of them waits to be settled.
        slot: the node's instance that the thread has entered, for claimed attempts.
        began: since when the thread executes a task; 0: it does not.
        head, segment, inner: what the thread executes without a claim, under which claim, and which task now.
        started, tasks: since when, and how many tasks, this thread goes on without asking who else waits.
        yields: others wait; what becomes ready is sent.
    """

    waiting: deque[Task] = field(default_factory=deque)
    claimed: deque[Attempt] = field(default_factory=deque)
    finished: list[Finished] = field(default_factory=list)
    oldest: float = 0.0
    slot: Slot[Task] | None = None
    began: float = 0.0
    head: Attempt | None = None
    segment: Segment | None = None
    inner: Attempt | None = None
    started: float = field(default_factory=monotonic)
    tasks: int = 0
    yields: bool = False
    lock: Lock = field(default_factory=Lock)

    def next_attempt(self) -> Attempt | None:
        """The attempt to execute now."""
        with self.lock:
            return self.claimed.popleft() if self.claimed else None

    def next_task(self) -> Task | None:
        """The task to claim now."""
        with self.lock:
            return self.waiting.popleft() if self.waiting else None

    def finish(self, finished: Finished) -> None:
        """Have an attempt settled."""
        with self.lock:
            if not self.finished:
                self.oldest = monotonic()
            self.finished.append(finished)

    def take_finished(self) -> list[Finished]:
        """What is to be settled now."""
        with self.lock:
            finished, self.finished = self.finished, []
            return finished

    def take_waiting(self) -> list[Task]:
        """Everything that is not claimed yet."""
        with self.lock:
            waiting = list(self.waiting)
            self.waiting.clear()
            return waiting

    def take_claimed(self) -> list[Attempt]:
        """Everything that has not begun."""
        with self.lock:
            claimed = list(self.claimed)
            self.claimed.clear()
            return claimed

    def empty_handed(self) -> bool:
        """Nothing is left to be claimed or executed."""
        return not self.claimed and not self.waiting
