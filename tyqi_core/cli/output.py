"""What all commands share: how answers, messages and errors reach the person or the program that called."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn, TextIO

import click

from tyqi_core.errors import InputError, InternalError, TyqiError, UsageError

DEFAULT_OUT = Path("tyqi-out")
"""Where results go if nobody says where."""
_WORKER = "tyqi-worker"
"""As in ``runtime.pool``, which a light command does not import."""
_LAST_LOOK = 0.2
"""Seconds for idle threads to end."""
INTERRUPTED = 130
"""The exit code of a command that Ctrl-C ended."""

as_json = click.option("--json", "json_wanted", is_flag=True, help="Print one JSON document on standard output.")


params_option = click.option(
    "--param",
    "params",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter. VALUE is JSON where it reads as JSON, else text; digits as text: NAME='\"42\"'.",
)


def parameters(texts: Iterable[str]) -> dict[str, Any]:
    """The values of ``--param`` options.

    Raises:
        UsageError: one is not of the form ``NAME=VALUE``.
    """
    return dict(_parameter(text) for text in texts)


def _parameter(text: str) -> tuple[str, Any]:
    from tyqi_core.protocol.validation import read_json

    name, separator, value = text.partition("=")
    if not separator or not name:
        raise UsageError(f"--param {text}: NAME=VALUE is expected.", remedy="Example: --param wide_mm=2.5")
    try:
        return name, read_json(value)
    except InputError:
        return name, value


def say(message: str) -> None:
    """A message for the person, on standard error, so that standard output holds the answer alone."""
    click.echo(message, err=True)


def time_of(nanoseconds: int) -> str:
    """A time since the epoch, as clocks here show it."""
    return datetime.fromtimestamp(nanoseconds / 1e9, tz=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def answer_json(document: Mapping[str, Any]) -> None:
    """Print the one JSON document, in ASCII: it reads the same whatever the encoding of standard output."""
    click.echo(json.dumps(document, indent=2, allow_nan=False))


def consent(question: str, *, yes: bool) -> None:
    """Go on only if a person agrees to what was shown.

    Raises:
        UsageError: nobody can be asked (``CONSENT``).
        click.Abort: the answer was no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        remedy = "Add --yes if what is shown above is what you want."
        raise UsageError("nobody is there to agree, so nothing was done", code="CONSENT", remedy=remedy)
    click.confirm(question, abort=True, err=True)


@contextmanager
def prints_on_stderr() -> Iterator[None]:
    """While nodes execute, what they print goes to standard error: standard output holds the answer alone.

    Both doors are moved: Python's ``sys.stdout``, and the file descriptor that C libraries write to.
    """
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with _door() as door, redirect_stdout(door):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _door() -> TextIO:
    """Another way to standard error: a node that closes it closes nothing else."""
    return os.fdopen(os.dup(2), "w", encoding="utf-8", errors="backslashreplace", buffering=1)


def fail(error: BaseException) -> int:
    """Report an error that ends the command; returns its exit code.

    A user's mistake is told without a traceback; a bug of ours keeps it.
    """
    if "--json" in sys.argv:
        answer_json({"ok": False, "error": _as_json(error)})
    if isinstance(error, click.Abort | KeyboardInterrupt):
        say("Interrupted.")
        return INTERRUPTED
    if isinstance(error, click.ClickException):
        error.show()
        return 2
    if isinstance(error, TyqiError) and not isinstance(error, InternalError):
        say(str(error))
        return error.exit_code
    if isinstance(error, BrokenPipeError):
        return 0
    traceback.print_exception(error)
    say("This is a bug of tyqi-core. Please report it with the lines above.")
    return 1


def leave(code: int) -> NoReturn:
    """End the process, at once if a node that was given up still executes.

    An orderly end would take the interpreter from under it, and C++ code (OpenCV) then aborts the process.
    """
    deadline = time.monotonic() + _LAST_LOOK
    for thread in threading.enumerate():
        if thread.name == _WORKER:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                logging.shutdown()
                with suppress(OSError, ValueError):
                    sys.stdout.flush()
                    sys.stderr.flush()
                os._exit(code)
    sys.exit(code)


def _as_json(error: BaseException) -> Mapping[str, Any]:
    if isinstance(error, TyqiError):
        return error.to_json()
    if isinstance(error, click.ClickException):
        return {"code": "USAGE", "message": error.format_message()}
    if isinstance(error, click.Abort | KeyboardInterrupt):
        return {"code": "INTERRUPTED", "message": "the command was interrupted"}
    return {"code": "INTERNAL", "message": f"{type(error).__name__}: {error}"}
