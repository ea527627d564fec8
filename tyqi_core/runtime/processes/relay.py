"""What child processes write, passed on line by line with the child's name before it."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

_CHUNK: Final = 65_536
_LONGEST_LINE: Final = 65_536
_LINES_WAITING: Final = 10_000
_LINES_KEPT: Final = 20


class Relay:
    """Writes lines from a thread of its own, so that a terminal that is held up holds up nothing else.

    Lines that find no room are counted and left out. Without ``out``, a file descriptor, nothing is written.
    It is written to directly: a thread that is stuck in a buffered file stops the interpreter from ending.
    """

    def __init__(self, out: int | None) -> None:
        self._out = None if out is None else os.dup(out)  # so that nobody can close it under the writer
        self._dropped = 0
        self._closed = False
        self._lines: queue.Queue[str] = queue.Queue(_LINES_WAITING)
        self._writer = threading.Thread(target=self._write, name="relay", daemon=True)
        if out is not None:
            self._writer.start()

    def say(self, name: str, line: str) -> None:
        """Pass a line on."""
        if self._out is None:
            return
        try:
            if self._dropped:
                self._lines.put_nowait(f"({self._dropped} lines were left out: they came faster than they were read)\n")
                self._dropped = 0
            self._lines.put_nowait(f"{name} | {line}\n")
        except queue.Full:
            self._dropped += 1

    def close(self, patience_s: float = 2.0) -> None:
        """Write what is waiting, if that does not take too long."""
        if self._out is None:
            return
        with contextlib.suppress(queue.Full):
            self._lines.put("", timeout=patience_s)
            self._writer.join(patience_s)
        self._closed = True

    def _write(self) -> None:
        while (line := self._lines.get()) and not self._closed:
            with contextlib.suppress(OSError):  # nobody reads it any more
                self._write_whole(line.encode(errors="replace"))
        if self._out is not None:
            os.close(self._out)

    def _write_whole(self, data: bytes) -> None:
        while data and self._out is not None:
            data = data[os.write(self._out, data) :]


class Output:
    """The reading end of a child's output: complete lines go to ``tell``, the last of them are kept."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._fd, self.writing_end = os.pipe()
        os.set_blocking(self._fd, False)
        self._tell = tell
        self._rest = b""
        self._kept: deque[str] = deque(maxlen=_LINES_KEPT)

    def fileno(self) -> int:
        """For a selector."""
        return self._fd

    @property
    def last_lines(self) -> Sequence[str]:
        """What the child wrote last."""
        return tuple(self._kept)

    def read(self) -> bool:
        """Take what is there; false once there will be no more."""
        try:
            chunk = os.read(self._fd, _CHUNK)
        except BlockingIOError:
            return True
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > _LONGEST_LINE or not chunk:
            lines, self._rest = [*lines, *filter(None, [self._rest])], b""
        for line in lines:
            self._take(line.rstrip(b"\r").decode(errors="replace"))
        return bool(chunk)

    def drain(self) -> None:
        """Take what an ended child has left in the pipe, which holds no more than this, then close it.

        Something that it started may hold the other end still; what that writes later is lost.
        """
        if self.read():
            self.read()
        if self._rest:
            self._take(self._rest.decode(errors="replace"))
        os.close(self._fd)

    def close_writing_end(self) -> None:
        """The child has it now."""
        os.close(self.writing_end)

    def _take(self, line: str) -> None:
        self._kept.append(line)
        self._tell(line)
