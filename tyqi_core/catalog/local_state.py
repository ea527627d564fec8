"""What ``tyqi`` itself keeps of an environment: which nodes are switched off, and what plugins brought along.

It belongs to the environment, as the packages do, and not to a project: one small file below ``sys.prefix``. Workers of
isolated environments are told their host's prefix, so that what is switched off there is off in them too.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from tyqi_core.errors import UsageError

HOST_PREFIX: Final = "TYQI_HOST_PREFIX"
_FILE: Final = Path("etc", "tyqi", "nodes.json")


@dataclass(frozen=True, slots=True)
class LocalState:
    """The file's content.

    Attributes:
        disabled: ids of nodes (``crack.segment``) and namespaces of plugins (``crack``).
        brought: distribution -> the packages that were installed with it because it needs them.
    """

    disabled: Sequence[str] = ()
    brought: Mapping[str, Sequence[str]] = field(default_factory=dict)


def state_file() -> Path:
    """Where the state of this environment is kept."""
    return Path(os.environ.get(HOST_PREFIX) or sys.prefix) / _FILE


def read_state() -> LocalState:
    """What is kept; nothing where there is no file, or a damaged one."""
    try:
        body = json.loads(state_file().read_bytes())
        brought = {str(name): tuple(map(str, names)) for name, names in body["brought"].items()}
        return LocalState(tuple(map(str, body["disabled"])), brought)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return LocalState()


def write_state(state: LocalState) -> None:
    """Keep ``state``; of an empty one no file is left.

    Raises:
        UsageError: the environment cannot be written (``READ_ONLY``).
    """
    file = state_file()
    try:
        if state == LocalState():
            file.unlink(missing_ok=True)
            with suppress(OSError):  # they are not empty, or not there
                file.parent.rmdir()
                file.parent.parent.rmdir()
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_suffix(f".{os.getpid()}.new")
        fresh.write_text(json.dumps(asdict(state), indent=1, sort_keys=True), encoding="utf-8")
        fresh.replace(file)
    except OSError as error:
        remedy = "Use an environment of your own: python -m venv."
        raise UsageError(f"{file} cannot be written: {error}", code="READ_ONLY", remedy=remedy) from error


def disabled_here() -> frozenset[str]:
    """What is switched off in this environment."""
    return frozenset(read_state().disabled)
