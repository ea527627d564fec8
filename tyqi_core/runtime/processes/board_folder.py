"""The folder in which the workers of a supervisor tell what they execute; it lives as long as the supervisor."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_SHARED: Final = Path("/dev/shm")  # noqa: S108 - in memory; each folder in it is this user's alone
_PREFIX: Final = "tyqi.board-"
"""Not ``tyqi-``: so begin the shared memory folders of stores, which are removed when no process has them open."""
_LOCK: Final = "supervisor"


@contextmanager
def board_folder(base: Path | None = None) -> Iterator[Path]:
    """A new folder for this user only, in memory where the system offers that. Removed at the end.

    What supervisors left that were killed is removed as well: nobody holds the lock in it any more.
    """
    home = base or (_SHARED if os.access(_SHARED, os.W_OK) else Path(tempfile.gettempdir()))
    for left in home.glob(f"{_PREFIX}*"):
        _remove_if_left(left)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=home))
    made = folder / f"{_LOCK}.new"
    lock = os.open(made, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made.rename(folder / _LOCK)  # who cleans up finds it locked, or not at all
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _remove_if_left(folder: Path) -> None:
    """One without a lock yet belongs to somebody who is about to take it."""
    with suppress(OSError):
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)
