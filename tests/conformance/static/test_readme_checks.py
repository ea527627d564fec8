"""D01 and D02: what people read before they use a node."""

from __future__ import annotations

import pytest
from made_wheels import MANIFEST, manifest_text, metadata_path, metadata_text

YAML = "tyqi_node_good/brighten.node.yaml"
USE = "## Usage\n```sh\ntyqi nodes run good.brighten\n```\n"


def readme(text):
    return {metadata_path(): metadata_text(readme=text)}


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (readme(""), "There is no README"),
        (readme("# Good\n\nBrightens.\n"), "no section on its use with a block to copy"),
        (readme("# Good\n```sh\nls\n```\n## Usage\nJust use it.\n"), "no section on its use with a block to copy"),
        (readme("## Usage\nSee below.\n## Internals\n```sh\nls\n```\n"), "no section on its use with a block to copy"),
        (readme("```\n## Usage\n```\n"), "no section on its use with a block to copy"),
        ({metadata_path(): metadata_text(headers={"Description-Content-Type": "text/x-rst"})}, "of type 'text/x-rst'"),
        ({metadata_path(): metadata_text(headers={"Description-Content-Type": None})}, "of type 'unknown'"),
    ],
)
def test_a_readme_that_shows_no_use_fails_d01(failures, files, said):
    failed = failures(files=files)
    assert said in failed.pop("D01")
    assert failed == {}


@pytest.mark.parametrize(
    "text",
    [
        USE,
        "# How to use it\n~~~yaml\ntyqi: 1\n~~~\n",
        "## Quick start\ntext\n### On a server\n```\nls\n```\n",
        f"# Café – größer\n\n{USE}",
    ],
)
def test_a_block_below_a_heading_about_the_use_is_enough(failures, text):
    assert failures(files=readme(text)) == {}


@pytest.mark.parametrize("html", ["<script>alert(1)</script>", "[x](javascript:alert(1))", '<img src="x" onerror="y">'])
def test_active_html_in_a_readme_is_warned_of(results, html):
    found = results(files=readme(USE + html))["D01"]
    assert found.outcome == "warned"
    assert "active HTML" in found.findings[0].message


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"files": {YAML: manifest_text(examples=None)}}, "'good.brighten' has no example"),
        ({"without": ["tyqi_node_good/examples/wall.png"]}, "'examples/wall.png' is not in the wheel"),
        (
            {"files": {YAML: manifest_text(examples=[{"inputs": {"image": "../../etc/wall.png"}}])}},
            "is not in the wheel",
        ),
    ],
)
def test_an_example_that_does_not_run_fails_d01(failures, changes, said):
    failed = failures(**changes)
    assert f"{YAML}:" in failed["D01"]
    assert said in failed.pop("D01")
    assert failed == {}


def test_a_text_for_a_json_port_is_a_value_and_no_file(failures):
    inputs = {"word": {"type": "json", "schema": {"type": "string"}, "description": "A word"}}
    files = {YAML: manifest_text(inputs=inputs, examples=[{"inputs": {"word": "hello"}}])}
    assert failures(files=files) == {}


def test_the_files_of_a_list_of_pictures_are_looked_for(failures):
    inputs = {"images": {"type": "image", "list": True, "description": "Pictures"}}
    examples = [{"inputs": {"images": ["examples/wall.png", "examples/gone.png"]}}]
    failed = failures(files={YAML: manifest_text(inputs=inputs, examples=examples)})
    assert "'examples/gone.png'" in failed["D01"]
    assert "'examples/wall.png'" not in failed["D01"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"inputs": {"image": {"type": "image"}}}, "'image' (inputs) has no description"),
        ({"outputs": {"image": {"type": "image", "description": " "}}}, "'image' (outputs) has no description"),
        (
            {"params": {"gain": {"type": "number", "default": 1, "description": "How bright"}}},
            "'gain' (params) is a number whose description names no unit",
        ),
        (
            {"outputs": {"a": {"type": "json", "schema": {"type": ["integer", "null"]}, "description": "How bright"}}},
            "'a' (outputs) is a number whose description names no unit",
        ),
    ],
)
def test_what_is_not_described_fails_d02_with_its_line(failures, changes, said):
    field = next(iter(changes))
    changes = changes if field != "params" else {**changes, "examples": [{"inputs": {"image": "examples/wall.png"}}]}
    failed = failures(files={YAML: manifest_text(**changes)})
    assert f"{YAML}:{list(MANIFEST).index(field) + 1}: {said}" in failed.pop("D02")
    assert failed == {}


@pytest.mark.parametrize(
    "text", ["Width (px)", "Width in pixels", "Number of tiles", "Share of the picture", "Gain (1: none)"]
)
def test_a_unit_or_what_is_counted_is_found_in_the_description(failures, text):
    params = {"gain": {"type": "number", "default": 1, "description": text}}
    assert failures(files={YAML: manifest_text(params=params)}) == {}
