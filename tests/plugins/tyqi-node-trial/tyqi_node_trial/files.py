"""Traces in files: they reach the test from whatever thread, process or machine-local worker a node runs in."""

from __future__ import annotations

import os
from pathlib import Path


def append(path: str, line: str) -> None:
    """Append a line in one write, so that lines of several processes never mix; nothing without a path."""
    if not path:
        return
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, f"{line}\n".encode())
    finally:
        os.close(handle)


def lines(path: str) -> list[str]:
    """The lines so far; none of a file that is not there yet."""
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
