"""One supervised program: started as often as need be, ended with all that it has started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tyqi_core.runtime.processes.relay import Output
from tyqi_core.runtime.processes.tether import tethered

_STEP_S: Final = 0.005
_GONE_S: Final = 2.0
_PROC: Final = Path("/proc")


@dataclass(frozen=True, slots=True)
class Child:
    """A program to supervise.

    Attributes:
        name: what it is called in messages and before its lines of output.
        argv: its command.
        env: its environment; ``None`` for this process's own.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] | None = None


class Running:
    """A child that was started: the leader of a session and process group of its own."""

    def __init__(self, child: Child, tell: Callable[[str], None]) -> None:
        self.output = Output(tell)
        try:
            self._process = subprocess.Popen(
                tethered(child.argv),
                env=child.env,
                stdin=subprocess.DEVNULL,
                stdout=self.output.writing_end,
                stderr=self.output.writing_end,
                start_new_session=True,  # Ctrl-C is for the supervisor to hear
            )
        except OSError:
            self.output.drain()
            raise
        finally:
            self.output.close_writing_end()
        self.since = time.monotonic()
        self.asked_to_end = False
        self.pidfd = _pidfd(self.pid)

    @property
    def pid(self) -> int:
        """The child's process, and the id of its group."""
        return self._process.pid

    def has_ended(self) -> bool:
        """Whether the child has ended. Its id stays taken until :meth:`clear`, so that no other process gets it."""
        if not hasattr(os, "waitid"):
            return self._process.poll() is not None
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:  # somebody else has asked for its status
            return True

    def send(self, number: int, pid: int | None = None) -> bool:
        """Send a signal to the child or to a member of its group; false if there is no such member (any more)."""
        handle = _pidfd(pid or self.pid)
        try:
            if os.getpgid(pid or self.pid) != self.pid:
                return False
            if handle is None:
                os.kill(pid or self.pid, number)
            else:  # the process of which the group was asked, even if its id has got another meaning since
                signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            return False
        finally:
            if handle is not None:
                os.close(handle)
        return True

    def kill(self) -> None:
        """Kill the child and everything in its group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def clear(self) -> int:
        """After its end: kill what it left in its group, wait until that is gone, and return the child's status."""
        self.kill()
        status = self._process.wait()
        until = time.monotonic() + _GONE_S
        while _lives(self.pid) and time.monotonic() < until:
            time.sleep(_STEP_S)
        self.output.drain()
        if self.pidfd is not None:
            os.close(self.pidfd)
        return status


def _lives(group: int) -> bool:
    """Whether a process of the group runs. Those that wait for somebody to ask for their status do not."""
    with contextlib.suppress(ChildProcessError):  # as process 1 of a container, that somebody is this process
        os.waitpid(-group, os.WNOHANG)
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not _PROC.is_dir() or any(state not in "ZX" for state in _states(group))


def _states(group: int) -> Iterator[str]:
    """The states of a group's members, as the kernel lists them."""
    for stat in _PROC.glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, member_of, *_ = stat.read_bytes().rpartition(b")")[2].split()
            if int(member_of) == group:
                yield state.decode()


def _pidfd(pid: int) -> int | None:
    """A handle that tells of a process's end; ``None`` on systems without, and for a process that is gone."""
    if hasattr(os, "pidfd_open"):
        with contextlib.suppress(OSError):
            return os.pidfd_open(pid)
    return None


def told(status: int) -> str:
    """A status in words."""
    if status < 0:
        with contextlib.suppress(ValueError):
            return f"was ended by {signal.Signals(-status).name}"
        return f"was ended by signal {-status}"
    return f"ended with status {status}"
