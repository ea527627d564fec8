"""A program that is started with this ends when its starter does, even if that is killed.

This file is run as a script by a bare interpreter, so that it starts in some milliseconds: ``tether.py exec`` asks the
kernel for a SIGKILL at the starter's death and becomes the program; ``tether.py guard`` waits until its standard
input ends and then kills the process groups that it was told.

The first is at once and needs no process, but Linux only, and what the program starts itself is not included. The
second includes that. The kernel means the *thread* that started the program: it has to live as long.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterable, Sequence

_PR_SET_PDEATHSIG = 1
_STARTER_IS_GONE = 70
_CANNOT_RUN = 127


def tethered(argv: Sequence[str]) -> list[str]:
    """The command that runs ``argv`` as a child which ends with this process. Its process id stays the same."""
    return [*_script(), "exec", str(os.getpid()), *argv]


def guard_command() -> list[str]:
    """The command of a guard; see :class:`~tyqi_core.runtime.processes.guard.Guard`."""
    return [*_script(), "guard"]


def _script() -> list[str]:
    return [sys.executable, "-I", "-S", __file__]


def _become(starter: int, argv: list[str]) -> None:
    if sys.platform == "linux":
        _die_with_starter()
    if os.getppid() != starter:  # it died before the kernel was asked
        sys.exit(_STARTER_IS_GONE)
    try:
        os.execvp(argv[0], argv)  # noqa: S606 - the command of whoever calls ``tethered``; no shell is near
    except OSError as error:
        sys.stderr.write(f"cannot run {argv[0]}: {error.strerror}\n")
        sys.exit(_CANNOT_RUN)


def _die_with_starter() -> None:
    import ctypes  # noqa: PLC0415 - the guard, which has to stay small, does without

    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL):
        sys.stderr.write(f"tether: {os.strerror(ctypes.get_errno())}\n")


def _guard(lines: Iterable[str]) -> None:
    """Keep the set of groups that lines of ``+ID`` and ``-ID`` tell; kill what is in it at their end."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in lines:
        change = groups.add if line[0] == "+" else groups.discard
        change(int(line[1:]))
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    if sys.argv[1] == "guard":
        _guard(sys.stdin)
    else:
        _become(int(sys.argv[2]), sys.argv[3:])
