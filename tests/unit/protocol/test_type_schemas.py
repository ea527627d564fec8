"""The data types' schemas in ``schemas/types``: ref form and inline form of every TP type."""

from __future__ import annotations

import base64
import json
from typing import Any

import jsonschema
import numpy as np
import pytest

from tyqi_core.protocol.checks import TENSOR_DTYPES, TYPE_NAMES, value_schema
from tyqi_core.protocol.codecs import encode_any
from tyqi_core.protocol.ports import PortType, checker
from tyqi_core.protocol.validation import compiled, outside_subset
from tyqi_core.resources import data_folder

FOLDER = data_folder("schemas") / "types"
SCHEMAS = {
    path.name.removesuffix(".schema.json"): json.loads(path.read_text(encoding="utf-8"))
    for path in sorted(FOLDER.glob("*.json"))
}
DETAILS: dict[str, dict[str, Any]] = {
    "image": {"shape": [4, 6, 3], "dtype": "UINT8", "colour": "rgb"},
    "mask": {"shape": [4, 6], "dtype": "UINT8"},
    "anomaly_map": {"shape": [4, 6], "dtype": "FP32"},
    "tensor": {"shape": [0, 3], "dtype": "BF16"},
    "video_frame": {"shape": [4, 6], "dtype": "UINT16", "colour": "grey", "index": 0, "timestamp_s": 0.04},
}
VALUES: dict[str, Any] = {
    "detections": [{"box": [0, 0, 2, 2.5], "score": 0.5, "label": "crack"}],
    "measurements": {"width": {"value": None, "unit": "mm", "note": "hidden"}},
    "table": {"columns": [{"name": "a", "unit": "mm"}], "rows": [[1.5], [None]]},
    "json": [1, "a", None],
}


def test_there_is_one_schema_for_each_type() -> None:
    assert set(SCHEMAS) == set(TYPE_NAMES)


@pytest.mark.parametrize("name", TYPE_NAMES)
def test_a_schema_is_draft_07_keeps_to_the_subset_and_knows_its_address(name: str) -> None:
    schema = SCHEMAS[name]
    jsonschema.Draft7Validator.check_schema(schema)
    assert outside_subset(schema) == []
    assert schema["$id"] == f"https://tyq-i.example/schemas/types/{name}.schema.json"


@pytest.mark.parametrize("name", TYPE_NAMES)
def test_the_ref_form_of_each_type_is_valid(name: str) -> None:
    ref = {"type": name, "ref": "p-7f3a", "media_type": "application/json", "size": 12, **DETAILS.get(name, {})}
    assert compiled(SCHEMAS[name]).problems(ref) == []
    assert compiled(SCHEMAS[name]).is_valid(ref | {"digest": "sha256:" + "0" * 64})
    for wrong in ({"size": -1}, {"ref": "../x"}, {"ref": "a\nb"}, {"type": "other"}, {"digest": "md5:0"}, {"extra": 1}):
        assert not compiled(SCHEMAS[name]).is_valid(ref | wrong)


@pytest.mark.parametrize("name", TYPE_NAMES)
def test_the_inline_form_of_each_type_is_valid(name: str) -> None:
    if name in VALUES:
        inline = {"type": name, "value": VALUES[name]}
    else:
        encoded = encode_any(np.zeros((4, 6, 3), np.uint8))
        inline = {
            "type": name,
            "media_type": encoded.media_type,
            "base64": base64.b64encode(encoded.data).decode(),
            **DETAILS.get(name, {}),
        }
    assert compiled(SCHEMAS[name]).problems(inline) == []
    assert not compiled(SCHEMAS[name]).is_valid({"type": name})


def test_a_fault_within_an_inline_value_is_told_at_its_place() -> None:
    value = {"width": {"value": "wide", "unit": "mm"}}
    (problem,) = compiled(SCHEMAS["measurements"]).problems({"type": "measurements", "value": value})
    assert problem.path == "$.value.width.value"


@pytest.mark.parametrize("name", ["detections", "measurements", "table"])
def test_the_inline_value_is_what_ports_are_checked_against(name: str) -> None:
    assert value_schema(name) == SCHEMAS[name]["definitions"]["value"]
    assert checker(PortType.parse({"type": name}))(VALUES[name]) is None


def test_the_tensor_schema_lists_the_dtypes_that_codecs_know() -> None:
    assert SCHEMAS["tensor"]["definitions"]["ref"]["properties"]["dtype"]["enum"] == list(TENSOR_DTYPES)
