import importlib.util
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

import tyqi_node_anomaly
from tyqi_core.node import LocalContext
from tyqi_node_anomaly import nodes
from tyqi_node_synth import drawing

PACKAGE = Path(tyqi_node_anomaly.__file__).parent
PLUGIN = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def manifests():
    paths = PACKAGE.glob("*.node.yaml")
    return {path.name.split(".")[0]: yaml.safe_load(path.read_text(encoding="utf-8")) for path in paths}


@pytest.fixture
def context(manifests):
    """A context with a node's default parameters."""

    def made(name, **overrides):
        defaults = {key: schema["default"] for key, schema in manifests[name]["params"].items()}
        return LocalContext(params=defaults | overrides)

    return made


@pytest.fixture
def ready(context):
    """A node that is set up, and its context."""

    def made(node_class, name, **overrides):
        ctx, instance = context(name, **overrides), node_class()
        instance.setup(ctx)
        return instance, ctx

    return made


@pytest.fixture
def score(ready):
    """What anomaly.score says of a picture."""
    instance, ctx = ready(nodes.Score, "score")
    return lambda image: instance.process({"image": image}, ctx)


@pytest.fixture(scope="session")
def wall():
    """A clean picture of a test area."""

    def made(surface="gravel", seed=0, size=128):
        return drawing.texture(surface, np.random.default_rng(seed), size, "test")

    return made


@pytest.fixture
def spoilt(wall):
    """A picture of a test area with a wide crack."""

    def made(surface="brick", seed=0):
        return drawing.draw_crack(wall(surface, seed), np.random.default_rng(seed), width=(3, 5))[0]

    return made


@pytest.fixture(scope="session")
def example_tile():
    return cv2.cvtColor(cv2.imread(str(PACKAGE / "examples" / "tile.png")), cv2.COLOR_BGR2RGB)


@pytest.fixture(scope="session")
def script():
    """A module of the plugin's folder that is not in its package, such as ``training/make_pictures.py``."""

    def loaded(path):
        name = f"anomaly_{Path(path).stem}"
        spec = importlib.util.spec_from_file_location(name, PLUGIN / path)
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return loaded
