"""Repeating a recorded run, with the same nodes or with one exchanged, and saying what came out differently."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tyqi_core.protocol.codecs import digest
from tyqi_core.protocol.ports import PortType
from tyqi_core.runtime.record import RunRecord, branches_taken
from tyqi_core.runtime.run import RunResult


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that was otherwise in the repeated run. ``None`` stands for what one of the two did not have."""

    what: str
    recorded: Any
    replayed: Any


@dataclass(frozen=True, slots=True)
class Comparison:
    """A recorded run beside its repetition.

    Attributes:
        run: the recorded run's id.
        result: how the repetition ended.
        swapped: node id -> reference that took its place.
        differences: empty when both are equal.
    """

    run: str
    result: RunResult
    swapped: Mapping[str, str] = field(default_factory=dict)
    differences: tuple[Difference, ...] = ()

    @property
    def equal(self) -> bool:
        """True when status, branches and all outputs agree."""
        return not self.differences

    def to_json(self) -> dict[str, Any]:
        """The comparison as one JSON object."""
        return {
            "run": self.run,
            "replay": self.result.id,
            "status": self.result.status,
            "equal": self.equal,
            "swapped": dict(self.swapped),
            "differences": [
                {"what": one.what, "recorded": one.recorded, "replayed": one.replayed} for one in self.differences
            ],
        }


def compare(
    record: RunRecord, result: RunResult, types: Mapping[str, PortType], swapped: Mapping[str, str]
) -> Comparison:
    """Hold a repetition against the record: its status, the branches taken, the digests and small values of outputs."""
    differences: list[Difference] = []
    header = record.header
    if header["status"] != result.status:
        differences.append(Difference("status", header["status"], result.status))
    taken = branches_taken(result.events)
    for instance in sorted(header.get("branches", {}).keys() | taken.keys()):
        before, after = header.get("branches", {}).get(instance), taken.get(instance)
        if before != after:
            differences.append(Difference(f"branch of {instance}", before, after))
    digests = {name: digest(types[name], value) for name, value in result.outputs.items() if value is not None}
    recorded = header.get("outputs", {})
    for name in sorted(recorded.keys() | digests.keys()):
        if recorded.get(name) != digests.get(name):
            differences.extend(_output_difference(name, header, digests, result))
    return Comparison(record.id, result, swapped, tuple(differences))


def _output_difference(
    name: str, header: Mapping[str, Any], digests: Mapping[str, str], result: RunResult
) -> list[Difference]:
    values = header.get("values", {})
    if name in values:
        return list(_value_differences(f"output {name}", values[name], result.outputs.get(name)))
    return [Difference(f"output {name}", header.get("outputs", {}).get(name), digests.get(name))]


def _value_differences(place: str, before: Any, after: Any) -> list[Difference]:
    """Where two JSON values differ, leaf by leaf."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = sorted(before.keys() | after.keys())
        return [one for key in keys for one in _value_differences(f"{place}.{key}", before.get(key), after.get(key))]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [one for index, (old, new) in pairs for one in _value_differences(f"{place}[{index}]", old, new)]
    return [] if before == after else [Difference(place, before, after)]
