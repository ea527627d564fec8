"""Port types: reading declarations, proving that one feeds another, checking values."""

from __future__ import annotations

import copy
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tyqi_core.protocol import checks
from tyqi_core.protocol.checks import TYPE_NAMES
from tyqi_core.protocol.ports import PortType, checker

JSON_SCHEMAS: list[dict[str, Any]] = [
    {},
    {"type": "number", "minimum": 0},
    {"type": "number", "minimum": 0, "maximum": 1},
    {"type": "integer"},
    {"type": ["array", "object"]},
    {"type": "array", "items": {"type": "number"}},
    {"type": "array", "items": {"type": "object", "required": ["box"]}},
    {"type": "object", "additionalProperties": {"type": "object", "required": ["value", "unit"]}},
    {"type": "object", "required": ["columns"]},
]


def port(name: str, **rest: Any) -> PortType:
    return PortType.parse({"type": name, **rest})


ANY_TYPE = st.sampled_from(TYPE_NAMES)


@st.composite
def port_types(draw: st.DrawFn, of: st.SearchStrategy[str] = ANY_TYPE) -> PortType:
    name = draw(of)
    declaration: dict[str, Any] = {"type": name}
    if name in {"image", "video_frame"}:
        declaration["dtype"] = draw(st.lists(st.sampled_from(["uint8", "uint16", "float32"]), min_size=1, unique=True))
        declaration["colour"] = draw(st.lists(st.sampled_from(["rgb", "grey"]), min_size=1, unique=True))
    if name == "tensor":
        declaration["dtype"] = draw(st.lists(st.sampled_from(["FP32", "UINT8", "BOOL"]), min_size=1, unique=True))
        if draw(st.booleans()):
            declaration["shape"] = draw(st.lists(st.sampled_from([None, 1, 3]), max_size=3))
    if name == "json" and draw(st.booleans()):
        declaration["schema"] = draw(st.sampled_from(JSON_SCHEMAS))
    if name == "bytes" and draw(st.booleans()):
        declaration["media_type"] = draw(
            st.lists(st.sampled_from(["application/pdf", "text/csv"]), min_size=1, unique=True)
        )
    if draw(st.booleans()):
        declaration |= {"list": True, "null_items": draw(st.booleans())}
    return PortType.parse(declaration)


NAMES, UNITS = st.text(min_size=1, max_size=3), st.sampled_from(["mm", ""])
JSON_SAMPLES = [
    *(None, 0, 0.5, 1, 7, "a", [], [0.5, 1], [1], {}, {"columns": 1}, [{"box": 1}], [[1, 2]]),
    {"a": {"value": 1, "unit": "m"}},
]
FIXED_KINDS: dict[str, st.SearchStrategy[Any]] = {
    "mask": arrays.arrays(np.uint8, (2, 3)),
    "anomaly_map": arrays.arrays(np.float32, (2, 3), elements=st.floats(0, 100, width=32)),
    "bytes": st.binary(max_size=4),
    "detections": st.lists(
        st.fixed_dictionaries({"box": st.just([0, 1.5, 4, 2]), "score": st.floats(0, 1), "label": NAMES}), max_size=2
    ),
    "measurements": st.dictionaries(
        NAMES,
        st.fixed_dictionaries(
            {"value": st.none() | st.floats(-9, 9), "unit": UNITS}, optional={"note": st.text(max_size=3)}
        ),
        max_size=3,
    ),
    "table": st.fixed_dictionaries(
        {
            "columns": st.just([{"name": "a", "unit": "mm"}]),
            "rows": st.lists(st.lists(st.none() | st.integers(0, 3) | NAMES, min_size=1, max_size=1), max_size=2),
        }
    ),
}


@st.composite
def images(draw: st.DrawFn, constraints: Any) -> Any:
    dtype = draw(st.sampled_from(constraints["dtype"]))
    shape = (2, 3, 3) if draw(st.sampled_from(constraints["colour"])) == "rgb" else (2, 3)
    return np.full(shape, draw(st.integers(0, 200)), dtype=dtype)


@st.composite
def tensors(draw: st.DrawFn, constraints: Any) -> Any:
    shape = constraints.get("shape", draw(st.sampled_from([[], [2], [0, 3]])))
    code = {"FP32": "<f4", "UINT8": "|u1", "BOOL": "|b1"}[draw(st.sampled_from(constraints["dtype"]))]
    return np.zeros([2 if length is None else length for length in shape], dtype=code)


def values_of(kind: PortType) -> st.SearchStrategy[Any]:
    """Values that fit ``kind``."""
    if kind.is_list:
        element = values_of(kind.item())
        return st.lists(st.none() | element if kind.null_items else element, max_size=3)
    if kind.name == "video_frame":
        place = {"index": st.integers(0, 9), "timestamp_s": st.floats(0, 9)}
        return st.fixed_dictionaries({"image": images(kind.constraints), **place})
    if kind.name == "json":
        return st.sampled_from([value for value in JSON_SAMPLES if checker(kind)(value) is None])
    made = {"image": images, "tensor": tensors}.get(kind.name)
    return made(kind.constraints) if made else FIXED_KINDS[kind.name]


RELAXED = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


@RELAXED
@given(st.data())
def test_whatever_an_accepted_type_may_hold_passes_the_check(data: st.DataObject) -> None:
    needed = data.draw(port_types())
    offered = data.draw(st.one_of(port_types(of=st.just(needed.name)), port_types()))
    assume(needed.accepts(offered) is None)
    for value in data.draw(st.lists(values_of(offered), min_size=1, max_size=3)):
        assert checker(offered)(value) is None
        assert checker(needed)(value) is None


@settings(RELAXED, max_examples=100)
@given(port_types())
def test_a_type_accepts_itself_and_survives_its_own_json(kind: PortType) -> None:
    assert kind.accepts(kind) is None
    again = PortType.parse(kind.to_json())
    assert again == kind
    assert hash(again) == hash(kind)
    assert copy.deepcopy(kind) == kind
    if kind.is_list:
        assert kind.item().listed(kind.null_items) == kind


@pytest.mark.parametrize(
    ("needed", "offered"),
    [
        (port("image", colour=["rgb", "grey"]), port("image")),
        (port("image", colour=["grey"]), port("mask")),
        (port("image", colour=["grey"], list=True), port("mask", list=True)),
        (port("tensor"), port("tensor", shape=[1, 3])),
        (port("tensor", shape=[None, 3]), port("tensor", shape=[1, 3])),
        (port("tensor", dtype=["FP32", "FP16"]), port("tensor")),
        (port("image", list=True, null_items=True), port("image", list=True)),
        (port("bytes"), port("bytes", media_type=["text/csv"])),
        (port("bytes", media_type=["text/csv", "application/pdf"]), port("bytes", media_type="application/pdf")),
        (port("json"), port("measurements")),
        (port("json"), port("detections", list=True, null_items=True)),
        (port("json", schema={"type": "array"}), port("detections")),
        (port("json", schema={"type": "object", "required": ["rows"]}), port("table")),
        (port("json", schema={"type": "number"}), port("json", schema={"type": "integer"})),
        (
            port("json", schema={"type": "number"}, list=True),
            port("json", schema={"type": "array", "items": {"type": "integer"}}),
        ),
    ],
)
def test_a_wider_type_accepts_a_narrower_one(needed: PortType, offered: PortType) -> None:
    assert needed.accepts(offered) is None


@pytest.mark.parametrize(
    ("needed", "offered", "expected"),
    [
        (port("image"), port("mask"), "it may be grey"),
        (port("mask"), port("image", colour=["grey"]), "mask is needed, image (uint8, grey) is given"),
        (port("image"), port("image", dtype=["uint8", "uint16"]), "it may be uint16"),
        (port("image"), port("image", list=True), "image (uint8, rgb) is needed, list of image (uint8, rgb) is given"),
        (port("image", list=True), port("image"), "list of image (uint8, rgb) is needed"),
        (port("image", list=True), port("image", list=True, null_items=True), "items may be null"),
        (port("tensor", shape=[1]), port("tensor"), "its shape is not declared"),
        (port("tensor", shape=[1, 3]), port("tensor", shape=[None, 3]), "its shape is [?, 3]"),
        (port("tensor"), port("anomaly_map"), "tensor (FP32) is needed, anomaly_map is given"),
        (port("bytes", media_type="text/csv"), port("bytes"), "it may be other than text/csv"),
        (port("measurements"), port("json"), "measurements is needed, json is given"),
        (port("json"), port("image"), "json is needed, image (uint8, rgb) is given"),
        (
            port("json", schema={"type": "number", "maximum": 1}),
            port("json", schema={"type": "number"}),
            "above the accepted maximum of 1",
        ),
        (port("json", schema={"type": "object", "required": ["a"]}), port("table"), 'the key "a" is needed'),
    ],
)
def test_what_may_not_fit_is_refused_with_a_reason(needed: PortType, offered: PortType, expected: str) -> None:
    assert expected in (needed.accepts(offered) or "accepted")


@pytest.mark.parametrize(
    ("declaration", "expected"),
    [
        ("image", "expected a port such as {type: image}"),
        ({}, "expected a type, one of image, mask"),
        ({"type": "imagee"}, "Did you mean 'image'?"),
        ({"type": ["image"]}, "expected a type"),
        ({"type": "image", "color": ["grey"]}, "Did you mean 'colour'?"),
        ({"type": "mask", "dtype": ["uint8"]}, 'a port of type mask has no "dtype"'),
        ({"type": "image", "dtype": ["FP32"]}, "uint8, uint16, float32"),
        ({"type": "tensor", "dtype": "float32"}, "BOOL, UINT8"),
        ({"type": "image", "dtype": []}, "one or more"),
        ({"type": "tensor", "shape": "any"}, "at most 32 lengths"),
        ({"type": "tensor", "shape": [-1]}, "null (any) or an integer of at least 0"),
        ({"type": "tensor", "shape": [True]}, "null (any) or an integer"),
        ({"type": "json", "schema": {"format": "date"}}, "the port's schema cannot be used"),
        ({"type": "json", "schema": 3}, "the port's schema cannot be used"),
        ({"type": "bytes", "media_type": "pdf"}, "application/pdf"),
        ({"type": "image", "list": "yes"}, "true or false"),
        ({"type": "image", "null_items": True}, "write 'list: true'"),
    ],
)
def test_an_unusable_declaration_is_a_value_error_that_says_why(declaration: Any, expected: str) -> None:
    with pytest.raises(ValueError, match=re.escape(expected)):
        PortType.parse(declaration)


def test_the_keys_of_a_manifest_are_allowed_beside_the_type() -> None:
    assert port("image", description="A wall.", required=False) == port("image")
    assert port("json", default=3).to_json() == {"type": "json"}


def test_a_type_reads_as_a_person_would_say_it() -> None:
    assert str(port("image")) == "image (uint8, rgb)"
    assert str(port("tensor", shape=[None, 3, 224, 224])) == "tensor (FP32, [?, 3, 224, 224])"
    assert str(port("image", list=True, null_items=True, colour=["grey"])) == "list of image (uint8, grey) or null"
    assert str(port("json", schema={"type": "number"})) == "json (number)"


def test_lists_do_not_nest_and_only_lists_have_items() -> None:
    with pytest.raises(ValueError, match="lists of lists"):
        port("mask", list=True).listed(null_items=False)
    with pytest.raises(ValueError, match="no list"):
        port("mask").item()


RGB = np.zeros((4, 6, 3), np.uint8)
FLOATS = np.ones((4, 6), np.float32)
BOX = {"box": [0, 0, 2, 2], "score": 0.5, "label": "crack"}


def with_value(array: Any, value: float) -> Any:
    changed = array.copy()
    changed[1, 2] = value
    return changed


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (port("image"), RGB[:, :, 0].copy(), "found shape (4, 6)"),
        (port("image"), RGB[:0], "found shape (0, 6, 3) (empty)"),
        (port("image"), RGB[::2], "return numpy.ascontiguousarray(x)"),
        (port("image"), np.asfortranarray(RGB), "return numpy.ascontiguousarray(x)"),
        (port("image"), RGB.astype(float), "found dtype float64"),
        (port("image"), np.zeros((4, 6, 4), np.uint8), "found shape (4, 6, 4)"),
        (port("image"), RGB.tolist(), "return numpy.asarray(x)"),
        (port("image"), np.ma.masked_array(RGB), "found MaskedArray"),
        (port("image"), None, "found None"),
        (port("image", dtype=["uint16"]), np.zeros((4, 6, 3), ">u2"), "big-endian"),
        (port("image", dtype=["float32"]), with_value(np.ones((4, 6, 3), np.float32), np.nan), "NaN or infinity"),
        (
            port("image"),
            np.lib.stride_tricks.as_strided(np.zeros(3, np.uint8), (40_000, 40_000, 3), (0, 0, 1)),
            "strided",
        ),
        (port("mask"), np.zeros((4, 6), bool), "return x.astype(numpy.uint8)"),
        (port("mask"), np.zeros((4, 6, 1), np.uint8), "found shape (4, 6, 1)"),
        (port("anomaly_map"), with_value(FLOATS, np.inf), "NaN or infinity"),
        (port("anomaly_map"), with_value(FLOATS, np.nan), "NaN or infinity"),
        (port("anomaly_map"), with_value(FLOATS, -0.5), "at least 0, found -0.5"),
        (port("anomaly_map"), FLOATS.astype(np.float64), "return x.astype(numpy.float32)"),
        (port("tensor", shape=[None, 3]), np.zeros((2, 4), np.float32), "of shape [?, 3], found shape (2, 4)"),
        (port("tensor"), np.array([object()]), "found dtype object"),
        (port("detections"), [BOX, {**BOX, "box": [0, 0, 2]}], "$[1].box: expected at least 4 items"),
        (port("detections"), [{**BOX, "box": [5, 0, 2, 2]}], "x, y, width, height must be converted"),
        (port("detections"), [{**BOX, "score": 1.5}], "$[0].score: expected at most 1"),
        (port("detections"), [{**BOX, "box": (0, 0, 2, 2)}], "return list(x)"),
        (port("detections"), [{**BOX, "labl": "x"}], 'unknown key "labl"'),
        (port("measurements"), {"width": {"value": np.float32(1), "unit": "mm"}}, "$.width.value: expected plain JSON"),
        (port("measurements"), {"width": 3.0}, "$.width: expected type object, found 3.0"),
        (port("measurements"), {"width": {"value": float("nan"), "unit": "mm"}}, "use null where there is no value"),
        (port("table"), {"columns": [{"name": "a", "unit": ""}], "rows": [[1], [1, 2]]}, "$.rows[1]: expected 1 cells"),
        (port("table"), {"columns": [{"name": "a", "unit": ""}] * 2, "rows": []}, "names that differ"),
        (port("json", schema={"type": "number"}), "1", 'expected type number, found "1"'),
        (port("json"), {"a": object()}, "$.a: expected plain JSON"),
        (port("json"), (n for n in range(3)), "return list(x)"),
        (port("bytes"), bytearray(b"a"), "return bytes(x)"),
        (port("bytes"), "a", "expected bytes, found str of length 1"),
        (port("video_frame"), {"image": RGB, "index": 0}, "the keys image, index, timestamp_s"),
        (port("video_frame"), {"image": RGB, "index": -1, "timestamp_s": 0.0}, "$.index: expected at least 0"),
        (port("video_frame"), {"image": RGB, "index": True, "timestamp_s": 0.0}, "$.index: expected type integer"),
        (port("video_frame"), {"image": RGB[:, :, 0], "index": 0, "timestamp_s": 0.0}, "$.image: expected an image"),
        (port("image", list=True), [RGB, RGB[:0]], "item 1: expected an image"),
        (port("image", list=True), (RGB,), "expected a list, found tuple of length 1"),
        (
            port("image", list=True),
            [RGB, None],
            "item 1: expected an image, numpy.ndarray uint8 (H, W, 3) in RGB order, found None",
        ),
    ],
)
def test_a_value_that_does_not_fit_is_told_in_one_sentence(kind: PortType, value: Any, expected: str) -> None:
    fault = checker(kind)(value) or "it fits"
    assert expected in fault
    assert "\n" not in fault


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (port("image", colour=["grey", "rgb"]), RGB[:, :, 0].copy()),
        (port("image", dtype=["uint16", "uint8"]), RGB.astype(np.uint16)),
        (port("image", list=True, null_items=True), [None, RGB]),
        (port("detections"), []),
        (port("detections"), [{**BOX, "box": [1.5, 1, 1.5, 1]}]),
        (port("measurements"), {"width": {"value": None, "unit": "mm", "note": "hidden"}}),
        (port("tensor"), np.zeros((0, 4), np.float32)),
        (port("table"), {"columns": [], "rows": []}),
        (port("json"), None),
    ],
)
def test_ordinary_values_fit(kind: PortType, value: Any) -> None:
    assert checker(kind)(value) is None


def test_read_only_arrays_fit() -> None:
    frozen = RGB.copy()
    frozen.flags.writeable = False
    assert checker(port("image"))(frozen) is None


def test_values_beyond_the_size_limit_are_refused_before_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "MAX_VALUE_BYTES", 20)
    assert "expected at most 20 bytes, found 72" in (checker(port("image"))(RGB) or "")
    assert "expected at most 20 bytes, found 21" in (checker(port("bytes"))(bytes(21)) or "")


def test_the_check_of_equal_types_is_made_once() -> None:
    assert checker(port("image")) is checker(port("image", dtype=["uint8"]))
