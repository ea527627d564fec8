"""Proving that every value of one schema is a value of another, over TP's subset of JSON Schema.

The proof is structural and conservative: what it cannot show is "not proved", never a guess. It splits the inner
schema by JSON type and by alternative, then compares keyword by keyword.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tyqi_core.protocol.json_values import canonical_json, echo, json_path
from tyqi_core.protocol.subset import ANNOTATIONS, TYPES, resolve
from tyqi_core.protocol.validation import compiled

Schema = Mapping[str, Any]
Path = tuple[str | int, ...]

_WITHOUT_MEANING = {*ANNOTATIONS, "$schema", "$id", "definitions"}
_OBJECT_SHAPE = frozenset({"properties", "patternProperties", "additionalProperties"})
_BY_TYPE = {
    "number": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"},
    "string": {"minLength", "maxLength", "pattern"},
    "array": {"items", "minItems", "maxItems", "uniqueItems"},
    "object": {"required", "minProperties", "maxProperties", "propertyNames", *_OBJECT_SHAPE},
}
_UNDERSTOOD = {"type", "enum", "const", "anyOf"}.union(*_BY_TYPE.values())


def schema_subsumes(inner: Schema, outer: Schema) -> bool:
    """Whether it is proved that every value that ``inner`` allows is allowed by ``outer``."""
    return why_not_within(inner, outer) is None


def why_not_within(inner: Schema, outer: Schema) -> str | None:
    """``None`` if every value of ``inner`` is proved to be one of ``outer``, else what stands against it."""
    return _reason(_plain(inner, inner), _plain(outer, outer), ())


def _plain(schema: Any, root: Schema) -> Any:
    """The schema without annotations, references written out (their number is bounded by the subset)."""
    if not isinstance(schema, Mapping):
        return schema
    if "$ref" in schema:
        return _plain(resolve(root, schema["$ref"]), root)
    plain: dict[str, Any] = {}
    for keyword, argument in schema.items():
        if keyword in _WITHOUT_MEANING:
            continue
        if keyword in {"properties", "patternProperties"}:
            plain[keyword] = {name: _plain(inner, root) for name, inner in argument.items()}
        elif keyword == "anyOf":
            plain[keyword] = [_plain(inner, root) for inner in argument]
        elif keyword in {"items", "additionalProperties", "propertyNames"}:
            plain[keyword] = _plain(argument, root)
        else:
            plain[keyword] = argument
    return plain


def _reason(inner: Schema, outer: Schema, path: Path) -> str | None:
    if not outer or canonical_json(inner) == canonical_json(outer):
        return None
    if unknown := sorted(set(outer) - _UNDERSTOOD):
        return _at(path, f"nothing can be proved about '{unknown[0]}'")
    values = _finite(inner)
    if values is not None:
        return _first_misfit(values, outer, path)
    if "anyOf" in inner:
        rest = {keyword: argument for keyword, argument in inner.items() if keyword != "anyOf"}
        if rest and _reason(rest, outer, path) is None:
            return None
        return _first(_reason(_both(rest, branch), outer, path) for branch in inner["anyOf"])
    return _first(_typed(kind, inner, outer, path) for kind in _types(inner))


def _at(path: Path, why: str) -> str:
    return f"{json_path(path)}: {why}" if path else why


def _first(reasons: Iterator[str | None]) -> str | None:
    return next((reason for reason in reasons if reason is not None), None)


def _finite(schema: Schema) -> list[Any] | None:
    """All values of a schema that names them; those that break its other keywords are left out."""
    if "const" in schema:
        values = [schema["const"]]
    elif "enum" in schema:
        values = list(schema["enum"])
    else:
        return None
    return [value for value in values if compiled(schema).matches(value)]


def _first_misfit(values: Sequence[Any], outer: Schema, path: Path) -> str | None:
    fits = compiled(outer).matches
    for value in values:
        if not fits(value):
            return _at(path, f"it may be {echo(value, 60)}, which is not accepted")
    return None


def _both(rest: Schema, branch: Schema) -> Schema:
    """A schema that every value of ``rest`` and ``branch`` together follows: a keyword in both counts once."""
    if _OBJECT_SHAPE & set(branch):
        # These three only mean something together, so they are taken from one side.
        rest = {keyword: argument for keyword, argument in rest.items() if keyword not in _OBJECT_SHAPE}
    return {**rest, **branch}


def _types(schema: Schema) -> list[str]:
    declared = schema.get("type", [name for name in TYPES if name != "integer"])
    names = [declared] if isinstance(declared, str) else list(declared)
    return [name for name in names if not (name == "integer" and "number" in names)]


def _typed(kind: str, inner: Schema, outer: Schema, path: Path) -> str | None:
    """The values of ``inner`` that are of type ``kind``, against ``outer``."""
    if kind in {"null", "boolean"}:
        values = [None] if kind == "null" else [False, True]
        return _first_misfit([value for value in values if compiled(inner).matches(value)], outer, path)
    accepted = _types(outer)
    if kind not in accepted and not (kind == "integer" and "number" in accepted):
        return _at(path, f"it may be of type {kind}, accepted is {' or '.join(accepted)}")
    if "enum" in outer or "const" in outer:
        return _at(path, f"only {echo(outer.get('enum', outer.get('const')), 100)} is accepted")
    narrowed = {**inner, "type": kind}
    if "anyOf" in outer and not any(_reason(narrowed, branch, path) is None for branch in outer["anyOf"]):
        return _at(path, f"it is not proved that one of the {len(outer['anyOf'])} accepted alternatives always fits")
    compare = _COMPARE["number" if kind == "integer" else kind]
    return compare(inner, outer, path)


def _number(inner: Schema, outer: Schema, path: Path) -> str | None:
    needed_low, needed_high = _low(outer), _high(outer)
    low, high = _low(inner), _high(inner)
    if needed_low is not None and (low is None or low < needed_low):
        return _at(path, f"it may be below the accepted minimum of {needed_low[0]}")
    if needed_high is not None and (high is None or high > needed_high):
        return _at(path, f"it may be above the accepted maximum of {needed_high[0]}")
    return None


def _low(schema: Schema) -> tuple[float, bool] | None:
    """The lower bound, and whether it is excluded; a stricter one is greater."""
    bounds = [
        (schema[name], strict) for name, strict in (("minimum", False), ("exclusiveMinimum", True)) if name in schema
    ]
    return max(bounds, default=None)


def _high(schema: Schema) -> tuple[float, bool] | None:
    """The upper bound, and whether it is included; a stricter one is smaller."""
    bounds = [
        (schema[name], closed) for name, closed in (("maximum", True), ("exclusiveMaximum", False)) if name in schema
    ]
    return min(bounds, default=None)


def _counts(inner: Schema, outer: Schema, path: Path, least: str, most: str) -> str | None:
    if inner.get(least, 0) < outer.get(least, 0):
        return _at(path, f"'{least}' of at least {outer[least]} is needed, declared is {inner.get(least, 'none')}")
    if most in outer and not (most in inner and inner[most] <= outer[most]):
        return _at(path, f"'{most}' of at most {outer[most]} is needed, declared is {inner.get(most, 'none')}")
    return None


def _string(inner: Schema, outer: Schema, path: Path) -> str | None:
    if "pattern" in outer and inner.get("pattern") != outer["pattern"]:
        return _at(path, f"the same pattern is needed: {echo(outer['pattern'], 100)}")
    return _counts(inner, outer, path, "minLength", "maxLength")


def _array(inner: Schema, outer: Schema, path: Path) -> str | None:
    reason = _counts(inner, outer, path, "minItems", "maxItems")
    if reason is not None:
        return reason
    if outer.get("uniqueItems") and not inner.get("uniqueItems") and inner.get("maxItems", 2) > 1:
        return _at(path, "'uniqueItems' is needed")
    if "items" not in outer or inner.get("maxItems") == 0:
        return None
    return _reason(inner.get("items", {}), outer["items"], (*path, 0))


def _object(inner: Schema, outer: Schema, path: Path) -> str | None:
    missing = [name for name in outer.get("required", ()) if name not in inner.get("required", ())]
    if missing:
        return _at(path, f"the key {echo(missing[0], 60)} is needed and may be absent")
    return (
        _counts(_with_counts(inner), outer, path, "minProperties", "maxProperties")
        or _first(_known_properties(inner, outer, path))
        or _first(_other_properties(inner, outer, path))
        or _property_names(inner, outer, path)
    )


def _with_counts(inner: Schema) -> Schema:
    """The inner schema with the counts that follow from its names."""
    counted = dict(inner)
    counted["minProperties"] = max(inner.get("minProperties", 0), len(inner.get("required", ())))
    if _closed(inner):
        counted["maxProperties"] = min(inner.get("maxProperties", 1 << 30), len(inner.get("properties", ())))
    return counted


def _closed(schema: Schema) -> bool:
    return schema.get("additionalProperties") is False and not schema.get("patternProperties")


def _known_properties(inner: Schema, outer: Schema, path: Path) -> Iterator[str | None]:
    """What the outer schema names."""
    declared = inner.get("properties", {})
    for name, needed in outer.get("properties", {}).items():
        if name in declared:
            yield _reason(declared[name], needed, (*path, name))
        elif not _closed(inner):
            yield _reason(_open_schema(inner), needed, (*path, name))


def _open_schema(schema: Schema) -> Schema:
    """What a key that is not named may hold."""
    more = schema.get("additionalProperties", {})
    return more if isinstance(more, Mapping) and not schema.get("patternProperties") else {}


def _other_properties(inner: Schema, outer: Schema, path: Path) -> Iterator[str | None]:
    """What the outer schema does not name."""
    if outer.get("patternProperties"):
        yield _at(path, "nothing can be proved about 'patternProperties'")
    allowed = outer.get("additionalProperties", True)
    if allowed is True:
        return
    for name, declared in inner.get("properties", {}).items():
        if name not in outer.get("properties", {}):
            yield _reason_unless_false(declared, allowed, (*path, name))
    if not _closed(inner):
        yield _reason_unless_false(_open_schema(inner), allowed, (*path, "*"))


def _reason_unless_false(declared: Schema, allowed: Schema | bool, path: Path) -> str | None:
    if isinstance(allowed, bool):
        return None if allowed else _at(path, "keys beyond those named are not accepted")
    return _reason(declared, allowed, path)


def _property_names(inner: Schema, outer: Schema, path: Path) -> str | None:
    if "propertyNames" not in outer:
        return None
    if _closed(inner):
        return _first_misfit(list(inner.get("properties", {})), outer["propertyNames"], path)
    names = {"type": "string"} if "propertyNames" not in inner else {**inner["propertyNames"], "type": "string"}
    return _reason(names, outer["propertyNames"], path)


_COMPARE = {"number": _number, "string": _string, "array": _array, "object": _object}
