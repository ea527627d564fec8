"""What a plugin must not move: the versions of the core and of everything that it stands on, as they are here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement

CORE: Final = "tyqi-core"
ALWAYS: Final = ("celery", "kombu", "numpy", "redis", "torch", "xxhash")
"""Pinned where they are installed, also if the core's own metadata does not ask for them."""


def host_constraints() -> list[str]:
    """A line ``name==version`` for the core and each installed package that it needs, its extras' too, by name."""
    found: dict[str, str] = {}
    for name in (CORE, *ALWAYS):
        _walk(name, found, frozenset(_extras(name)) if name == CORE else frozenset())
    return [f"{name}=={version}" for name, version in sorted(found.items())]


def _walk(name: str, found: dict[str, str], extras: frozenset[str]) -> None:
    here = _installed(name)
    plain = re.sub(r"[-_.]+", "-", name).lower()
    if here is None or (plain in found and not extras):
        return
    found[plain] = here.version
    for requirement in _requirements(here.requires or (), extras):
        if re.sub(r"[-_.]+", "-", requirement.name).lower() != plain:
            _walk(requirement.name, found, frozenset(requirement.extras))


def _requirements(lines: Iterable[str], extras: frozenset[str]) -> Iterator[Requirement]:
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield requirement


def _extras(name: str) -> list[str]:
    here = _installed(name)
    return [] if here is None else here.metadata.get_all("Provides-Extra") or []


def _installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None
