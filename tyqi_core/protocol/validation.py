"""Validating JSON values against JSON schemas of TP's subset (draft-07).

``compiled(schema)`` is quick (jsonschema-rs) and cached, its problems are told in words. Which keywords a schema may
use, so that every validator answers alike, is decided in :mod:`tyqi_core.protocol.subset`.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, NoReturn

from tyqi_core.protocol.json_values import canonical_json, echo, json_path, locate_fault, read_json
from tyqi_core.protocol.subset import SchemaProblem, outside_subset, resolve

__all__ = ["SchemaProblem", "Validator", "compiled", "fill_defaults", "nearest_name", "outside_subset", "read_json"]

MAX_PROBLEMS = 50
"""Problems told about one value; a table of a million wrong cells is one mistake."""

_WORDS: Mapping[str, Callable[[Any], str]] = {
    "type": lambda arg: "type " + " or ".join([arg] if isinstance(arg, str) else arg),
    "enum": lambda arg: "one of " + ", ".join(echo(item, 60) for item in arg[:20]) + (", ..." if len(arg) > 20 else ""),  # noqa: PLR2004
    "const": echo,
    "minimum": lambda arg: f"at least {arg}",
    "maximum": lambda arg: f"at most {arg}",
    "exclusiveMinimum": lambda arg: f"more than {arg}",
    "exclusiveMaximum": lambda arg: f"less than {arg}",
    "minLength": lambda arg: f"at least {arg} characters",
    "maxLength": lambda arg: f"at most {arg} characters",
    "pattern": lambda arg: f"text that matches {arg}",
    "minItems": lambda arg: f"at least {arg} items",
    "maxItems": lambda arg: f"at most {arg} items",
    "uniqueItems": lambda _: "items that are all different",
    "minProperties": lambda arg: f"at least {arg} keys",
    "maxProperties": lambda arg: f"at most {arg} keys",
    "anyOf": lambda arg: f"one of {len(arg)} alternatives",
}


class Validator:
    """One schema, compiled. Thread-safe: it holds no state that changes."""

    __slots__ = ("_rs", "_schema")

    def __init__(self, schema: Mapping[str, Any]) -> None:
        import jsonschema_rs  # noqa: PLC0415  (46 ms at import, which a light command would pay for)

        self._schema = schema
        self._rs = jsonschema_rs.Draft7Validator(
            dict(schema),
            retriever=_refuse_to_fetch,
            pattern_options=jsonschema_rs.RegexOptions(),  # linear time, no backtracking
        )

    @property
    def matches(self) -> Callable[[Any], bool]:
        """``is_valid`` for values that are known to be plain JSON: jsonschema-rs would read NaN as null."""
        return self._rs.is_valid

    def is_valid(self, value: Any) -> bool:
        """Whether ``value`` is plain JSON and follows the schema."""
        return locate_fault(value) is None and bool(self._rs.is_valid(value))

    def problems(self, value: Any) -> list[SchemaProblem]:
        """All that is wrong with ``value``, in its own order; at most :data:`MAX_PROBLEMS`."""
        if (fault := locate_fault(value)) is not None:
            return [SchemaProblem(*fault)]
        found: list[SchemaProblem] = []
        for error in self._rs.iter_errors(value):
            found.extend(self._told(error, value))
            if len(found) >= MAX_PROBLEMS:
                break
        return found[:MAX_PROBLEMS]

    def _told(self, error: Any, value: Any) -> Iterator[SchemaProblem]:
        branch = _closest_branch(error)
        if branch is not None:
            for inner in branch:
                yield from self._told(inner, value)
            return
        parts = list(error.instance_path)
        keyword, argument, holder = _keyword_of(self._schema, list(error.schema_path))
        instance = _at(value, parts)
        if keyword == "additionalProperties":
            yield from _unexpected(error, instance, holder, parts)
        elif keyword == "required":
            yield from _missing(error, instance, argument, parts)
        else:
            yield _unfit(keyword, argument, instance, parts)


def compiled(schema: Mapping[str, Any]) -> Validator:
    """The validator of ``schema``, from a cache keyed by the schema's canonical JSON.

    Raises:
        ValueError: the schema is none, or refers to something outside itself.
    """
    return _compiled(canonical_json(schema))


@lru_cache(maxsize=1024)
def _compiled(canonical: str) -> Validator:
    schema = json.loads(canonical)
    try:
        return Validator(schema)
    except ValueError as error:  # jsonschema-rs: ValidationError (of the schema) and ReferencingError are ValueErrors
        raise ValueError(f"unusable JSON schema: {str(error).splitlines()[0]}") from error


def fill_defaults(schema: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """``params`` with the schema's defaults where a property is absent, also within nested objects.

    What is given stays as it is, ``null`` too; nothing is validated here and ``params`` is not changed.
    """
    filled = dict(params)
    for name, property_schema in schema.get("properties", {}).items():
        if not isinstance(property_schema, Mapping):
            continue
        if name not in filled:
            if "default" not in property_schema:
                continue
            filled[name] = copy.deepcopy(property_schema["default"])
        if isinstance(filled[name], Mapping) and "properties" in property_schema:
            filled[name] = fill_defaults(property_schema, filled[name])
    return filled


def nearest_name(name: object, known: Sequence[str]) -> str | None:
    """The entry of ``known`` that ``name`` most likely stands for, if any is near."""
    if not isinstance(name, str):
        return None
    folded = {entry.casefold(): entry for entry in known if isinstance(entry, str)}
    close = get_close_matches(name[:100].casefold(), folded, n=1, cutoff=0.6)
    return folded[close[0]] if close else None


def _refuse_to_fetch(uri: str) -> NoReturn:
    raise ValueError(f"the schema refers to {uri}; only references within itself (#/definitions/...) are followed")


def _closest_branch(error: Any) -> list[Any] | None:
    """Of a failed ``anyOf``, the errors of the one alternative that was meant, if it can be told."""
    branches = getattr(error.kind, "context", None) if error.schema_path and error.schema_path[-1] == "anyOf" else None
    if not branches:
        return None
    depth = len(error.instance_path)
    meant = [branch for branch in branches if not any(_wrong_kind(inner, depth) for inner in branch)]
    if len(meant) > 1:  # then the one whose faults all lie further in, if that is one
        meant = [branch for branch in meant if all(len(inner.instance_path) > depth for inner in branch)]
    return meant[0] if len(meant) == 1 else None


def _wrong_kind(error: Any, depth: int) -> bool:
    """The alternative was not meant: the value itself, or what tells the alternatives apart, is of another kind."""
    keyword = error.schema_path[-1] if error.schema_path else ""
    here = len(error.instance_path) == depth
    return (here and keyword in {"type", "enum"}) or keyword == "const"


def _keyword_of(schema: Mapping[str, Any], path: list[str | int]) -> tuple[str, Any, Mapping[str, Any]]:
    """The keyword that ``path`` (as jsonschema-rs gives it) ends at, its argument and the schema that holds it."""
    node: Any = schema
    holder: Any = schema
    keyword = ""
    for part in path:
        if isinstance(node, Mapping) and "$ref" in node and part != "$ref":
            node = resolve(schema, node["$ref"])
        if isinstance(node, Mapping):
            holder, keyword = node, str(part)
        if part == "$ref" and isinstance(node, Mapping) and "$ref" in node:
            node = resolve(schema, node["$ref"])
            continue
        try:
            node = node[part]
        except (KeyError, IndexError, TypeError):
            return str(path[-1]), None, {}
    return ("false" if node is False and keyword != "additionalProperties" else keyword), node, holder


def _at(value: Any, parts: Sequence[str | int]) -> Any:
    for part in parts:
        value = value[part]
    return value


def _unexpected(
    error: Any, instance: Any, holder: Mapping[str, Any], parts: list[str | int]
) -> Iterator[SchemaProblem]:
    known = list(holder.get("properties", {}))
    allowed = "the keys " + ", ".join(known[:30]) if known else "no keys"
    for name in getattr(error.kind, "unexpected", None) or [name for name in instance if name not in known]:
        yield SchemaProblem(
            json_path(parts),
            f"unknown key {echo(name, 80)}; allowed are {allowed}",
            found=echo(name),
            allowed=allowed,
            nearest=nearest_name(name, [entry for entry in known if entry not in instance]),
        )


def _missing(error: Any, instance: Any, required: Any, parts: list[str | int]) -> Iterator[SchemaProblem]:
    name = getattr(error.kind, "property", None)
    names = [name] if isinstance(name, str) else [entry for entry in required or () if entry not in instance]
    for entry in names:
        yield SchemaProblem(
            json_path(parts),
            f"the key '{entry}' is missing",
            found="the keys " + ", ".join(echo(key, 40) for key in list(instance)[:20]) if instance else "no keys",
            allowed=f"the key '{entry}'",
        )


def _unfit(keyword: str, argument: Any, instance: Any, parts: list[str | int]) -> SchemaProblem:
    found = echo(instance)
    if keyword == "false":
        return SchemaProblem(json_path(parts), f"expected nothing here, found {found}", found=found, allowed="nothing")
    words = _WORDS.get(keyword)
    allowed = words(argument) if words else f"what '{keyword}' allows"
    return SchemaProblem(
        json_path(parts),
        f"expected {allowed}, found {found}",
        found=found,
        allowed=allowed,
        nearest=nearest_name(instance, argument) if keyword == "enum" else None,
    )
