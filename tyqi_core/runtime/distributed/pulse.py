"""One thread that does what is due: heartbeats, deadlines, relief of threads whose task takes long."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event, Thread
from time import monotonic
from typing import Final

log = logging.getLogger("tyqi.pulse")
_AGAIN_S: Final = 1.0


class Pulse:
    """Calls ``tick`` whenever something is due.

    Args:
        tick: does what is due, and returns when the next thing will be, by the monotonic clock.
    """

    def __init__(self, tick: Callable[[], float]) -> None:
        self._tick = tick
        self._due = float("inf")
        self._changed = Event()
        self._closed = False
        self._thread: Thread | None = None

    def by(self, due: float) -> None:
        """Something will be due at that time."""
        if due >= self._due:
            return
        self._due = due
        if self._thread is None:
            self._thread = Thread(target=self._work, name="tyqi-pulse", daemon=True)
            self._thread.start()
        self._changed.set()

    def close(self) -> None:
        """Stop."""
        self._closed = True
        self._changed.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _work(self) -> None:
        while not self._closed:
            wait = self._due - monotonic()
            if wait > 0:
                self._changed.wait(None if wait == float("inf") else wait)
                self._changed.clear()
                continue
            self._due = float("inf")  # what comes up during the tick is not lost: it sets an earlier time again
            self.by(self._ticked())

    def _ticked(self) -> float:
        try:
            return self._tick()
        except Exception:  # the store may be away; the next tick tries again
            log.exception("a tick failed")
            return monotonic() + _AGAIN_S
