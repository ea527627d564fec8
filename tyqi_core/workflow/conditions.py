"""Misspelt fields in expressions, as far as the type of what is read tells its fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tyqi_core.protocol.ports import PortType
from tyqi_core.protocol.subset import resolve
from tyqi_core.protocol.validation import nearest_name
from tyqi_core.workflow.evaluation import Path

_SINGLE = ("string", "number", "integer", "boolean", "null")


class KeyFault(NamedTuple):
    """Why a path leads nowhere."""

    code: str
    message: str
    nearest: str | None = None
    remedy: str | None = None


def path_fault(given: PortType, path: Path, *, compared: bool) -> KeyFault | None:
    """Why the steps of ``path`` can lead to no value of type ``given``, or to none that can be ``compared``."""
    root = given.json_schema()
    schema: Any = root
    for position, step in enumerate(path.steps):
        schema = _resolved(root, schema)
        where = Path(path.reference, path.steps[:position])
        found = _step(schema, step, where)
        if isinstance(found, KeyFault) or found is None:
            return found
        schema = found
    return _whole(_resolved(root, schema), path) if compared else None


def _resolved(root: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in schema:
        schema = resolve(root, schema["$ref"])
    return schema


def _step(schema: Mapping[str, Any], step: str | int, where: Path) -> Mapping[str, Any] | KeyFault | None:
    """The schema one step further in; ``None`` where it is not told."""
    kind = schema.get("type")
    if kind in _SINGLE:
        return KeyFault("UNKNOWN_KEY", f"{where} is a {kind}; there is nothing within it.")
    if kind == ("object" if isinstance(step, int) else "array"):
        what = "an object; its fields have names" if kind == "object" else "a list; its elements have numbers"
        return KeyFault("UNKNOWN_KEY", f"{where} is {what}.")
    fields = schema.get("properties", {})
    others = (
        schema.get("items") if isinstance(step, int) else fields.get(step, schema.get("additionalProperties", True))
    )
    if others is False and isinstance(step, str):
        return KeyFault(
            "UNKNOWN_KEY",
            f"{where} has no field '{step}'; it has {', '.join(fields)}.",
            nearest_name(step, list(fields)),
        )
    return others if isinstance(others, dict) else None


def _whole(schema: Mapping[str, Any], path: Path) -> KeyFault | None:
    kind = schema.get("type")
    if kind == "object":
        fields = list(schema.get("properties", {}))
        remedy = (
            f"Compare one of its fields, for example {path}.{fields[0]}." if fields else "Compare one of its fields."
        )
        return KeyFault("EXPR_TYPE", f"{path} is an object, which cannot be compared.", None, remedy)
    if kind == "array":
        return KeyFault(
            "EXPR_TYPE",
            f"{path} is a list, which cannot be compared.",
            None,
            f"Compare size({path}) or one of its elements.",
        )
    return None
