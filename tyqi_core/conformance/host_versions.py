"""The host: tyqi-core and what it stands on here. What a set of requirements needs of it, and its exact versions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

CORE: Final = "tyqi-core"
_HEAD: Final = """\
# Exact versions of the packages that tyqi-core {version} stands on in this environment; plugins are not among them.
# Written by 'tyqi constraints'. pip reads it through -c or PIP_CONSTRAINT, and installs nothing by itself.
"""


@dataclass(frozen=True, slots=True)
class Closure:
    """What requirements come to here.

    Attributes:
        found: by normalised name, the installed distributions that they need, directly or not.
        lacking: what is not installed, or not in a version that is asked for, each in words.
    """

    found: Mapping[str, metadata.Distribution]
    lacking: tuple[str, ...]


@dataclass(slots=True)
class _Walk:
    found: dict[str, metadata.Distribution] = field(default_factory=dict)
    lacking: list[str] = field(default_factory=list)
    seen: set[tuple[str, str]] = field(default_factory=set)

    def visit(self, requirement: Requirement, wanted_by: str) -> None:
        name = canonicalize_name(requirement.name)
        distribution = self.found.get(name) or _installed(name)
        if distribution is None:
            self.lacking.append(f"{requirement} (asked for by {wanted_by}) is not installed")
            return
        self.found[name] = distribution
        if not requirement.specifier.contains(distribution.version, prereleases=True):
            self.lacking.append(f"{requirement} (asked for by {wanted_by}): installed is {distribution.version}")
        for extra in ("", *sorted(requirement.extras)):
            if (name, extra) not in self.seen:
                self.seen.add((name, extra))
                for further in _required(distribution.requires or (), extra):
                    self.visit(further, name)


def closure(requirements: Iterable[str], wanted_by: str) -> Closure:
    """The distributions of this environment that requirements need, and theirs in turn.

    Args:
        requirements: as metadata writes them; those whose marker does not hold here are left out.
        wanted_by: who asks, for the words.
    """
    walk = _Walk()
    for requirement in _required(requirements, ""):
        walk.visit(requirement, wanted_by)
    return Closure(walk.found, tuple(walk.lacking))


def core_packages(*extras: str) -> Mapping[str, metadata.Distribution]:
    """tyqi-core and the installed distributions that it and these of its extras need, by normalised name."""
    wanted = f"{CORE}[{','.join(extras)}]" if extras else CORE
    return closure([wanted], "the host").found


def host_packages() -> Mapping[str, str]:
    """Normalised name -> version of tyqi-core, and of what it and all its extras need, as far as it is installed.

    Local suffixes of versions (``+cpu``) are dropped: no index has them, and pip takes them for the version itself.
    """
    extras = metadata.metadata(CORE).get_all("Provides-Extra") or []
    found = core_packages(*extras)
    return {name: _public(found[name].version) for name in sorted(found)}


def constraints_text() -> str:
    """A constraints file of :func:`host_packages`."""
    packages = host_packages()
    lines = [f"{name}=={version}\n" for name, version in packages.items()]
    return _HEAD.format(version=packages[CORE]) + "".join(lines)


def read_constraints(path: Path) -> Mapping[str, Requirement]:
    """The constraints of a file, by normalised name; comments and options of pip are passed over."""
    constraints: dict[str, Requirement] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            requirement = Requirement(line.split("#", 1)[0].strip())
        except InvalidRequirement:
            continue
        constraints[canonicalize_name(requirement.name)] = requirement
    return constraints


def conflicts(requirements: Iterable[str], constraints: Mapping[str, Requirement]) -> Iterator[str]:
    """What requirements ask for that exact constraints exclude, in words."""
    for requirement in _required(requirements, ""):
        constraint = constraints.get(canonicalize_name(requirement.name))
        for pin in constraint.specifier if constraint else ():
            if pin.operator == "==" and not requirement.specifier.contains(pin.version, prereleases=True):
                yield f"it requires {requirement}, the host has {requirement.name} {pin.version}"


def _required(requirements: Iterable[str], extra: str) -> Iterator[Requirement]:
    for text in requirements:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:  # the static checks tell of it
            continue
        marker = requirement.marker
        always = marker is None or marker.evaluate({"extra": ""})
        if always if not extra else not always and marker is not None and marker.evaluate({"extra": extra}):
            yield requirement


def _installed(name: str) -> metadata.Distribution | None:
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None


def _public(version: str) -> str:
    try:
        return Version(version).public
    except InvalidVersion:
        return version
