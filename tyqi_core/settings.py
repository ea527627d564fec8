"""Settings: ``tyqi.toml`` and ``TYQI_*`` environment variables, read in one place. docs/settings.md lists them."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from tyqi_core.errors import UsageError

FILE = "tyqi.toml"
_KINDS: Mapping[str, tuple[tuple[type, ...], str]] = {
    "state": ((str,), "a path"),
    "threads": ((int,), "a whole number"),
    "retention_days": ((int, float), "a number of days"),
    "redis": ((str,), "a URL such as redis://127.0.0.1:6379/0"),
    "broker": ((str,), "a URL such as amqp://user:password@host:5672// or redis://host:6379/1"),
    "namespace": ((str,), "a name"),
    "lease_s": ((int, float), "a number of seconds"),
    "grace_s": ((int, float), "a number of seconds"),
    "keep_runs_hours": ((int, float), "a number of hours"),
    "max_memory_mb": ((int,), "a whole number of MiB"),
    "remote_control": ((bool,), "true or false"),
    "shared_memory": ((bool,), "true or false"),
    "registry": ((str,), "a folder, or a URL of the scheme file, http or https"),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What can be set. Every field is a key of ``tyqi.toml`` and, upper-cased after ``TYQI_``, a variable.

    Attributes:
        state: folder of run records, histories and environments. Default: ``.tyqi`` beside ``tyqi.toml``, else in the
            current folder.
        threads: how many tasks may execute at once in process; 0 means one a core, at least 4.
        retention_days: how long run records are kept; 0 keeps no payloads, so that runs cannot be replayed.
        redis: the server that holds runs on workers; empty: none, or the one that ``tyqi up`` has started here.
        broker: the message broker of the workers; empty: the same Redis server.
        namespace: what the keys in Redis begin with; several installations may share a server.
        lease_s: how long a worker may be silent before its tasks are given to others.
        grace_s: how long a ready task may wait for a worker before it is told again; doubles.
        keep_runs_hours: how long runs on workers are kept in Redis after their end.
        max_memory_mb: at how much memory a worker's forked process is replaced after its task; 0: never.
        remote_control: let Celery's ``inspect`` and Flower reach the workers.
        shared_memory: hand large arrays to other processes of this machine by shared memory.
        registry: where nodes are published: a folder or a URL; empty: nowhere.
    """

    state: Path = field(default_factory=lambda: Path(".tyqi"))
    threads: int = 0
    retention_days: float = 30.0
    redis: str = field(default="", repr=False)
    broker: str = field(default="", repr=False)
    namespace: str = "tyqi"
    lease_s: float = 30.0
    grace_s: float = 5.0
    keep_runs_hours: float = 24.0
    max_memory_mb: int = 0
    remote_control: bool = False
    shared_memory: bool = True
    registry: str = field(default="", repr=False)

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


_READERS: Mapping[str, Callable[[Any, Path], Any]] = {
    "state": lambda value, home: home / Path(str(value)).expanduser(),
    "threads": lambda value, _: int(_above(0, int(value))),
    "max_memory_mb": lambda value, _: int(_above(0, int(value))),
    "retention_days": lambda value, _: _above(0, float(value)),
    "redis": lambda value, _: _url(str(value), "redis"),
    "broker": lambda value, _: _url(str(value), "broker"),
    "namespace": lambda value, _: _name(str(value)),
    "lease_s": lambda value, _: _above(0.2, float(value)),
    "grace_s": lambda value, _: _above(0.2, float(value)),
    "keep_runs_hours": lambda value, _: _above(0, float(value)),
    "remote_control": lambda value, _: _boolean(value),
    "shared_memory": lambda value, _: _boolean(value),
    "registry": lambda value, home: _registry(str(value), home),
}


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
        return _READERS[name](value, home)
    except (TypeError, ValueError, LookupError) as error:
        if name in _SCHEMES:
            raise UsageError(f"{place}: no usable URL for '{name}': {error}", code="SETTING") from None
        raise UsageError(f"{place}: {value!r} is no usable value for '{name}': {error}", code="SETTING") from error


_BOOLEANS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
_SCHEMES = {
    "registry": ("file", "http", "https"),
    "redis": ("redis", "rediss", "unix"),
    "broker": ("redis", "rediss", "redis+socket", "amqp", "amqps"),
}


def _url(value: str, name: str) -> str:
    """A URL whose scheme can be used; what it holds is not repeated in the error, it may be a password."""
    scheme = value.partition("://")[0]
    if scheme not in _SCHEMES[name] or "://" not in value:
        raise ValueError(f"expected {' or '.join(_SCHEMES[name])}, then ://")
    return value


def _registry(value: str, home: Path) -> str:
    """A folder as a full path, or a URL as it is."""
    return _url(value, "registry") if "://" in value else str(home / Path(value).expanduser())


def _name(value: str) -> str:
    if not value.isascii() or not value.replace("-", "").replace("_", "").isalnum():
        raise ValueError("expected letters, digits, dashes and underscores")
    return value


def _above(least: float, value: float) -> float:
    if not least <= value < float("inf"):
        raise ValueError(f"must be {least} or more")
    return value


def _boolean(value: Any) -> bool:
    return value if isinstance(value, bool) else _BOOLEANS[value.lower()]
