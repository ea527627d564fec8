"""Places where a test makes a process fail. Off, and free of cost, unless ``TYQI_FAILPOINT`` is set.

``TYQI_FAILPOINT=name:action[:nth]``, several separated by commas. The action happens when the place is reached for the
``nth`` time (the first by default), once:

==============  =====================================================================
``kill9``       the process kills itself with SIGKILL
``stop(ms)``    the process stops itself (SIGSTOP) and is woken ``ms`` later
``raise``       :class:`FailpointError` is raised
``exit``        the process ends at once with status 70, without cleaning up
==============  =====================================================================
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from tyqi_core.errors import TyqiError, UsageError

VARIABLE = "TYQI_FAILPOINT"
EXIT_STATUS = 70
_FORM = re.compile(r"([A-Za-z0-9_.]+):(kill9|raise|exit|stop\((\d{1,7})\))(?::(\d{1,9}))?")


class FailpointError(TyqiError):
    """What the action ``raise`` raises. Nothing in the framework catches it as anything but a foreign fault."""

    default_code = "FAILPOINT"


@dataclass(slots=True)
class _Armed:
    action: str
    milliseconds: int
    left: int


_armed: dict[str, _Armed] = {}
_lock = threading.Lock()


def arm(text: str) -> None:
    """Set the failpoints that ``text`` names, in place of those set before; an empty text sets none.

    Raises:
        UsageError: the text has another form.
    """
    found = {}
    for part in filter(None, text.split(",")):
        match = _FORM.fullmatch(part)
        if match is None:
            raise UsageError(
                f"{VARIABLE}: {part!r} is no failpoint",
                code="FAILPOINT_FORM",
                remedy="Write name:action[:nth] with the action kill9, stop(ms), raise or exit.",
            )
        name, action, milliseconds, nth = match.groups()
        found[name] = _Armed(action.partition("(")[0], int(milliseconds or 0), int(nth or 1))
    with _lock:
        _armed.clear()
        _armed.update(found)


def hit(name: str) -> None:
    """The place ``name`` is reached."""
    if _armed:
        _reached(name)


def _reached(name: str) -> None:
    with _lock:
        point = _armed.get(name)
        if point is None:
            return
        point.left -= 1
        if point.left:
            return
        del _armed[name]
    match point.action:
        case "kill9":
            os.kill(os.getpid(), signal.SIGKILL)
        case "stop":
            _stop(point.milliseconds / 1000)
        case "exit":
            os._exit(EXIT_STATUS)
        case _:
            raise FailpointError(f"the failpoint {name} was reached")


def _stop(seconds: float) -> None:
    """Stop this process; another one, which is not stopped with it, wakes it up."""
    pid = str(os.getpid())
    waker = 'sleep "$1"; kill -CONT "$2"'
    with subprocess.Popen(["/bin/sh", "-c", waker, "waker", f"{seconds:.3f}", pid], start_new_session=True):
        os.kill(os.getpid(), signal.SIGSTOP)


def _read_environment(environ: Mapping[str, str]) -> None:
    if text := environ.get(VARIABLE):
        arm(text)


_read_environment(os.environ)
