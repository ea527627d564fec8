"""The nodes of the model tests: what their ports are, what they do, and how a project names their data."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, NamedTuple

ROOT = ""
ERROR = "$error"
ABSENT: Any = type("Absent", (), {"__repr__": lambda _: "ABSENT"})()

Kind = Literal["number", "numbers", "sparse", "list", "any"]


@dataclass(frozen=True)
class PortSpec:
    """An input port: ``number``; ``numbers`` and ``sparse`` (lists, the latter with nulls); ``list`` (of anything)."""

    kind: Kind
    required: bool = True
    default: Any = None


@dataclass(frozen=True)
class NodeSpec:
    inputs: Mapping[str, PortSpec]
    outputs: Mapping[str, Kind]
    outcomes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Behaviour:
    """What a node does in one instance.

    ``failures`` attempts fail before one succeeds; ``wrong`` ones return what does not fit the port, which is never
    tried again. ``items`` is the length of the lists that it puts out.
    """

    failures: int = 0
    wrong: bool = False
    outcome: str | None = None
    items: int = 0


Table = Callable[[str], Behaviour | None]


def compute(task: str, spec: NodeSpec, inputs: Mapping[str, Any], behaviour: Behaviour) -> dict[str, Any]:
    """What every node here does: numbers in which each input has left its trace."""
    seed = zlib.crc32(task.encode()) % 89
    for name in sorted(inputs):
        seed = (seed * 31 + _trace(inputs[name]) + zlib.crc32(name.encode())) % 997
    outputs: dict[str, Any] = {}
    for name, kind in spec.outputs.items():
        number = (seed * 7 + zlib.crc32(name.encode())) % 101
        if kind == "number":
            outputs[name] = number
        else:
            holes = kind == "sparse"
            outputs[name] = [
                None if holes and at % 3 == 1 else (number + 13 * at) % 101 for at in range(behaviour.items)
            ]
    return outputs


def _trace(value: Any) -> int:
    if value is None:
        return 5
    if isinstance(value, list):
        return sum((at + 1) * _trace(element) for at, element in enumerate(value)) + 11
    if isinstance(value, dict):  # an error: only whose it is, its text is not ours to say
        return zlib.crc32(value["task"].encode()) % 61
    return int(value)


class Ref(NamedTuple):
    kind: str  # input, item, error, slot
    task: str
    slot: str

    @property
    def view(self) -> str:
        return self.slot.split(".")[0] if "." in self.slot else ""


@cache
def parse_ref(text: str) -> Ref:
    first, _, rest = text.partition(".")
    if first.startswith("$"):
        return Ref(first[1:], "", rest)
    return Ref("slot", first, rest)


def rule_name(at: int, rule: Mapping[str, Any]) -> str:
    return "default" if "default" in rule else f"when {at + 1}"


def words_of(expression: str) -> list[str]:
    """The references in an expression."""
    return re.findall(r"[$A-Za-z]\w*(?:\.[A-Za-z]\w*)+", expression)


def fits(port: str, given: str) -> bool:
    """Whether an input of kind ``port`` takes all that an output of kind ``given`` may hold."""
    lists = {"numbers": ["numbers"], "sparse": ["numbers", "sparse"], "list": ["numbers", "sparse", "list"]}
    return given in {"number": ["number"], "any": ["number", "any"], **lists}[port]
