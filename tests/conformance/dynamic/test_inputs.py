"""Inputs made from a declaration fit it, and wrong ones do not."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_wheels import MANIFEST

from tyqi_core.catalog.discovered import Origin
from tyqi_core.catalog.manifest import Manifest
from tyqi_core.conformance import inputs
from tyqi_core.conformance.strategies import cases, of_schema, values
from tyqi_core.protocol.ports import PortType, checker
from tyqi_core.protocol.validation import compiled

PORTS = [
    {"type": "image"},
    {"type": "image", "dtype": ["uint16", "float32"], "colour": ["grey"]},
    {"type": "image", "dtype": ["float32"], "colour": ["rgb", "grey"], "list": True, "null_items": True},
    {"type": "mask"},
    {"type": "mask", "list": True},
    {"type": "anomaly_map"},
    {"type": "tensor"},
    {"type": "tensor", "dtype": ["INT64", "BOOL"], "shape": [None, 3, None, None]},
    {"type": "tensor", "dtype": ["FP16"], "shape": [4]},
    {"type": "tensor", "dtype": ["FP32"], "shape": []},
    {"type": "detections"},
    {"type": "measurements"},
    {"type": "measurements", "list": True, "null_items": True},
    {"type": "table"},
    {"type": "video_frame"},
    {"type": "json"},
    {"type": "json", "schema": {"type": "number", "minimum": 0, "exclusiveMaximum": 1}},
    {"type": "json", "schema": {"type": "integer", "minimum": 3, "maximum": 5}},
    {"type": "json", "schema": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3}$"}},
    {"type": "json", "schema": {"type": ["string", "null"], "minLength": 2, "maxLength": 4}},
    {"type": "json", "schema": {"enum": ["a", 1, None]}},
    {
        "type": "json",
        "schema": {"anyOf": [{"const": 3}, {"type": "array", "items": {"type": "boolean"}, "minItems": 2}]},
    },
    {
        "type": "json",
        "schema": {
            "type": "object",
            "required": ["box"],
            "properties": {"box": {"$ref": "#/definitions/box"}, "note": {"type": "string", "maxLength": 3}},
            "additionalProperties": False,
            "definitions": {"box": {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4}},
        },
    },
    {"type": "bytes"},
    {"type": "bytes", "media_type": ["image/png"]},
]


def manifest(**changes) -> Manifest:
    body = {**MANIFEST, **changes}
    return Manifest.build(
        body, Origin("good", "brighten", "m:C", "tyqi-node-good", "1.0.0"), Path("brighten.node.yaml")
    )


@pytest.mark.parametrize("declaration", PORTS, ids=str)
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), height=st.integers(1, 9), width=st.integers(1, 9))
def test_what_is_generated_for_a_port_fits_it(declaration, data, height, width):
    port_type = PortType.parse(declaration)
    assert checker(port_type)(data.draw(values(port_type, (height, width)))) is None


@pytest.mark.parametrize("declaration", [port for port in PORTS if "pattern" not in str(port)], ids=str)
@pytest.mark.parametrize("size", [(1, 1), (32, 48)])
def test_a_sample_fits_its_port_and_has_the_size(declaration, size):
    port_type = PortType.parse(declaration)
    value = inputs.sample(port_type, size)
    assert checker(port_type)(value) is None
    if declaration["type"] in {"image", "mask", "anomaly_map"} and not port_type.is_list:
        assert value.shape[:2] == size


def test_a_port_that_nobody_can_guess_has_no_sample():
    assert (
        inputs.sample(PortType.parse({"type": "json", "schema": {"type": "string", "pattern": "^[A-Z]-[0-9]$"}}))
        is None
    )


@pytest.mark.parametrize("declaration", PORTS, ids=str)
def test_each_wrong_value_is_one_that_the_port_refuses(declaration):
    tried = manifest(inputs={"port": declaration})
    base = inputs.Case("base", {}, {})
    wrong = list(inputs.wrong_inputs(tried, base))
    check = checker(tried.inputs["port"].type)
    given_ones = [one.case.inputs["port"] for one in wrong if one.found != "nothing"]
    assert wrong[0].found == "nothing"
    assert "port" not in wrong[0].case.inputs
    assert all(check(value) for value in given_ones)
    assert len(given_ones) >= (1 if declaration == {"type": "json"} else 5)


def test_wrong_parameters_are_left_out_or_of_another_type_or_unknown():
    tried = manifest(params={"gain": {"type": "number"}, "name": {"type": "string", "default": "x"}})
    wrong = list(inputs.wrong_params(tried, inputs.Case("base", {}, {"gain": 1.0})))
    validator = compiled(tried.params_schema)
    assert [one.about for one in wrong].count("gain") == 5
    assert {one.found for one in wrong} >= {"nothing", "a text", "a number", "undeclared"}
    assert not any(validator.is_valid(one.case.params) for one in wrong)


def test_ports_and_parameters_that_take_anything_are_named():
    tried = manifest(inputs={"port": {"type": "json"}}, params={"free": {}, "bound": {"type": "number"}})
    assert list(inputs.anything_goes(tried)) == ["input 'port' is any JSON", "parameter 'free' is any JSON"]


def test_boundary_cases_hold_single_pixels_and_the_ends_of_parameters():
    tried = manifest(params={"gain": {"type": "number", "minimum": 1, "maximum": 3, "default": 2}})
    found = list(inputs.boundary(tried))
    assert (1, 1) in {case.inputs["image"].shape[:2] for case in found}
    assert {1, 3} <= {case.params.get("gain") for case in found}
    assert {0, 255} <= {int(case.inputs["image"].max()) for case in found}


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_generated_cases_follow_the_manifest(data):
    two = {"image": {"type": "image"}, "mask": {"type": "mask", "required": False}}
    params = {"gain": {"type": "number", "minimum": 0, "maximum": 16}, "mode": {"enum": ["a", "b"], "default": "a"}}
    tried = manifest(inputs=two, params=params)
    case = data.draw(cases(tried))
    assert "image" in case.inputs
    assert all(checker(tried.inputs[name].type)(value) is None for name, value in case.inputs.items())
    assert compiled(tried.params_schema).problems(case.params) == []


def test_generating_raises_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        of_schema({"type": "object", "properties": {"a": {"type": "integer", "minimum": 0.5}}}).validate()


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_parameters_of_a_node_that_is_not_short_stay_those_of_its_example(data):
    tried = manifest(
        params={"steps": {"type": "integer", "minimum": 1, "maximum": 100_000, "default": 1200}},
        examples=[{"inputs": {"image": "examples/wall.png"}, "params": {"steps": 2}}],
        resources={"duration": "heavy"},
    )
    assert {case.params["steps"] for case in inputs.boundary(tried)} == {2}
    assert data.draw(cases(tried)).params == {"steps": 2}
