"""What a listing declares, in the words of a page: types of ports, allowed values, units, an example project."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import yaml

from tyqi_core.protocol.ports import PortType
from tyqi_core.registry.catalogue import Listing

_UNIT: Final = re.compile(r"(?P<text>.*\S)\s*\((?P<unit>[^()]{1,60})\)[.\s]*", re.DOTALL)
_DUMPER: Final = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_LONGEST_VALUE: Final = 120


def type_name(port: Mapping[str, Any]) -> str:
    """The name of a port's type, by which nodes are filtered: ``image``, ``list of image``."""
    name = str(port.get("type", "unknown"))
    return f"list of {name}" if port.get("list") is True else name


def type_text(port: Mapping[str, Any]) -> str:
    """A port's type with its constraints: ``image (uint8, rgb)``."""
    return _parsed(json.dumps(port, sort_keys=True))


@lru_cache(maxsize=4096)
def _parsed(port: str) -> str:
    declaration = json.loads(port)
    try:
        return str(PortType.parse(declaration))
    except ValueError:
        return type_name(declaration)


def split_unit(description: str) -> tuple[str, str]:
    """A description without the unit in brackets at its end, and that unit: ``Widest crack (px)``."""
    found = _UNIT.fullmatch(description.strip())
    return (found["text"], found["unit"]) if found else (description.strip(), "")


def value_text(value: Any) -> str:
    """A value as a manifest would write it; of a long one the beginning."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + " …"


def kind_text(schema: Mapping[str, Any]) -> str:
    """What kind of value a parameter takes: ``number``, ``one of "a", "b"``, ``list of integer``."""
    if "enum" in schema:
        return "one of " + ", ".join(map(value_text, schema["enum"]))
    if "const" in schema:
        return value_text(schema["const"])
    kind = schema.get("type", "any value")
    items = schema.get("items")
    if kind == "array" and isinstance(items, Mapping):
        return f"list of {kind_text(items)}"
    return " or ".join(map(str, kind)) if isinstance(kind, list) else str(kind)


def range_text(schema: Mapping[str, Any]) -> str:
    """Which values a parameter's schema allows: ``1 to 64``, ``at least 0``, ``1 to 20 characters``."""
    parts = [
        _between(schema, "minimum", "maximum", ""),
        _between(schema, "exclusiveMinimum", "exclusiveMaximum", ", these excluded"),
        _between(schema, "minLength", "maxLength", " characters"),
        _between(schema, "minItems", "maxItems", " entries"),
        f"matches {schema['pattern']}" if "pattern" in schema else "",
    ]
    return "; ".join(part for part in parts if part)


def _between(schema: Mapping[str, Any], low: str, high: str, what: str) -> str:
    least, most = schema.get(low), schema.get(high)
    if least is None and most is None:
        return ""
    if most is None:
        return f"at least {least}{what}"
    return f"at most {most}{what}" if least is None else f"{least} to {most}{what}"


def example_project(listing: Listing, major: int) -> str:
    """A project file of one task that uses the node: what it needs comes in, what it gives goes out."""
    needed = {name: _input(port) for name, port in listing.inputs.items() if _is_needed(port)}
    task: dict[str, Any] = {"node": f"{listing.id}@{major}"}
    if needed:
        task["inputs"] = {name: f"$input.{name}" for name in needed}
    if listing.params:
        task["params"] = {name: _sample(schema) for name, schema in listing.params.items()}
    if listing.outcomes:
        task |= {"condition": True, "branches": dict.fromkeys(listing.outcomes)}
    project: dict[str, Any] = {"tyqi": 1, "project": "try-" + re.sub(r"[^a-z0-9]+", "-", listing.id)}
    if needed:
        project["inputs"] = needed
    project["tasks"] = {"T1": task}
    if listing.outputs:
        project["outputs"] = {name: f"T1.{name}" for name in listing.outputs}
    return _yaml(project)


def _yaml(document: Mapping[str, Any]) -> str:
    text = yaml.dump(document, Dumper=_DUMPER, sort_keys=False, default_flow_style=None, allow_unicode=True, width=72)
    return str(text)


def _is_needed(port: Mapping[str, Any]) -> bool:
    return port.get("required", True) is not False and "default" not in port


def _input(port: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in port.items() if key not in {"description", "required", "default"}}


def _sample(schema: Mapping[str, Any]) -> Any:
    """The default; without one, a value that the schema most likely allows."""
    if "default" in schema:
        return schema["default"]
    if schema.get("enum"):
        return schema["enum"][0]
    if "minimum" in schema or "maximum" in schema:
        return schema.get("minimum", schema.get("maximum"))
    kind = schema.get("type")
    samples = {"boolean": False, "integer": 1, "number": 1, "array": [], "object": {}, "null": None}
    return samples.get(kind if isinstance(kind, str) else "", "...")
