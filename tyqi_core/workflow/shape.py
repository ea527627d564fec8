"""Whether a project file has the shape that ``schemas/project.schema.json`` asks for, told with codes of our own.

The schema is the one home of what may stand where. A compiled validator says yes at once; only a file that it refuses
is walked here, to say of each fault what it is, where it stands and what was probably meant. :class:`Shape` then hands
out what is sound, so that one bad field does not hide, or cause, other problems.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tyqi_core.errors import Problem
from tyqi_core.protocol.document import Document, Key, path_parts
from tyqi_core.protocol.json_values import echo, locate_fault
from tyqi_core.protocol.subset import resolve
from tyqi_core.protocol.validation import Validator, compiled, nearest_name
from tyqi_core.resources import data_folder

VERSION = 1
Path = tuple[Key, ...]

_CODES = {
    "name": "BAD_NAME",
    "projectName": "BAD_NAME",
    "taskName": "BAD_NAME",
    "nodeName": "BAD_NODE_NAME",
    "queue": "BAD_QUEUE",
    "timeout": "BAD_TIMEOUT",
    "retries": "BAD_RETRIES",
    "backoff": "BAD_BACKOFF",
}
"""Definition of the schema -> code of a value that does not fit it."""

_PYTHON_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "null": (type(None),),
    "integer": (int,),
    "number": (int, float),
}
_TYPE_WORDS = {
    "object": "a mapping",
    "array": "a list",
    "string": "a text",
    "boolean": "true or false",
    "null": "null",
    "integer": "a whole number",
    "number": "a number",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One place where a value leaves the schema. ``at_key``: the key is wrong, not what it holds."""

    code: str
    path: Path
    message: str
    nearest: str | None = None
    at_key: bool = False


@lru_cache(maxsize=1)
def project_schema() -> Mapping[str, Any]:
    """The JSON schema of project files."""
    text = (data_folder("schemas") / "project.schema.json").read_text(encoding="utf-8")
    schema: Mapping[str, Any] = json.loads(text)
    return schema


@lru_cache(maxsize=1)
def _validator() -> Validator:
    return compiled(project_schema())


@dataclass(frozen=True, slots=True)
class Shape:
    """A document of which every fault of shape is known.

    Attributes:
        value: the document with every unsound part taken out.
        broken: the paths of what was taken out.
    """

    value: Mapping[str, Any]
    broken: frozenset[Path]


def shape_of(document: Document) -> tuple[Shape, list[Problem]]:
    """What is sound in ``document``, and the problems of what is not."""
    value = document.value
    if not isinstance(value, dict):
        return Shape({}, frozenset()), [document.problem("BAD_VALUE", "a project is a mapping of fields.")]
    version = value.get("tyqi")
    if isinstance(version, int) and version > VERSION:
        message = f"the file is written for version {version} of the language; this tyqi-core reads version {VERSION}."
        return Shape({}, frozenset()), [
            document.problem("NEWER_VERSION", message, ("tyqi",), remedy="Upgrade tyqi-core.")
        ]
    if _validator().is_valid(value):
        return Shape(value, frozenset()), []
    value, faults = _numbers(value)
    schema = project_schema()
    faults += _faults(schema, schema, value, (), "")
    problems = [
        document.problem(fault.code, fault.message, fault.path, value=not fault.at_key, nearest=fault.nearest)
        for fault in faults
    ]
    cut = frozenset(_unit(fault.path) for fault in faults)
    return Shape(_without(value, cut, ()), cut), problems


def _numbers(value: Any) -> tuple[Any, list[Fault]]:
    """What no JSON can hold (NaN, infinities, text that is no Unicode), taken out one by one."""
    faults: list[Fault] = []
    while (found := locate_fault(value)) is not None and len(faults) < 50:  # noqa: PLR2004 - nobody repairs more in one go
        path = path_parts(found[0])
        faults.append(Fault("NOT_JSON", path, f"{found[1].rstrip('.')}."))
        cut = _without(value, frozenset({path}), ())
        if cut == value:
            break
        value = cut
    return value, faults


def _unit(path: Path) -> Path:
    """What is taken out for a fault at ``path``: a whole field of a task, or a single entry of its inputs."""
    if path[:1] == ("tasks",):
        return path[:4] if path[2:3] in (("inputs",), ("params",)) else path[:3]
    return path[:2]


def _without(value: Any, cut: frozenset[Path], path: Path) -> Any:
    if not isinstance(value, dict) or not any(entry[: len(path)] == path for entry in cut):
        return value
    return {key: _without(inner, cut, (*path, key)) for key, inner in value.items() if (*path, key) not in cut}


def _faults(schema: Mapping[str, Any], root: Mapping[str, Any], value: Any, path: Path, name: str) -> list[Fault]:
    """The faults of ``value``; ``name`` is the definition of the schema that it is held against."""
    if "$ref" in schema:
        return _faults(resolve(root, schema["$ref"]), root, value, path, str(schema["$ref"]).rsplit("/", 1)[-1])
    if "anyOf" in schema:
        return _alternatives(schema["anyOf"], root, value, path, name)
    if (message := _unfit(schema, value)) is not None:
        near = nearest_name(value, schema["enum"]) if "enum" in schema else None
        return [Fault(_code(name, path, value), path, message, near)]
    if isinstance(value, dict):
        return list(_fields(schema, root, value, path))
    if isinstance(value, list) and "items" in schema:
        return [
            fault
            for index, item in enumerate(value)
            for fault in _faults(schema["items"], root, item, (*path, index), "")
        ]
    return []


def _code(name: str, path: Path, value: Any) -> str:
    if path == ("tasks",) and isinstance(value, dict):
        return "TOO_MANY_TASKS" if value else "EMPTY_PROJECT"
    return _CODES.get(name, "BAD_VALUE")


def _alternatives(
    alternatives: Sequence[Mapping[str, Any]], root: Mapping[str, Any], value: Any, path: Path, name: str
) -> list[Fault]:
    """An alternative is meant by its type; the schema keeps the types of alternatives apart."""
    types: list[str] = []
    for alternative in alternatives:
        meant = resolve(root, alternative["$ref"]) if "$ref" in alternative else alternative
        if _is(value, meant["type"]):
            return _faults(alternative, root, value, path, name)
        types.append(meant["type"])
    if name == "binding" and isinstance(value, list):
        return [Fault("TWO_PRODUCERS", path, f"an input has one source, found {len(value)}: {echo(value, 80)}.")]
    wanted = " or ".join(_TYPE_WORDS[kind] for kind in types)
    return [Fault(_CODES.get(name, "BAD_VALUE"), path, f"expected {wanted}, found {echo(value, 80)}.")]


def _fields(
    schema: Mapping[str, Any], root: Mapping[str, Any], value: Mapping[str, Any], path: Path
) -> Iterator[Fault]:
    known = schema.get("properties", {})
    others = schema.get("additionalProperties", True)
    for field in schema.get("required", ()):
        if field not in value:
            yield Fault("MISSING_FIELD", (*path, field), f"the field '{field}' is missing.", at_key=True)
    for key, inner in value.items():
        here = (*path, key)
        if "propertyNames" in schema and _faults(schema["propertyNames"], root, key, here, ""):
            rule = resolve(root, schema["propertyNames"]["$ref"])["description"]
            yield Fault("BAD_NAME", here, f"{echo(key, 80)} is no name here: {rule}", at_key=True)
        elif key in known:
            yield from _faults(known[key], root, inner, here, "")
        elif others is False:
            near = nearest_name(key, [name for name in known if name not in value])
            message = f"there is no field {echo(key, 80)}; there are {', '.join(known)}."
            yield Fault("UNKNOWN_FIELD", here, message, near, at_key=True)
        elif isinstance(others, dict):
            yield from _faults(others, root, inner, here, "")


def _unfit(schema: Mapping[str, Any], value: Any) -> str | None:  # noqa: PLR0911 - one return for each keyword
    """What keywords that look at the value itself find wrong with it."""
    found = echo(value, 80)
    kind = schema.get("type")
    if kind is not None and not _is(value, kind):
        return f"expected {_TYPE_WORDS[kind]}, found {found}."
    if "const" in schema and (value != schema["const"] or isinstance(value, bool)):
        return f"expected {echo(schema['const'])}, found {found}."
    if "enum" in schema and value not in schema["enum"]:
        return f"expected {' or '.join(map(str, schema['enum']))}, found {found}."
    if isinstance(value, str):
        return _unfit_text(schema, value)
    if isinstance(value, list | dict):
        return _unfit_size(schema, value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _unfit_number(schema, value)
    return None


def _unfit_text(schema: Mapping[str, Any], value: str) -> str | None:
    if "pattern" in schema and not re.search(schema["pattern"].removesuffix("$") + r"\Z", value):
        return f"expected {schema['description'].rstrip('.')}; found {echo(value, 80)}."
    if len(value) < schema.get("minLength", 0):
        return "expected a text that is not empty."
    if len(value) > schema.get("maxLength", len(value)):
        return f"expected at most {schema['maxLength']} characters, found {len(value)}."
    return None


def _unfit_number(schema: Mapping[str, Any], value: float) -> str | None:
    if "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
        return f"expected more than {schema['exclusiveMinimum']}, found {value}."
    if "minimum" in schema and value < schema["minimum"]:
        return f"expected at least {schema['minimum']}, found {value}."
    if "maximum" in schema and value > schema["maximum"]:
        return f"expected at most {schema['maximum']}, found {value}."
    return None


def _unfit_size(schema: Mapping[str, Any], value: Sequence[Any] | Mapping[str, Any]) -> str | None:
    least, most = ("minProperties", "maxProperties") if isinstance(value, dict) else ("minItems", "maxItems")
    if len(value) < schema.get(least, 0):
        return "expected at least one entry, found none."
    if len(value) > schema.get(most, len(value)):
        return f"expected at most {schema[most]:,} entries, found {len(value):,}."
    if schema.get("uniqueItems") and len({echo(item, 300) for item in value}) < len(value):
        return "an entry stands here twice."
    return None


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _PYTHON_TYPES[kind])
