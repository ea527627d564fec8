"""A wheel as it lies on disk: its metadata, its file list and its manifests, read without installing or running it."""

from __future__ import annotations

import configparser
import hashlib
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from email.message import Message
from email.parser import BytesParser
from functools import cached_property
from pathlib import Path
from typing import Final

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from tyqi_core.catalog.discovered import MANIFEST_SUFFIX, Discovered, Origin
from tyqi_core.catalog.discovery import GROUP, namespace_of, normalised
from tyqi_core.catalog.manifest import Manifest
from tyqi_core.errors import InvalidManifest, Problem, UsageError

LARGEST_TEXT: Final = 4 * 1024 * 1024
"""Bytes of one text file that is read from a wheel: metadata, manifests, Python sources."""


class Wheel:
    """A wheel file, read lazily; nothing of it is extracted or imported.

    Args:
        path: the file.

    Raises:
        UsageError: it is not there, no wheel by its name, or no readable archive (``BAD_WHEEL``).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            name, version, _, _ = parse_wheel_filename(path.name)
            with zipfile.ZipFile(path) as archive:
                self._infos = {info.filename: info for info in archive.infolist()}
        except (InvalidWheelFilename, zipfile.BadZipFile, NotImplementedError, OSError, ValueError) as error:
            remedy = "Build one with 'python -m build --wheel'."
            raise UsageError(f"{path} is no wheel: {error}", code="BAD_WHEEL", remedy=remedy) from error
        self.name = normalised(name)
        self.version = str(version)

    @cached_property
    def sha256(self) -> str:
        """The file's SHA-256, in hexadecimal digits."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    @property
    def files(self) -> Sequence[str]:
        """The names of all its members, as the archive writes them."""
        return list(self._infos)

    def read(self, name: str) -> bytes:
        """A member's bytes.

        Raises:
            UsageError: there is none of that name, it is damaged, or larger than ``LARGEST_TEXT`` (``BAD_WHEEL``).
        """
        info = self._infos.get(name)
        if info is None or info.file_size > LARGEST_TEXT:
            why = "is not in it" if info is None else f"is larger than {LARGEST_TEXT} bytes"
            raise UsageError(f"{self.path.name}: {name} {why}", code="BAD_WHEEL")
        try:
            with zipfile.ZipFile(self.path) as archive:
                return archive.read(info)
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError) as error:
            raise UsageError(f"{self.path.name}: {name} cannot be read: {error}", code="BAD_WHEEL") from error

    def text(self, name: str) -> str:
        """A member as UTF-8 text; what is none is replaced."""
        return self.read(name).decode("utf-8", errors="replace")

    @cached_property
    def dist_info(self) -> str:
        """Its metadata folder, ``tyqi_node_crack-1.0.0.dist-info``; empty if it has none.

        Code that it carries within it may have such folders too, deeper down.
        """
        folders = (name.removesuffix("/METADATA") for name in self._infos if name.endswith(".dist-info/METADATA"))
        return min((folder for folder in folders if "/" not in folder), default="")

    @cached_property
    def metadata(self) -> Message:
        """``METADATA`` as headers; without any if there is no such file."""
        name = f"{self.dist_info}/METADATA"
        return BytesParser().parsebytes(self.read(name) if name in self._infos else b"")

    @cached_property
    def entry_points(self) -> Mapping[str, Mapping[str, str]]:
        """Group -> name -> target. Of a damaged file there are none."""
        parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
        parser.optionxform = str  # type: ignore[assignment, method-assign]
        name = f"{self.dist_info}/entry_points.txt"
        try:
            parser.read_string(self.text(name) if name in self._infos else "")
        except configparser.Error:
            return {}
        return {section: dict(parser[section]) for section in parser.sections()}

    @cached_property
    def nodes(self) -> Sequence[Discovered]:
        """What it announces as nodes: each with its manifest, or with problems."""
        announced = self.entry_points.get(GROUP, {})
        return [self._node(local_id, target.replace(" ", "")) for local_id, target in announced.items()]

    @property
    def manifests(self) -> Sequence[Manifest]:
        """The manifests of those nodes that have a valid one."""
        return [node.manifest for node in self.nodes if node.manifest is not None]

    def _node(self, local_id: str, target: str) -> Discovered:
        origin = Origin(namespace_of(self.name), local_id, target, self.name, self.version)
        module = target.partition(":")[0].split(".")
        names = ("/".join((*part, local_id + MANIFEST_SUFFIX)) for part in (module, module[:-1]))
        file = next((name for name in names if name in self._infos), None)
        if file is None:
            message = f"there is no '{local_id}{MANIFEST_SUFFIX}' beside the module {'.'.join(module)}."
            return Discovered(origin, problems=(Problem("NO_MANIFEST", message, remedy="Ship it as package data."),))
        parts = {
            "namespace": origin.namespace,
            "local_id": local_id,
            "entry_point": target,
            "distribution": self.name,
            "distribution_version": self.version,
        }
        try:
            manifest = Manifest.parse(self.read(file), file, **parts)
        except InvalidManifest as error:
            return Discovered(origin, file, problems=tuple(error.problems))
        return Discovered.valid(manifest)
