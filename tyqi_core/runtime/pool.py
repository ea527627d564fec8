"""Worker threads that perform jobs and go on with the job that each performance returns."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final, NamedTuple

log = logging.getLogger("tyqi.pool")


class Job(NamedTuple):
    """One thing to do: a task of a run, or, with an empty instance, opening the run."""

    run_id: str
    instance: str


WORKER: Final = "tyqi-worker"
"""The name of every thread of a pool."""
RETIRE: Final = Job("", "")
"""Returned by a performance whose thread was replaced meanwhile: the thread ends."""


class WorkerPool:
    """Threads, started when there is more to do than there are idle ones, up to a limit.

    Args:
        perform: does a job and returns the one to go on with, if any. An exception from it is logged.
        limit: how many threads there may be.
    """

    def __init__(self, perform: Callable[[Job], Job | None], limit: int) -> None:
        self._perform = perform
        self._limit = limit
        self._queue: SimpleQueue[Job] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._idle = 0

    def submit(self, job: Job) -> None:
        """Have some thread do the job."""
        self._queue.put(job)
        with self._lock:
            if self._idle >= self._queue.qsize() or self._threads >= self._limit:
                return
            self._threads += 1
        self._start()

    def replace(self) -> None:
        """Make up for a thread that is stuck in a job; should it come back, its performance returns :data:`RETIRE`."""
        with self._lock:
            self._limit += 1
            if not self._queue.qsize():
                return
            self._threads += 1
        self._start()

    def close(self) -> None:
        """End all idle threads, and the others when they have done their job."""
        with self._lock:
            count = self._threads
            self._limit = 0
        for _ in range(count):
            self._queue.put(RETIRE)

    def _start(self) -> None:
        threading.Thread(target=self._work, name=WORKER, daemon=True).start()

    def _work(self) -> None:
        job: Job | None = None
        while job is not RETIRE:
            job = self._wait() if job is None else self._guarded(job)
        with self._lock:
            self._threads -= 1
            self._limit -= 1 if self._limit else 0

    def _guarded(self, job: Job) -> Job | None:
        try:
            return self._perform(job)
        except Exception:  # a bug of ours must not take the thread, and with it other runs, along
            log.exception("performing %s failed", job)
            return None

    def _wait(self) -> Job:
        with self._lock:
            self._idle += 1
        try:
            return self._queue.get()
        finally:
            with self._lock:
                self._idle -= 1
