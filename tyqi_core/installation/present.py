"""What is installed here: versions, what needs what, and what no longer fits. ``pip check`` without pip."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import invalidate_caches, metadata
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from tyqi_core.catalog.discovery import normalised
from tyqi_core.installation.pip import Resolved
from tyqi_core.installation.releases import requirements_of

if TYPE_CHECKING:
    from packaging.requirements import Requirement


@dataclass(frozen=True, slots=True)
class Package:
    """One installed package, or one that would be."""

    name: str
    version: str
    requires: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Misfit:
    """A requirement that does not hold. ``found`` is the version that is there, empty for none."""

    package: Package
    name: str
    versions: str
    found: str

    def __str__(self) -> str:
        needs = f"{self.package.name} {self.package.version} needs {self.name}{self.versions}"
        return f"{needs}, here is {self.found}" if self.found else f"{needs}, which is not installed"


def installed(path: Sequence[str] | None = None) -> dict[str, Package]:
    """The packages of this environment (or on ``path``), by normalised name; of two the one that Python finds."""
    invalidate_caches()  # of a process that has just let pip change something
    found: dict[str, Package] = {}
    for one in metadata.distributions(path=list(sys.path if path is None else path)):
        name = one.metadata["Name"]
        if name and normalised(name) not in found:
            found[normalised(name)] = Package(normalised(name), one.version or "0", tuple(one.requires or ()))
    return found


def with_changes(packages: Mapping[str, Package], changes: Iterable[Resolved]) -> dict[str, Package]:
    """What would be installed after these changes."""
    new = {change.name: Package(change.name, change.version, tuple(change.requires)) for change in changes}
    return {**packages, **new}


def misfits(packages: Mapping[str, Package], of: Iterable[str] | None = None) -> list[Misfit]:
    """The requirements that do not hold, of the named packages or of all."""
    found = []
    for name in packages if of is None else of:
        package = packages[name]
        for requirement in requirements_of(package.requires):
            there = packages.get(normalised(requirement.name))
            version = "" if there is None else there.version
            if not version or not _holds(requirement, version):
                found.append(Misfit(package, requirement.name, str(requirement.specifier), version))
    return found


def needed_by(packages: Mapping[str, Package], name: str) -> list[str]:
    """The packages that need ``name``."""
    return sorted(
        package.name
        for package in packages.values()
        if any(normalised(one.name) == name for one in requirements_of(package.requires))
    )


def _holds(requirement: Requirement, version: str) -> bool:
    try:
        return requirement.specifier.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return True
