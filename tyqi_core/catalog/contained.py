"""Ending a child process with all that it has started, and reading what it says without keeping more than its end."""

from __future__ import annotations

import os
import signal
import subprocess
from threading import Thread
from typing import IO

KEPT = 2000
"""Bytes of a child's last output that are read for a reason."""
SINGLE_THREADED = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
"""Libraries that reserve memory for each thread would otherwise meet a limit on a machine with many cores."""


def end(child: subprocess.Popen[bytes]) -> None:
    """Kill a child that was started in a session of its own, and what it forked; returns once it is gone."""
    try:
        if hasattr(os, "killpg"):
            os.killpg(child.pid, signal.SIGKILL)  # its session: what it forked goes with it
        else:
            child.kill()
    except (ProcessLookupError, PermissionError):
        pass  # nothing of it is left
    child.wait()


def told(code: int) -> str:
    """How a process ended, in words: ``exit code 3``, ``signal SIGSEGV``."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"


class Tail:
    """Reads a pipe to its end, however much comes, and keeps the last bytes."""

    def __init__(self, pipe: IO[bytes] | None, kept: int = KEPT) -> None:
        self._pipe = pipe
        self._most = kept
        self._kept = b""
        self._thread = Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while self._pipe and (chunk := self._pipe.read1(65536)):  # type: ignore[attr-defined]
            self._kept = (self._kept + chunk)[-self._most :]

    def text(self) -> str:
        """What was written last. A process that escaped its session may hold the pipe open; it is not waited for."""
        self._thread.join(timeout=1)
        if self._pipe and not self._thread.is_alive():
            self._pipe.close()
        return self._kept.decode("utf-8", "replace").strip()
