"""Child processes in which a plugin's code runs: bounded in time and memory, ended with all that they have started.

The limits contain accidents. They are no sandbox against a plugin that means harm.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import IO, Any, Final, Self

from tyqi_core.catalog.contained import SINGLE_THREADED, Tail, end, told

MEMORY_MB: Final = 4096
_OUTPUT_KEPT: Final = 1 << 20
_PASSED: Final = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "SYSTEMROOT", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES")
"""The variables that a plugin under test sees of ours; credentials are among the others."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a child ended.

    Attributes:
        code: its exit code; of one that was killed, the signal's number below zero.
        output, errors: the end of what it wrote.
        timed_out: its time was up.
    """

    code: int
    output: str
    errors: str
    timed_out: bool

    @property
    def reason(self) -> str:
        """How it ended, and the last that it said."""
        how = "did not end in time and was stopped" if self.timed_out else f"ended with {told(self.code)}"
        last = self.errors.splitlines()[-1][:300] if self.errors else "it said nothing"
        return f"the process {how}: {last}"


def variables(home: Path) -> dict[str, str]:
    """The environment variables of a child whose home, caches and temporary files lie in ``home``."""
    folders = {"HOME": home / "home", "USERPROFILE": home / "home", "TMPDIR": home / "tmp", "TEMP": home / "tmp"}
    folders |= {"TYQI_STATE": home / "state", "TYQI_CACHE": home / "cache"}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    kept = {name: os.environ[name] for name in _PASSED if name in os.environ}
    quiet = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONNOUSERSITE": "1", "PYTHONUTF8": "1", "PYTHONFAULTHANDLER": "1"}
    return kept | quiet | dict.fromkeys(SINGLE_THREADED, "1") | {name: str(path) for name, path in folders.items()}


def run(
    command: Sequence[str | Path],
    environment: Mapping[str, str],
    *,
    given: bytes = b"",
    timeout_s: float = 60,
    memory_mb: int = MEMORY_MB,
) -> Ended:
    """Run a command to its end, or until its time is up.

    Args:
        command: the program and its arguments.
        environment: its variables.
        given: its standard input.
        timeout_s: when it is killed.
        memory_mb: how much it may allocate; enforced on Linux.
    """
    child = _started(command, environment, memory_mb)
    output, errors = Tail(child.stdout, _OUTPUT_KEPT), Tail(child.stderr)
    timed_out = False
    try:
        _hand(child, given)
        child.wait(timeout_s)
    except subprocess.TimeoutExpired:
        timed_out = True
    finally:
        end(child)
    return Ended(child.returncode, output.text(), errors.text(), timed_out)


class Talk:
    """A child that tells what it does: one JSON document a line. A context manager; at its end the child is killed.

    Args:
        command, environment, given, memory_mb: as of :func:`run`.
        patience_s: how long it may be silent.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        environment: Mapping[str, str],
        *,
        given: bytes = b"",
        memory_mb: int = MEMORY_MB,
        patience_s: float,
    ) -> None:
        self._patience = patience_s
        self._child = _started(command, environment, memory_mb)
        self._errors = Tail(self._child.stderr)
        self._lines: Queue[bytes | None] = Queue()
        self._timed_out = False
        Thread(target=_read_lines, args=(self._child.stdout, self._lines), daemon=True).start()
        _hand(self._child, given)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        end(self._child)
        self._errors.text()

    def __iter__(self) -> Iterator[Any]:
        """What it says, until it ends or is silent for too long. What is no JSON is passed over."""
        while (line := self._next()) is not None:
            try:
                said = json.loads(line)
            except ValueError:
                continue
            yield said

    def ended(self) -> Ended:
        """How it ended, once nothing more comes."""
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(1)
        end(self._child)
        return Ended(self._child.returncode, "", self._errors.text(), self._timed_out)

    def _next(self) -> bytes | None:
        try:
            return self._lines.get(timeout=self._patience)
        except Empty:
            self._timed_out = True
            return None


def _started(command: Sequence[str | Path], environment: Mapping[str, str], memory_mb: int) -> subprocess.Popen[bytes]:
    child = subprocess.Popen(
        list(map(str, command)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(environment),
        cwd=environment.get("HOME"),
        start_new_session=True,
    )
    _limit(child.pid, memory_mb)
    return child


def _limit(pid: int, memory_mb: int) -> None:
    """Bound what the process may allocate: data, not address space, of which GPU libraries map much for nothing."""
    try:
        from resource import RLIMIT_CORE, RLIMIT_DATA, prlimit  # noqa: PLC0415 - on Linux alone
    except ImportError:
        return
    with suppress(OSError, ValueError):  # it is gone already, or lives under a lower limit
        prlimit(pid, RLIMIT_CORE, (0, 0))
        prlimit(pid, RLIMIT_DATA, (memory_mb * 2**20, memory_mb * 2**20))


def _hand(child: subprocess.Popen[bytes], given: bytes) -> None:
    """Write its standard input. It is short, so that it fits into the pipe whether it is read or not."""
    if child.stdin is None:
        return
    with suppress(OSError), child.stdin as stream:  # it is gone already: its exit code tells
        stream.write(given)


def _read_lines(pipe: IO[bytes] | None, lines: Queue[bytes | None]) -> None:
    while pipe is not None and (line := pipe.readline(_OUTPUT_KEPT)):
        lines.put(line)
    if pipe is not None:
        pipe.close()
    lines.put(None)
