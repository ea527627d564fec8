"""Choosing releases from a registry's catalogue: which version, and what else of the registry comes with it."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from tyqi_core.catalog.discovery import normalised
from tyqi_core.errors import UsageError
from tyqi_core.installation.asking import Asked
from tyqi_core.registry.catalogue import Catalogue, Release

_NOT_THERE: Final = "UNKNOWN_RELEASE"


def choose(catalogue: Catalogue, asked: Asked) -> Release:
    """The newest release that was asked for and may be installed.

    A quarantined one never may; a yanked one only if just its version was asked for.

    Raises:
        UsageError: there is none, with the reason (``UNKNOWN_RELEASE``, ``QUARANTINED``, ``YANKED``).
    """
    named = [release for release in catalogue.releases if release.name == asked.distribution]
    if not named:
        raise _unknown(catalogue, asked)
    fitting = _fitting(named, asked)
    usable = [one for one in fitting if not one.quarantined and (asked.pinned or not one.yanked)]
    if not usable:
        raise _refused(fitting)
    return usable[0]


def passed_over(catalogue: Catalogue, chosen: Release) -> Sequence[str]:
    """Why newer releases than the chosen one were not taken, in a line each."""
    newer = [one for one in catalogue.releases if one.name == chosen.name and _version(one) > _version(chosen)]
    return [f"{one.name} {one.version} is {said}" for one in newer if (said := _objection(one))]


def needs_of(catalogue: Catalogue, requires: Iterable[str], present: Mapping[str, str]) -> Sequence[Release]:
    """The releases of the registry that are needed, and not there yet in a fitting version.

    They are named to pip one by one, so that no other index can stand in for a name that the registry knows.

    Args:
        catalogue: the registry's.
        requires: PEP 508 lines of what is to be installed.
        present: name -> version of what is there, or will be.

    Raises:
        UsageError: one of them cannot be had.
    """
    found: dict[str, Release] = {}
    known = {release.name for release in catalogue.releases}
    waiting = list(requires)
    while waiting:
        for requirement in requirements_of([waiting.pop()]):
            name = normalised(requirement.name)
            fits = name in present and requirement.specifier.contains(present[name], prereleases=True)
            if name in known and name not in found and not fits:
                found[name] = choose(catalogue, Asked(name, requirement.specifier))
                waiting += found[name].requires
    return list(found.values())


def requirements_of(lines: Iterable[str]) -> Sequence[Requirement]:
    """The requirements that hold in this environment; a line that is none is left to pip."""
    found = []
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            found.append(requirement)
    return found


def install_line(catalogue: Catalogue, reference: str, *, installed: bool) -> str | None:
    """The command that brings a node, ``crack.segment`` or ``crack.segment@2``; ``None`` if the registry has none."""
    node_id, _, major = reference.partition("@")
    for release in catalogue.releases:  # the newest first
        if _objection(release) or not _runs_here(release):
            continue
        if any(node.id == node_id and major in {"", node.version.partition(".")[0]} for node in release.nodes):
            word = release.name.removeprefix("tyqi-node-")
            newest = next(one for one in catalogue.releases if one.name == release.name)
            pin = "" if newest is release else f"=={release.version}"
            verb = "upgrade" if installed and not pin else "install"
            return f"tyqi {verb} {word}{pin}   ({release.name} {release.version}, tier {release.tier})"
    return None


def _fitting(named: Sequence[Release], asked: Asked) -> Sequence[Release]:
    """Those of the versions that were asked for, the newest first; pre-releases only where nothing else will do."""
    running = [release for release in named if _runs_here(release)]
    by_version: Mapping[Version, Release] = {_version(release): release for release in running}
    fitting = sorted(asked.versions.filter(by_version), reverse=True)
    if fitting:
        return [by_version[version] for version in fitting]
    there = ", ".join(release.version for release in named)
    python = named[0].requires_python
    why = f"{asked.versions or 'any version'} is asked for, there is {there}"
    if not running:
        why = f"it needs Python {python}, this is {platform.python_version()}"
    raise UsageError(f"the registry has no fitting release of {asked.distribution}: {why}", code=_NOT_THERE)


def _refused(releases: Sequence[Release]) -> UsageError:
    told = "; ".join(f"{one.name} {one.version} is {_objection(one)}" for one in releases)
    yanked = next((one for one in releases if not one.quarantined), None)
    if yanked is None:
        remedy = f"Another version may do: tyqi registry show {releases[0].name}"
        return UsageError(told, code="QUARANTINED", remedy=remedy)
    word = yanked.name.removeprefix("tyqi-node-")
    remedy = f"If you want a yanked version all the same: tyqi install {word}=={yanked.version}"
    return UsageError(told, code="YANKED", remedy=remedy)


def _unknown(catalogue: Catalogue, asked: Asked) -> UsageError:
    from tyqi_core.protocol.validation import nearest_name  # noqa: PLC0415 - only on the way to an error

    near = nearest_name(asked.distribution, sorted({release.name for release in catalogue.releases}))
    hint = f" Did you mean '{near}'?" if near else ""
    return UsageError(f"the registry has no {asked.distribution}.{hint}", code=_NOT_THERE)


def _objection(release: Release) -> str:
    if release.quarantined:
        return f"quarantined: {release.quarantined}"
    return f"yanked: {release.yanked}" if release.yanked else ""


def _runs_here(release: Release) -> bool:
    try:
        return SpecifierSet(release.requires_python).contains(platform.python_version(), prereleases=True)
    except InvalidSpecifier:
        return False


def _version(release: Release) -> Version:
    try:
        return Version(release.version)
    except InvalidVersion:
        return Version("0.dev0")
