"""What differs between two releases of the same nodes, and which new version each difference demands.

Pure: manifests in, changes out. A node is told by its id and its major version, because that is what a project pins
(``crack.segment@1``): within one major everything that a project may rely on must stay. What projects cannot rely on
any more therefore needs a new major of the node, whatever the distribution calls itself. There is no exception for
0.x: ``@0`` is a pin like any other.

What compares types is the proof that also wires projects (:mod:`tyqi_core.protocol.subsumption`), so "narrowed" means:
a value that was accepted before may be refused now.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, Literal

from tyqi_core.catalog.manifest import Manifest, Port
from tyqi_core.protocol.json_values import canonical_json
from tyqi_core.protocol.subsumption import why_not_within

Bump = Literal["patch", "minor", "major"]
BUMPS: Final[tuple[Bump, ...]] = ("patch", "minor", "major")


@dataclass(frozen=True, slots=True)
class Change:
    """One difference.

    Attributes:
        node: the node with its major, ``crack.segment@1``.
        part: where in its manifest, ``("inputs", "image")``; empty for the node as a whole.
        message: what is different, as a sentence without its subject.
        bump: the new version that it demands of the node; of a node that came or went, of the distribution.
        file: the manifest, as the newer release names it; of a node that went, as the older one did.
    """

    node: str
    part: tuple[str, ...]
    message: str
    bump: Bump
    file: str = ""

    def __str__(self) -> str:
        return f"{' '.join((self.node, '.'.join(self.part))).rstrip()}: {self.message}"


_Difference = tuple[tuple[str, ...], Bump, str]


def changes(before: Iterable[Manifest], after: Iterable[Manifest]) -> list[Change]:
    """Everything that differs between the nodes of two releases, gone and new nodes first."""
    old = {manifest.reference: manifest for manifest in before}
    new = {manifest.reference: manifest for manifest in after}
    gone = [Change(name, (), "is gone", "major", str(old[name].path)) for name in old if name not in new]
    come = [Change(name, (), "is new", "minor", str(new[name].path)) for name in new if name not in old]
    kept = (node_changes(old[name], new[name]) for name in old if name in new)
    return [*gone, *come, *chain.from_iterable(kept)]


def node_changes(before: Manifest, after: Manifest) -> list[Change]:
    """Everything that differs between two manifests of one node and major."""
    parts = (
        _inputs(before.inputs, after.inputs),
        _outputs(before.outputs, after.outputs),
        _params(_properties(before), _properties(after)),
        _outcomes(before.outcomes, after.outcomes),
        _resources(before, after),
        _promises(before, after),
    )
    found = list(chain.from_iterable(parts))
    if not found and before.digest != after.digest:
        found = [((), "patch", "is described in other words")]
    return [Change(after.reference, part, message, bump, str(after.path)) for part, bump, message in found]


def largest(found: Iterable[Change]) -> Bump:
    """The largest bump that any of the changes demands."""
    return max((change.bump for change in found), key=BUMPS.index, default="patch")


def _inputs(old: Mapping[str, Port], new: Mapping[str, Port]) -> Iterator[_Difference]:
    for name in old:
        if name not in new:
            yield ("inputs", name), "major", "the input is gone"
        else:
            yield from ((("inputs", name), bump, message) for bump, message in _input(old[name], new[name]))
    for name in new:
        if name not in old and new[name].required:
            yield ("inputs", name), "major", "the input is new and required"
        elif name not in old:
            yield ("inputs", name), "minor", "the input is new"


def _input(old: Port, new: Port) -> Iterator[tuple[Bump, str]]:
    if (reason := new.type.accepts(old.type)) is not None:
        yield "major", f"the input takes less than before: {reason}"
    elif old.type.accepts(new.type) is not None:
        yield "minor", f"the input takes more than before: {new.type} instead of {old.type}"
    if new.required and not old.required:
        yield "major", "the input may no longer be left out"
    elif old.required and not new.required:
        yield "minor", "the input may be left out"
    elif old.default is not None and new.default is None and not new.required:
        yield "major", "the input's default is gone"
    elif not _same(old.default, new.default):
        yield "minor", "the input has another default"


def _outputs(old: Mapping[str, Port], new: Mapping[str, Port]) -> Iterator[_Difference]:
    for name in old:
        if name not in new:
            yield ("outputs", name), "major", "the output is gone"
        elif (reason := old[name].type.accepts(new[name].type)) is not None:
            yield ("outputs", name), "major", f"the output may hold more than before: {reason}"
        elif new[name].type.accepts(old[name].type) is not None:
            message = f"the output is told more exactly: {new[name].type} instead of {old[name].type}"
            yield ("outputs", name), "minor", message
    for name in new:
        if name not in old:
            yield ("outputs", name), "minor", "the output is new"


def _params(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[_Difference]:
    for name in old:
        if name not in new:
            yield ("params", name), "major", "the parameter is gone"
        else:
            yield from ((("params", name), bump, message) for bump, message in _param(old[name], new[name]))
    for name in new:
        if name not in old and "default" not in new[name]:
            yield ("params", name), "major", "the parameter is new and has no default"
        elif name not in old:
            yield ("params", name), "minor", "the parameter is new"


def _param(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[Bump, str]]:
    if (reason := why_not_within(old, new)) is not None:
        yield "major", f"the parameter takes less than before: {reason}"
    elif why_not_within(new, old) is not None:
        yield "minor", "the parameter takes more than before"
    if "default" in old and "default" not in new:
        yield "major", "the parameter's default is gone"
    elif "default" in new and not ("default" in old and _same(old["default"], new["default"])):
        yield "minor", f"the parameter has {'another' if 'default' in old else 'a'} default"


def _outcomes(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[_Difference]:
    """A project names a branch for every outcome, so that a new one breaks it as well."""
    for name in old:
        if name not in new:
            yield ("outcomes", name), "major", "the outcome is gone"
    for name in new:
        if name not in old:
            yield ("outcomes", name), "major", "the outcome is new, and projects have no branch for it"


def _resources(before: Manifest, after: Manifest) -> Iterator[_Difference]:
    old, new = before.resources.device, after.resources.device
    if new == "gpu" and old != "gpu":
        yield ("resources", "device"), "major", "it needs a GPU now"
    elif old != new or before.queue != after.queue:
        yield ("resources",), "minor", f"it runs on {after.queue} ({new}) instead of {before.queue} ({old})"


def _promises(before: Manifest, after: Manifest) -> Iterator[_Difference]:
    for name in ("idempotent", "deterministic"):
        if getattr(before, name) and not getattr(after, name):
            yield (name,), "minor", "the promise is withdrawn"
    added = sorted({*after.body.get("capabilities", ())} - {*before.body.get("capabilities", ())})
    if added:
        yield ("capabilities",), "minor", f"it uses {', '.join(added)} now"


def _properties(manifest: Manifest) -> Mapping[str, Any]:
    properties: Mapping[str, Any] = manifest.params_schema["properties"]
    return properties


def _same(one: Any, other: Any) -> bool:
    """Equality of JSON values: ``1`` is not ``true``."""
    return canonical_json(one) == canonical_json(other)


def demanded(found: Sequence[Change]) -> Bump:
    """The bump that the changes demand of the distribution that ships the nodes.

    A node that went demands a new major: whoever pins it cannot follow. A breaking change within a node's major is
    a fault of the node's version, which no version of the distribution heals; here it counts as any change of a node.
    """
    whole = [change for change in found if not change.part and change.bump != "patch"]
    parts: list[Bump] = ["minor" for change in found if change.part and change.bump != "patch"]
    return max((*(change.bump for change in whole), *parts), key=BUMPS.index, default="patch")
