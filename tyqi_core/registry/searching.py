"""Finding nodes in a catalogue: by words, by what they are, and by the types that they take and give.

Types are compared by the proof that also wires projects: what is found after a node can be bound to its outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal

from packaging.version import Version

from tyqi_core.conformance.evidence import TIERS, Tier
from tyqi_core.errors import RegistryError, UsageError
from tyqi_core.protocol.checks import TYPE_NAMES
from tyqi_core.protocol.ports import PortType
from tyqi_core.protocol.validation import nearest_name
from tyqi_core.registry.catalogue import Catalogue, Listing, Release
from tyqi_core.registry.names import PREFIX

_WEIGHTS: Final = (8, 5, 4, 2, 1)
"""Of a word found in the id, the title, the tags, the category, the description."""


_OF_NO_TYPE: Final = frozenset({"description", "required", "default"})


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for; what is empty does not matter, everything else must hold.

    Attributes:
        words: each stands somewhere in id, title, tags, category, description or author.
        device: where it must be able to compute: ``cpu`` finds nodes for ``cpu`` and for ``any``.
        tier: at least this one.
        inputs, outputs: types of which it takes, gives each: ``image``, ``list of image``.
        after: types of outputs to which all its required inputs can be bound.
    """

    words: Sequence[str] = ()
    category: str = ""
    tag: str = ""
    device: str = ""
    licence: str = ""
    tier: Tier | None = None
    inputs: Sequence[PortType] = ()
    outputs: Sequence[PortType] = ()
    after: Sequence[PortType] = ()


@dataclass(frozen=True, slots=True)
class Hit:
    """A node that was found, and the release that offers it."""

    node: Listing
    release: Release


@dataclass(frozen=True, slots=True)
class _Entry:
    """A node prepared for searching: its texts in lower case, its ports as numbers of their types."""

    hit: Hit
    texts: tuple[str, ...]
    tags: frozenset[str]
    inputs: frozenset[int]
    required: frozenset[int]
    outputs: frozenset[int]


_Condition = Callable[[_Entry], bool]


class Finder:
    """A catalogue prepared for searching: the nodes of each distribution's newest release that is offered.

    A thousand nodes have a few dozen types of ports between them; a search compares each of these once.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._types: dict[PortType, int] = {}
        self._seen: dict[str, int] = {}
        self._entries = [self._entry(Hit(node, release)) for release in offered(catalogue) for node in release.nodes]

    def find(self, query: Query) -> list[Hit]:
        """The nodes that fit, the best first: by where words stand, then by tier, by id, and the newest major first."""
        words = [word.lower() for word in query.words]
        conditions = [*_plain_conditions(query), *self._type_conditions(query)]
        scored = ((_score(entry, words), entry.hit) for entry in self._entries if all(one(entry) for one in conditions))
        return [hit for _, hit in sorted((one for one in scored if one[0]), key=_order)]

    def _entry(self, hit: Hit) -> _Entry:
        node = hit.node
        texts = (node.id, node.title, " ".join(node.tags), node.category, f"{node.description} {node.author}")
        inputs = node.inputs.values()
        required = (port for port in inputs if port.get("required", True) and "default" not in port)
        return _Entry(
            hit,
            tuple(text.lower() for text in texts),
            frozenset(tag.lower() for tag in node.tags),
            self._numbers(inputs),
            self._numbers(required),
            self._numbers(node.outputs.values()),
        )

    def _numbers(self, ports: Iterable[Mapping[str, Any]]) -> frozenset[int]:
        return frozenset(self._number(port) for port in ports)

    def _number(self, port: Mapping[str, Any]) -> int:
        """The number of a port's type; a declaration that was seen before is not parsed again."""
        text = repr({key: value for key, value in port.items() if key not in _OF_NO_TYPE})
        if text not in self._seen:
            self._seen[text] = self._types.setdefault(_type(port), len(self._types))
        return self._seen[text]

    def _type_conditions(self, query: Query) -> Iterator[_Condition]:
        for given in query.inputs:
            yield _among("inputs", self._those(partial(_is_meant, given=given)))
        for wanted in query.outputs:
            yield _among("outputs", self._those(partial(_is_meant, wanted)))
        if query.after:
            bound = self._those(lambda port: any(port.accepts(given) is None for given in query.after))
            yield partial(_follows, bound=bound)

    def _those(self, fits: Callable[[PortType], bool]) -> frozenset[int]:
        return frozenset(number for port, number in self._types.items() if fits(port))


def search(catalogue: Catalogue, query: Query) -> list[Hit]:
    """One search; for several in one catalogue keep a :class:`Finder`."""
    return Finder(catalogue).find(query)


def offered(catalogue: Catalogue) -> list[Release]:
    """The newest release of each distribution that was not withdrawn; a pre-release only where there is no other."""
    newest: dict[str, Release] = {}
    for release in catalogue.releases:
        if not (release.yanked or release.quarantined):
            best = newest.get(release.name)
            newest[release.name] = release if best is None else max(best, release, key=_rank)
    return list(newest.values())


def releases_named(catalogue: Catalogue, name: str) -> list[Release]:
    """All releases of a distribution, the newest first; ``crack`` and ``crack.segment`` mean ``tyqi-node-crack``.

    Raises:
        RegistryError: there is none (``UNKNOWN_NAME``), with the nearest name.
    """
    short = name.partition("@")[0].partition(".")[0].lower().replace("_", "-")
    for wanted in (name.lower().replace("_", "-"), short, PREFIX + short):
        found = [release for release in catalogue.releases if release.name == wanted]
        if found:
            return sorted(found, key=lambda release: Version(release.version), reverse=True)
    names = sorted({release.name for release in catalogue.releases})
    near = nearest_name(PREFIX + short.removeprefix(PREFIX), names)
    hint = f" Did you mean '{near}'?" if near else ""
    raise RegistryError(f"the registry has no '{name}'.{hint}", code="UNKNOWN_NAME")


def offering(catalogue: Catalogue, reference: str) -> Hit:
    """The newest release that offers a node, ``crack.segment`` or ``crack.segment@1``.

    Raises:
        RegistryError: there is none (``UNKNOWN_NODE``), with the nearest name.
    """
    node_id, _, major = reference.partition("@")
    hits = [Hit(node, release) for release in catalogue.releases for node in release.nodes if node.id == node_id]
    wanted = [one for one in hits if not major or major_of(one.node) == int(major)]
    usable = [one for one in wanted if not (one.release.yanked or one.release.quarantined)]
    if usable:
        return max(usable, key=lambda one: (_rank(one.release), major_of(one.node)))
    raise _unknown_node(catalogue, reference, wanted)


def major_of(node: Listing) -> int:
    """A node's major version."""
    return int(node.version.partition(".")[0])


def type_named(text: str) -> PortType:
    """A type as people write it: ``image``, ``list of image``.

    Raises:
        UsageError: there is no such type, with the nearest name.
    """
    name = text.strip().removeprefix("list of ").strip()
    if name not in TYPE_NAMES:
        near = nearest_name(name, TYPE_NAMES)
        hint = f"Did you mean '{near}'?" if near else f"Known are {', '.join(TYPE_NAMES)}."
        raise UsageError(f"there is no type '{text}'", remedy=hint)
    return PortType(name, is_list=name != text.strip())


def outputs_of(node: Listing) -> list[PortType]:
    """The types of a node's outputs."""
    return [_type(port) for port in node.outputs.values()]


def _rank(release: Release) -> tuple[bool, Version]:
    version = Version(release.version)
    return not version.is_prerelease, version


def _unknown_node(catalogue: Catalogue, reference: str, withdrawn: Sequence[Hit]) -> RegistryError:
    if withdrawn:
        release = withdrawn[0].release
        why = release.quarantined or release.yanked
        return RegistryError(f"'{reference}' was withdrawn with {release.name}: {why}", code="UNKNOWN_NODE")
    ids = sorted({node.id for release in catalogue.releases for node in release.nodes})
    near = nearest_name(reference.partition("@")[0], ids)
    hint = f" Did you mean '{near}'?" if near else ""
    return RegistryError(f"the registry has no node '{reference}'.{hint}", code="UNKNOWN_NODE")


def _type(port: Mapping[str, Any]) -> PortType:
    """A port's type; of one in a form that only a newer core knows, the bare name."""
    try:
        return PortType.parse(port)
    except ValueError:
        return PortType(str(port.get("type")))


def _is_meant(port: PortType, given: PortType) -> bool:
    """Whether a port is what somebody means by a type: it accepts it, or is called so, whatever else it demands."""
    return (port.name, port.is_list) == (given.name, given.is_list) or port.accepts(given) is None


def _among(side: Literal["inputs", "outputs"], numbers: frozenset[int]) -> _Condition:
    return lambda entry: not numbers.isdisjoint(getattr(entry, side))


def _follows(entry: _Entry, bound: frozenset[int]) -> bool:
    """Whether all that a node needs is among these; one that needs nothing must take some of them all the same."""
    return entry.required <= bound if entry.required else not bound.isdisjoint(entry.inputs)


def _plain_conditions(query: Query) -> Iterator[_Condition]:
    if category := query.category:
        yield lambda entry: entry.hit.node.category == category
    if tag := query.tag.lower():
        yield lambda entry: tag in entry.tags
    if query.device:
        devices = {query.device, "any"}
        yield lambda entry: entry.hit.node.device in devices
    if licence := query.licence.lower():
        yield lambda entry: entry.hit.node.licence.lower() == licence
    if query.tier is not None:
        tiers = TIERS[TIERS.index(query.tier) :]
        yield lambda entry: entry.hit.release.tier in tiers


def _order(scored: tuple[int, Hit]) -> tuple[int, int, str, int]:
    score, hit = scored
    return -score, -TIERS.index(hit.release.tier), hit.node.id, -major_of(hit.node)


def _score(entry: _Entry, words: Sequence[str]) -> int:
    """0 if a word is found nowhere."""
    total = 1
    for word in words:
        best = sum(weight for weight, text in zip(_WEIGHTS, entry.texts, strict=True) if word in text)
        if not best:
            return 0
        total += best
    return total
