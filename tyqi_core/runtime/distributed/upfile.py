"""What ``tyqi up`` tells other commands of the same project: ``up.json`` in the state folder.

It counts only while the process that wrote it lives, which a lock beside it shows: the kernel gives a lock back with
its process, however that ended. The address of the server holds a password, so the file is for its user only.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from tyqi_core.errors import UsageError

_FILE: Final = "up.json"
_LOCK: Final = "up.lock"
_LOOKED_AT_S: Final = 1.0
_STEP_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Up:
    """A ``tyqi up`` that runs.

    Attributes:
        redis: where the store is.
        broker: where messages go; empty: the same server.
        queues: those that its workers serve.
        old_server: the server is an embedded one older than 7.0.
        pid: of the process.
        started: seconds since the epoch.
        pids: the processes that it supervises, by name.
    """

    redis: str = field(repr=False)
    broker: str = field(repr=False)
    queues: Sequence[str]
    old_server: bool
    pid: int
    started: float
    pids: Mapping[str, int]


def running_up(state: Path) -> Up | None:
    """The ``tyqi up`` of a state folder; ``None`` if none runs, whatever a crashed one left there."""
    try:
        lock = os.open(state / _LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if _taken(lock, shared=True):
            return None
        return Up(**json.loads((state / _FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):  # it is just starting or ending
        return None
    finally:
        os.close(lock)


class UpFile:
    """The file, for the process that holds the folder; see :func:`held`."""

    def __init__(self, state: Path) -> None:
        self._path = state / _FILE

    def write(self, up: Up) -> None:
        """Replace the file's content as a whole."""
        new = self._path.with_name(f"{_FILE}.new")
        new.unlink(missing_ok=True)
        new.touch(mode=0o600, exist_ok=False)
        new.write_text(json.dumps(asdict(up), indent=2), encoding="utf-8")
        new.replace(self._path)


@contextmanager
def held(state: Path) -> Iterator[UpFile]:
    """Take a state folder for this process; its file is gone at the end.

    Raises:
        UsageError: another ``tyqi up`` has it (``UP_RUNNING``), or the folder cannot be written.
    """
    lock = _take(state)
    path = state / _FILE
    try:
        path.unlink(missing_ok=True)
        yield UpFile(state)
    finally:
        path.unlink(missing_ok=True)
        os.close(lock)


def _take(state: Path) -> int:
    try:
        state.mkdir(parents=True, exist_ok=True)
        lock = os.open(state / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UsageError(
            f"{state} cannot be written: {error.strerror}",
            code="STATE_UNWRITABLE",
            remedy="Name another folder in TYQI_STATE.",
        ) from error
    until = time.monotonic() + _LOOKED_AT_S  # a command that looks whether it is taken holds it for a moment
    while not _taken(lock):
        if time.monotonic() > until:
            owner = os.pread(lock, 20, 0).decode(errors="replace") or "another"
            os.close(lock)
            raise UsageError(
                f"'tyqi up' runs already for {state}: process {owner}",
                code="UP_RUNNING",
                remedy=f"Use it, end it with Ctrl-C (or kill {owner}), or name another folder in TYQI_STATE.",
            )
        time.sleep(_STEP_S)
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    return lock


def _taken(lock: int, *, shared: bool = False) -> bool:
    """Take the lock if nobody has it. Systems without such locks have no workers either."""
    with suppress(ImportError, BlockingIOError):
        import fcntl  # noqa: PLC0415 - not on Windows

        fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        return True
    return False
