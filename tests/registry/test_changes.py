"""Which version each change of a manifest demands."""

from __future__ import annotations

import pytest
from made_wheels import MANIFEST

from tests.registry.conftest import manifest
from tyqi_core.conformance.changes import changes, demanded, largest, node_changes

IMAGE = MANIFEST["inputs"]["image"]
OUTPUTS = MANIFEST["outputs"]
GAIN = MANIFEST["params"]["gain"]
MASK = {"type": "mask"}


def level(**bounds: float) -> dict:
    return {**OUTPUTS, "level": {"type": "json", "schema": {"type": "number", **bounds}}}


MAJOR = {
    "an input is gone": {"inputs": {}, "examples": []},
    "a required input is new": {"inputs": {"image": IMAGE, "mask": MASK}, "examples": []},
    "an input takes other colours": {"inputs": {"image": {**IMAGE, "colour": ["grey"]}}},
    "an input takes another type": {"inputs": {"image": {"type": "anomaly_map"}}, "examples": []},
    "an input takes a list": {"inputs": {"image": {**IMAGE, "list": True}}, "examples": []},
    "an output is gone": {"outputs": {"image": OUTPUTS["image"]}},
    "an output may hold more": {"outputs": level(minimum=0, maximum=256)},
    "an output has no bound any more": {"outputs": level(minimum=0)},
    "an output may have other elements": {"outputs": {**OUTPUTS, "image": {"type": "image", "dtype": ["uint16"]}}},
    "a parameter is gone": {"params": {}, "examples": []},
    "a parameter takes less": {"params": {"gain": {**GAIN, "maximum": 15}}},
    "a parameter takes whole numbers only": {"params": {"gain": {**GAIN, "type": "integer"}}},
    "a parameter lost its default": {"params": {"gain": {key: GAIN[key] for key in GAIN if key != "default"}}},
    "a parameter without default is new": {"params": {"gain": GAIN, "bias": {"type": "number"}}, "examples": []},
    "an outcome is new": {"outcomes": {"dark": "It is dark.", "bright": "It is bright."}},
    "a GPU is needed": {"resources": {"device": "gpu", "gpu_memory_mb": 500}},
}
MINOR = {
    "an optional input is new": {"inputs": {"image": IMAGE, "mask": {**MASK, "required": False}}},
    "an input takes more": {"inputs": {"image": {**IMAGE, "colour": ["rgb", "grey"]}}},
    "an input may be left out": {"inputs": {"image": {**IMAGE, "required": False}}},
    "an output is new": {"outputs": {**OUTPUTS, "mask": MASK}},
    "an output is told more exactly": {"outputs": level(minimum=0, maximum=254)},
    "a parameter with default is new": {"params": {"gain": GAIN, "bias": {"type": "number", "default": 0}}},
    "a parameter takes more": {"params": {"gain": {**GAIN, "maximum": 17}}},
    "a parameter has another default": {"params": {"gain": {**GAIN, "default": 3}}},
    "it runs in another queue": {"resources": {"device": "cpu", "duration": "long"}},
    "it is no longer deterministic": {"deterministic": False},
}
PATCH = {
    "other words": {"description": "Makes pictures brighter."},
    "other tags": {"tags": ["light"]},
    "other words for a port": {"inputs": {"image": {**IMAGE, "description": "A picture in RGB order"}}},
    "other words for a parameter": {"params": {"gain": {**GAIN, "description": "Factor of brightness (1: none)"}}},
    "a schema written otherwise": {"params": {"gain": {**GAIN, "type": ["number"]}}},
}
CASES = [
    (name, bump, case)
    for bump, cases in (("major", MAJOR), ("minor", MINOR), ("patch", PATCH))
    for name, case in cases.items()
]


@pytest.mark.parametrize(("bump", "change"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_each_change_demands_its_bump(bump, change):
    found = node_changes(manifest(), manifest(**change))
    assert largest(found) == bump
    assert found
    assert all(one.file == "brighten.node.yaml" and one.node == "good.brighten@1" for one in found)


def test_an_input_that_becomes_required_demands_a_major():
    optional = manifest(inputs={"image": {**IMAGE, "required": False}})
    assert largest(node_changes(optional, manifest())) == "major"


def test_the_same_manifest_with_other_comments_has_not_changed():
    assert node_changes(manifest(), manifest()) == []


def test_a_change_names_the_node_and_the_place():
    (change,) = node_changes(manifest(), manifest(params={"gain": {**GAIN, "maximum": 15}}))
    assert str(change).startswith("good.brighten@1 params.gain: the parameter takes less than before")
    assert "15" in str(change)


def test_another_major_is_another_node_and_the_old_one_is_gone():
    found = changes([manifest()], [manifest(version="2.0.0", params={}, examples=[])])
    assert {(one.node, one.bump) for one in found} == {("good.brighten@1", "major"), ("good.brighten@2", "minor")}
    assert demanded(found) == "major"


def test_another_major_beside_the_old_one_is_something_new_only():
    found = changes([manifest()], [manifest(), manifest(version="2.0.0", params={}, examples=[])])
    assert [(one.node, one.bump) for one in found] == [("good.brighten@2", "minor")]
    assert demanded(found) == "minor"


def test_nothing_of_a_distribution_without_changes_is_demanded():
    assert (changes([manifest()], [manifest()]), demanded([])) == ([], "patch")
