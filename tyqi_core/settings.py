"""Settings: ``tyqi.toml`` and ``TYQI_*`` environment variables, read in one place. docs/settings.md lists them."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from tyqi_core.errors import UsageError

FILE = "tyqi.toml"
_KINDS: Mapping[str, tuple[tuple[type, ...], str]] = {
    "state": ((str,), "a path"),
    "threads": ((int,), "a whole number"),
    "retention_days": ((int, float), "a number of days"),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What can be set. Every field is a key of ``tyqi.toml`` and, upper-cased after ``TYQI_``, a variable.

    Attributes:
        state: folder of run records, histories and environments. Default: ``.tyqi`` beside ``tyqi.toml``, else in the
            current folder.
        threads: how many tasks may execute at once in process; 0 means one a core, at least 4.
        retention_days: how long run records are kept; 0 keeps no payloads, so that runs cannot be replayed.
    """

    state: Path = field(default_factory=lambda: Path(".tyqi"))
    threads: int = 0
    retention_days: float = 30.0

    @classmethod
    def load(cls, folder: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
        """The settings in force in a folder: the environment, then the nearest ``tyqi.toml``, then defaults.

        Raises:
            UsageError: a file or variable holds what cannot be used.
        """
        folder = (folder or Path.cwd()).absolute()
        environ = os.environ if environ is None else environ
        home, values = _nearest_file(folder)
        found: dict[str, Any] = {"state": home / ".tyqi"}
        for name in (known.name for known in fields(cls)):
            variable = f"TYQI_{name.upper()}"
            if name in values:
                found[name] = _typed(name, _plain(name, values.pop(name), str(home / FILE)), str(home / FILE), home)
            if environ.get(variable):
                found[name] = _typed(name, environ[variable], variable, folder)
        if values:
            known_names = ", ".join(known.name for known in fields(cls))
            raise UsageError(f"{home / FILE}: unknown setting '{min(values)}'; known are {known_names}", code="SETTING")
        return cls(**found)


def _nearest_file(folder: Path) -> tuple[Path, dict[str, Any]]:
    for candidate in (folder, *folder.parents):
        path = candidate / FILE
        if path.is_file():
            try:
                return candidate, tomllib.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise UsageError(f"{path}: {error}", code="SETTING") from error
    return folder, {}


def _plain(name: str, value: Any, place: str) -> Any:
    """A value of ``tyqi.toml``, where ``true`` is no number and a number no path."""
    wanted, words = _KINDS[name]
    if type(value) not in wanted or value == "":
        raise UsageError(f"{place}: '{name}' is {value!r}; expected {words}.", code="SETTING")
    return value


def _typed(name: str, value: Any, place: str, home: Path) -> Any:
    try:
        match name:
            case "state":
                return home / Path(str(value)).expanduser()
            case "threads":
                return int(_at_least_zero(int(value)))
            case _:
                return _at_least_zero(float(value))
    except (TypeError, ValueError) as error:
        raise UsageError(f"{place}: {value!r} is no usable value for '{name}': {error}", code="SETTING") from error


def _at_least_zero(value: float) -> float:
    if not 0 <= value < float("inf"):
        raise ValueError("must be 0 or more")
    return value
