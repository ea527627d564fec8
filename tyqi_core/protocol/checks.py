"""What a value of each TP type must look like, as small compiled functions.

A check takes a value and returns ``None`` or one sentence with expected and found. Arrays are checked on what they are;
JSON-like values by walking them once and by the type's compiled schema.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from tyqi_core.protocol.foreign import imported
from tyqi_core.protocol.json_values import echo, json_fault
from tyqi_core.protocol.validation import compiled
from tyqi_core.resources import data_folder

Check = Callable[[Any], str | None]

MAX_VALUE_BYTES = 1 << 31
"""One array or bytes value. More is refused before anything is copied or hashed."""

JSON_TYPES = frozenset({"detections", "measurements", "table", "json"})
"""The types whose Python value is JSON as it stands."""

TENSOR_DTYPES: Mapping[str, str | None] = {
    "BOOL": "|b1",
    "UINT8": "|u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "|i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
    "BF16": None,  # numpy has none; torch has
}
"""Open Inference Protocol v2 name -> numpy's ``dtype.str``, little-endian."""

TORCH_DTYPES: Mapping[str, str] = {
    "torch.bool": "BOOL",
    "torch.uint8": "UINT8",
    "torch.uint16": "UINT16",
    "torch.uint32": "UINT32",
    "torch.uint64": "UINT64",
    "torch.int8": "INT8",
    "torch.int16": "INT16",
    "torch.int32": "INT32",
    "torch.int64": "INT64",
    "torch.float16": "FP16",
    "torch.float32": "FP32",
    "torch.float64": "FP64",
    "torch.bfloat16": "BF16",
}
IMAGE_DTYPES: Mapping[str, str] = {"uint8": "|u1", "uint16": "<u2", "float32": "<f4"}

_NAME_OF = {code: name for name, code in TENSOR_DTYPES.items() if code}


@cache
def value_schema(name: str) -> dict[str, Any]:
    """The schema of a JSON-like type's value, from ``schemas/types``; ``json`` itself allows all."""
    if name == "json":
        return {}
    document = json.loads((data_folder("schemas") / "types" / f"{name}.schema.json").read_text(encoding="utf-8"))
    value: dict[str, Any] = document["definitions"]["value"]
    return value


def check_of(name: str, constraints: Mapping[str, Any]) -> Check:
    """The check for one value (not a list) of TP type ``name``."""
    return _MAKERS[name](constraints)


def list_check(item: Check, null_items: bool) -> Check:
    """A Python list, each element checked by ``item``."""

    def check(value: Any) -> str | None:
        if type(value) is not list:
            return f"expected a list, found {kind_of(value)}"
        for index, element in enumerate(value):
            if element is None and null_items:
                continue
            fault = item(element)
            if fault is not None:
                return f"item {index}: {fault}"
        return None

    return check


def kind_of(value: Any) -> str:
    """``value`` in a few words: what it is, and for arrays shape and dtype."""
    if value is None:
        return "None"
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape is not None and dtype is not None and not isinstance(value, type):
        return f"{type(value).__name__} {dtype} {'x'.join(map(str, shape)) or 'of no dimension'}"
    if isinstance(value, (list, tuple, dict, str, bytes)):
        return f"{type(value).__name__} of length {len(value)}"
    if isinstance(value, (bool, int, float)):
        return f"{type(value).__name__} {echo(value, 40)}"
    return type(value).__name__


def _array_check(
    wanted: str, codes: frozenset[str], remedy: str, shape_fault: Check, values_fault: Check | None
) -> Check:
    """An exact, C-contiguous ``numpy.ndarray`` of one of the dtypes ``codes``."""
    import numpy as np  # noqa: PLC0415  (heavy; only who checks values pays for it)

    plain = (np.ndarray, np.memmap)

    def check(value: Any) -> str | None:
        if type(value) not in plain:
            return f"expected {wanted}, found {kind_of(value)}" + _array_remedy(value)
        if value.dtype.str not in codes:
            return f"expected {wanted}, found dtype {_dtype_text(value.dtype)}; {remedy}"
        fault = shape_fault(value)
        if fault is not None:
            return f"expected {wanted}, found {fault}"
        if not value.flags.c_contiguous:
            return f"expected {wanted}, C-contiguous, found a strided view; return numpy.ascontiguousarray(x)"
        if value.nbytes > MAX_VALUE_BYTES:
            return f"expected at most {MAX_VALUE_BYTES} bytes, found {value.nbytes}"
        return None if values_fault is None else values_fault(value)

    return check


def _dtype_text(dtype: Any) -> str:
    return f"{dtype.name} ({dtype.str}, big-endian)" if dtype.str.startswith(">") else str(dtype)


def _array_remedy(value: Any) -> str:
    name = type(value).__name__
    if name == "Tensor":
        return "; return x.cpu().numpy()"
    if name in {"list", "tuple", "Image", "matrix"}:
        return "; return numpy.asarray(x)"
    return ""


def _plane_fault(value: Any) -> str | None:
    if value.ndim != 2 or not value.size:  # noqa: PLR2004  (height and width)
        return f"shape {value.shape}" + (" (empty)" if value.ndim == 2 else "")  # noqa: PLR2004
    return None


def _image_check(constraints: Mapping[str, Any]) -> Check:
    dtypes, colours = constraints["dtype"], constraints["colour"]
    rgb, grey = "rgb" in colours, "grey" in colours

    def shape_fault(value: Any) -> str | None:
        shape = value.shape
        fits = (rgb and len(shape) == 3 and shape[2] == 3) or (grey and len(shape) == 2)  # noqa: PLR2004
        return None if fits and value.size else f"shape {shape}" + ("" if value.size else " (empty)")

    shapes = " or ".join(text for text, wanted in (("(H, W, 3) in RGB order", rgb), ("(H, W) grey", grey)) if wanted)
    return _array_check(
        f"an image, numpy.ndarray {'/'.join(dtypes)} {shapes}",
        frozenset(IMAGE_DTYPES[name] for name in dtypes),
        f"return x.astype(numpy.{dtypes[0]}) scaled to its range",
        shape_fault,
        _finite_fault if "float32" in dtypes else None,
    )


def _finite_fault(value: Any) -> str | None:
    if value.dtype.kind != "f":
        return None
    # NaN and infinities come through min and max, which need no second array.
    low, high = float(value.min()), float(value.max())
    if low - low == 0 == high - high:
        return None
    return "expected finite values, found NaN or infinity; mask them before returning"


def _mask_check(_: Mapping[str, Any]) -> Check:
    return _array_check(
        "a mask, numpy.ndarray uint8 (H, W)",
        frozenset({"|u1"}),
        "return x.astype(numpy.uint8), 255 (or a label) where there is something",
        _plane_fault,
        None,
    )


def _anomaly_check(_: Mapping[str, Any]) -> Check:
    def values_fault(value: Any) -> str | None:
        if (fault := _finite_fault(value)) is not None:
            return fault
        low = float(value.min())
        return None if low >= 0 else f"expected values of at least 0, found {low:g}"

    return _array_check(
        "an anomaly map, numpy.ndarray float32 (H, W)",
        frozenset({"<f4"}),
        "return x.astype(numpy.float32)",
        _plane_fault,
        values_fault,
    )


def _tensor_check(constraints: Mapping[str, Any]) -> Check:
    names, shape = constraints["dtype"], constraints.get("shape")

    def shape_fault(value: Any) -> str | None:
        if shape is None or (
            len(value.shape) == len(shape)
            and all(want is None or want == have for want, have in zip(shape, value.shape, strict=True))
        ):
            return None
        return f"shape {tuple(value.shape)}"

    wanted = f"a tensor {'/'.join(names)}" + (f" of shape {shape_text(shape)}" if shape is not None else "")
    of_numpy = _array_check(
        wanted,
        frozenset(code for name in names if (code := TENSOR_DTYPES[name])),
        f"convert it to {names[0]}",
        shape_fault,
        None,
    )

    def check(value: Any) -> str | None:
        torch = imported("torch")  # whoever returns a torch tensor has imported torch
        if torch is None or not isinstance(value, torch.Tensor):
            return of_numpy(value)
        if TORCH_DTYPES.get(str(value.dtype)) not in names:
            return f"expected {wanted}, found dtype {value.dtype}; convert it to {names[0]}"
        fault = shape_fault(value)
        return None if fault is None else f"expected {wanted}, found {fault}"

    return check


def shape_text(shape: list[int | None]) -> str:
    """``[?, 3, 224, 224]``: a question mark for a length that is free."""
    return "[" + ", ".join("?" if length is None else str(length) for length in shape) + "]"


def _frame_check(constraints: Mapping[str, Any]) -> Check:
    image_fault = _image_check(constraints)
    keys = {"image", "index", "timestamp_s"}
    place = compiled(
        {
            "properties": {
                "index": {"type": "integer", "minimum": 0},
                "timestamp_s": {"type": "number", "minimum": 0},
            }
        }
    )

    def check(value: Any) -> str | None:
        if type(value) is not dict or value.keys() != keys:
            found = f"keys {sorted(map(str, value))}" if isinstance(value, dict) else kind_of(value)
            return f"expected a dict with the keys image, index, timestamp_s, found {found}"
        where = {"index": value["index"], "timestamp_s": value["timestamp_s"]}
        if not place.is_valid(where):
            return str(place.problems(where)[0])
        fault = image_fault(value["image"])
        return None if fault is None else f"$.image: {fault}"

    return check


def _json_check(schema: Mapping[str, Any], beyond: Check | None = None) -> Check:
    validator = compiled(schema)
    matches = validator.matches

    def check(value: Any) -> str | None:
        fault = json_fault(value)
        if fault is not None:
            return fault
        if not matches(value):
            problems = validator.problems(value)
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            return f"{problems[0]}{more}"
        return None if beyond is None else beyond(value)

    return check if schema else json_fault


def _boxes_fault(value: list[dict[str, Any]]) -> str | None:
    for index, detection in enumerate(value):
        x0, y0, x1, y1 = detection["box"]
        if x1 < x0 or y1 < y0:
            return (
                f"$[{index}].box: expected [x0, y0, x1, y1] with x1 >= x0 and y1 >= y0, "
                f"found [{x0}, {y0}, {x1}, {y1}]; a box given as x, y, width, height must be converted"
            )
    return None


def _rows_fault(value: dict[str, Any]) -> str | None:
    names = [column["name"] for column in value["columns"]]
    if len(set(names)) < len(names):
        return "$.columns: expected names that differ, found one twice"
    for index, row in enumerate(value["rows"]):
        if len(row) != len(names):
            return f"$.rows[{index}]: expected {len(names)} cells, one for each column, found {len(row)}"
    return None


def _bytes_check(_: Mapping[str, Any]) -> Check:
    def check(value: Any) -> str | None:
        if type(value) is not bytes:
            remedy = "; return bytes(x)" if isinstance(value, (bytearray, memoryview)) else ""
            return f"expected bytes, found {kind_of(value)}{remedy}"
        if len(value) > MAX_VALUE_BYTES:
            return f"expected at most {MAX_VALUE_BYTES} bytes, found {len(value)}"
        return None

    return check


_MAKERS: Mapping[str, Callable[[Mapping[str, Any]], Check]] = {
    "image": _image_check,
    "mask": _mask_check,
    "anomaly_map": _anomaly_check,
    "tensor": _tensor_check,
    "detections": lambda _: _json_check(value_schema("detections"), _boxes_fault),
    "measurements": lambda _: _json_check(value_schema("measurements")),
    "video_frame": _frame_check,
    "table": lambda _: _json_check(value_schema("table"), _rows_fault),
    "json": lambda constraints: _json_check(constraints.get("schema", {})),
    "bytes": _bytes_check,
}
"""Every TP type and how its check is made: the one list of the types' names."""

TYPE_NAMES = tuple(_MAKERS)
