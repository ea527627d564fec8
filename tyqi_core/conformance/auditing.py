"""What a plugin's code does to the world while it runs: seen by an audit hook of this process.

An audit hook *detects*, it is no sandbox: code that wants to get round it can (by native code, for one), and nothing is
prevented. It tells honest authors what their package and its dependencies do.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final, Literal

Capability = Literal["network", "subprocess", "files", "native"]

_EVENTS: Final[Mapping[str, Capability]] = {
    **dict.fromkeys(
        ("socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"), "network"
    ),
    **dict.fromkeys(("urllib.Request", "http.client.connect", "ftplib.connect", "smtplib.connect"), "network"),
    **dict.fromkeys(("subprocess.Popen", "os.system", "os.posix_spawn", "os.spawn", "os.exec"), "subprocess"),
    **dict.fromkeys(("os.fork", "os.forkpty", "pty.spawn", "os.startfile"), "subprocess"),
    **dict.fromkeys(("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink"), "files"),
    **dict.fromkeys(("os.truncate", "os.chmod", "os.chown", "os.utime", "sqlite3.connect"), "files"),
    "ctypes.dlopen": "native",
}
_OPENED: Final = "socket.__new__"
_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_MOST: Final = 100
_IMPORTING: Final = "<frozen importlib._bootstrap>"


@dataclass(frozen=True, slots=True)
class Seen:
    """One thing that was done.

    Attributes:
        capability: what it takes to be allowed.
        event: Python's name of it, ``socket.connect``.
        subject: to what: an address, a path, a program.
        file, line: the plugin's own line that led to it; empty if none did.
        importing: a dependency did it while it was imported by that line.
        temporary: it was about a file among the temporary ones.
    """

    capability: Capability
    event: str
    subject: str
    file: str
    line: int
    importing: bool
    temporary: bool

    def to_json(self) -> dict[str, Any]:
        """As it is handed to the process that asks."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.event} {self.subject}".rstrip()


class Audit:
    """Watches this process from now on, while :meth:`watching` is entered. It cannot be removed again.

    Args:
        own: the plugin's files and folders.
        temporary: the folder of temporary files.
    """

    def __init__(self, own: tuple[Path, ...], temporary: Path) -> None:
        self._own = tuple(f"{path}{os.sep}" if path.is_dir() else str(path) for path in own)
        self._temporary = str(temporary)
        self._library = f"{sysconfig.get_path('stdlib')}{os.sep}"
        self._watching = False
        self._seen: dict[Seen, None] = {}
        sys.addaudithook(self._hook)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Within it the plugin's code runs."""
        self._watching = True
        try:
            yield
        finally:
            self._watching = False

    def taken(self) -> list[Seen]:
        """What was seen since the last call."""
        seen, self._seen = list(self._seen), {}
        return seen

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._watching or (event not in _EVENTS and event not in {"open", "import", _OPENED}):
            return
        self._watching = False  # what this does itself is not of interest
        try:
            self._look(event, arguments)
        finally:
            self._watching = True

    def _look(self, event: str, arguments: tuple[Any, ...]) -> None:
        capability, subject = self._judged(event, arguments)
        if capability is None or len(self._seen) >= _MOST:
            return
        frame, importing, foreign = self._origin(sys._getframe(2))  # noqa: SLF001 - there is no other way to the caller
        if frame is None or (event == "ctypes.dlopen" and foreign):  # how a dependency is built is its own matter
            return
        file, line = self._place(frame)
        temporary = capability == "files" and subject.startswith(self._temporary)
        self._seen[Seen(capability, event, subject[:200], file, line, importing, temporary)] = None

    def _judged(self, event: str, arguments: tuple[Any, ...]) -> tuple[Capability | None, str]:
        first = arguments[0] if arguments else ""
        if event == "open":
            return self._opened(first, arguments[2])
        if event == "import":  # only that of native code has a file
            file = arguments[1]
            return ("native", str(file)) if file and str(file).startswith(self._own) else (None, "")
        if event == "ctypes.dlopen" and first is None:  # the interpreter itself: `import ctypes` does that
            return None, ""
        shown = arguments[1] if event.startswith("socket.") and len(arguments) > 1 else first
        return ("network" if event == _OPENED else _EVENTS[event]), _shown(shown)

    @staticmethod
    def _opened(path: Any, flags: Any) -> tuple[Capability | None, str]:
        writes = isinstance(flags, int) and flags & _WRITING
        if not writes or isinstance(path, int) or _shown(path) == os.devnull:
            return None, ""
        return "files", _shown(path)

    def _origin(self, frame: FrameType | None) -> tuple[FrameType | None, bool, bool]:
        """The plugin's frame nearest to what was done.

        And whether it did no more than import what did it, and whether another package stands between.
        """
        importing = foreign = False
        while frame is not None:
            file = frame.f_code.co_filename
            if file.startswith(self._own):
                return frame, importing, foreign
            importing = importing or file == _IMPORTING
            foreign = foreign or not self._of_python(file)
            frame = frame.f_back
        return None, False, False

    def _of_python(self, file: str) -> bool:
        return file.startswith("<frozen ") or (file.startswith(self._library) and "-packages" not in file)

    def _place(self, frame: FrameType) -> tuple[str, int]:
        file = frame.f_code.co_filename
        root = next(own for own in self._own if file.startswith(own))
        return Path(file).relative_to(Path(root).parent).as_posix(), frame.f_lineno


def _shown(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return " ".join(map(_shown, value))
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
