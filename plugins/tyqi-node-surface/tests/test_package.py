from __future__ import annotations

import tomllib
from importlib import import_module
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from tyqi_core.node import LocalContext, Node

PACKAGE = files("tyqi_node_surface")
PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ENTRY_POINTS = PROJECT["entry-points"]["tyqi.nodes"]


def manifest(local_id):
    return yaml.safe_load((PACKAGE / f"{local_id}.node.yaml").read_text(encoding="utf-8"))


def node_class(local_id):
    module, _, name = ENTRY_POINTS[local_id].partition(":")
    return getattr(import_module(module), name)


def value_of(port, given):
    if port["type"] not in ("image", "mask"):
        return given
    pixels = cv2.imdecode(np.frombuffer((PACKAGE / given).read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    value = np.ascontiguousarray(pixels[:, :, ::-1]) if port["type"] == "image" else pixels
    value.setflags(write=False)
    return value


def examples():
    return [
        pytest.param(local_id, index, id=f"{local_id}-{index}")
        for local_id in ENTRY_POINTS
        for index in range(len(manifest(local_id)["examples"]))
    ]


def test_every_manifest_has_an_entry_point_and_the_other_way_round():
    manifests = {each.name.removesuffix(".node.yaml") for each in PACKAGE.iterdir() if each.name.endswith(".node.yaml")}
    assert manifests == set(ENTRY_POINTS)


@pytest.mark.parametrize("local_id", ENTRY_POINTS)
def test_every_entry_point_names_a_node(local_id):
    assert issubclass(node_class(local_id), Node)


@pytest.mark.parametrize(("local_id", "index"), examples())
def test_every_example_runs_and_gives_every_declared_output(local_id, index):
    described = manifest(local_id)
    example = described["examples"][index]
    inputs = {name: value_of(described["inputs"][name], given) for name, given in example["inputs"].items()}
    params = {name: schema["default"] for name, schema in described["params"].items()} | example.get("params", {})
    instance = node_class(local_id)()
    ctx = LocalContext(params=params)
    instance.setup(ctx)
    outcome = instance.process(inputs, ctx)
    assert outcome.name in described["outcomes"]
    assert set(outcome.outputs) == set(described["outputs"])
