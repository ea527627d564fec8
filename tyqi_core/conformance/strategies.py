"""Hypothesis strategies from ports and parameter schemas: any value that a declaration allows, small ones preferred."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from hypothesis import strategies as st

from tyqi_core.catalog.manifest import Manifest
from tyqi_core.conformance.inputs import Case, Size, sample, textured
from tyqi_core.protocol.checks import IMAGE_DTYPES, JSON_TYPES, TENSOR_DTYPES
from tyqi_core.protocol.ports import PortType
from tyqi_core.protocol.subset import resolve
from tyqi_core.protocol.validation import compiled

Values = st.SearchStrategy[Any]

_MOST_PIXELS: Final = 70
_DEEP: Final = 8
_TORCH_ONLY: Final = "BF16"


def cases(manifest: Manifest) -> st.SearchStrategy[Case]:
    """Inputs and parameters that the manifest allows; all pictures of a case mostly have one size."""
    return _case(manifest)


@st.composite
def _case(draw: st.DrawFn, manifest: Manifest) -> Case:
    shared = draw(sizes())
    own = draw(st.integers(0, 4)) == 4  # noqa: PLR2004 - one case in five
    inputs = {
        name: draw(values(port.type, draw(sizes()) if own else shared))
        for name, port in manifest.inputs.items()
        if port.required or draw(st.booleans())
    }
    required = manifest.params_schema.get("required", ())
    properties = manifest.params_schema["properties"].items()
    params = {name: draw(of_schema(schema)) for name, schema in properties if name in required or draw(st.booleans())}
    shapes = {name: getattr(value, "shape", value) for name, value in inputs.items()}
    return Case(f"generated, inputs {shapes}, params {params}"[:500], inputs, params)


def sizes() -> st.SearchStrategy[Size]:
    """Heights and widths, single pixels and lines among them."""
    length = st.integers(1, _MOST_PIXELS)
    return st.tuples(length, length)


def values(port_type: PortType, size: Size) -> Values:
    """Values of a port's type; pictures have this size."""
    if port_type.is_list:
        element = values(port_type.item(), size)
        return st.lists(st.none() | element if port_type.null_items else element, max_size=3)
    if port_type.name in JSON_TYPES and port_type.name != "json":
        return _JSON_LIKE[port_type.name]
    if port_type.name == "json":
        return of_schema(port_type.constraints.get("schema", {}))
    if port_type.name == "bytes":
        return st.just(sample(port_type, size)) | st.binary(max_size=64)
    return _arrays(port_type, size)


def _arrays(port_type: PortType, size: Size) -> Values:
    makers = {"image": _images, "mask": _masks, "anomaly_map": _maps, "video_frame": _frames, "tensor": _tensors}
    return makers[port_type.name](port_type, size)


@st.composite
def _images(draw: st.DrawFn, port_type: PortType, size: Size) -> Any:
    dtype = draw(st.sampled_from(port_type.constraints["dtype"]))
    colour = draw(st.sampled_from(port_type.constraints["colour"]))
    planes = [draw(_planes(size)) for _ in range(3 if colour == "rgb" else 1)]
    scale = {"uint8": 255, "uint16": 65535, "float32": 1}[dtype]
    picture = (np.stack(planes, axis=-1) if colour == "rgb" else planes[0]) * scale
    return np.ascontiguousarray(picture.astype(IMAGE_DTYPES[dtype]))


@st.composite
def _planes(draw: st.DrawFn, size: Size) -> Any:
    """Values of 0 to 1: flat, with texture, or noise of a drawn seed."""
    kind = draw(st.sampled_from(("flat", "texture", "noise", "points")))
    if kind == "flat":
        return np.full(size, draw(st.sampled_from((0.0, 1.0, 0.5))))
    if kind == "texture":
        return textured(size)
    noise = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).random(size)
    return noise if kind == "noise" else np.where(noise > 0.9, 1.0, 0.0)  # noqa: PLR2004 - one in ten


@st.composite
def _masks(draw: st.DrawFn, _: PortType, size: Size) -> Any:
    plane = draw(_planes(size))
    labels = draw(st.booleans())
    return (plane * 4).astype(np.uint8) if labels else np.where(plane > 0.5, 255, 0).astype(np.uint8)  # noqa: PLR2004


@st.composite
def _maps(draw: st.DrawFn, _: PortType, size: Size) -> Any:
    return (draw(_planes(size)) * draw(st.sampled_from((1.0, 0.0, 1e-6, 1e6)))).astype("<f4")


@st.composite
def _frames(draw: st.DrawFn, port_type: PortType, size: Size) -> Any:
    image = draw(_images(port_type, size))
    index = draw(st.integers(0, 1000))
    return {"image": image, "index": index, "timestamp_s": draw(st.floats(0, 1e6))}


@st.composite
def _tensors(draw: st.DrawFn, port_type: PortType, size: Size) -> Any:
    names = [name for name in port_type.constraints["dtype"] if name != _TORCH_ONLY]
    code = TENSOR_DTYPES[draw(st.sampled_from(names))] if names else "<f4"
    shape = port_type.constraints.get("shape")
    rank = draw(st.integers(0, 4)) if shape is None else len(shape)
    free = [draw(st.integers(0, 3)) if place < rank - 2 else size[place - rank] for place in range(rank)]
    whole = [own if given is None else given for own, given in zip(free, shape or [None] * rank, strict=True)]
    noise = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).random(whole)
    return np.asarray(noise * draw(st.sampled_from((0.0, 1.0, 100.0)))).astype(code)


# -- JSON -------------------------------------------------------------------------------------------------------------

_TEXTS: Final = st.text(st.characters(codec="utf-8"), max_size=12)
_NUMBERS: Final = st.integers(-1000, 1000) | st.floats(-1e6, 1e6)
_LEAVES: Final = st.none() | st.booleans() | _NUMBERS | _TEXTS
_ANY: Final = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3), max_leaves=6
)
_LABELS: Final = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=8)


@st.composite
def _detection(draw: st.DrawFn) -> Any:
    x0, y0, width, height = (draw(st.floats(0, 100)) for _ in range(4))
    return {"box": [x0, y0, x0 + width, y0 + height], "score": draw(st.floats(0, 1)), "label": draw(_LABELS)}


@st.composite
def _table(draw: st.DrawFn) -> Any:
    names = draw(st.lists(_LABELS, max_size=3, unique=True))
    cells = st.none() | st.booleans() | _NUMBERS | _TEXTS
    rows = draw(st.lists(st.lists(cells, min_size=len(names), max_size=len(names)), max_size=3))
    return {"columns": [{"name": name, "unit": "px"} for name in names], "rows": rows}


_JSON_LIKE: Final[Mapping[str, Values]] = {
    "detections": st.lists(_detection(), max_size=4),
    "measurements": st.dictionaries(
        _LABELS, st.fixed_dictionaries({"value": st.none() | _NUMBERS, "unit": st.just("px")}), max_size=4
    ),
    "table": _table(),
}


def of_schema(schema: Mapping[str, Any]) -> Values:
    """JSON values that a schema of TP's subset allows."""
    return _of(schema, schema, _DEEP).filter(compiled(schema).is_valid)


def _of(schema: Mapping[str, Any] | bool, root: Mapping[str, Any], depth: int) -> Values:
    if isinstance(schema, bool) or not depth:
        return _LEAVES
    if "$ref" in schema:
        return _of(resolve(root, schema["$ref"]), root, depth - 1)
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "anyOf" in schema:
        return st.one_of(*(_of(one, root, depth - 1) for one in schema["anyOf"]))
    kinds = schema.get("type") or ("object" if "properties" in schema else [])
    names = [kinds] if isinstance(kinds, str) else kinds
    return st.one_of(*(_of_kind(name, schema, root, depth) for name in names)) if names else _ANY


def _of_kind(kind: str, schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> Values:
    if kind in _SCALARS:
        return _SCALARS[kind](schema)
    return (_lists if kind == "array" else _objects)(schema, root, depth)


def _integers(schema: Mapping[str, Any]) -> Values:
    return st.integers(_whole(schema, "minimum", "exclusiveMinimum"), _whole(schema, "maximum", "exclusiveMaximum"))


def _whole(schema: Mapping[str, Any], bound: str, strict: str) -> int:
    """An end of the integers that are drawn; the filter drops what a strict bound excludes."""
    sign = 1 if bound == "maximum" else -1
    given = [schema[name] for name in (bound, strict) if name in schema]
    if given:
        return int(sign * min(sign * value for value in given))
    other = schema.get("minimum" if sign > 0 else "maximum", 0)
    return int(other) + sign * 1000


def _numbers(schema: Mapping[str, Any]) -> Values:
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    low = float(low if low is not None else min(-1e6, (high or 0) - 1e6))
    high = float(high if high is not None else max(1e6, low + 1e6))
    return st.floats(low, high).map(lambda number: number + 0.0)  # no negative zero: documents refuse it


def _strings(schema: Mapping[str, Any]) -> Values:
    if "pattern" in schema:
        return st.from_regex(schema["pattern"], fullmatch=True)
    least = schema.get("minLength", 0)
    return st.text(
        st.characters(codec="utf-8"), min_size=least, max_size=min(schema.get("maxLength", least + 12), least + 12)
    )


_SCALARS: Final[Mapping[str, Callable[[Mapping[str, Any]], Values]]] = {
    "integer": _integers,
    "number": _numbers,
    "string": _strings,
    "boolean": lambda _: st.booleans(),
    "null": lambda _: st.none(),
}


def _lists(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> Values:
    element = _of(schema.get("items", {}), root, depth - 1)
    least = schema.get("minItems", 0)
    return st.lists(element, min_size=least, max_size=min(schema.get("maxItems", least + 4), least + 4))


def _objects(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> Values:
    properties = schema.get("properties", {})
    required = schema.get("required", ())
    fixed = {name: _of(properties.get(name, {}), root, depth - 1) for name in required}
    optional = {name: _of(inner, root, depth - 1) for name, inner in properties.items() if name not in required}
    return st.fixed_dictionaries(fixed, optional=optional)
