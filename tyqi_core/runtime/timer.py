"""Calls that are due later: one thread for all deadlines and delays of a runtime, started when first needed."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
from collections.abc import Callable
from time import monotonic

log = logging.getLogger("tyqi.timer")
_KEEP = 64


class Timer:
    """Runs short callables at given times, in order, on a thread of its own."""

    def __init__(self) -> None:
        self._calls: dict[int, Callable[[], None]] = {}
        self._due: list[tuple[float, int]] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    def after(self, seconds: float, call: Callable[[], None]) -> int:
        """Have ``call`` run in ``seconds``; the number returned serves to cancel it."""
        with self._changed:
            number = next(self._numbers)
            self._calls[number] = call
            heapq.heappush(self._due, (monotonic() + seconds, number))
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._work, name="tyqi-timer", daemon=True)
                self._thread.start()
            if self._due[0][1] == number:
                self._changed.notify()
            return number

    def cancel(self, number: int) -> bool:
        """Forget a call. False: it has begun already."""
        with self._changed:
            found = self._calls.pop(number, None) is not None
            if len(self._due) > max(_KEEP, 2 * len(self._calls)):  # most entries are cancelled: drop them
                self._due = [entry for entry in self._due if entry[1] in self._calls]
                heapq.heapify(self._due)
            return found

    def close(self) -> None:
        """Stop; what is waiting is dropped."""
        with self._changed:
            self._closed = True
            self._calls.clear()
            self._due.clear()
            self._changed.notify()

    def _work(self) -> None:
        while (call := self._next()) is not None:
            try:
                call()
            except Exception:
                log.exception("a timed call failed")

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            while not self._closed:
                wait = self._due[0][0] - monotonic() if self._due else None
                if wait is not None and wait <= 0:
                    _, number = heapq.heappop(self._due)
                    if (call := self._calls.pop(number, None)) is not None:
                        return call
                else:
                    self._changed.wait(wait)
            return None
