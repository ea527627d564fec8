"""Small files that may be lost at any time: the catalog's index and the verdicts of probes.

A cache must never be the reason why something fails: a folder that cannot be written and a file that cannot be read
count as an empty cache. Files are moved into place whole, and carry a checksum of their content.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def cache_folder() -> Path:
    """``TYQI_CACHE`` if set, else the folder ``tyqi`` where this system keeps a user's caches.

    Raises:
        RuntimeError: the user has no home folder.
    """
    if chosen := os.environ.get("TYQI_CACHE"):
        return Path(chosen)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
        return (Path(base) if base else Path.home() / "AppData" / "Local") / "tyqi" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "tyqi"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache") / "tyqi"


def environment_key(*facts: str) -> str:
    """A short name for this interpreter's environment (and ``facts``), fit for a file name."""
    return hashlib.sha256("\0".join((sys.prefix, *facts)).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def read_cache(name: str) -> Any:
    """The JSON value kept under ``name``; ``None`` when there is none that can be trusted."""
    return read_parts(name)[0]


def read_parts(name: str) -> tuple[Any, list[bytes]]:
    """The JSON value kept under ``name`` and its further parts; ``None`` when there is none that can be trusted."""
    try:
        checksum, _, text = (cache_folder() / name).read_bytes().partition(b"\n")
        if checksum != _checksum(text):
            return None, []
        value, *parts = text.split(b"\n")
        return json.loads(value), parts
    except (OSError, ValueError, RuntimeError, RecursionError):
        return None, []


def write_cache(name: str, value: Any, parts: Iterable[bytes] = ()) -> bool:
    """Keep a JSON value under ``name``; says whether that was possible.

    Args:
        name: the file's name.
        value: what is decoded whenever the file is read.
        parts: what is not: JSON of its own, each in one line, for a reader who needs one of many.
    """
    try:
        text = b"\n".join([json.dumps(value, separators=(",", ":")).encode(), *parts])
        folder = cache_folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _replace(folder / name, _checksum(text) + b"\n" + text)
    except (OSError, ValueError, RuntimeError):
        return False
    return True


def prune_cache(pattern: str, keep: int) -> None:
    """Remove all but the ``keep`` youngest files whose name matches ``pattern``."""
    with contextlib.suppress(OSError, RuntimeError):  # another process prunes as well, or nobody may
        files = sorted(cache_folder().glob(pattern), key=lambda file: file.stat().st_mtime_ns, reverse=True)
        for file in files[keep:]:
            file.unlink(missing_ok=True)


def _checksum(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest().encode()


def _replace(path: Path, data: bytes) -> None:
    import tempfile  # noqa: PLC0415 - 5 ms that only a writer pays

    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
