"""Wheels of what is installed here, put together again, so that pip can fill fresh environments without a network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tyqi_core.conformance.core_wheel import write_core_wheel, write_wheel

_WRITTEN_BY_INSTALLERS = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"}


def write_wheelhouse(folder: Path, *requirements: str) -> Path:
    """Write wheels of these requirements and of all that they need, this very tyqi-core among them."""
    for name, distribution in _closure(requirements).items():
        if name == "tyqi-core":
            write_core_wheel(folder)
        else:
            _write(folder, distribution)
    return folder


def _closure(requirements: Iterable[str]) -> dict[str, metadata.Distribution]:
    found: dict[str, metadata.Distribution] = {}
    seen: set[tuple[str, str]] = set()
    todo = [(Requirement(one), "") for one in requirements]
    while todo:
        wanted, extra = todo.pop()
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(wanted.name)
        distribution = found.setdefault(name, metadata.distribution(name))
        for own in {"", *wanted.extras}:
            if (name, own) not in seen:
                seen.add((name, own))
                todo += [(Requirement(one), own) for one in distribution.requires or ()]
    return found


def _write(folder: Path, distribution: metadata.Distribution) -> None:
    dist_info = next(str(file).split("/")[0] for file in distribution.files or () if file.name == "METADATA")
    tags = [line.partition(": ")[2] for line in (distribution.read_text("WHEEL") or "").splitlines() if "Tag: " in line]
    tag = "-".join(".".join(sorted(set(parts))) for parts in zip(*(one.split("-") for one in tags), strict=True))
    path = folder / f"{dist_info.removesuffix('.dist-info')}-{tag}.whl"
    write_wheel(path, dist_info, _members(distribution, dist_info))


def _members(distribution: metadata.Distribution, dist_info: str) -> Iterator[tuple[str, bytes]]:
    """Its files, but for the programs outside its folder, which pip makes anew of the entry points."""
    for file in distribution.files or ():
        by_pip = str(file.parent) == dist_info and file.name in _WRITTEN_BY_INSTALLERS
        if ".." not in file.parts and "__pycache__" not in file.parts and not by_pip:
            yield file.as_posix(), Path(str(file.locate())).read_bytes()
