"""What the site offers: the catalogue's releases turned round, so that each node stands there once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from packaging.version import InvalidVersion, Version

from tyqi_core.registry.catalogue import Catalogue, Listing, Release


@dataclass(frozen=True, slots=True)
class Edition:
    """A node as one release ships it."""

    release: Release
    listing: Listing

    @property
    def major(self) -> int:
        """The major version of the node."""
        return _numbers(self.listing.version)[0]


@dataclass(frozen=True, slots=True)
class Offer:
    """A node with all its editions.

    Attributes:
        id: ``crack.segment``.
        current: the edition that an installation would take: the highest of the newest release that is neither
            withdrawn nor a pre-release, if there is such a one.
        editions: all of them, the newest first.
    """

    id: str
    current: Edition
    editions: Sequence[Edition]

    @property
    def other_majors(self) -> Sequence[Edition]:
        """The best edition of every other major, the highest first."""
        best: dict[int, Edition] = {}
        for edition in sorted(self.editions, key=_rank):
            best.setdefault(edition.major, edition)
        return [best[major] for major in sorted(best, reverse=True) if major != self.current.major]


def offers(catalogue: Catalogue) -> list[Offer]:
    """Every node that is listed anywhere in the catalogue, by id."""
    found: dict[str, list[Edition]] = {}
    for release in catalogue.releases:
        for listing in sorted(release.nodes, key=lambda node: _numbers(node.version), reverse=True):
            found.setdefault(listing.id, []).append(Edition(release, listing))
    return [Offer(name, min(editions, key=_rank), editions) for name, editions in sorted(found.items())]


def state_of(release: Release) -> str:
    """``quarantined``, ``yanked`` or nothing."""
    return "quarantined" if release.quarantined else "yanked" if release.yanked else ""


def _rank(edition: Edition) -> int:
    """Lower is offered first; the order of the catalogue, newest first, decides among equals."""
    withdrawn = {"quarantined": 3, "yanked": 2, "": 0}[state_of(edition.release)]
    return withdrawn or int(_is_prerelease(edition.release.version))


def _is_prerelease(version: str) -> bool:
    try:
        return Version(version).is_prerelease
    except InvalidVersion:
        return True


def _numbers(version: str) -> tuple[int, ...]:
    """The numbers of a semantic version; of anything else, zero."""
    parts = version.partition("+")[0].partition("-")[0].split(".")
    return tuple(int(part) for part in parts) if all(part.isdecimal() for part in parts) else (0,)
