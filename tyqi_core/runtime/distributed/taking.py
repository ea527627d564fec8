"""Taking wake-ups from the broker without Celery's way through its main process, by a worker that is at it anyway.

A message that Celery hands to a process costs 2 to 3 ms of processor time and about as long until it begins. So a
thread that has done what a message asked for takes further ones from the broker itself: what waits, and on Redis what
comes within a moment. It returns to Celery when nothing comes, after a while, or when it meets a message that is no
wake-up, which it puts back. docs/decisions/0067 has the reasons.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tyqi_core.runtime.distributed.broker import TASK_PREFIX
from tyqi_core.runtime.distributed.spreading import Stretch
from tyqi_core.runtime.distributed.takers import Taker, taker_for

if TYPE_CHECKING:
    from celery import Celery

log = logging.getLogger("tyqi.taking")
LINGER_S: Final = 1.0
"""How long a thread waits for a further message before it returns to Celery."""
BOUT_S: Final = 5.0
"""How long it goes on in all: Celery recycles processes between tasks of its own."""
_STEP_S: Final = 0.25


class Call(NamedTuple):
    """What a wake-up asks for."""

    run_id: str
    plan: str
    ready: list[Stretch]


class Taking:
    """Takes wake-ups for the threads of one process.

    Args:
        app: of the broker.
        queues: those that this worker serves.
        ending: whether the process is about to end; then nothing more is taken.
    """

    def __init__(self, app: Celery, queues: Sequence[str], ending: Callable[[], bool]) -> None:
        self._app = app
        self._queues = tuple(queues)
        self._ending = ending
        self._mine = threading.local()

    def calls(self) -> Iterator[Call]:
        """What waits for this thread, one after the other, until it is time to return to Celery."""
        taker = self._taker()
        try:
            try:
                yield from self._taken(taker)
            finally:
                taker.rest()
        except taker.faults as error:  # Celery's own consumer deals with a broker that is away
            log.info("no message could be taken: %s", error)
            self.close()

    def _taken(self, taker: Taker) -> Iterator[Call]:
        began = idle = monotonic()
        while not self._ending() and (now := monotonic()) - began < BOUT_S:
            left = LINGER_S - (now - idle)
            if left <= 0:
                return
            message = taker.take(self._queues, min(_STEP_S, left))
            call = None if message is None else call_of(message.headers, message.body)
            if message is None:
                if not taker.lingers(self._queues):
                    return
            elif call is None:  # no wake-up: for Celery to deal with
                taker.put_back(message)
                return
            else:
                try:
                    yield call
                finally:  # also if it failed: the store knows what is left to do
                    taker.done(message)
                idle = monotonic()

    def close(self) -> None:
        """End this thread's connection; the next message is taken over a new one."""
        taker: Taker | None = getattr(self._mine, "taker", None)
        if taker is not None and self._mine.pid == os.getpid():
            taker.drop()
        self._mine.taker = None

    def _taker(self) -> Taker:
        taker: Taker | None = getattr(self._mine, "taker", None)
        if taker is None or self._mine.pid != os.getpid():
            taker = self._mine.taker = taker_for(self._app)
            self._mine.pid = os.getpid()
        return taker


def call_of(headers: Any, body: bytes | str) -> Call | None:
    """The call of a Celery message, if it is a wake-up."""
    try:
        (run_id, plan, *ready), more, _ = json.loads(body)
        if more or not str(headers["task"]).startswith(TASK_PREFIX) or not isinstance(run_id, str):
            return None
        return Call(run_id, str(plan), [Stretch.from_json(part) for part in ready])
    except (ValueError, TypeError, LookupError):
        return None
