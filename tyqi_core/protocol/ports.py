"""Types of ports: what they accept, proved from the declaration, and the check of values against them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from tyqi_core.protocol.checks import (
    IMAGE_DTYPES,
    JSON_TYPES,
    TENSOR_DTYPES,
    TYPE_NAMES,
    Check,
    check_of,
    list_check,
    shape_text,
    value_schema,
)
from tyqi_core.protocol.json_values import canonical_json, echo
from tyqi_core.protocol.subsumption import why_not_within
from tyqi_core.protocol.validation import nearest_name, outside_subset

COLOURS = ("rgb", "grey")
_IMAGE_DEFAULTS: Mapping[str, Any] = {"dtype": ["uint8"], "colour": ["rgb"]}
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "image": _IMAGE_DEFAULTS,
    "video_frame": _IMAGE_DEFAULTS,
    "tensor": {"dtype": ["FP32"]},
}
_CONSTRAINTS: Mapping[str, tuple[str, ...]] = {
    "image": ("dtype", "colour"),
    "video_frame": ("dtype", "colour"),
    "tensor": ("dtype", "shape"),
    "json": ("schema",),
    "bytes": ("media_type",),
}
_PORT_KEYS = ("type", "list", "null_items", "description", "required", "default")
"""What any port declaration may hold; the last three are the manifest's business."""

_MAX_RANK = 32


@dataclass(frozen=True, slots=True, eq=False)
class PortType:
    """The type of a port: one of the TP types, its constraints, one value or a list of them.

    Two port types are equal when their canonical JSON is. ``constraints`` holds the type's defaults where the
    declaration is silent; it must not be modified.
    """

    name: str
    is_list: bool = False
    null_items: bool = False
    constraints: Mapping[str, Any] = field(default_factory=dict)
    _key: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "constraints", {**_DEFAULTS.get(self.name, {}), **self.constraints})
        object.__setattr__(self, "_key", canonical_json(self.to_json()))

    @classmethod
    def parse(cls, declaration: Mapping[str, Any]) -> PortType:
        """The type that a port of a manifest, or an input of a project, declares.

        Raises:
            ValueError: the declaration is not usable; one sentence with expected, found and the nearest name.
        """
        if not isinstance(declaration, Mapping):
            raise ValueError(f"expected a port such as {{type: image}}, found {echo(declaration)}")  # noqa: TRY004  (a file's fault)
        name = declaration.get("type")
        if name not in TYPE_NAMES:
            raise ValueError(
                f"expected a type, one of {', '.join(TYPE_NAMES)}, found {echo(name)}{_hint(name, TYPE_NAMES)}"
            )
        allowed = _CONSTRAINTS.get(name, ())
        for key in declaration:
            if key not in allowed and key not in _PORT_KEYS:
                known = [*allowed, *_PORT_KEYS]
                raise ValueError(
                    f"a port of type {name} has no {echo(key, 60)}; it may have {', '.join(known)}{_hint(key, known)}"
                )
        is_list, null_items = _flag(declaration, "list"), _flag(declaration, "null_items")
        if null_items and not is_list:
            raise ValueError("'null_items: true' is about the items of a list; write 'list: true' beside it")
        given = {key: _PARSERS[key](name, declaration[key]) for key in allowed if key in declaration}
        return cls(name, is_list, null_items, given)

    def accepts(self, other: PortType) -> str | None:
        """``None`` if every value of ``other`` fits this type, else why that is not proved."""
        if self.name == "json" and other.name in JSON_TYPES:
            return self._accepts_json(other)
        if self.is_list != other.is_list:
            return f"{self} is needed, {other} is given"
        if other.null_items and not self.null_items:
            return f"items may be null in {other}; {self} has no null items"
        if self.name == other.name:
            return self._narrower(other)
        if self.name == "image" and other.name == "mask":
            return self._narrower(_MASK_AS_IMAGE)
        return f"{self} is needed, {other} is given"

    def item(self) -> PortType:
        """The type of one element of this list.

        Raises:
            ValueError: this is no list.
        """
        if not self.is_list:
            raise ValueError(f"{self} is no list")
        return PortType(self.name, constraints=self.constraints)

    def listed(self, null_items: bool) -> PortType:
        """A list of this.

        Raises:
            ValueError: this is a list already; lists do not nest.
        """
        if self.is_list:
            raise ValueError(f"{self} is a list already; lists of lists are not a port type, json can hold them")
        return PortType(self.name, is_list=True, null_items=null_items, constraints=self.constraints)

    def collected(self, null_items: bool) -> PortType | None:
        """A list of what each item of a foreach gives; of JSON lists a list of JSON, of other lists nothing."""
        if not self.is_list:
            return self.listed(null_items)
        if self.name not in JSON_TYPES:
            return None
        return PortType("json", constraints={"schema": self.json_schema()}).listed(null_items)

    def to_json(self) -> dict[str, Any]:
        """The shortest declaration that parses to this type."""
        defaults = _DEFAULTS.get(self.name, {})
        body = {key: value for key, value in self.constraints.items() if defaults.get(key) != value}
        if self.is_list:
            body["list"] = True
        if self.null_items:
            body["null_items"] = True
        return {"type": self.name, **body}

    def __str__(self) -> str:
        details = [_DETAILS[key](value) for key, value in self.constraints.items()]
        text = self.name + (f" ({', '.join(details)})" if details else "")
        return f"list of {text}{' or null' if self.null_items else ''}" if self.is_list else text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PortType) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def _narrower(self, other: PortType) -> str | None:
        """Whether ``other``'s constraints allow nothing that these do not. Same type, lists already compared."""
        for key in _CONSTRAINTS.get(self.name, ()):
            if (reason := _COMPARE[key](self.constraints.get(key), other.constraints.get(key))) is not None:
                return f"{self} is needed, {other} is given: {reason}"
        return None

    def _accepts_json(self, other: PortType) -> str | None:
        """All JSON-like types are JSON values, their lists too, so only the schemas decide."""
        reason = why_not_within(other.json_schema(), self.json_schema())
        return None if reason is None else f"{self} is needed, {other} is given: {reason}"

    def json_schema(self) -> dict[str, Any]:
        """The schema of this type's values, for the types whose values are JSON.

        Raises:
            ValueError: the values are arrays or bytes.
        """
        if self.name not in JSON_TYPES:
            raise ValueError(f"values of {self} are no JSON")
        own: dict[str, Any] = self.constraints.get("schema", {}) if self.name == "json" else value_schema(self.name)
        if not self.is_list:
            return own
        definitions = own.get("definitions")
        item = {key: value for key, value in own.items() if key not in {"definitions", "$schema", "$id"}}
        if self.null_items:
            item = {"anyOf": [{"type": "null"}, item]}
        whole = {"type": "array", "items": item}
        return {**whole, "definitions": definitions} if definitions else whole


def checker(port_type: PortType) -> Callable[[Any], str | None]:
    """The check of values against ``port_type``: ``None``, or one sentence with expected and found."""
    return _checker(port_type)


@lru_cache(maxsize=1024)
def _checker(port_type: PortType) -> Check:
    check = check_of(port_type.name, port_type.constraints)
    return list_check(check, port_type.null_items) if port_type.is_list else check


def _hint(name: object, known: Sequence[str]) -> str:
    near = nearest_name(name, known)
    return f". Did you mean '{near}'?" if near else ""


def _flag(declaration: Mapping[str, Any], key: str) -> bool:
    flag = declaration.get(key, False)
    if not isinstance(flag, bool):
        raise ValueError(f"'{key}' is true or false, found {echo(flag)}")  # noqa: TRY004  (a file's fault)
    return flag


def _choices(key: str, given: object, known: Sequence[str]) -> list[str]:
    """A list of names out of ``known``, or one of them, in the order of ``known``."""
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, list) or not names:
        raise ValueError(f"'{key}' is a list of one or more of {', '.join(known)}, found {echo(given)}")
    for name in names:
        if name not in known:
            raise ValueError(f"'{key}' is one or more of {', '.join(known)}, found {echo(name)}{_hint(name, known)}")
    return [name for name in known if name in names]


def _parse_dtype(type_name: str, given: object) -> list[str]:
    return _choices("dtype", given, list(TENSOR_DTYPES if type_name == "tensor" else IMAGE_DTYPES))


def _parse_colour(_: str, given: object) -> list[str]:
    return _choices("colour", given, COLOURS)


def _parse_shape(_: str, given: object) -> list[int | None]:
    if not isinstance(given, list) or len(given) > _MAX_RANK:
        raise ValueError(
            f"'shape' is a list of at most {_MAX_RANK} lengths such as [null, 3, null, null], found {echo(given)}"
        )
    for length in given:
        if length is not None and (type(length) is not int or length < 0):
            raise ValueError(f"a length in 'shape' is null (any) or an integer of at least 0, found {echo(length)}")
    return list(given)


def _parse_schema(_: str, given: object) -> dict[str, Any]:
    problems = outside_subset(given)
    if problems or not isinstance(given, dict):
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise ValueError(f"the port's schema cannot be used: {problems[0]}{more}")
    return given


def _parse_media_type(_: str, given: object) -> list[str]:
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and "/" in name for name in names):
        raise ValueError(f"'media_type' is a list of types such as application/pdf, found {echo(given)}")
    return sorted({name.lower() for name in names})


_PARSERS: Mapping[str, Callable[[str, object], Any]] = {
    "dtype": _parse_dtype,
    "colour": _parse_colour,
    "shape": _parse_shape,
    "schema": _parse_schema,
    "media_type": _parse_media_type,
}


def _names_within(needed: list[str] | None, given: list[str] | None) -> str | None:
    if needed is None:
        return None
    if given is None:
        return f"it may be other than {', '.join(needed)}"
    beyond = [name for name in given if name not in needed]
    return f"it may be {' or '.join(beyond)}" if beyond else None


def _shape_within(needed: list[int | None] | None, given: list[int | None] | None) -> str | None:
    if needed is None:
        return None
    if given is None:
        return "its shape is not declared"
    if len(needed) == len(given) and all(
        want is None or want == have for want, have in zip(needed, given, strict=True)
    ):
        return None
    return f"its shape is {shape_text(given)}"


def _schema_within(needed: Mapping[str, Any] | None, given: Mapping[str, Any] | None) -> str | None:
    return why_not_within(given or {}, needed or {})


_COMPARE: Mapping[str, Callable[[Any, Any], str | None]] = {
    "dtype": _names_within,
    "colour": _names_within,
    "media_type": _names_within,
    "shape": _shape_within,
    "schema": _schema_within,
}


def _schema_detail(schema: Mapping[str, Any]) -> str:
    kind = schema.get("title") or schema.get("type")
    return " or ".join(kind) if isinstance(kind, list) else str(kind or "with a schema")


_DETAILS: Mapping[str, Callable[[Any], str]] = {
    "dtype": "/".join,
    "colour": "/".join,
    "media_type": "/".join,
    "shape": shape_text,
    "schema": _schema_detail,
}
_MASK_AS_IMAGE = PortType("image", constraints={"dtype": ["uint8"], "colour": ["grey"]})
"""What a mask is when an image port takes it: the one implicit change of type."""
