"""Making everything that a registry's folder shows of the releases in it.

Only what changed is read and written, so that publishing the thousandth release costs little more than the first.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import tyqi_core.conformance.versions  # noqa: F401 - pages tell the titles of its checks
from tyqi_core.catalog.wheel import Wheel
from tyqi_core.errors import Problem, RegistryError, UsageError
from tyqi_core.failpoints import hit
from tyqi_core.registry import layout
from tyqi_core.registry.catalogue import Catalogue, Release
from tyqi_core.registry.files import put
from tyqi_core.registry.folder import Published, RegistryFolder, time_text
from tyqi_core.registry.index_pages import IndexFile, project_files, root_files
from tyqi_core.registry.listings import Listed, listed, metadata_path

_SITE: Final = "tyqi_core.registry.pages"


@dataclass(frozen=True, slots=True)
class Built:
    """What a build made.

    Attributes:
        catalogue: everything that is offered, READMEs included.
        problems: releases that are damaged; they are left out.
    """

    catalogue: Catalogue
    problems: Sequence[Problem]


def build(root: Path, advance: Callable[[], None] = lambda: None) -> Built:
    """Make index, catalogue and website of a registry's folder anew, where they are not as they should be.

    Args:
        root: the folder.
        advance: called after each release.

    Raises:
        RegistryError: there is no registry, or it cannot be written to.
    """
    folder = RegistryFolder.open(root)
    with folder.locked():
        return rebuild(folder, advance)


def rebuild(folder: RegistryFolder, advance: Callable[[], None] = lambda: None) -> Built:
    """:func:`build` for those who hold the folder's lock."""
    found, problems = _listings(folder.published(), advance)
    catalogue = Catalogue(folder.title, [one.release for one in found])
    write_index(folder.root, index_of(found, libraries(folder.root)), quarantined_of(found))
    hit("registry.indexed")
    put(folder.root / layout.CATALOGUE, catalogue_bytes(catalogue))
    write_site(folder.root, catalogue)
    return Built(catalogue, problems)


def write_site(root: Path, catalogue: Catalogue) -> None:
    """Write the website, where its part of the package is there."""
    if find_spec(_SITE):
        import_module(_SITE).write_site(root, catalogue)


def catalogue_bytes(catalogue: Catalogue) -> bytes:
    """``catalogue.json``: without the READMEs, which only pages show and which would be most of it."""
    slim = replace(catalogue, releases=[replace(release, readme="") for release in catalogue.releases])
    return (json.dumps(slim.to_json(), separators=(",", ":"), ensure_ascii=False) + "\n").encode()


def index_of(found: Iterable[Listed], others: Iterable[tuple[str, IndexFile]]) -> dict[str, list[IndexFile]]:
    """Distribution -> its files in the index. What is quarantined is not offered."""
    index: dict[str, list[IndexFile]] = defaultdict(list)
    for one in found:
        if not one.release.quarantined:
            index[one.release.name].append(_index_file(one))
        else:
            index[one.release.name] += []
    for name, file in others:
        index[name].append(file)
    return dict(index)


def quarantined_of(found: Iterable[Listed]) -> dict[str, dict[str, str]]:
    """Distribution -> version -> reason."""
    withdrawn: dict[str, dict[str, str]] = defaultdict(dict)
    for one in found:
        if one.release.quarantined:
            withdrawn[one.release.name][one.release.version] = one.release.quarantined
    return dict(withdrawn)


def index_pages(
    index: Mapping[str, Sequence[IndexFile]], quarantined: Mapping[str, Mapping[str, str]]
) -> dict[str, bytes]:
    """Every file of ``simple/``: path within it -> content."""
    pages = root_files(index)
    for name, files in index.items():
        made = project_files(name, files, quarantined.get(name, {}))
        pages |= {f"{name}/{file}": data for file, data in made.items()}
    return pages


def write_index(
    root: Path, index: Mapping[str, Sequence[IndexFile]], quarantined: Mapping[str, Mapping[str, str]]
) -> None:
    """Write ``simple/``; pages of what is no longer there are removed."""
    simple = root / layout.SIMPLE
    for path, data in index_pages(index, quarantined).items():
        put(simple / path, data)
    for shown in simple.iterdir():
        if shown.is_dir() and shown.name not in index:
            shutil.rmtree(shown)


def libraries(root: Path) -> list[tuple[str, IndexFile]]:
    """What a mirror holds beside nodes: name and file in the index of each wheel under ``libraries/``."""
    return [_library(root, path) for path in sorted((root / layout.LIBRARIES).glob("*/*.whl"))]


def _listings(releases: Sequence[Published], advance: Callable[[], None]) -> tuple[list[Listed], list[Problem]]:
    found, problems = [], []
    for release in releases:
        try:
            found.append(listed(release))
        except RegistryError as error:
            problems.append(Problem(error.code, error.message, str(release.folder)))
        advance()
    return found, problems


def _index_file(one: Listed) -> IndexFile:
    release = one.release
    return IndexFile(
        release.version,
        path_of(release),
        release.sha256,
        release.size,
        release.published,
        release.requires_python,
        one.metadata_sha256,
        release.yanked,
        release.tier,
    )


def path_of(release: Release) -> str:
    """Where a release's wheel lies in the registry's folder, with ``/``."""
    return f"{layout.PACKAGES}/{release.name}/{release.version}/{release.filename}"


def _library(root: Path, path: Path) -> tuple[str, IndexFile]:
    try:
        wheel = Wheel(path)
        metadata = wheel.read(f"{wheel.dist_info}/METADATA")
    except UsageError as error:
        raise RegistryError(error.message, code="DAMAGED") from error
    put(metadata_path(path), metadata)
    stat = path.stat()
    uploaded = time_text(datetime.fromtimestamp(stat.st_mtime, UTC))
    file = IndexFile(
        wheel.version,
        path.relative_to(root).as_posix(),
        wheel.sha256,
        stat.st_size,
        uploaded,
        str(wheel.metadata["Requires-Python"] or ""),
        hashlib.sha256(metadata).hexdigest(),
    )
    return wheel.name, file
