"""Reading a registry wherever it is: in a folder, or on a web server that serves the folder's files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

from tyqi_core.conformance.evidence import Evidence
from tyqi_core.errors import RegistryError, UsageError
from tyqi_core.registry import layout
from tyqi_core.registry.building import path_of
from tyqi_core.registry.catalogue import Catalogue, Release
from tyqi_core.registry.web import read_url
from tyqi_core.results.files import write_files

LARGEST_DOCUMENT: Final = 256 * 1024 * 1024
"""Bytes of a catalogue or an evidence file."""


class Registry:
    """A registry that is read. Nothing is kept between calls.

    Attributes:
        location: as it was named.
        url: its folder as a URL that ends with ``/``.
    """

    def __init__(self, location: str, url: str, read: Callable[[str, int], bytes]) -> None:
        self.location = location
        self.url = url
        self._read = read

    @property
    def simple_url(self) -> str:
        """What pip is given as ``--index-url``."""
        return f"{self.url}{layout.SIMPLE}/"

    def catalogue(self) -> Catalogue:
        """Everything that it offers, without READMEs.

        Raises:
            RegistryError: there is no catalogue, or none that can be read.
        """
        try:
            return Catalogue.from_json(self._document(layout.CATALOGUE))
        except ValueError as error:
            raise RegistryError(f"{self.location}: {error}", code="DAMAGED") from error

    def wheel_url(self, release: Release) -> str:
        """Where a release's wheel lies."""
        return f"{self.url}{quote(path_of(release))}"

    def evidence(self, release: Release) -> Evidence:
        """What the conformance kit found of a release.

        Raises:
            RegistryError: there is none, or it is about another file than the release's.
        """
        body = self._document(f"{layout.PACKAGES}/{release.name}/{release.version}/{layout.EVIDENCE}")
        try:
            evidence = Evidence.from_json(body)
        except ValueError as error:
            raise RegistryError(f"{self.location}: {error}", code="DAMAGED") from error
        if evidence.sha256 != release.sha256:
            message = f"the evidence for {release.name} {release.version} is about another file"
            raise RegistryError(message, code="DAMAGED")
        return evidence

    def file(self, path: str, limit: int = LARGEST_DOCUMENT) -> bytes:
        """A file of the registry's folder.

        Raises:
            RegistryError: ``NOT_FOUND``, ``REGISTRY_UNREACHABLE``.
        """
        return self._read(path, limit)

    def download(self, release: Release, folder: Path) -> Path:
        """Write a release's wheel into a folder; what arrives is the file that the catalogue names, or an error.

        Raises:
            RegistryError: it cannot be read, or its SHA-256 is another one (``DAMAGED``).
        """
        data = self._read(path_of(release), release.size)
        if hashlib.sha256(data).hexdigest() != release.sha256:
            raise RegistryError(f"{release.filename}: what arrived is not what was published", code="DAMAGED")
        return write_files(folder, {Path(release.filename).name: data})[0]

    def _document(self, path: str) -> dict[str, Any]:
        try:
            body = json.loads(self._read(path, LARGEST_DOCUMENT))
        except (ValueError, RecursionError) as error:
            raise RegistryError(f"{self.location}: {path} is no JSON: {error}", code="DAMAGED") from error
        if not isinstance(body, dict):
            raise RegistryError(f"{self.location}: {path} holds no JSON object", code="DAMAGED")
        return body


def open_registry(location: str) -> Registry:
    """The registry at a location; nothing is read yet.

    Args:
        location: a folder, or a URL of the scheme ``file``, ``http`` or ``https`` that names such a folder.

    Raises:
        UsageError: nothing is named, or a URL of another scheme.
    """
    if not location:
        remedy = "Name a folder or URL: --registry, TYQI_REGISTRY, or 'registry' in tyqi.toml."
        raise UsageError("no registry is named", code="NO_REGISTRY", remedy=remedy)
    if folder := folder_of(location):
        return Registry(location, f"{folder.as_uri()}/", partial(_read_file, folder))
    parts = urlsplit(location)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        message = f"'{location}' is no registry; expected a folder or a URL that begins with file, http or https"
        raise UsageError(message, code="NO_REGISTRY")
    url = parts._replace(query="", fragment="", path=parts.path.rstrip("/") + "/").geturl()
    return Registry(location, url, lambda path, limit: read_url(url + quote(path), limit))


def folder_of(location: str) -> Path | None:
    """The folder that a location names; ``None`` for one on a web server."""
    if "://" not in location:
        return Path(location).expanduser().absolute()
    parts = urlsplit(location)
    if parts.scheme != "file":
        return None
    if parts.netloc not in {"", "localhost"}:
        raise UsageError(f"'{location}' names another machine", code="NO_REGISTRY", remedy="Write file:///folder.")
    return Path(url2pathname(parts.path)).absolute()


def _read_file(folder: Path, path: str, limit: int) -> bytes:
    file = folder / path
    try:
        if file.stat().st_size > limit:
            raise RegistryError(f"{file} is larger than {limit} bytes", code="REGISTRY_UNREACHABLE")
        return file.read_bytes()
    except FileNotFoundError as error:
        raise _absent(folder, file) from error
    except OSError as error:
        raise RegistryError(f"{file} cannot be read: {error.strerror}", code="REGISTRY_UNREACHABLE") from error


def _absent(folder: Path, file: Path) -> RegistryError:
    if not (folder / layout.DESCRIPTION).exists():
        return RegistryError(f"{folder} is no registry", code="NO_REGISTRY")
    remedy = f"tyqi registry build --registry {folder}" if file.name == layout.CATALOGUE else None
    return RegistryError(f"there is no {file}", code="NOT_FOUND", remedy=remedy)
