from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from tyqi_core.catalog.manifest import Manifest
from tyqi_core.errors import InvalidManifest, Problem
from tyqi_core.protocol.document import read_document
from tyqi_core.protocol.subset import outside_subset
from tyqi_core.resources import data_folder

Text = Callable[..., str]
Parse = Callable[..., Manifest]


def problems_of(parse: Parse, text: str, **names: str) -> list[Problem]:
    with pytest.raises(InvalidManifest) as caught:
        parse(text, **names)
    return list(caught.value.problems)


def codes(problems: list[Problem]) -> list[str]:
    return [problem.code for problem in problems]


def test_a_manifest_tells_all_that_is_known_of_a_node(parse: Parse, manifest_text: Text) -> None:
    manifest = parse(manifest_text(version="2.1.0"))
    assert (manifest.id, manifest.reference, manifest.major) == ("crack.segment", "crack.segment@2", 2)
    assert str(manifest.inputs["image"].type) == "image (uint8, rgb)"
    assert manifest.inputs["image"].required
    assert not manifest.inputs["guide"].required
    assert manifest.inputs["guide"].default is None
    assert manifest.setup_params == ("model",)
    assert manifest.params_schema["additionalProperties"] is False
    assert manifest.params_schema["properties"]["model"] == {
        "type": "string",
        "default": "",
        "description": "file name",
    }
    assert (manifest.queue, manifest.resources.memory_mb) == ("cpu.short", 100)
    assert (manifest.idempotent, manifest.deterministic, manifest.thread_safe) == (True, True, False)
    assert manifest.capabilities == ()


def test_capabilities_are_four_known_words(parse: Parse, manifest_text: Text) -> None:
    text = manifest_text() + "capabilities: [network, files, subprocess, native]\n"
    assert parse(text).capabilities == ("network", "files", "subprocess", "native")
    problems = problems_of(parse, text.replace("network", "internet"))
    assert [(problem.code, problem.path) for problem in problems] == [("MANIFEST_SCHEMA", "$.capabilities[0]")]


def test_an_input_with_a_default_is_not_required(parse: Parse, manifest_text: Text) -> None:
    text = manifest_text(inputs="inputs:\n  area: {type: json, schema: {type: number}, default: 1.5}")
    port = parse(text).inputs["area"]
    assert (port.required, port.default) == (False, 1.5)


def test_a_parameter_without_a_default_is_required(parse: Parse, manifest_text: Text) -> None:
    text = manifest_text(params="params:\n  side: {type: integer}")
    assert parse(text).params_schema["required"] == ["side"]


@pytest.mark.parametrize(
    ("resources", "queue"),
    [
        ("{}", "cpu.short"),
        ("{device: cpu, duration: long}", "cpu.long"),
        ("{device: any, duration: heavy}", "cpu.heavy"),
        ("{device: gpu, gpu_memory_mb: 500}", "gpu.short"),
        ("{device: gpu, gpu_memory_mb: 500, duration: long}", "gpu.long"),
        ("{device: gpu, gpu_memory_mb: 500, duration: heavy}", "gpu.long"),
        ("{pool: io, duration: long}", "io"),
    ],
)
def test_resources_lead_to_a_queue(parse: Parse, manifest_text: Text, resources: str, queue: str) -> None:
    assert parse(manifest_text(resources=f"resources: {resources}")).queue == queue


def test_the_digest_is_of_the_content_not_of_its_layout(parse: Parse, manifest_text: Text) -> None:
    text = manifest_text()
    first = parse(text)
    reordered = "# a comment\n" + "\n".join([*text.splitlines()[1:], text.splitlines()[0]]) + "\n"
    assert parse(reordered).digest == first.digest
    assert parse(manifest_text(title="title: Another title")).digest != first.digest


def test_all_problems_are_told_at_once_with_line_path_and_nearest_name(parse: Parse, manifest_text: Text) -> None:
    text = manifest_text(
        name="segmnt",
        category="category: utilty",
        requires_tyqi='requires_tyqi: ">=99"',
        resources="resources: {device: gpu}\nthreadsafe: true",
    ).replace("type: mask", "type: maks")
    found = [(problem.code, problem.line, problem.path, problem.nearest) for problem in problems_of(parse, text)]
    assert found == [
        ("NAME_MISMATCH", 2, "$.name", None),
        ("MANIFEST_SCHEMA", 8, "$.category", "utility"),
        ("INCOMPATIBLE_CORE", 12, "$.requires_tyqi", None),
        ("MANIFEST_SCHEMA", 15, "$.inputs.guide.type", "mask"),
        ("GPU_MEMORY", 22, "$.resources", None),
        ("MANIFEST_SCHEMA", 23, "$.threadsafe", "thread_safe"),
    ]


@pytest.mark.parametrize(
    ("changes", "code", "path"),
    [
        ({"title": "titel: x"}, "MANIFEST_SCHEMA", "$"),
        ({"version": "1.0"}, "MANIFEST_SCHEMA", "$.version"),
        ({"version": "1.0.x"}, "MANIFEST_SCHEMA", "$.version"),
        ({"tyqi_node": "tyqi_node: 2"}, "MANIFEST_FORMAT", "$.tyqi_node"),
        ({"requires_tyqi": "requires_tyqi: latest"}, "BAD_SPECIFIER", "$.requires_tyqi"),
        ({"tags": "tags: crack"}, "MANIFEST_SCHEMA", "$.tags"),
        ({"inputs": "inputs:\n  Image: {type: image}"}, "BAD_NAME", "$.inputs.Image"),
        ({"inputs": "inputs:\n  tile: {type: image, null_items: true}"}, "PORT_TYPE", "$.inputs.tile"),
        ({"inputs": "inputs:\n  tile: {type: mask, dtype: [uint8]}"}, "PORT_TYPE", "$.inputs.tile"),
        ({"inputs": "inputs:\n  a: {type: image, default: wall.png}"}, "PORT_DEFAULT", "$.inputs.a.default"),
        ({"inputs": "inputs:\n  a: {type: json, default: 1, required: true}"}, "PORT_DEFAULT", "$.inputs.a.required"),
        ({"outputs": "outputs:\n  branch: {type: mask}"}, "BAD_NAME", "$.outputs.branch"),
        ({"outputs": "outputs:\n  a: {type: mask, default: 1}"}, "MANIFEST_SCHEMA", "$.outputs.a.default"),
        ({"params": "params:\n  a: {type: number, format: even}"}, "PARAM_SCHEMA", "$.params.a"),
        ({"params": "params:\n  a: {type: number, default: x}"}, "PARAM_DEFAULT", "$.params.a.default"),
        ({"params": "params:\n  a: {type: number, default: .nan}"}, "MANIFEST_SCHEMA", "$.params.a.default"),
        ({"params": "params:\n  A b: {type: number}"}, "BAD_NAME", '$.params["A b"]'),
        ({"outcomes": "outcomes: {the crack: yes}"}, "BAD_NAME", '$.outcomes["the crack"]'),
        ({"resources": "resources: {device: gpu, gpu_memory_mb: 9, pool: io}"}, "POOL", "$.resources.pool"),
        ({"resources": "resources: {cores: 0}"}, "MANIFEST_SCHEMA", "$.resources.cores"),
        ({"examples": "examples: [{inputs: {}}]"}, "EXAMPLE", "$.examples[0]"),
        ({"examples": "examples: [{inputs: {image: a.png, giude: b.png}}]"}, "EXAMPLE", "$.examples[0].inputs.giude"),
        (
            {"examples": "examples: [{inputs: {image: a.png}, params: {gain: 11}}]"},
            "EXAMPLE",
            "$.examples[0].params.gain",
        ),
    ],
)
def test_each_rule_names_its_place(
    parse: Parse, manifest_text: Text, changes: dict[str, str], code: str, path: str
) -> None:
    found = problems_of(parse, manifest_text(**changes))
    assert (code, path) in [(problem.code, problem.path) for problem in found]
    assert all(problem.line for problem in found)


def test_the_entry_points_major_must_be_the_versions(parse: Parse, manifest_text: Text) -> None:
    assert parse(manifest_text(version="2.0.0"), local_id="segment.v2").id == "crack.segment"
    assert codes(problems_of(parse, manifest_text(version="1.0.0"), local_id="segment.v2")) == ["MAJOR_MISMATCH"]


def test_a_long_id_is_refused(parse: Parse, manifest_text: Text) -> None:
    assert codes(problems_of(parse, manifest_text(), namespace="n" * 93)) == ["BAD_NAME"]


@pytest.mark.parametrize("text", ["- a\n- b\n", "just text\n", "5\n"])
def test_a_manifest_that_is_no_mapping_is_refused(parse: Parse, text: str) -> None:
    assert codes(problems_of(parse, text)) == ["MANIFEST_SCHEMA"]


@pytest.mark.parametrize(
    "field", ["inputs", "outputs", "params", "outcomes", "resources", "batching", "examples", "tags", "name", "version"]
)
@pytest.mark.parametrize("value", ["null", "5", "[]", "[5]", "{a: 5}", "text", "{a: {type: 5}}", "[{inputs: 5}]"])
def test_wrong_shapes_give_problems_never_other_errors(
    parse: Parse, manifest_text: Text, field: str, value: str
) -> None:
    body = read_document(manifest_text()).value
    body[field] = read_document(f"a: {value}").value["a"]
    try:
        parse(json.dumps(body))
    except InvalidManifest as error:
        assert error.problems  # noqa: PT017 - some values are right for some fields


def test_the_schema_keeps_to_the_subset_and_is_valid_draft_07() -> None:
    schema = json.loads((data_folder("schemas") / "node-manifest.schema.json").read_text(encoding="utf-8"))
    assert outside_subset(schema) == []
    jsonschema.Draft7Validator.check_schema(schema)
    assert schema["$id"] == "https://tyq-i.example/schemas/node-manifest.schema.json"


def test_a_manifest_built_of_checked_content_equals_the_parsed_one(parse: Parse, manifest_text: Text) -> None:
    manifest = parse(manifest_text())
    again = Manifest.build(json.loads(json.dumps(manifest.body)), manifest.origin, Path("segment.node.yaml"))
    assert again == manifest
