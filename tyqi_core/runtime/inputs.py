"""Run inputs from files: what a port's type says a file should hold, read and checked."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tyqi_core.catalog.manifest import Manifest
from tyqi_core.errors import InputError, UsageError
from tyqi_core.protocol.ports import PortType
from tyqi_core.protocol.validation import read_json

MAX_FILE_BYTES = 512 * 1024 * 1024
"""A larger input file is refused before it is read."""

_PICTURE_TYPES = ("image", "bytes")


def read_bytes(path: Path) -> bytes:
    """A file's content.

    Raises:
        InputError: there is none, it is no ordinary file, it is empty, too large, or cannot be read.
    """
    name = path.name or str(path)
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise InputError(f"{name} is a directory, a file is expected", code="NOT_A_FILE")
        if not stat.S_ISREG(status.st_mode):  # a pipe may never end, nor may a device
            raise InputError(f"{name} is no ordinary file", code="NOT_A_FILE", remedy="Save it to a file first.")
        if status.st_size > MAX_FILE_BYTES:
            raise InputError(f"{name} holds more than {MAX_FILE_BYTES // 2**20} MiB", code="FILE_TOO_LARGE")
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{name} does not exist", code="FILE_NOT_FOUND", remedy="Check the path.") from None
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror}", code="FILE_UNREADABLE") from error
    if not data:
        raise InputError(f"{name} is empty", code="EMPTY_FILE")
    return data


def read_input(path: Path, port_type: PortType) -> Any:
    """The value of a file for a port: a decoded picture, an array (``.npy``), raw bytes, or a JSON document.

    Raises:
        InputError: the file cannot be read, or does not hold what the type asks for.
    """
    return decode_input(read_bytes(path), port_type)


def decode_input(data: bytes, port_type: PortType) -> Any:
    """The value of a file's bytes for a port.

    Raises:
        InputError: they do not hold what the type asks for.
    """
    if port_type.name == "bytes":
        return data
    if port_type.name in {"image", "mask"} and not port_type.is_list:
        from tyqi_core.protocol.images import read_image  # noqa: PLC0415 - numpy and Pillow only where a picture is read

        return read_image(data, port_type)
    if port_type.name in {"tensor", "anomaly_map"} and not port_type.is_list:
        from tyqi_core.protocol.arrays import read_npy  # noqa: PLC0415 - numpy only where an array is read

        return read_npy(data)
    if port_type.name == "video_frame" or port_type.is_list:
        raise InputError(f"an input of type {port_type} cannot be read from a file", code="TYPE_NOT_ALLOWED")
    return read_json(data)


def files_of(folder: Path) -> list[Path]:
    """The files of a folder in order of their names; hidden ones and folders are left out.

    Raises:
        UsageError: it is no folder, or holds no file.
    """
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    except OSError as error:
        raise UsageError(f"{folder} is not a folder that can be read: {error.strerror}", code="BAD_FOLDER") from error
    if not files:
        raise UsageError(f"{folder} holds no files", code="EMPTY_FOLDER", remedy="Name a folder with pictures in it.")
    return files


def picture_input(types: Mapping[str, PortType]) -> str:
    """The input that the files of a folder feed: the only picture among the project's inputs.

    Raises:
        UsageError: there is none, or more than one.
    """
    pictures = [name for name, port_type in types.items() if port_type.name in _PICTURE_TYPES]
    if len(pictures) == 1:
        return pictures[0]
    raise UsageError(
        f"the project has {len(pictures)} picture inputs {pictures}, so a folder cannot say which one it feeds",
        code="AMBIGUOUS_FOLDER",
        remedy="Write --inputs-dir PORT=DIR.",
    )


def batches(given: Iterable[tuple[str, Path]]) -> list[dict[str, Path]]:
    """One mapping of inputs a run: an input that is given several times makes as many runs, the others go to each.

    Raises:
        UsageError: two inputs are given several times, in different numbers.
    """
    by_name: dict[str, list[Path]] = {}
    for name, path in given:
        by_name.setdefault(name, []).append(path)
    lengths = {len(paths) for paths in by_name.values() if len(paths) > 1}
    if len(lengths) > 1:
        counts = {name: len(paths) for name, paths in by_name.items()}
        raise UsageError(f"inputs are given in different numbers: {counts}", code="UNEVEN_INPUTS")
    count = lengths.pop() if lengths else 1
    return [{name: _nth(paths, index) for name, paths in by_name.items()} for index in range(count)]


def _nth(paths: Sequence[Path], index: int) -> Path:
    return paths[index] if len(paths) > 1 else paths[0]


def read_example(manifest: Manifest, example: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs of one of a manifest's examples: files beside the manifest are read, JSON values taken as they are.

    Raises:
        InputError: a file does not hold what its port takes.
    """
    folder = manifest.path.parent
    given = example.get("inputs", {})
    return {name: _example_value(manifest.inputs[name].type, value, folder) for name, value in given.items()}


def _example_value(port_type: PortType, value: Any, folder: Path) -> Any:
    if port_type.is_list and isinstance(value, list):
        return [_example_value(port_type.item(), element, folder) for element in value]
    if isinstance(value, str) and (folder / value).is_file():
        return read_input(folder / value, port_type)
    return value
