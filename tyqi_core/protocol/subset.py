"""The JSON Schema keywords that TP uses: those on which all validators agree.

The table for people stands in ``docs/protocol.md``; tests prove the agreement of jsonschema, jsonschema-rs and
fastjsonschema on it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from math import isfinite
from typing import Any

from tyqi_core.protocol.json_values import canonical_json, echo, json_path, locate_fault
from tyqi_core.protocol.patterns import pattern_fault

DRAFT_07 = "http://json-schema.org/draft-07/schema#"
MAX_SCHEMA_BYTES = 1 << 16
MAX_SCHEMA_DEPTH = 16
MAX_ALTERNATIVES = 16
MAX_ENUM = 256
MAX_EXPANDED = 10_000
"""Sub-schemas after every ``$ref`` is written out: a bound on how long a validator may try."""

TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")


@dataclass(frozen=True, slots=True)
class SchemaProblem:
    """What is wrong at one place of a JSON value (or of a schema).

    ``found`` and ``allowed`` say it in short, for tables; ``message`` is the sentence. At most 200 bytes of the input
    are repeated.
    """

    path: str
    message: str
    found: str = ""
    allowed: str = ""
    nearest: str | None = None

    def __str__(self) -> str:
        hint = f" Did you mean '{self.nearest}'?" if self.nearest else ""
        return f"{self.path}: {self.message}.{hint}"


def outside_subset(schema: object) -> list[SchemaProblem]:
    """All places where ``schema`` leaves the subset; empty for a schema that every validator reads alike."""
    fault = locate_fault(schema)
    if fault is not None:
        return [SchemaProblem(*fault)]
    if not isinstance(schema, dict):
        return [SchemaProblem("$", f"expected a schema (an object), found {echo(schema)}")]
    size = len(canonical_json(schema).encode())
    if size > MAX_SCHEMA_BYTES:
        return [SchemaProblem("$", f"the schema has {size} bytes; at most {MAX_SCHEMA_BYTES} are allowed")]
    problems = [*_visit(schema, [], schema)]
    return problems or [*_expansion(schema)]


def resolve(root: Mapping[str, Any], reference: str) -> Any:
    """The sub-schema that ``#/definitions/NAME`` means.

    Raises:
        KeyError: it is not there, or the reference is of another form.
    """
    match = _REFERENCE.match(reference)
    if match is None:
        raise KeyError(reference)
    return root["definitions"][match[1]]


_REFERENCE = re.compile(r"^#/definitions/([A-Za-z0-9_.-]{1,64})\Z")


def _text(argument: Any) -> str | None:
    return None if isinstance(argument, str) else "expected a text"


def _boolean(argument: Any) -> str | None:
    return None if isinstance(argument, bool) else "expected true or false"


def _literal(argument: Any) -> str | None:
    """A value that stands in a schema. fastjsonschema follows a "$ref" in it, over the network if need be."""
    if isinstance(argument, dict):
        reserved = next((name for name in argument if name.startswith("$")), None)
        if reserved is not None:
            return f"names that begin with $ are reserved, found {echo(reserved)}"
        argument = list(argument.values())
    if isinstance(argument, list):
        return next((fault for item in argument if (fault := _literal(item)) is not None), None)
    return None


def _number(argument: Any) -> str | None:
    if isinstance(argument, bool) or not isinstance(argument, (int, float)) or not isfinite(argument):
        return "expected a number"
    return None


def _count(argument: Any) -> str | None:
    if type(argument) is int and argument >= 0:
        return None
    return "expected an integer of at least 0"


def _pattern(argument: Any) -> str | None:
    return pattern_fault(argument) if isinstance(argument, str) else "expected a text"


def _type(argument: Any) -> str | None:
    names = argument if isinstance(argument, list) else [argument]
    for name in names:
        if name not in TYPES:
            near = get_close_matches(str(name)[:20], TYPES, n=1)
            return f"expected one of {', '.join(TYPES)}, found {echo(name)}" + (
                f"; did you mean {near[0]}" if near else ""
            )
    return None if names and len(set(names)) == len(names) else "expected each type once, and at least one"


def _enum(argument: Any) -> str | None:
    if not isinstance(argument, list) or not 1 <= len(argument) <= MAX_ENUM:
        return f"expected a list of 1 to {MAX_ENUM} values"
    texts = [canonical_json(item) for item in argument]
    return _literal(argument) if len(set(texts)) == len(texts) else "expected each value once"


def _names(argument: Any) -> str | None:
    if not isinstance(argument, list) or not all(isinstance(name, str) for name in argument):
        return "expected a list of names"
    return None if len(set(argument)) == len(argument) else "expected each name once"


def _draft(argument: Any) -> str | None:
    return None if argument == DRAFT_07 else f"expected {DRAFT_07}"


ANNOTATIONS: Mapping[str, Callable[[Any], str | None]] = {
    "title": _text,
    "description": _text,
    "$comment": _text,
    "default": _literal,
    "examples": _literal,
    "setup": _boolean,
    "unit": _text,
}
_ROOT_ONLY: Mapping[str, Callable[[Any], str | None]] = {"$schema": _draft, "$id": _text}
_ASSERTIONS: Mapping[str, Callable[[Any], str | None]] = {
    "type": _type,
    "enum": _enum,
    "const": _literal,
    "minimum": _number,
    "maximum": _number,
    "exclusiveMinimum": _number,
    "exclusiveMaximum": _number,
    "minLength": _count,
    "maxLength": _count,
    "pattern": _pattern,
    "minItems": _count,
    "maxItems": _count,
    "uniqueItems": _boolean,
    "minProperties": _count,
    "maxProperties": _count,
    "required": _names,
}
_ARGUMENTS = {**ANNOTATIONS, **_ASSERTIONS}
_APPLICATORS = frozenset(
    {
        "properties",
        "patternProperties",
        "additionalProperties",
        "propertyNames",
        "items",
        "anyOf",
        "definitions",
        "$ref",
    }
)
KEYWORDS = (*_ARGUMENTS, *sorted(_APPLICATORS))
_INSTEAD = {
    "format": "use 'pattern'",
    "oneOf": "use 'anyOf'",
    "allOf": "write the keywords into one schema",
    "$defs": "use 'definitions'",
    "nullable": "use type: [..., 'null']",
    "if": "use 'anyOf'",
}


def _visit(schema: Any, parts: list[str | int], root: Mapping[str, Any]) -> Iterator[SchemaProblem]:
    if not isinstance(schema, dict):
        yield SchemaProblem(json_path(parts), f"expected a schema (an object), found {echo(schema)}")
        return
    if sum(isinstance(part, str) for part in parts) > 2 * MAX_SCHEMA_DEPTH:
        yield SchemaProblem(json_path(parts), f"schemas are nested deeper than {MAX_SCHEMA_DEPTH} levels")
        return
    for keyword, argument in schema.items():
        here = [*parts, keyword]
        check = _ARGUMENTS.get(keyword) or (None if parts else _ROOT_ONLY.get(keyword))
        if check is not None:
            if (message := check(argument)) is not None:
                yield SchemaProblem(json_path(here), message, found=echo(argument))
        elif keyword in _APPLICATORS and (keyword != "definitions" or not parts):
            yield from _VISITS[keyword](argument, here, root)
        else:
            yield _unknown(keyword, parts)
    yield from _together(schema, parts)


def _unknown(keyword: str, parts: list[str | int]) -> SchemaProblem:
    instead = _INSTEAD.get(keyword)
    near = get_close_matches(keyword[:40], KEYWORDS, n=1, cutoff=0.75)
    root_only = keyword in {*_ROOT_ONLY, "definitions"}
    return SchemaProblem(
        json_path(parts),
        f"the keyword {echo(keyword, 60)} is "
        + ("only allowed at the schema's root" if root_only else "not in TP's subset of JSON Schema")
        + (f"; {instead}" if instead else ""),
        found=echo(keyword, 60),
        allowed=", ".join(KEYWORDS),
        nearest=near[0] if near and not root_only and not instead else None,
    )


def _together(schema: Mapping[str, Any], parts: list[str | int]) -> Iterator[SchemaProblem]:
    """Keywords that are fine alone but not beside each other."""
    if "$ref" in schema:
        beside = sorted(set(schema) - {"$ref"} - set(ANNOTATIONS) - (set() if parts else {*_ROOT_ONLY, "definitions"}))
        if beside:
            yield SchemaProblem(json_path(parts), f"draft-07 ignores what stands beside $ref, here {', '.join(beside)}")
    yield from _required_but_unknown(schema, parts)


def _required_but_unknown(schema: Mapping[str, Any], parts: list[str | int]) -> Iterator[SchemaProblem]:
    """Such schemas are a slip of the pen, and fastjsonschema refuses them."""
    required, properties = schema.get("required", []), schema.get("properties", {})
    well_formed = _names(required) is None and isinstance(properties, dict)
    if not well_formed or schema.get("additionalProperties") not in (False, {}):
        return
    for name in required:
        if name not in properties:
            near = get_close_matches(name[:40], properties, n=1)
            yield SchemaProblem(
                json_path([*parts, "required"]),
                f"the key {echo(name, 60)} is required but not among the properties",
                found=echo(name, 60),
                nearest=near[0] if near else None,
            )


def _one(argument: Any, parts: list[str | int], root: Mapping[str, Any]) -> Iterator[SchemaProblem]:
    yield from _visit(argument, parts, root)


def _one_or_bool(argument: Any, parts: list[str | int], root: Mapping[str, Any]) -> Iterator[SchemaProblem]:
    if not isinstance(argument, bool):
        yield from _visit(argument, parts, root)


def _by_name(argument: Any, parts: list[str | int], root: Mapping[str, Any]) -> Iterator[SchemaProblem]:
    if not isinstance(argument, dict):
        yield SchemaProblem(json_path(parts), f"expected names with schemas, found {echo(argument)}")
        return
    for name, schema in argument.items():
        if name.startswith("$"):
            yield SchemaProblem(json_path([*parts, name]), "names that begin with $ are reserved", found=echo(name))
        yield from _visit(schema, [*parts, name], root)


def _by_pattern(argument: Any, parts: list[str | int], root: Mapping[str, Any]) -> Iterator[SchemaProblem]:
    yield from _by_name(argument, parts, root)
    for pattern in argument if isinstance(argument, dict) else ():
        if (message := pattern_fault(pattern)) is not None:
            yield SchemaProblem(json_path([*parts, pattern]), message, found=echo(pattern))


def _alternatives(argument: Any, parts: list[str | int], root: Mapping[str, Any]) -> Iterator[SchemaProblem]:
    if not isinstance(argument, list) or not 1 <= len(argument) <= MAX_ALTERNATIVES:
        count = f"{len(argument)}" if isinstance(argument, list) else "none"
        yield SchemaProblem(json_path(parts), f"expected a list of 1 to {MAX_ALTERNATIVES} schemas, found {count}")
        return
    for index, schema in enumerate(argument):
        yield from _visit(schema, [*parts, index], root)


def _reference(argument: Any, parts: list[str | int], root: Mapping[str, Any]) -> Iterator[SchemaProblem]:
    try:
        resolve(root, argument)
    except (KeyError, TypeError):
        known = root.get("definitions")
        names = (
            ", ".join(f"#/definitions/{name}" for name in known) if isinstance(known, dict) and known else "none here"
        )
        yield SchemaProblem(
            json_path(parts),
            f"only definitions of the schema itself may be referred to, found {echo(argument)}",
            found=echo(argument),
            allowed=names[:400],
        )


_VISITS: Mapping[str, Callable[[Any, list[str | int], Mapping[str, Any]], Iterator[SchemaProblem]]] = {
    "properties": _by_name,
    "patternProperties": _by_pattern,
    "additionalProperties": _one_or_bool,
    "propertyNames": _one,
    "items": _one,
    "anyOf": _alternatives,
    "definitions": _by_name,
    "$ref": _reference,
}


def subschemas(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The schemas directly within ``schema``, definitions left out, references not followed."""
    for keyword in ("properties", "patternProperties"):
        yield from schema.get(keyword, {}).values()
    for keyword in ("items", "propertyNames", "additionalProperties"):
        inner = schema.get(keyword)
        if isinstance(inner, dict):
            yield inner
    yield from schema.get("anyOf", ())


class _ReferenceCycleError(ValueError):
    """A reference leads back to itself."""


def _expansion(root: Mapping[str, Any]) -> Iterator[SchemaProblem]:
    """Refuse reference cycles and schemas that grow beyond bounds when references are written out."""
    sizes: dict[str, int] = {}
    open_names: list[str] = []

    def size(schema: Mapping[str, Any]) -> int:
        reference = schema.get("$ref")
        if reference is not None:
            return 1 + size_of(reference)
        return 1 + sum(size(inner) for inner in subschemas(schema))

    def size_of(reference: str) -> int:
        if reference in open_names:
            raise _ReferenceCycleError(" -> ".join([*open_names[open_names.index(reference) :], reference]))
        if reference not in sizes:
            open_names.append(reference)
            sizes[reference] = size(resolve(root, reference))
            open_names.pop()
        return sizes[reference]

    try:
        total = size(root) + sum(size_of(f"#/definitions/{name}") for name in root.get("definitions", {}))
    except _ReferenceCycleError as error:
        yield SchemaProblem("$", f"references form a cycle: {error}"[:400])
        return
    if total > MAX_EXPANDED:
        yield SchemaProblem(
            "$", f"the schema has {total} parts with references written out; at most {MAX_EXPANDED} are allowed"
        )
