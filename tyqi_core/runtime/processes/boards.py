"""How a worker process tells its supervisor what it holds: a small mapped file of its own, without a round trip.

The file ``PID.board`` has a head and two slots. A change is written to the slot that is not current, its checksum last;
the slot with the higher number and a correct checksum counts. So a reader never sees half a change, and a process
that is killed while it writes leaves what it had shown before. Nothing is locked, and only the owner writes.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import struct
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Self
from weakref import WeakSet
from zlib import crc32

from tyqi_core import failpoints
from tyqi_core.errors import StoreError

VARIABLE: Final = "TYQI_BOARD"
_SUFFIX: Final = ".board"
_SLOT_BYTES: Final = 32_768
_MAGIC: Final = b"TYQBRD01"
_HEAD: Final = struct.Struct("=8sQQQ")  # magic, bytes of a slot, pid, start of the process
_BEAT: Final = struct.Struct("@Q")  # nanoseconds; native and aligned, so that it is written in one piece
_BEAT_AT: Final = _HEAD.size
_SLOTS_AT: Final = 64
_SLOT: Final = struct.Struct("=QIII")  # number, length, whether all fitted, checksum of these and of the text
_SUMMED: Final = struct.Struct("=QII")
_TRIES: Final = 1000
_PROC: Final = Path("/proc")
_START: Final = 19  # of a process's fields after its name
_encoder: Final = json.JSONEncoder(separators=(",", ":"), check_circular=False)


class Held(NamedTuple):
    """An attempt that a process holds.

    Attributes:
        run_id: the run.
        instance: the task's instance in it.
        token: the attempt's token.
        plan: the plan's hash.
        deadline: when it has to be over, in seconds of this machine's monotonic clock; ``None``: no limit.
        tries: how many attempts of the task there have been.
        state: see :class:`~tyqi_core.runtime.distributed.attempts.Attempt`.
        told: why it was asked to stop, if it was.
    """

    run_id: str
    instance: str
    token: int
    plan: str
    deadline: float | None
    tries: int = 1
    state: str = "executing"
    told: str = ""


@dataclass(frozen=True, slots=True)
class BoardState:
    """What a process has shown.

    Attributes:
        pid: the process.
        started: when it started, in the kernel's ticks since boot; 0 where that is not known.
        alive: whether this very process still runs.
        heartbeat: when it last said that it gets on, in seconds of the monotonic clock.
        entries: what it holds.
        complete: false if it holds more than the board has room for; these are the first.
        damaged: the file is none that a board writes; nothing is known of what the process holds.
    """

    pid: int
    started: int
    alive: bool
    heartbeat: float
    entries: Sequence[Held]
    complete: bool = True
    damaged: bool = False


class Board:
    """The board of this process in ``folder``. A fork gets one of its own with its first call.

    Calls may come from any thread. The file appears with the first of them.

    Args:
        folder: where boards are.
        slot_bytes: room for what is held at a time; the file is a little more than twice as large.
    """

    def __init__(self, folder: Path, slot_bytes: int = _SLOT_BYTES) -> None:
        self._folder = folder
        self._slot_bytes = slot_bytes
        self._room = slot_bytes - _SLOT.size
        self._texts: dict[Held, str] = {}
        self._lock, self._number = threading.Lock(), 0
        self._map: mmap.mmap | None = None
        _boards.add(self)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Self | None:
        """The board that ``TYQI_BOARD`` asks for, if it does."""
        folder = (os.environ if environ is None else environ).get(VARIABLE)
        return cls(Path(folder)) if folder else None

    def show(self, entries: Sequence[Held]) -> None:
        """Show all that the process holds now, in place of what was shown before; counts as progress.

        Raises:
            StoreError: the file cannot be made (``BOARD``).
        """
        with self._lock:
            known = self._texts  # most of what is held was held before
            self._texts = {entry: known.get(entry) or _encoder.encode(entry) for entry in entries}
            text = self._joined(self._texts.values())
            complete = len(text) <= self._room
            if not complete:
                text = self._joined(self._first())
            target = self._map if self._map is not None else self._open()
            self._number += 1
            self._write(target, self._number, text, complete=complete)
            _BEAT.pack_into(target, _BEAT_AT, time.monotonic_ns())

    def progress(self) -> None:
        """Say that the process gets on."""
        with self._lock:
            target = self._map if self._map is not None else self._open()
            _BEAT.pack_into(target, _BEAT_AT, time.monotonic_ns())

    def close(self) -> None:
        """Remove the board: the process holds nothing any more."""
        with self._lock:
            if self._map is not None:
                self._map.close()
                self._map = None
                self._path().unlink(missing_ok=True)

    @staticmethod
    def _joined(texts: Iterable[str]) -> bytes:
        return f"[{','.join(texts)}]".encode()

    def _first(self) -> Iterator[str]:
        """As many as there is room for."""
        room = self._room - len("[]")
        for text in self._texts.values():
            room -= len(text) + 1
            if room < 0:
                return
            yield text

    def _path(self) -> Path:
        return self._folder / f"{os.getpid()}{_SUFFIX}"

    def _open(self) -> mmap.mmap:
        """Make the file whole under another name, so that no reader finds half of it."""
        path, size = self._path(), _SLOTS_AT + 2 * self._slot_bytes
        new = path.with_suffix(".new")
        try:
            with new.open("w+b") as file:
                file.write(bytes(size))  # every page is taken now: a full disk is an error here, a SIGBUS later
                file.flush()
                target = mmap.mmap(file.fileno(), size)
            _HEAD.pack_into(target, 0, _MAGIC, self._slot_bytes, os.getpid(), _start_of(os.getpid()))
            self._write(target, self._number, b"[]", complete=True)
            new.replace(path)
        except OSError as error:
            raise StoreError(f"cannot make the board {path}: {error}", code="BOARD") from error
        self._map = target
        return target

    def _write(self, target: mmap.mmap, number: int, text: bytes, *, complete: bool) -> None:
        offset = _SLOTS_AT + (number & 1) * self._slot_bytes
        start = offset + _SLOT.size
        target[start : start + len(text)] = text
        failpoints.hit("board")
        checksum = crc32(text, crc32(_SUMMED.pack(number, len(text), complete)))
        _SLOT.pack_into(target, offset, number, len(text), complete, checksum)

    def forget(self) -> None:
        """In a fork: the file is another process's, and the lock may be held by a thread that is not here."""
        self._lock, self._number = threading.Lock(), 0
        self._map = None


_boards: WeakSet[Board] = WeakSet()


def _forget_all() -> None:
    for board in _boards:
        board.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


def read_boards(folder: Path) -> Sequence[BoardState]:
    """All boards in a folder, by process id."""
    return sorted(_found(folder), key=lambda state: state.pid)


def remove(folder: Path, pid: int) -> None:
    """Remove the board of a process that has ended."""
    for suffix in (_SUFFIX, ".new"):
        (folder / f"{pid}{suffix}").unlink(missing_ok=True)


def _found(folder: Path) -> Iterator[BoardState]:
    for path in folder.glob(f"*{_SUFFIX}"):
        if path.stem.isdigit():
            with contextlib.suppress(FileNotFoundError):  # its process has just removed it
                yield _read(path)


def _read(path: Path) -> BoardState:
    pid = int(path.stem)
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size < _SLOTS_AT:
            return _damaged(pid)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as source:
            return _state(pid, source)


def _state(pid: int, source: mmap.mmap) -> BoardState:
    magic, slot_bytes, owner, started = _HEAD.unpack_from(source)
    if magic != _MAGIC or owner != pid or len(source) != _SLOTS_AT + 2 * slot_bytes:
        return _damaged(pid)
    slot = _current(source, slot_bytes)
    if slot is None:
        return _damaged(pid)
    text, complete = slot
    heartbeat = _BEAT.unpack_from(source, _BEAT_AT)[0] / 1e9
    entries = tuple(Held(*held) for held in json.loads(text))
    return BoardState(pid, started, _alive(pid, started), heartbeat, entries, complete=complete)


def _damaged(pid: int) -> BoardState:
    return BoardState(pid, 0, _alive(pid, 0), 0.0, (), complete=False, damaged=True)


def _current(source: mmap.mmap, slot_bytes: int) -> tuple[bytes, bool] | None:
    """The text that counts. Both slots may change while they are read: then once more."""
    for _ in range(_TRIES):
        offsets = (_SLOTS_AT, _SLOTS_AT + slot_bytes)
        heads = sorted(((*_SLOT.unpack_from(source, offset), offset) for offset in offsets), reverse=True)
        for number, length, complete, checksum, offset in heads:
            text = source[offset + _SLOT.size : offset + _SLOT.size + min(length, slot_bytes - _SLOT.size)]
            if crc32(text, crc32(_SUMMED.pack(number, length, complete))) == checksum:
                return text, bool(complete)
    return None


def _alive(pid: int, started: int) -> bool:
    """Whether the process that made a board runs, and not just one that has got its id."""
    if sys.platform == "win32":  # where asking by signal 0 would be Ctrl-C; nothing supervises there
        return True
    if not _PROC.is_dir():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 0)
            return True
        return False
    fields = _stat(pid)
    return bool(fields) and fields[0] not in {b"Z", b"X"} and started in {0, int(fields[_START])}


def _start_of(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[_START]) if fields else 0


def _stat(pid: int) -> Sequence[bytes]:
    """What the kernel tells of a process, from its state on; empty if there is no such process or no such kernel."""
    with contextlib.suppress(OSError):
        return (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
    return ()
