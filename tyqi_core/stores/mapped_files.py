"""Files under the system's shared-memory mount: written once, mapped by readers, recycled when nobody reads them.

A folder holds ``new/`` (being written), ``data/`` (readable) and ``free/`` (to be written again: its pages exist
already, which is most of what a write costs). A file moves between them by renaming and is called ``PAYLOAD.CAPACITY``.

Locks (``flock``) tell who is alive, also across crashes: a writer holds its file exclusively until the payload is known
to the store, a reader holds it shared for as long as it refers to the bytes, whoever has the folder open holds that
shared. Only who can lock a file exclusively writes it again or cuts it. Linux only.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from weakref import finalize

from tyqi_core.protocol.pieces import Buffer
from tyqi_core.stores.checksums import checksum_beside
from tyqi_core.stores.warm_mappings import WarmMappings

if TYPE_CHECKING:
    import numpy as np

    Bytes = np.ndarray[Any, np.dtype[np.uint8]]

FILE_NAME: Final = re.compile(r"[0-9a-f]{24}\.\d{1,15}")
ALIGNMENT: Final = 64
_PAGE: Final = 4096
_LOCK_TRIES: Final = 200
_LOCK_PAUSE_S: Final = 0.005
_KINDS: Final = ("new", "data", "free")


def capacity_of(size: int) -> int:
    """The size of the file that takes ``size`` bytes: one of eight steps an octave, so that files fit each other."""
    step = max(_PAGE, 1 << max(0, size.bit_length() - 4))
    return -(-size // step) * step


def open_folder(path: Path, limit_bytes: int) -> Folder:
    """The folder at a path, made if need be.

    Raises:
        OSError: it cannot be used, or belongs to somebody else.
    """
    while True:
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
        try:
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except FileNotFoundError:  # removed meanwhile, see `remove_unused`
            continue
        fcntl.flock(handle, fcntl.LOCK_SH)
        if _stands_at(handle, path):
            break
        os.close(handle)
    try:
        _check_owner(handle, path)
        return Folder(path, handle, limit_bytes)
    except BaseException:
        os.close(handle)
        raise


class Folder:
    """One store's files on this host; see :func:`open_folder`.

    Attributes:
        host: names this very folder. Who sees another name stands on another host, or in another container.
    """

    def __init__(self, path: Path, handle: int, limit_bytes: int) -> None:
        self._path = path
        self._handle = handle
        self._limit = limit_bytes
        self._warm = WarmMappings()
        for kind in _KINDS:
            (path / kind).mkdir(mode=0o700, exist_ok=True)
        self.host = _mark(path)

    def close(self) -> None:
        """Leave it; who leaves last and leaves no payload removes it."""
        os.close(self._handle)
        remove_unused(self._path, older_than_s=float("inf"))

    def reuse(self, payload: str, size: int) -> NewFile | None:
        """A recycled file for ``size`` bytes, if there is one."""
        ending = f".{capacity_of(size)}"
        for old in self._names("free"):
            if old.endswith(ending) and (new := self._take(old, payload + ending)):
                return new
        return None

    def create(self, payload: str, size: int) -> NewFile | None:
        """A fresh file whose space is reserved; ``None``: the limit or the mount does not allow it."""
        capacity = capacity_of(size)
        if not self._make_room(capacity):
            return None
        path = self._path / "new" / f"{payload}.{capacity}"
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            os.posix_fallocate(handle, 0, capacity)  # a full mount says so here, not by SIGBUS later
        except OSError:
            path.unlink(missing_ok=True)
            os.close(handle)
            return None
        return NewFile(path, handle)

    def _take(self, old: str, name: str) -> NewFile | None:
        """A recycled file under its new name, unless another process has it, or still reads it."""
        try:
            handle = os.open(self._path / "free" / old, os.O_RDWR | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        path = self._path / "new" / name
        if _locked(handle) and _stands_at(handle, self._path / "free" / old):
            (self._path / "free" / old).rename(path)
            return NewFile(path, handle, self._warm.to_write(handle))
        os.close(handle)
        return None

    def map(self, name: str) -> Bytes | None:
        """A file's bytes, mapped for reading; ``None``: it is not there, or cut to nothing.

        The file stays locked until nothing refers to the bytes any more.
        """
        import numpy as np  # noqa: PLC0415  (heavy; only who reads large values pays for it)

        handle = self._opened(name)
        if handle is None:
            return None
        try:
            mapping = self._warm.to_read(handle, self._path / "data" / name)
            found = None if mapping is None else np.frombuffer(mapping, np.uint8)
        except BaseException:
            os.close(handle)
            raise
        if found is None:
            os.close(handle)
        else:
            finalize(found, os.close, handle).atexit = False
        return found

    def read(self, name: str, offset: int, length: int) -> bytes | None:
        """A copy of a part of a file, for who has too many mapped."""
        handle = self._opened(name)
        if handle is None:
            return None
        with os.fdopen(handle, "rb") as file:
            file.seek(offset)
            return file.read(length)

    def _opened(self, name: str) -> int | None:
        """A descriptor that holds the file shared."""
        path = self._path / "data" / name
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        if _locked(handle, fcntl.LOCK_SH, _LOCK_TRIES) and _stands_at(handle, path):
            return handle
        os.close(handle)
        return None

    def recycle(self, name: str) -> bool:
        """Keep a file that is not needed any more for another payload; it waits there for the last who reads it."""
        try:
            (self._path / "data" / name).rename(self._path / "free" / name)
        except FileNotFoundError:
            return False
        return True

    def payloads(self) -> Iterator[str]:
        """The names of all readable files."""
        return iter(self._names("data"))

    def remove_if(self, name: str, unneeded: Callable[[], bool]) -> bool:
        """Remove a readable file that nobody writes or reads, if that is so then."""
        return self._remove("data", name, unneeded)

    def sweep(self, idle_s: float) -> int:
        """Remove what dead writers left and recycled files that nobody took for ``idle_s``. Returns how many."""
        idle = [name for name in self._names("free") if self._idle(name) >= idle_s]
        return sum(self._remove("new", name) for name in self._names("new")) + sum(
            self._remove("free", name) for name in idle
        )

    def _idle(self, name: str) -> float:
        try:
            return time.time() - (self._path / "free" / name).stat().st_ctime
        except FileNotFoundError:
            return 0.0

    def used(self) -> int:
        """The bytes that all files take together; their names tell."""
        return sum(int(name.partition(".")[2]) for kind in _KINDS for name in self._names(kind))

    def _make_room(self, capacity: int) -> bool:
        excess = self.used() + capacity - self._limit
        for name in self._names("free") if excess > 0 else ():
            if self._remove("free", name):
                excess -= int(name.partition(".")[2])
            if excess <= 0:
                break
        return excess <= 0

    def _names(self, kind: str) -> list[str]:
        return [name for name in os.listdir(self._path / kind) if FILE_NAME.fullmatch(name)]  # noqa: PTH208  (names only)

    def _remove(self, kind: str, name: str, unneeded: Callable[[], bool] = lambda: True) -> bool:
        path = self._path / kind / name
        try:
            handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        except FileNotFoundError:
            return False
        try:
            removed = _locked(handle) and _stands_at(handle, path) and unneeded()
            if removed:
                _end(handle, path)
            return removed
        finally:
            os.close(handle)


def _end(handle: int, path: Path) -> None:
    """Remove a file that is locked. It is cut first: a mapping that somebody keeps would keep the memory too."""
    os.ftruncate(handle, 0)
    path.unlink()


class NewFile:
    """A file being written. It is locked until it is closed; what was not published is removed then."""

    def __init__(self, path: Path, handle: int, mapping: mmap.mmap | None = None) -> None:
        self._path = path
        self._handle = handle
        self._mapping = mapping
        self.name = path.name

    def write(self, pieces: Sequence[Buffer], offset: int) -> str:
        """Write pieces one behind the other. Returns their checksum."""
        with checksum_beside(pieces) as found:
            for piece in pieces:
                self._put(piece, offset)
                offset += len(piece)
        return found.result()

    def _put(self, piece: Buffer, offset: int) -> None:
        if self._mapping is not None:  # pages that are there already
            import numpy as np  # noqa: PLC0415  (as above; its copying lets other threads run)

            np.frombuffer(self._mapping, np.uint8)[offset : offset + len(piece)] = np.frombuffer(piece, np.uint8)
            return
        view = memoryview(piece)
        while view:
            written = os.pwrite(self._handle, view, offset)
            offset, view = offset + written, view[written:]

    def publish(self) -> None:
        """Let readers find it."""
        path = self._path.parents[1] / "data" / self.name
        self._path.rename(path)
        self._path = path

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None or self._path.parent.name == "new":
            _end(self._handle, self._path)
        fcntl.flock(self._handle, fcntl.LOCK_UN)  # a mapping that is kept shares the descriptor's lock
        os.close(self._handle)


def remove_unused(path: Path, *, older_than_s: float) -> bool:
    """Remove a store's folder that no process has open if it holds no payloads, or nothing changed in it for long."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        if not _locked(handle) or os.fstat(handle).st_uid != os.getuid():
            return False
        data = path / "data"
        empty = not data.exists() or not any(data.iterdir())
        if empty or time.time() - data.stat().st_mtime > older_than_s:
            shutil.rmtree(path, ignore_errors=True)
            return True
        return False
    finally:
        os.close(handle)


def _locked(handle: int, kind: int = fcntl.LOCK_EX, tries: int = 1) -> bool:
    """Whether the lock was got; others hold theirs exclusively for a moment only, so a reader may try some times."""
    for left in reversed(range(tries)):
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if left:
                time.sleep(_LOCK_PAUSE_S)
        else:
            return True
    return False


def _stands_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.lstat())
    except FileNotFoundError:
        return False


def _check_owner(handle: int, path: Path) -> None:
    status = os.fstat(handle)
    if status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077:
        raise PermissionError(f"{path} is not this user's alone")


def _mark(path: Path) -> str:
    """The folder's own name, which the first process to open it gives it."""
    marker, mine = path / "host", path / f"host.{os.urandom(8).hex()}"
    mine.write_text(os.urandom(12).hex(), encoding="ascii")
    try:
        with suppress(FileExistsError):
            marker.hardlink_to(mine)
    finally:
        mine.unlink()
    return marker.read_text(encoding="ascii")
