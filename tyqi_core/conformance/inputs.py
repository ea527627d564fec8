"""Inputs made from a manifest alone: valid ones, ones at the bounds, and wrong ones; the same each time.

What hypothesis adds to these stands in ``strategies.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from tyqi_core.catalog.manifest import Manifest
from tyqi_core.protocol.checks import IMAGE_DTYPES, TENSOR_DTYPES
from tyqi_core.protocol.images import encode_image
from tyqi_core.protocol.ports import PortType, checker
from tyqi_core.protocol.subset import resolve
from tyqi_core.protocol.validation import compiled
from tyqi_core.runtime.inputs import read_example

Size = tuple[int, int]
SMALL: Final[Size] = (32, 48)
BOUNDS: Final[tuple[Size, ...]] = ((1, 1), (1, 17), (17, 1), (2, 3), (33, 31))
"""Height and width: single pixels and lines, and what no power of two divides."""

_TORCH_ONLY: Final = "BF16"
_DEEP: Final = 16


@dataclass(frozen=True, slots=True)
class Case:
    """Inputs and parameters of one execution.

    Attributes:
        name: where they come from, in words.
        inputs: port -> value; optional ones may be left out.
        params: parameters that differ from their defaults.
    """

    name: str
    inputs: Mapping[str, Any]
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Wrong:
    """Inputs or parameters that must be refused.

    Attributes:
        case: them.
        about: the port or parameter that is wrong.
        found: what it is instead, in words.
    """

    case: Case
    about: str
    found: str


def examples(manifest: Manifest) -> Iterator[Case]:
    """The manifest's own examples.

    Raises:
        InputError: a file does not hold what its port takes.
    """
    for number, example in enumerate(manifest.examples, start=1):
        yield Case(f"example {number}", read_example(manifest, example), example.get("params", {}))


def plain(manifest: Manifest, size: Size = SMALL) -> Case | None:
    """Inputs of one size for all ports; ``None`` if a port or parameter is too special to be made up."""
    inputs = {name: sample(port.type, size) for name, port in manifest.inputs.items() if port.required}
    params = required_params(manifest)
    if any(value is None for value in (*inputs.values(), *params.values())):
        return None
    return Case(f"made up, {size[0]} x {size[1]}", inputs, params)


def boundary(manifest: Manifest) -> Iterator[Case]:
    """Small and odd sizes, empty lists, dark and bright, and each bounded parameter at its bounds."""
    for size in BOUNDS:
        if (case := plain(manifest, size)) is not None:
            yield case
    if (base := plain(manifest)) is None:
        return
    for level in ("dark", "bright"):
        inputs = {name: _levelled(value, level) for name, value in base.inputs.items()}
        yield Case(f"made up, all {level}", inputs, base.params)
    if any(manifest.inputs[name].type.is_list for name in base.inputs):
        inputs = {name: [] if manifest.inputs[name].type.is_list else value for name, value in base.inputs.items()}
        yield Case("made up, empty lists", inputs, base.params)
    for name, schema in manifest.params_schema["properties"].items():
        for value in _bounds(schema):
            yield Case(f"made up, {name}: {value}", base.inputs, {**base.params, name: value})


def wrong_inputs(manifest: Manifest, base: Case) -> Iterator[Wrong]:
    """Each required input left out, and each given one made of another type."""
    for name, port in manifest.inputs.items():
        if port.required:
            rest = {other: value for other, value in base.inputs.items() if other != name}
            yield Wrong(Case(f"without '{name}'", rest, base.params), name, "nothing")
        for found, value in _others(port.type):
            yield Wrong(Case(f"'{name}': {found}", {**base.inputs, name: value}, base.params), name, found)


def wrong_params(manifest: Manifest, base: Case) -> Iterator[Wrong]:
    """Each required parameter left out, each made of another type, and one that is not declared."""
    required = manifest.params_schema.get("required", ())
    for name, schema in manifest.params_schema["properties"].items():
        if name in required:
            rest = {other: value for other, value in base.params.items() if other != name}
            yield Wrong(Case(f"without parameter '{name}'", base.inputs, rest), name, "nothing")
        fits = compiled(schema).is_valid
        for found, value in _JSON_OTHERS:
            if not fits(value):
                yield Wrong(
                    Case(f"parameter '{name}': {found}", base.inputs, {**base.params, name: value}), name, found
                )
    unknown = "no_such_parameter"
    yield Wrong(Case("an undeclared parameter", base.inputs, {**base.params, unknown: 1}), unknown, "undeclared")


def anything_goes(manifest: Manifest) -> Iterator[str]:
    """The ports and parameters whose declaration takes whatever comes, in words."""
    for name, port in manifest.inputs.items():
        if port.type.name == "json" and not port.type.constraints.get("schema"):
            yield f"input '{name}' is any JSON"
    for name, schema in manifest.params_schema["properties"].items():
        if all(compiled(schema).is_valid(value) for _, value in _JSON_OTHERS):
            yield f"parameter '{name}' is any JSON"


# -- values -----------------------------------------------------------------------------------------------------------


def sample(port_type: PortType, size: Size = SMALL) -> Any:
    """A value that a port takes; ``None`` if none could be made up."""
    if port_type.is_list:
        element = sample(port_type.item(), size)
        return None if element is None else [element, element]
    value = _MAKERS[port_type.name](port_type, size)
    return value if value is not None and checker(port_type)(value) is None else None


def required_params(manifest: Manifest) -> dict[str, Any]:
    """A value for each parameter that has no default; ``None`` for one that could not be made up."""
    properties = manifest.params_schema["properties"]
    return {
        name: sample_json(properties[name], properties[name]) for name in manifest.params_schema.get("required", ())
    }


def sample_json(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int = _DEEP) -> Any:
    """A small JSON value that a schema of TP's subset allows, as far as that can be told without a search."""
    if "$ref" in schema:
        schema = resolve(root, schema["$ref"])
    for literal in ("const", "default"):
        if literal in schema:
            return schema[literal]
    for choices in ("enum", "examples"):
        if schema.get(choices):
            return schema[choices][0]
    if depth and schema.get("anyOf"):
        return sample_json(schema["anyOf"][0], root, depth - 1)
    kinds = schema.get("type", "object" if "properties" in schema else "number")
    kind = kinds if isinstance(kinds, str) else next((one for one in kinds if one != "null"), "null")
    return _SAMPLES[kind](schema, root, depth)


def _number(schema: Mapping[str, Any], *_: Any) -> Any:
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    if low is not None and high is not None:
        middle = (low + high) / 2
        return int(middle) if schema.get("type") == "integer" else middle
    return low + 1 if low is not None else high - 1 if high is not None else 1


def _string(schema: Mapping[str, Any], *_: Any) -> str:
    return "a" * int(max(1, schema.get("minLength", 1)))


def _array(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> list[Any]:
    count = schema.get("minItems", min(1, schema.get("maxItems", 1)))
    if not depth:
        return []
    return [sample_json(schema.get("items", {}), root, depth - 1) for _ in range(count)]


def _object(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> dict[str, Any]:
    properties = schema.get("properties", {})
    return {
        name: sample_json(properties.get(name, {}), root, depth - 1) for name in schema.get("required", ()) if depth
    }


_SAMPLES: Final[Mapping[str, Any]] = {
    "number": _number,
    "integer": _number,
    "string": _string,
    "array": _array,
    "object": _object,
    "boolean": lambda *_: True,
    "null": lambda *_: None,
}


def _image(port_type: PortType, size: Size) -> Any:
    dtype, colour = port_type.constraints["dtype"][0], port_type.constraints["colour"][0]
    plane = textured(size)
    picture = np.stack([plane, plane[::-1], plane[:, ::-1]], axis=-1) if colour == "rgb" else plane
    scale = {"uint8": 255, "uint16": 65535, "float32": 1}[dtype]
    return np.ascontiguousarray((picture * scale).astype(IMAGE_DTYPES[dtype]))


def textured(size: Size) -> Any:
    """A plane of 0 to 1 with slopes and a dark line across it."""
    rows, columns = np.indices(size)
    plane = 0.4 + 0.5 * ((7 * columns + 3 * rows) % 64) / 64
    plane[np.abs(rows - columns) < 1] = 0.1
    return plane


def _mask(_: PortType, size: Size) -> Any:
    mask = np.zeros(size, np.uint8)
    mask[size[0] // 4 : size[0] // 4 + max(1, size[0] // 2), : max(1, size[1] // 2)] = 255
    return mask


def _tensor(port_type: PortType, size: Size) -> Any:
    dtype = next((name for name in port_type.constraints["dtype"] if name != _TORCH_ONLY), None)
    if dtype is None:
        return None
    declared = port_type.constraints.get("shape")
    shape = [None, None] if declared is None else declared
    free = iter((*([1] * max(0, shape.count(None) - 2)), *size))
    whole = [next(free) if length is None else length for length in shape]
    count = int(np.prod(whole, dtype=np.int64))
    return (np.arange(count) % 97 / 97).reshape(whole).astype(TENSOR_DTYPES[dtype])


def _frame(port_type: PortType, size: Size) -> Any:
    return {"image": _image(port_type, size), "index": 0, "timestamp_s": 0.0}


def _bytes(port_type: PortType, size: Size) -> Any:
    wanted = port_type.constraints.get("media_type") or ["application/octet-stream"]
    for media_type in wanted:
        if media_type in {"image/png", "image/jpeg"}:
            return encode_image(_image(PortType("image"), size), media_type)
    return b"{}" if "application/json" in wanted else b"tyqi"


def _json(port_type: PortType, _: Size) -> Any:
    schema = port_type.constraints.get("schema", {})
    return sample_json(schema, schema)


_MAKERS: Final[Mapping[str, Any]] = {
    "image": _image,
    "mask": _mask,
    "anomaly_map": lambda _, size: textured(size).astype("<f4"),
    "tensor": _tensor,
    "video_frame": _frame,
    "bytes": _bytes,
    "json": _json,
    "detections": lambda _, size: [{"box": [0, 0, size[1], size[0]], "score": 0.5, "label": "finding"}],
    "measurements": lambda *_: {"length": {"value": 1.5, "unit": "mm"}, "width": {"value": None, "unit": "mm"}},
    "table": lambda *_: {"columns": [{"name": "length", "unit": "mm"}], "rows": [[1.5], [None]]},
}

# -- wrong values -----------------------------------------------------------------------------------------------------

_JSON_OTHERS: Final = (
    ("a text", "tyqi"),
    ("a number", -12345.678),
    ("a list", [1]),
    ("an object", {"tyqi": 1}),
    ("true", True),
)


def _others(port_type: PortType) -> Iterator[tuple[str, Any]]:
    """Values that the port must refuse: those of other types, its own in a list, and its own damaged."""
    check = checker(port_type)
    candidates: list[tuple[str, Any]] = [*_JSON_OTHERS, ("bytes", b"tyqi"), ("no number", float("nan"))]
    candidates += [("a tuple", (1, 2)), ("an array of objects", np.array([None])), ("an empty array", np.zeros((0, 0)))]
    candidates += [("an array of big-endian floats", np.zeros((4, 4), ">f8"))]
    if (good := sample(port_type)) is not None:
        candidates += [("a list of it", [good]), ("a list of nothing", [None])]
        if isinstance(good, np.ndarray):
            candidates += [
                ("a strided view", np.repeat(good, 2, axis=0)[::2]),
                ("another dtype", good.astype(np.complex64)),
            ]
    return ((found, value) for found, value in candidates if check(value) is not None)


def _levelled(value: Any, level: str) -> Any:
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "uf":
        return value
    brightest = np.iinfo(value.dtype).max if value.dtype.kind == "u" else 1
    return np.full_like(value, 0 if level == "dark" else brightest)


def _bounds(schema: Mapping[str, Any]) -> Iterator[Any]:
    """The values at the ends of what a parameter may be."""
    yield from schema.get("enum", ())
    if schema.get("type") == "boolean":
        yield from (False, True)
    for bound in ("minimum", "maximum"):
        if bound in schema and compiled(schema).is_valid(schema[bound]):
            yield schema[bound]
