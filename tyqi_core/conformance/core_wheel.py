"""The tyqi-core that runs here as a wheel, for environments that pip makes.

One from a checkout, a file or a private index is on no index that pip asks by itself; whatever depends on it could then
be installed nowhere else.
"""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Final

import tyqi_core
from tyqi_core.resources import data_folder

_NAME: Final = "tyqi-core"
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""Equal content gives an equal file."""
_TAG: Final = "py3-none-any"
_WHEEL: Final = f"Wheel-Version: 1.0\nGenerator: {_NAME}\nRoot-Is-Purelib: true\nTag: {_TAG}\n"


def write_core_wheel(folder: Path) -> Path:
    """Write the wheel into a folder, which is made if need be.

    Args:
        folder: where to; an older one of the same name is replaced.

    Returns:
        The wheel.
    """
    installed = metadata.distribution(_NAME)
    stem = f"tyqi_core-{installed.version}"
    return write_wheel(folder / f"{stem}-{_TAG}.whl", f"{stem}.dist-info", _members(installed, f"{stem}.dist-info"))


def write_wheel(path: Path, dist_info: str, members: Iterable[tuple[str, bytes]]) -> Path:
    """Write members and their ``RECORD`` as a wheel, whole or not at all.

    Args:
        path: the file; its folder is made if need be.
        dist_info: the name of the metadata folder.
        members: name -> content, without ``RECORD``.

    Returns:
        ``path``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        record = [_added(archive, name, body) for name, body in members]
        record.append(f"{dist_info}/RECORD,,\n")
        archive.writestr(zipfile.ZipInfo(f"{dist_info}/RECORD", _EPOCH), "".join(record))
    return part.replace(path)


def _members(installed: metadata.Distribution, dist_info: str) -> Iterator[tuple[str, bytes]]:
    package = Path(tyqi_core.__file__).parent
    yield from _files(package, package.name)
    if not (package / "_data").is_dir():  # a checkout: they stand at its root
        for name in ("schemas", "templates"):
            yield from _files(data_folder(name), f"{package.name}/_data/{name}")
    for name in ("METADATA", "entry_points.txt"):
        yield f"{dist_info}/{name}", (installed.read_text(name) or "").encode()
    yield f"{dist_info}/WHEEL", _WHEEL.encode()
    for file in installed.files or ():
        if file.parent.name == "licenses":
            yield f"{dist_info}/licenses/{file.name}", Path(str(file.locate())).read_bytes()


def _files(folder: Path, name: str) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield f"{name}/{path.relative_to(folder).as_posix()}", path.read_bytes()


def _added(archive: zipfile.ZipFile, name: str, body: bytes) -> str:
    """Add a member; returns its line in ``RECORD``."""
    archive.writestr(zipfile.ZipInfo(name, _EPOCH), body, zipfile.ZIP_DEFLATED)
    digest = base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=").decode()
    return f'"{name}",sha256={digest},{len(body)}\n'
