"""A process that outlives this one by a moment, to end what it has started.

The kernel's signal at a starter's death (``tether``) reaches the children, not what they have started in turn. The
guard is told the children's process groups and kills them whole once this process is gone, however it went.
"""

from __future__ import annotations

import subprocess
from typing import IO

from tyqi_core.runtime.processes.tether import guard_command

_PATIENCE_S = 5.0


class Guard:
    """The groups that must not outlive this process. One that was killed itself is replaced and told them again."""

    def __init__(self) -> None:
        self._groups: set[int] = set()
        self._process = _started()

    def add(self, group: int) -> None:
        """From now on the group ends with this process."""
        self._groups.add(group)
        self._tell(f"+{group}\n")

    def discard(self, group: int) -> None:
        """Nothing is left of the group."""
        self._groups.discard(group)
        self._tell(f"-{group}\n")

    def check(self) -> None:
        """See to it that the guard lives."""
        if self._process.poll() is not None:
            self._replace()

    def close(self) -> None:
        """End the guard; groups that were not discarded are killed."""
        self._end()

    def _tell(self, line: str) -> None:
        try:
            _pipe(self._process).write(line.encode())
        except BrokenPipeError:
            self._replace()

    def _replace(self) -> None:
        self._end()
        self._process = _started()
        _pipe(self._process).write("".join(f"+{group}\n" for group in self._groups).encode())

    def _end(self) -> None:
        _pipe(self._process).close()
        try:
            self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _started() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        guard_command(),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        start_new_session=True,
    )


def _pipe(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdin is not None  # noqa: S101 - for the type checker
    return process.stdin
