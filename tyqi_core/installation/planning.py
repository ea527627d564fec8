"""Working out what an installation would do, and showing nothing that is not so: pip resolves, nothing is changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

from packaging.version import Version

from tyqi_core.catalog.catalog import Catalog
from tyqi_core.catalog.discovery import normalised
from tyqi_core.catalog.manifest import Manifest
from tyqi_core.catalog.wheel import Wheel
from tyqi_core.errors import InstallationError
from tyqi_core.installation.asking import Asked, asked_for
from tyqi_core.installation.differences import Offer, offer_json
from tyqi_core.installation.pip import Pip, Resolved
from tyqi_core.installation.present import Package, installed, misfits, with_changes
from tyqi_core.installation.releases import choose, needs_of, passed_over
from tyqi_core.registry.catalogue import Catalogue, Release
from tyqi_core.registry.layout import LIBRARIES
from tyqi_core.registry.reading import Registry, open_registry

ISOLATE: Final = "Give it an environment of its own: tyqi install --isolated {}"
_OTHER: Final = "Another version of it may fit this tyqi-core."


@dataclass(frozen=True, slots=True)
class Place:
    """The environment that is to be changed.

    Attributes:
        pip: its pip.
        packages: what is in it.
        constraints: what may not move, as lines ``name==version``.
        isolated: it is an environment of one plugin's own.
    """

    pip: Pip
    packages: Mapping[str, Package]
    constraints: Sequence[str]
    isolated: bool = False

    @classmethod
    def here(cls) -> Place:
        """This environment: the host and what it stands on stay as they are."""
        from tyqi_core.conformance.host_versions import host_packages  # noqa: PLC0415 - 30 ms of reading metadata

        return cls(Pip(), installed(), [f"{name}=={version}" for name, version in host_packages().items()])


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be done.

    Attributes:
        offers: the plugins that were asked for and those that they need from the registry.
        changes: every package that would be installed, theirs too.
        before: name -> version of what is there and would be replaced.
        manifests: distribution -> the nodes of it that are installed now.
        remarks: what else a person should know.
        index: where pip finds the libraries; empty: where its own configuration says.
    """

    offers: Sequence[Offer]
    changes: Sequence[Resolved]
    before: Mapping[str, str]
    manifests: Mapping[str, Sequence[Manifest]] = field(default_factory=dict)
    remarks: Sequence[str] = ()
    index: str = ""

    def to_json(self) -> dict[str, Any]:
        """The plan for programs."""
        changes = [
            {"name": one.name, "version": one.version, "before": self.before.get(one.name), "sha256": one.sha256}
            for one in self.changes
        ]
        plugins = [offer_json(offer, self.manifests.get(offer.name, ())) for offer in self.offers]
        return {"plugins": plugins, "changes": changes, "remarks": list(self.remarks)}


class Planner:
    """Plans for one place, from one registry.

    Args:
        registry: where it is; empty: none, only wheels on disk can be installed.
        catalog: the nodes that are installed now.
    """

    def __init__(self, registry: str, catalog: Catalog) -> None:
        self._location = registry
        self._catalog = catalog

    @cached_property
    def registry(self) -> Registry:
        """The registry.

        Raises:
            UsageError: none is named (``NO_REGISTRY``).
        """
        return open_registry(self._location)

    @cached_property
    def catalogue(self) -> Catalogue:
        """What it offers.

        Raises:
            TyqiError: it cannot be read.
        """
        return self.registry.catalogue()

    def plan(self, words: Sequence[str], place: Place, *, upgrade: bool = False) -> Plan:
        """What installing these words would do.

        Args:
            words: names, with versions if wanted, or wheels.
            place: where.
            upgrade: a newer version replaces one that is there and would do.

        Raises:
            UsageError: a name is unknown, quarantined or yanked.
            InstallationError: it does not fit what is there (``CONFLICT``), or cannot be had.
        """
        asked = [asked_for(word) for word in words]
        wheels = [Wheel(one.wheel) for one in asked if one.wheel is not None and not _is_there(one, place)]
        named = [one for one in asked if one.wheel is None and (upgrade or not _is_there(one, place))]
        chosen = [choose(self.catalogue, one) for one in named]
        fresh = [release for one, release in zip(named, chosen, strict=True) if self._moves(one, release, place)]
        offers = [*map(Offer.of_wheel, wheels), *map(Offer.of_release, fresh)]
        remarks = [line for one in chosen for line in passed_over(self.catalogue, one)]
        if not offers:
            return Plan((), (), {}, remarks=remarks)
        needs = self._needs(offers, place)
        offers += map(Offer.of_release, needs)
        urls = [*map(_wheel_line, wheels), *(self._line(release) for release in (*fresh, *needs))]
        return self._planned(offers, urls, place, remarks)

    def _moves(self, asked: Asked, release: Release, place: Place) -> bool:
        """Whether a release takes the place of what is there. An upgrade goes back only from what is quarantined."""
        here = _version(place, release.name)
        if here == release.version:
            return False
        if not here or not asked.versions.contains(here, prereleases=True):
            return True
        unfit = any(
            one.quarantined for one in self.catalogue.releases if (one.name, one.version) == (release.name, here)
        )
        return unfit or Version(release.version) > Version(here)

    def _needs(self, offers: Sequence[Offer], place: Place) -> Sequence[Release]:
        """What the registry has of that which they need; a registry is only asked if there is one."""
        if not self._location:
            return ()
        there = {name: package.version for name, package in place.packages.items()}
        there |= {offer.name: offer.version for offer in offers}
        return needs_of(self.catalogue, (line for offer in offers for line in offer.requires), there)

    def _planned(self, offers: Sequence[Offer], urls: Sequence[str], place: Place, remarks: Sequence[str]) -> Plan:
        words = " ".join(offer.name.removeprefix("tyqi-node-") for offer in offers)
        index = self._index()
        _refuse_misfits(offers, place, words)
        try:
            changes = place.pip.resolve(urls, place.constraints, index)
        except InstallationError as error:
            if error.code == "CONFLICT" and not place.isolated:
                raise InstallationError(error.message, code=error.code, remedy=ISOLATE.format(words)) from error
            raise
        _check_hashes(changes)
        _refuse_breaking(changes, place, words)
        before = {one.name: place.packages[one.name].version for one in changes if one.name in place.packages}
        return Plan(offers, changes, before, self._manifests(offers), remarks, index)

    def _manifests(self, offers: Iterable[Offer]) -> dict[str, list[Manifest]]:
        found: dict[str, list[Manifest]] = {offer.name: [] for offer in offers}
        for entry in self._catalog.entries():
            if (name := normalised(entry.distribution)) in found and entry.manifest is not None:
                found[name].append(entry.manifest)
        return found

    def _line(self, release: Release) -> str:
        return f"{release.name} @ {self.registry.wheel_url(release)}#sha256={release.sha256}"

    def _index(self) -> str:
        """A mirror has everything, for machines that reach nothing else; other registries hold nodes alone."""
        if not self._location or not self.registry.url.startswith("file:"):
            return ""
        folder = Path(url2pathname(urlsplit(self.registry.url).path))
        return self.registry.simple_url if (folder / LIBRARIES).is_dir() else ""


def _wheel_line(wheel: Wheel) -> str:
    return f"{wheel.name} @ {wheel.path.as_uri()}#sha256={wheel.sha256}"


def _version(place: Place, name: str) -> str:
    package = place.packages.get(name)
    return "" if package is None else package.version


def _is_there(asked: Asked, place: Place) -> bool:
    version = _version(place, asked.distribution)
    return bool(version) and asked.versions.contains(version, prereleases=True)


def _refuse_misfits(offers: Sequence[Offer], place: Place, words: str) -> None:
    """Plugins that need another version of something that may not move: told before pip is asked, in clear words."""
    fixed = {line.partition("==")[0] for line in place.constraints}
    packages = dict(place.packages)
    packages |= {offer.name: Package(offer.name, offer.version, tuple(offer.requires)) for offer in offers}
    wrong = [one for one in misfits(packages, [offer.name for offer in offers]) if normalised(one.name) in fixed]
    if wrong:
        core = any(normalised(one.name) == "tyqi-core" for one in wrong)
        remedy = _OTHER if core or place.isolated else ISOLATE.format(words)
        told = "; ".join(map(str, wrong))
        raise InstallationError(f"the host's versions stay as they are: {told}", code="CONFLICT", remedy=remedy)


def _refuse_breaking(changes: Sequence[Resolved], place: Place, words: str) -> None:
    """What is installed and fits must fit afterwards."""
    now = set(misfits(place.packages))
    broken = [one for one in misfits(with_changes(place.packages, changes)) if one not in now]
    if broken:
        told = "; ".join(map(str, broken)).replace(", here is ", ", here would be ")
        remedy = _OTHER if place.isolated else ISOLATE.format(words)
        raise InstallationError(f"it would break what is installed: {told}", code="CONFLICT", remedy=remedy)


def _check_hashes(changes: Iterable[Resolved]) -> None:
    for change in changes:
        if not change.sha256:
            raise InstallationError(f"{change.name} {change.version} comes without a SHA-256", code="NO_HASH")
