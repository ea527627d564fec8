"""Files of a registry: written whole and durably, read as JSON, and the lock of those who write."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from tyqi_core.errors import RegistryError
from tyqi_core.failpoints import hit
from tyqi_core.results.files import write_files

STAGED: str = ".new-"
"""What the names of folders begin with that are not in their place yet."""
_TURN_S = 0.1


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time, whoever comes second waits; the lock goes with its holder, however that ends."""
    try:
        file = path.open("ab")
    except OSError as error:
        raise unusable(path.parent, error) from error
    with file:
        if sys.platform == "win32":
            with _locked_on_windows(file):
                yield
        else:
            import fcntl  # noqa: PLC0415 - Windows has none

            fcntl.flock(file, fcntl.LOCK_EX)
            yield


@contextmanager
def _locked_on_windows(file: IO[bytes]) -> Iterator[None]:
    import msvcrt  # noqa: PLC0415 - only Windows has it

    lock: Any = msvcrt
    while True:
        file.seek(0)
        try:
            lock.locking(file.fileno(), lock.LK_NBLCK, 1)
            break
        except OSError:
            time.sleep(_TURN_S)
    try:
        yield
    finally:
        file.seek(0)
        with suppress(OSError):
            lock.locking(file.fileno(), lock.LK_UNLCK, 1)


def as_json(body: Mapping[str, Any]) -> bytes:
    """A document as it is kept: readable, the same bytes for the same content."""
    return (json.dumps(body, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def read_json(path: Path) -> dict[str, Any] | None:
    """A document that was kept; ``None`` if there is no such file.

    Raises:
        RegistryError: it cannot be read, or is no JSON object (``DAMAGED``).
    """
    try:
        body = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise RegistryError(f"{path} cannot be read: {error}", code="DAMAGED") from error
    if not isinstance(body, dict):
        raise RegistryError(f"{path} holds no JSON object", code="DAMAGED")
    return body


def put(path: Path, data: bytes) -> bool:
    """Write a file whole, if it does not hold just that; returns whether it was written."""
    with suppress(OSError):
        if path.stat().st_size == len(data) and path.read_bytes() == data:
            return False
    write_files(path.parent, {path.name: data})
    return True


def put_folder(folder: Path, contents: Mapping[str, bytes], copies: Mapping[str, Path]) -> None:
    """Make a folder with all its files at once: whoever looks sees all of it or nothing, also after a crash.

    Args:
        folder: what must not be there yet.
        contents: name -> bytes.
        copies: name -> the file that is copied.

    Raises:
        OSError: it is there, or the disk refuses.
    """
    staged = folder.parent.parent / f"{STAGED}{secrets.token_hex(8)}"
    staged.mkdir(parents=True)
    try:
        for name, data in contents.items():
            (staged / name).write_bytes(data)
        for name, source in copies.items():
            shutil.copyfile(source, staged / name)
        for path in (*staged.iterdir(), staged):
            _to_disk(path)
        hit("registry.staged")
        folder.parent.mkdir(exist_ok=True)
        staged.rename(folder)
        _to_disk(folder.parent)
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        raise


def clear_staged(folder: Path) -> None:
    """Remove what a crash has left half done. The lock is held, so nobody works on it."""
    for left in folder.glob(f"{STAGED}*"):
        shutil.rmtree(left, ignore_errors=True)


def unusable(root: Path, error: OSError) -> RegistryError:
    """The error for a folder that cannot be used."""
    reason = error.strerror or str(error)
    return RegistryError(f"the registry {root} cannot be used: {reason}", code="REGISTRY_UNUSABLE")


def _to_disk(path: Path) -> None:
    """Have the system write a file, or a folder's entries, to the disk. Windows has no such call for folders."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
