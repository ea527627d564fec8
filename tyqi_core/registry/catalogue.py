"""The catalogue: all that is published, as one document that site, search and installation read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from tyqi_core.conformance.evidence import Tier

FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Listing:
    """One node of one release, as the catalogue lists it.

    Attributes:
        id: ``crack.segment``.
        version: the node's own.
        inputs, outputs: port -> its declaration in the manifest (``type``, constraints, ``required``, ``description``).
        params: parameter -> its JSON schema.
        device, queue: ``cpu``, ``gpu`` or ``any``; the queue class.
    """

    id: str
    version: str
    title: str
    description: str
    category: str
    tags: Sequence[str]
    licence: str
    author: str
    device: str
    queue: str
    inputs: Mapping[str, Mapping[str, Any]]
    outputs: Mapping[str, Mapping[str, Any]]
    params: Mapping[str, Mapping[str, Any]]
    outcomes: Mapping[str, str] = field(default_factory=dict)
    requires_tyqi: str = ""


@dataclass(frozen=True, slots=True)
class Release:
    """One version of one distribution.

    Attributes:
        name: normalised, ``tyqi-node-crack``.
        filename, sha256, size: of the wheel; size in bytes.
        published: ISO 8601, in UTC.
        requires_python, requires: what pip is told; ``requires`` are PEP 508 lines.
        tier: what its evidence proves.
        capabilities: declared: ``network``, ``subprocess``, ``files``, ``native``.
        yanked, quarantined: the reason, empty if it is not. A quarantined release is not installed, and in no new run.
        nodes: what it ships.
        readme: rendered and sanitised HTML of its README.
    """

    name: str
    version: str
    filename: str
    sha256: str
    size: int
    published: str
    requires_python: str
    requires: Sequence[str]
    tier: Tier
    capabilities: Sequence[str]
    nodes: Sequence[Listing]
    yanked: str = ""
    quarantined: str = ""
    readme: str = ""
    urls: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything that a registry offers; ``releases`` are sorted by name and then by version, the newest first."""

    title: str
    releases: Sequence[Release]

    def to_json(self) -> dict[str, Any]:
        """As it stands in ``catalogue.json``."""
        return {"tyqi_catalogue": FORMAT, "title": self.title, "releases": [asdict(one) for one in self.releases]}

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Catalogue:
        """What :meth:`to_json` wrote.

        Raises:
            ValueError: it is nothing of that form.
        """
        try:
            if body["tyqi_catalogue"] != FORMAT:
                raise ValueError(f"a catalogue of format {body['tyqi_catalogue']!r} is not known here")
            return cls(str(body["title"]), [_release(part) for part in body["releases"]])
        except (KeyError, TypeError) as error:
            raise ValueError(f"this is no catalogue: {error!r}") from error


def _release(body: Mapping[str, Any]) -> Release:
    return Release(**{**body, "nodes": [Listing(**node) for node in body["nodes"]]})
