"""Real ``celery worker`` processes for tests, and what their toy tasks tell."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

SUPPORT = Path(__file__).parent
ROOT = SUPPORT.parent.parent
PATIENCE_S = 60.0

_names = count()


def eventually(is_so: Callable[[], bool], otherwise: Callable[[], str] = lambda: "") -> None:
    """Wait until something is so that another process brings about."""
    until = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < until, otherwise()
        time.sleep(0.02)


class ToyWorker:
    """A worker of ``toy_app`` on one queue; what its tasks tell is in ``folder``, which several may share.

    Args:
        broker: The broker's URL.
        results: The URL of the result backend.
        queue: The queue's name.
        folder: An empty folder, or one of another worker.
        options: Further options of ``celery worker``, instead of two processes.
        python: The interpreter that runs it.
        variables: Further environment variables.
    """

    def __init__(
        self,
        broker: str,
        results: str,
        queue: str,
        folder: Path,
        *options: str,
        python: str = sys.executable,
        **variables: str,
    ) -> None:
        self._folder = folder
        self._name = f"toy{next(_names)}"
        self._log = folder / f"{self._name}.log"
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(SUPPORT)]),
            "TOY_BROKER": broker,
            "TOY_RESULTS": results,
            "TOY_QUEUES": queue,
            "TOY_FOLDER": str(folder),
            "TOY_NAME": self._name,
            **variables,
        }
        command = [python, "-m", "celery", "-A", "toy_app", "worker", "-l", "INFO", "-n", f"{self._name}@%h"]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, *(options or ("-P", "prefork", "-c", "2"))],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.until_told(f"ready {self._name}")

    def told(self) -> list[str]:
        """The lines that tasks have told so far."""
        path = self._folder / "told"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    def until_told(self, *lines: str) -> None:
        """Wait until each of these lines was told."""
        eventually(lambda: set(lines) <= set(self.told()), lambda: f"{set(lines) - set(self.told())}\n{self.log()}")

    def log(self) -> str:
        """What the worker has logged."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def open_gate(self, gate: str) -> None:
        """Let tasks go on that hold it."""
        (self._folder / gate).touch()

    @property
    def lives(self) -> bool:
        """Whether the process has not ended."""
        return self.process.poll() is None

    def stop(self) -> None:
        """End it as a supervisor would, and if it does not obey, by force."""
        self.open_gate(f"closing {self._name}")
        self.process.terminate()
        try:
            self.process.wait(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


@contextmanager
def working(worker: ToyWorker) -> Iterator[ToyWorker]:
    """The worker, stopped at the end."""
    try:
        yield worker
    finally:
        worker.stop()
