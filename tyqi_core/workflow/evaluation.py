"""What an expression is made of, and what each part is worth.

The kinds of value are those of JSON: true or false, number, text, list, object, null. Numbers are one kind, whether
written ``3`` or ``3.0``; nothing is converted. A value of a kind that an operation does not take is a
``ConditionError``.

Each part has a ``kind``, if it can be told without data, and a ``value``, given a lookup of references.
"""
# ruff: noqa: D102 - `kind` and `value` are told once, above

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tyqi_core.errors import ConditionError
from tyqi_core.protocol.json_values import INT_MAX, INT_MIN, echo

Lookup = Callable[[str], Any]
Steps = tuple[str | int, ...]

_COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
MAX_SEARCHED = 100_000
"""Elements that one ``in`` looks at."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant."""

    constant: Any

    @property
    def kind(self) -> str | None:
        return kind_of(self.constant)

    def value(self, _: Lookup) -> Any:
        return self.constant


@dataclass(frozen=True, slots=True)
class ListOf:
    """``[1, 2, 3]``."""

    items: tuple[Node, ...]

    @property
    def kind(self) -> str | None:
        return "list"

    def value(self, lookup: Lookup) -> Any:
        return [item.value(lookup) for item in self.items]


@dataclass(frozen=True, slots=True)
class Path:
    """A reference and the steps into its value: ``T1.measurements.max_width.value``."""

    reference: str
    steps: Steps = ()

    @property
    def kind(self) -> str | None:
        return None

    def value(self, lookup: Lookup) -> Any:
        value = lookup(self.reference)
        for position, step in enumerate(self.steps):
            value = self._into(value, position, step)
        if isinstance(value, float) and not math.isfinite(value):
            raise ConditionError(f"'{self}' is {value}, which cannot be compared.")
        return value

    def exists(self, lookup: Lookup) -> bool:
        """Whether the path leads to a value other than null."""
        value = lookup(self.reference)
        for step in self.steps:
            if not _holds(value, step):
                return False
            value = value[step]
        return value is not None

    def _into(self, value: Any, position: int, step: str | int) -> Any:
        if _holds(value, step):
            return value[step]
        where = Path(self.reference, self.steps[:position])
        if isinstance(value, list) and isinstance(step, int):
            raise ConditionError(f"'{where}' has no element {step}; it has {len(value)}.")
        if isinstance(value, dict) and isinstance(step, str):
            raise ConditionError(f"'{where}' has no field '{step}'; it has {echo(sorted(value))}.")
        raise ConditionError(
            f"'{where}' is {_named(value)}; it has no {'element' if isinstance(step, int) else 'field'} {step}."
        )

    def __str__(self) -> str:
        return self.reference + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.steps)


@dataclass(frozen=True, slots=True)
class Has:
    """``has(T1.json.field)``: it exists and is not null."""

    path: Path

    @property
    def kind(self) -> str | None:
        return "boolean"

    def value(self, lookup: Lookup) -> Any:
        return self.path.exists(lookup)


@dataclass(frozen=True, slots=True)
class Size:
    """``size(x)``: elements of a list, fields of an object, characters of a text."""

    operand: Node

    @property
    def kind(self) -> str | None:
        return "number"

    def value(self, lookup: Lookup) -> Any:
        value = self.operand.value(lookup)
        if isinstance(value, list | dict | str):
            return len(value)
        raise ConditionError(f"size(...) takes a list, an object or a text; here it is {_named(value)}.")


@dataclass(frozen=True, slots=True)
class Not:
    """``!x``, ``not x``."""

    operand: Node

    @property
    def kind(self) -> str | None:
        return "boolean"

    def value(self, lookup: Lookup) -> Any:
        return not _boolean(self.operand.value(lookup), "not")


@dataclass(frozen=True, slots=True)
class Negative:
    """``-x``."""

    operand: Node

    @property
    def kind(self) -> str | None:
        return "number"

    def value(self, lookup: Lookup) -> Any:
        return _bounded(-_number(self.operand.value(lookup), "-"))


@dataclass(frozen=True, slots=True)
class Logic:
    """``&&`` and ``||``: from left to right, the right side only if it matters."""

    sign: str
    left: Node
    right: Node

    @property
    def kind(self) -> str | None:
        return "boolean"

    def value(self, lookup: Lookup) -> Any:
        decided = self.sign == "||"
        if _boolean(self.left.value(lookup), self.sign) is decided:
            return decided
        return _boolean(self.right.value(lookup), self.sign)


@dataclass(frozen=True, slots=True)
class Compare:
    """``== != < <= > >= in``."""

    sign: str
    left: Node
    right: Node

    @property
    def kind(self) -> str | None:
        return "boolean"

    def value(self, lookup: Lookup) -> Any:
        return self._compared(self.left.value(lookup), self.right.value(lookup))

    def fault(self) -> str | None:
        """Why this can never be decided, as far as constants tell."""
        left, right = self.left.kind, self.right.kind
        if self.sign == "in":
            return (
                None
                if right in (None, "list", "object")
                else f"'in' looks into a list or an object; here it is {right}."
            )
        return _uncomparable(self.sign, left, right) if left and right else None

    def _compared(self, left: Any, right: Any) -> bool:
        if self.sign == "in":
            return _contains(right, left)
        if fault := _uncomparable(self.sign, kind_of(left), kind_of(right)):
            raise ConditionError(fault)
        return bool(_COMPARISONS[self.sign](left, right))


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """``+ - * / %`` on numbers. ``/`` divides exactly, ``%`` has the sign of its left side, as in CEL and C."""

    sign: str
    left: Node
    right: Node

    @property
    def kind(self) -> str | None:
        return "number"

    def value(self, lookup: Lookup) -> Any:
        left = _number(self.left.value(lookup), self.sign)
        right = _number(self.right.value(lookup), self.sign)
        try:
            return _bounded(self._computed(left, right))
        except ZeroDivisionError as error:
            raise ConditionError(f"{left} {self.sign} 0 has no value.") from error
        except OverflowError as error:
            raise ConditionError(f"{left} {self.sign} {right} is too large.") from error

    def _computed(self, left: float, right: float) -> float:
        match self.sign:
            case "+":
                return left + right
            case "-":
                return left - right
            case "*":
                return left * right
            case "/":
                return left / right
        if isinstance(left, int) and isinstance(right, int):
            rest = abs(left) % abs(right)
            return -rest if left < 0 else rest
        if right == 0:
            raise ZeroDivisionError
        return math.fmod(left, right)


Node = Literal | ListOf | Path | Has | Size | Not | Negative | Logic | Compare | Arithmetic


def walk(root: Node) -> Iterator[Node]:
    """All parts of an expression, from left to right."""
    waiting: list[Node] = [root]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(reversed(_inside(node)))


def _inside(node: Node) -> list[Node]:
    match node:
        case ListOf():
            return list(node.items)
        case Has():
            return [node.path]
        case Size() | Not() | Negative():
            return [node.operand]
        case Logic() | Compare() | Arithmetic():
            return [node.left, node.right]
    return []


def kind_of(value: Any) -> str | None:
    """The kind of a value in the language's words; ``None`` for what is no JSON."""
    if value is None:
        return "null"
    for python, kind in _KINDS:
        if isinstance(value, python):
            return kind
    return None


_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "boolean"),
    ((int, float), "number"),
    (str, "text"),
    (list, "list"),
    (dict, "object"),
)
_ORDERED = ("number", "text")
_WITH_ARTICLE = {
    "boolean": "true or false",
    "number": "a number",
    "text": "a text",
    "list": "a list",
    "object": "an object",
}


def _named(value: Any) -> str:
    kind = kind_of(value)
    return _WITH_ARTICLE.get(kind, kind) if kind else f"of type {type(value).__name__}"


def _holds(value: Any, step: str | int) -> bool:
    if isinstance(value, dict):
        return isinstance(step, str) and step in value
    return isinstance(value, list) and isinstance(step, int) and step < len(value)


def _uncomparable(sign: str, left: str | None, right: str | None) -> str | None:
    if sign in ("==", "!="):
        if "null" in (left, right) or (left == right and left in ("boolean", "number", "text")):
            return None
    elif left == right and left in _ORDERED:
        return None
    return (
        f"'{sign}' cannot compare {_WITH_ARTICLE.get(left or '', left)} with {_WITH_ARTICLE.get(right or '', right)}."
    )


def _contains(container: Any, wanted: Any) -> bool:
    kind = kind_of(wanted)
    if isinstance(container, dict):
        if kind != "text":
            raise ConditionError(f"a field's name is a text, not {_named(wanted)}.")
        return wanted in container
    if not isinstance(container, list):
        raise ConditionError(f"'in' looks into a list or an object; here it is {_named(container)}.")
    if kind in ("list", "object", None):
        raise ConditionError(f"'in' looks for a single value, not {_named(wanted)}.")
    if len(container) > MAX_SEARCHED:
        raise ConditionError(f"'in' looks at up to {MAX_SEARCHED:,} elements; here are {len(container):,}.")
    return any(kind_of(item) == kind and item == wanted for item in container)


def _boolean(value: Any, sign: str) -> bool:
    if isinstance(value, bool):
        return value
    raise ConditionError(f"'{sign}' takes true or false, not {_named(value)}.")


def _number(value: Any, sign: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    raise ConditionError(f"'{sign}' takes numbers, not {_named(value)}.")


def _bounded(value: float) -> float:
    if isinstance(value, int):
        if not INT_MIN <= value <= INT_MAX:
            raise ConditionError("a whole number does not fit into 64 bits.")
    elif not math.isfinite(value):
        raise ConditionError("the result is no finite number.")
    return value
