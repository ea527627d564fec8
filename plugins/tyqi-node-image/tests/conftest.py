"""Real pictures for the tests: those that ship inside scikit-image's wheel."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
import yaml

PACKAGE = Path(__file__).parents[1] / "tyqi_node_image"


def picture(name):
    """A picture of scikit-image as read-only RGB, as nodes get theirs."""
    path = Path(skimage.data.__file__).parent / name
    return frozen(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB))


def frozen(array):
    array.setflags(write=False)
    return array


@pytest.fixture(scope="session")
def astronaut():
    return picture("astronaut.png")


@pytest.fixture(scope="session")
def gravel():
    return picture("gravel.png")


@pytest.fixture
def read_only():
    return frozen


@pytest.fixture(params=[(1, 1), (1, 7), (5, 3), (64, 48), (1500, 2100)], ids="{0[1]}x{0[0]}".format)
def any_size(request):
    """A read-only RGB picture: tiny, thin, small, large."""
    return frozen(np.random.default_rng(7).integers(0, 256, (*request.param, 3), np.uint8))


def manifest(name):
    return yaml.safe_load((PACKAGE / f"{name}.node.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def params_of():
    """The default parameters of a node as its manifest states them, with some replaced."""

    def of(name, **changed):
        return {key: schema["default"] for key, schema in manifest(name).get("params", {}).items()} | changed

    return of


@pytest.fixture(scope="session")
def manifest_of():
    return manifest
