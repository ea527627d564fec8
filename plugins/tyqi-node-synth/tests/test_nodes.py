from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from tyqi_core.errors import InputError
from tyqi_core.node import LocalContext
from tyqi_node_synth import nodes

PACKAGE = Path(nodes.__file__).parent
NODES = {"texture": nodes.Texture, "crack": nodes.Crack, "spall": nodes.Spall}


def manifest(name):
    return yaml.safe_load((PACKAGE / f"{name}.node.yaml").read_text(encoding="utf-8"))


def run_example(name, **overrides):
    declared = manifest(name)
    example = declared["examples"][0]
    params = {key: schema["default"] for key, schema in declared["params"].items()} | example["params"] | overrides
    inputs = {port: cv2.imread(str(PACKAGE / file))[..., ::-1] for port, file in example["inputs"].items()}
    node, ctx = NODES[name](), LocalContext(params=params)
    node.setup(ctx)
    return node.process(inputs, ctx), declared


@pytest.mark.parametrize("name", NODES)
def test_a_node_gives_exactly_the_outputs_that_its_manifest_declares_on_its_own_example(name):
    outputs, declared = run_example(name)
    assert set(outputs) == set(declared["outputs"])
    assert outputs["image"].shape == (128, 128, 3)
    assert outputs["image"].dtype == np.uint8
    if "mask" in outputs:
        assert set(np.unique(outputs["mask"])) == {0, 255}


@pytest.mark.parametrize("name", NODES)
def test_the_seed_of_a_node_decides_what_is_drawn(name):
    first, again, other = (run_example(name, seed=seed)[0]["image"] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_least_width_above_the_largest_is_refused():
    with pytest.raises(InputError, match="width must be a range"):
        run_example("crack", min_width=9, max_width=3)
