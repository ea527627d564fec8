"""Reading a registry: a folder, or a ``file://`` URL of one."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

from tyqi_core.errors import UsageError
from tyqi_core.registry import layout
from tyqi_core.registry.catalogue import Catalogue, Release


class Registry:
    """A registry that is read.

    Attributes:
        location: as it was named.
        url: its folder as a URL that ends with ``/``.
    """

    def __init__(self, location: str) -> None:
        parts = urlsplit(location)
        self._root = Path(url2pathname(parts.path) if parts.scheme == "file" else location).absolute()
        self.location = location
        self.url = f"{self._root.as_uri()}/"

    @property
    def simple_url(self) -> str:
        """What pip is given as ``--index-url``."""
        return f"{self.url}{layout.SIMPLE}/"

    def catalogue(self) -> Catalogue:
        """Everything that it offers.

        Raises:
            UsageError: there is no catalogue, or a damaged one (``NO_REGISTRY``).
        """
        try:
            return Catalogue.from_json(json.loads((self._root / layout.CATALOGUE).read_bytes()))
        except (OSError, ValueError) as error:
            remedy = "Name another in TYQI_REGISTRY, or build it: tyqi registry build"
            raise UsageError(f"{self._root} is no registry: {error}", code="NO_REGISTRY", remedy=remedy) from error

    def wheel_url(self, release: Release) -> str:
        """Where a release's wheel lies."""
        path = f"{layout.PACKAGES}/{release.name}/{release.version}/{release.filename}"
        return f"{self.url}{quote(path)}"


def open_registry(location: str) -> Registry:
    """The registry at a folder's path or a ``file://`` URL; nothing is read yet.

    Raises:
        UsageError: nothing is named (``NO_REGISTRY``).
    """
    if not location:
        remedy = "Name a folder or URL: --registry, TYQI_REGISTRY, or 'registry' in tyqi.toml."
        raise UsageError("no registry is named", code="NO_REGISTRY", remedy=remedy)
    return Registry(location)
