"""What is due while threads execute: heartbeats, deadlines, relief of a thread whose task takes long."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Final

from tyqi_core.errors import NodeError, TaskTimeout, TyqiError
from tyqi_core.runtime.distributed.attempts import Attempt, Attempts, Errand, Finished
from tyqi_core.runtime.distributed.claiming import RELIEF_S
from tyqi_core.runtime.distributed.settling import Messenger, Settler
from tyqi_core.runtime.distributed.spreading import Stretch, stretches
from tyqi_core.stores.base import Beat, Onward, Settled, Settlement

if TYPE_CHECKING:
    from tyqi_core.stores.redis import RedisStore

log = logging.getLogger("tyqi.upkeep")
STOPPING_S: Final = 5.0
"""Seconds that a node has to end once its run was stopped or its task given away; then its process is ended."""
LATE_S: Final = 1.0
"""The same for a node whose time is up."""


class Upkeep:
    """Looks after the attempts and errands of this process.

    Args:
        store: of the runs.
        settler, messenger: of this process.
        attempts, errands: what it holds.
    """

    def __init__(
        self,
        store: RedisStore,
        settler: Settler,
        messenger: Messenger,
        attempts: Attempts,
        errands: Collection[Errand],
    ) -> None:
        self._store = store
        self._settler = settler
        self._messenger = messenger
        self._attempts = attempts
        self._errands = errands
        self._beat_s = min(store.options.lease_s / 4, 1.0)
        self._next_beat = 0.0

    def tick(self) -> float:
        """Do what is due. Returns when something will be due next, by the monotonic clock."""
        now = monotonic()
        held = self._attempts.all()
        if not held:
            self._attempts.rest()
        if held and now >= self._next_beat:
            self._next_beat = now + self._beat_s
            self._beat([attempt for attempt in held if attempt.state != "expired"])
        for attempt in held:
            if attempt.deadline is not None and now >= attempt.deadline and not attempt.told:
                self._expire(attempt)
        for errand in list(self._errands):
            if errand.began and now - errand.began >= RELIEF_S:
                self._relieve(errand)
        return min(self._next(now, held), default=float("inf"))

    def _next(self, now: float, held: Sequence[Attempt]) -> Iterator[float]:
        if held:
            yield self._next_beat
        for attempt in held:
            if attempt.deadline is not None and not attempt.told:
                yield attempt.deadline
        for errand in list(self._errands):
            if errand.claimed or errand.waiting or errand.finished or errand.inner:
                yield now + RELIEF_S

    def _beat(self, held: Sequence[Attempt]) -> None:
        self._attempts.changed()  # a sign of life for the supervisor, whether or not the store can be reached
        answers = self._store.beat_many([attempt.address for attempt in held])
        for attempt, beat in zip(held, answers, strict=True):
            if beat is not Beat.OK and not attempt.told:
                self._tell(attempt, "cancel" if beat is Beat.CANCEL else "fenced", STOPPING_S)

    def _tell(self, attempt: Attempt, why: str, grace: float) -> None:
        attempt.told, attempt.context.cancelled = why, True
        attempt.deadline = monotonic() + grace
        self._attempts.changed()
        log.info("%s of run %s is asked to stop: %s", attempt.task.instance, attempt.task.run_id, why)

    def _expire(self, attempt: Attempt) -> None:
        """An attempt's time is up: settle it so, and tell its node."""
        if self._attempts.expire(attempt):
            timeout = attempt.part.task.timeout or 0.0
            self._tell(attempt, "timeout", LATE_S)
            self.end(attempt, TaskTimeout(f"no result within {timeout:g} s"))

    def end(self, attempt: Attempt, error: NodeError) -> None:
        """Settle an attempt whose thread does not do it."""
        task, claim = attempt.task, attempt.claim
        after = self._settler.failed(task, claim.token, claim.tries, error)
        if isinstance(after, Settlement):
            self._settler.finish([Finished(attempt, after)])
        elif after is not None:
            self._messenger.tell(task.run_id, task.loaded, [Stretch(task.instance)])

    def abandon(self, errand: Errand) -> None:
        """Give everything to others that the thread of an errand holds, which does not go on.

        What it was executing goes to them with its lease, as a death: it may be what the thread broke off for.
        """
        errand.take_finished()
        errand.take_claimed()
        held = self._attempts.of(errand)
        self._attempts.drop(held)
        waiting = errand.take_waiting()
        for attempt in held:
            if attempt.state == "claimed":
                self._hand_back(attempt)
                waiting.append(attempt.task)
        self._messenger.tell_tasks(waiting)

    def _relieve(self, errand: Errand) -> None:
        """Take everything but the task that executes out of a thread's hands, and give it to others."""
        with errand.lock:
            inner, head, segment = errand.inner, errand.head, errand.segment
            if inner and head and segment and not inner.told and not inner.claim.token:
                self._rescue(inner, Finished(head, segment.settlement(), inner))
        if finished := errand.take_finished():
            try:
                self._settler.finish(finished)
            finally:
                self._attempts.drop(one.attempt for one in finished)
        waiting = errand.take_waiting()
        for attempt in errand.take_claimed():
            if self._attempts.take(attempt):
                self._attempts.drop([attempt])
                self._hand_back(attempt)
                waiting.append(attempt.task)
        self._messenger.tell_tasks(waiting)

    def _hand_back(self, attempt: Attempt) -> None:
        """Release what has not begun; if that fails, its lease ends by itself, as it is not extended any more."""
        try:
            self._store.release(*attempt.address, again=True)
        except TyqiError as error:
            log.warning("%s of run %s is left to its lease: %s", attempt.task.instance, attempt.task.run_id, error)

    def _rescue(self, inner: Attempt, finished: Finished) -> None:
        """Settle a segment whose last task takes long, and claim that task: from now on it is one like any other."""
        task = inner.task
        onward = Onward(task.instance, inner.part.executable.wanted(task.instance))
        (settled,) = self._settler.commit([finished.settlement], [onward])
        claimed = settled.claimed if isinstance(settled, Settled) else None
        if claimed is None:
            inner.told, inner.context.cancelled = "fenced", True
        else:
            inner.claim = claimed.claim
            timeout = inner.part.task.timeout
            inner.deadline = None if timeout is None else inner.began + timeout
            inner.state = "executing"
            self._attempts.add([inner])
        if isinstance(settled, Settled):
            ready = [entry for entry in settled.ready if entry.path != task.instance]
            self._messenger.tell(task.run_id, task.loaded, stretches(ready))
