from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from tyqi_core.node import LocalContext
from tyqi_node_report import nodes

PACKAGE = Path(nodes.__file__).parent
NODES = {"severity": nodes.Severity, "annotate": nodes.Annotate, "closeup": nodes.Closeup, "page": nodes.Page}


def manifest(name):
    return yaml.safe_load((PACKAGE / f"{name}.node.yaml").read_text(encoding="utf-8"))


def value(kind, given):
    if kind == "image":
        return np.ascontiguousarray(cv2.imread(str(PACKAGE / given))[..., ::-1])
    return cv2.imread(str(PACKAGE / given), cv2.IMREAD_GRAYSCALE) if kind == "mask" else given


def run(name, inputs=None, **params):
    declared = manifest(name)
    example = declared["examples"][0]
    given = {port: value(declared["inputs"][port]["type"], one) for port, one in example["inputs"].items()}
    complete = dict.fromkeys(declared["inputs"]) | given | (inputs or {})
    defaults = {key: schema["default"] for key, schema in declared["params"].items()}
    outputs = NODES[name]().process(complete, LocalContext(params=defaults | example["params"] | params))
    assert set(outputs) == set(declared["outputs"])
    return outputs


def test_severity_grades_its_example():
    severity = run("severity")["severity"]
    assert (severity["level"], severity["label"]) == (2, "moderate")


def test_the_highest_place_of_a_map_counts_like_a_score():
    anomaly = np.zeros((8, 8), np.float32)
    anomaly[3, 3] = 4.5
    nothing = {"measurements": None, "score": None}
    assert run("severity", nothing | {"map": anomaly})["severity"]["level"] == 2
    assert run("severity", nothing)["severity"]["level"] == 0


def test_the_steps_of_a_project_are_used():
    assert run("severity", width_steps_mm=[0.5, 0.8, 1.2, 1.7])["severity"]["level"] == 4


def test_annotate_draws_on_its_example():
    outputs = run("annotate")
    original = value("image", "examples/wall.png")
    assert outputs["image"].shape == original.shape
    assert not np.array_equal(outputs["image"], original)


def test_annotate_passes_a_clean_picture_on():
    outputs = run("annotate", {"mask": None, "map": None, "detections": None})
    assert np.array_equal(outputs["image"], value("image", "examples/wall.png"))


@pytest.mark.parametrize("mm_per_px", [0, 0.5])
def test_closeup_has_the_size_asked_for(mm_per_px):
    closeup = run("closeup", output_size=200, mm_per_px=mm_per_px)["closeup"]
    assert closeup.shape == (200, 200, 3)
    assert closeup.dtype == np.uint8
    assert closeup.flags.c_contiguous


def test_page_gives_html_and_the_same_figures_as_json():
    outputs = run("page")
    assert outputs["page"].startswith(b"<!doctype html>")
    assert "North face, panel 3" in outputs["page"].decode()
    assert outputs["report"]["severity"]["level"] == 2
    assert outputs["report"]["measurements"]["max_width"]["value"] == 4.2


def test_page_needs_the_picture_only():
    absent = dict.fromkeys(("annotated", "closeup", "measurements", "severity", "map", "detections"))
    assert run("page", absent)["report"]["severity"] is None
