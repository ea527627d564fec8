"""A registry's folder: which releases lie in it, and the few ways in which it changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from packaging.version import InvalidVersion, Version

from tyqi_core.catalog.wheel import Wheel
from tyqi_core.conformance.evidence import Evidence
from tyqi_core.errors import RegistryError
from tyqi_core.failpoints import hit
from tyqi_core.registry import layout
from tyqi_core.registry.files import as_json, clear_staged, locked, put, put_folder, read_json, unusable

FORMAT: Final = 1
TITLE: Final = "TYQ-i node registry"
WITHDRAWALS: Final = ("yanked", "quarantined")


@dataclass(frozen=True)
class Published:
    """One release as it lies in its folder."""

    name: str
    version: str
    folder: Path

    @cached_property
    def record(self) -> Mapping[str, Any]:
        """``release.json``.

        Raises:
            RegistryError: ``DAMAGED``.
        """
        body = read_json(self.folder / layout.RELEASE)
        if body is None or not {"filename", "sha256", "size", "published"} <= set(body):
            raise RegistryError(f"{self.folder / layout.RELEASE} is missing or incomplete", code="DAMAGED")
        return body

    @property
    def wheel_path(self) -> Path:
        """The wheel's file."""
        return self.folder / Path(str(self.record["filename"])).name

    @property
    def evidence(self) -> Evidence:
        """What the kit found.

        Raises:
            RegistryError: ``DAMAGED``.
        """
        try:
            return Evidence.from_json(read_json(self.folder / layout.EVIDENCE) or {})
        except ValueError as error:
            raise RegistryError(f"{self.folder / layout.EVIDENCE}: {error}", code="DAMAGED") from error

    @property
    def state(self) -> Mapping[str, str]:
        """``yanked`` and ``quarantined`` with their reasons, of those that it is."""
        body = read_json(self.folder / layout.STATE) or {}
        return {name: str(body[name]) for name in WITHDRAWALS if body.get(name)}

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class RegistryFolder:
    """A folder that is a registry. Everything that changes it is called while it is :meth:`locked`."""

    def __init__(self, root: Path, title: str) -> None:
        self.root = root
        self.title = title

    @classmethod
    def open(cls, root: Path) -> RegistryFolder:
        """The registry in an existing folder.

        Raises:
            RegistryError: there is none, or one of a format that is not known here.
        """
        body = read_json(root / layout.DESCRIPTION)
        if body is None:
            remedy = "'tyqi registry build --registry FOLDER' makes one of an empty folder."
            raise RegistryError(f"{root} is no registry", code="NO_REGISTRY", remedy=remedy)
        if body.get("tyqi_registry") != FORMAT:
            found = body.get("tyqi_registry")
            raise RegistryError(f"{root}: a registry of format {found!r} is not known here", code="NO_REGISTRY")
        return cls(root, str(body.get("title") or TITLE))

    @classmethod
    def create(cls, root: Path, title: str = TITLE) -> RegistryFolder:
        """The registry in a folder; one that is empty or not there yet becomes a registry.

        Raises:
            RegistryError: the folder holds something else.
        """
        if (root / layout.DESCRIPTION).exists():
            return cls.open(root)
        try:
            root.mkdir(parents=True, exist_ok=True)
            strange = sorted(path.name for path in root.iterdir() if not path.name.startswith("."))
        except OSError as error:
            raise unusable(root, error) from error
        if (root / layout.DESCRIPTION).exists():  # another process was quicker; it writes this file first
            return cls.open(root)
        if strange:
            message = f"{root} is no registry and not empty: there is {strange[0]}"
            raise RegistryError(message, code="NO_REGISTRY", remedy="Name an empty folder.")
        put(root / layout.DESCRIPTION, as_json({"tyqi_registry": FORMAT, "title": title}))
        return cls.open(root)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep others from changing the folder; what a crash has left half done is cleared away first."""
        with locked(self.root / layout.LOCK):
            clear_staged(self.root / layout.PACKAGES)
            yield

    @contextmanager
    def looked_at(self) -> Iterator[None]:
        """Keep others from changing the folder while it is read, where a lock can be had: not on a read-only disk."""
        try:
            with (self.root / layout.LOCK).open("ab"):
                pass
        except OSError:
            yield
            return
        with locked(self.root / layout.LOCK):
            yield

    def published(self) -> list[Published]:
        """All releases, by name and then by version, the newest first."""
        found = (release for name in _folders(self.root / layout.PACKAGES) for release in self.releases_of(name.name))
        return list(found)

    def releases_of(self, name: str) -> list[Published]:
        """The releases of one distribution, the newest first."""
        versions = [path for path in _folders(self.root / layout.PACKAGES / name) if _version(path.name) is not None]
        ordered = sorted(versions, key=lambda path: Version(path.name), reverse=True)
        return [Published(name, path.name, path) for path in ordered]

    def find(self, name: str, version: str) -> Published:
        """One release.

        Raises:
            RegistryError: ``RELEASE_UNKNOWN``.
        """
        wanted, releases = _version(version), self.releases_of(name)
        for release in releases:
            if Version(release.version) == wanted:
                return release
        known = ", ".join(release.version for release in releases)
        remedy = f"Published is {known}." if known else "'tyqi registry search' lists what there is."
        raise RegistryError(f"there is no {name} {version} in {self.root}", code="RELEASE_UNKNOWN", remedy=remedy)

    def add(self, wheel: Wheel, evidence: Evidence, key: str) -> Published:
        """Put a release into its place: the whole of it or nothing.

        Raises:
            RegistryError: the disk refuses.
        """
        release = Published(wheel.name, wheel.version, layout.release_folder(self.root, wheel.name, wheel.version))
        record = {
            "tyqi_release": FORMAT,
            "published": time_text(datetime.now(UTC)),
            "key": key,
            "filename": wheel.path.name,
            "sha256": wheel.sha256,
            "size": wheel.path.stat().st_size,
        }
        contents = {layout.EVIDENCE: as_json(evidence.to_json()), layout.RELEASE: as_json(record)}
        try:
            put_folder(release.folder, contents, {wheel.path.name: wheel.path})
        except OSError as error:
            raise unusable(self.root, error) from error
        hit("registry.added")
        return release

    def withdraw(self, release: Published, how: str, reason: str) -> None:
        """Yank or quarantine a release, or undo it.

        Args:
            how: one of ``WITHDRAWALS``.
            reason: shown to everybody; empty undoes it.
        """
        state = {**release.state, how: " ".join(reason.split())}
        kept = {name: text for name, text in state.items() if text}
        if kept:
            put(release.folder / layout.STATE, as_json(kept))
        else:
            (release.folder / layout.STATE).unlink(missing_ok=True)


def time_text(moment: datetime) -> str:
    """A time in UTC as PEP 700 wants it: ISO 8601, ending with Z."""
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='seconds')}Z"


def _folders(parent: Path) -> list[Path]:
    """The folders in a folder, by name; none if it is not there."""
    try:
        return sorted(path for path in parent.iterdir() if path.is_dir() and not path.name.startswith("."))
    except FileNotFoundError:
        return []


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None
