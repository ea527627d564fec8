"""Writing files whole or not at all.

Every file is first written under a temporary name in its own folder, and only when all files of a set are there are
they moved to their names. A full disk, a crash or a Ctrl-C leaves the files that were there before, untouched.
"""

from __future__ import annotations

import errno
import os
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tyqi_core.errors import OutputError

_TEMPORARY_SUFFIX = ".part"
_PATIENCE_S = (0.05, 0.2, 0.8)
"""On Windows a virus scanner may hold a file that was just written; the move is tried again after these pauses."""

_REASONS = {
    errno.ENOSPC: ("DISK_FULL", "the disk is full", "Make room, or choose another folder with --out."),
    errno.EDQUOT: ("DISK_FULL", "the disk quota is used up", "Make room, or choose another folder with --out."),
    errno.EFBIG: ("DISK_FULL", "the file is larger than this disk or user may write", "Choose another folder."),
    errno.EACCES: ("OUTPUT_NOT_WRITABLE", "this folder may not be written to", "Choose another folder with --out."),
    errno.EPERM: ("OUTPUT_NOT_WRITABLE", "this folder may not be written to", "Choose another folder with --out."),
    errno.EROFS: ("OUTPUT_NOT_WRITABLE", "the disk is mounted read-only", "Choose another folder with --out."),
    errno.ENOTDIR: ("OUTPUT_NOT_A_FOLDER", "a part of the path is a file", "Choose another folder with --out."),
    errno.EEXIST: ("OUTPUT_NOT_A_FOLDER", "a file of this name is in the way", "Choose another folder with --out."),
    errno.EISDIR: (
        "OUTPUT_NOT_A_FILE",
        "a folder of this name is in the way",
        "Move it away, or choose another --out.",
    ),
    errno.ENAMETOOLONG: (
        "OUTPUT_NAME_TOO_LONG",
        "the path is too long for this file system",
        "Choose a shorter --out.",
    ),
}


def write_files(folder: Path, contents: Mapping[str, bytes]) -> list[Path]:
    """Write files into a folder, which is made if need be; other files in it are left alone.

    Args:
        folder: where to.
        contents: path relative to ``folder``, with ``/``, -> what goes into the file.

    Returns:
        The files' paths, in the order given.

    Raises:
        OutputError: the disk is full, the folder may not be written to, something else has the name. Which of the
            old files are still the old ones is then certain: all, unless moving itself failed half-way.
    """
    staged: list[tuple[Path, Path]] = []
    made: list[Path] = []
    try:
        for name, data in contents.items():
            target = folder / name
            with _translated(target):
                made += _make(target.parent)
                staged.append((_stage(target, data), target))
        for temporary, target in staged:
            with _translated(target):
                _move(temporary, target)
    finally:
        for temporary, _ in staged:
            temporary.unlink(missing_ok=True)
        _remove_empty(made)
    return [target for _, target in staged]


def try_folder(folder: Path) -> None:
    """Find out whether files can be written into a folder, which is made if need be.

    Raises:
        OutputError: they cannot.
    """
    with _translated(folder):
        _make(folder)
        _stage(folder / "any", b"").unlink()


def _make(folder: Path) -> list[Path]:
    """Make a folder; returns what was missing of its path, the deepest first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def _remove_empty(folders: Sequence[Path]) -> None:
    """Remove those of the folders just made into which nothing came."""
    for folder in sorted(folders, key=lambda path: -len(path.parts)):
        with suppress(OSError):
            folder.rmdir()


def _stage(target: Path, data: bytes) -> Path:
    """Write beside the target; the name is short, so that it fits wherever the target's own name fits."""
    temporary = target.parent / f".{secrets.token_hex(8)}{_TEMPORARY_SUFFIX}"
    try:
        temporary.write_bytes(data)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _move(temporary: Path, target: Path) -> None:
    for pause in _PATIENCE_S if os.name == "nt" else ():
        try:
            temporary.replace(target)
        except PermissionError:
            time.sleep(pause)
        else:
            return
    temporary.replace(target)


@contextmanager
def _translated(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        code, reason, remedy = _REASONS.get(error.errno or 0, (None, error.strerror or str(error), None))
        raise OutputError(f"cannot write {target}: {reason}.", code=code, remedy=remedy) from error
