"""What a person is told of a plugin before it is installed: its nodes, what it may do, and what is new in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tyqi_core.catalog.manifest import Manifest
from tyqi_core.catalog.wheel import Wheel
from tyqi_core.registry.catalogue import Release

UNKNOWN_TIER = "unknown"
"""Of a wheel that comes from no registry."""


@dataclass(frozen=True, slots=True)
class Face:
    """What can be seen of a node from outside."""

    id: str
    version: str
    title: str
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    params: Mapping[str, Any]

    @property
    def reference(self) -> str:
        """Id and major version."""
        return f"{self.id}@{self.version.partition('.')[0]}"


@dataclass(frozen=True, slots=True)
class Offer:
    """One plugin in one version.

    Attributes:
        tier: what its evidence proves; ``unknown`` of a file.
        capabilities: declared; they bind nobody.
        wheel: the name of the file.
    """

    name: str
    version: str
    tier: str
    capabilities: Sequence[str]
    nodes: Sequence[Face]
    requires: Sequence[str]
    wheel: str = ""

    @classmethod
    def of_release(cls, release: Release) -> Offer:
        """As a registry lists it."""
        faces = [Face(one.id, one.version, one.title, one.inputs, one.outputs, one.params) for one in release.nodes]
        named = (release.name, release.version, release.tier, tuple(release.capabilities))
        return cls(*named, faces, release.requires, release.filename)

    @classmethod
    def of_wheel(cls, wheel: Wheel) -> Offer:
        """As a file says of itself."""
        faces = [face_of(manifest) for manifest in wheel.manifests]
        requires = wheel.metadata.get_all("Requires-Dist") or []
        capabilities = capabilities_of(wheel.manifests)
        return cls(wheel.name, wheel.version, UNKNOWN_TIER, capabilities, faces, requires, wheel.path.name)


def face_of(manifest: Manifest) -> Face:
    """What can be seen of an installed node."""
    body = manifest.body
    parts = (dict(body.get(part) or {}) for part in ("inputs", "outputs", "params"))
    return Face(manifest.id, manifest.version, manifest.title, *parts)


def capabilities_of(manifests: Iterable[Manifest]) -> tuple[str, ...]:
    """What manifests declare to do beyond computing."""
    return tuple(sorted({one for manifest in manifests for one in manifest.capabilities}))


def news(before: Sequence[Manifest], offer: Offer) -> list[str]:
    """What is different from what is installed, a line each; nothing if nothing of the plugin is installed."""
    if not before:
        return []
    old = {face.reference: face for face in map(face_of, before)}
    new = {face.reference: face for face in offer.nodes}
    lines = [f"new: may use {one}" for one in offer.capabilities if one not in capabilities_of(before)]
    lines += [f"new: node {reference}" for reference in new if reference not in old]
    lines += [f"gone: node {reference}" for reference in old if reference not in new]
    for reference in old.keys() & new.keys():
        lines += _of_node(old[reference], new[reference])
    return lines


def _of_node(old: Face, new: Face) -> Iterator[str]:
    for kind, before, after in (
        ("input", old.inputs, new.inputs),
        ("output", old.outputs, new.outputs),
        ("parameter", old.params, new.params),
    ):
        for name in after.keys() - before.keys():
            yield f"new: {kind} '{name}' of {new.id}"
        for name in before.keys() - after.keys():
            yield f"gone: {kind} '{name}' of {new.id}"
        for name in before.keys() & after.keys():
            if _matters(before[name]) != _matters(after[name]):
                yield f"changed: {kind} '{name}' of {new.id}"


def _matters(declaration: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in declaration.items() if key != "description"}


def offer_json(offer: Offer, before: Sequence[Manifest]) -> dict[str, Any]:
    """An offer for programs."""
    body = asdict(offer)
    body["nodes"] = [{"id": face.id, "version": face.version, "title": face.title} for face in offer.nodes]
    return body | {"capabilities": list(offer.capabilities), "news": news(before, offer)}
