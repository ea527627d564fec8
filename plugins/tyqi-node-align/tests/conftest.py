"""Real pictures that ship inside scikit-image's wheel, and views and strips of them with known positions."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
import yaml

PACKAGE = Path(__file__).parents[1] / "tyqi_node_align"
NAMES = (
    "astronaut",
    "brick",
    "camera",
    "chelsea",
    "coffee",
    "coins",
    "grass",
    "gravel",
    "moon",
    "page",
    "rocket",
    "text",
)


def picture(name):
    """A picture of scikit-image as read-only RGB, as nodes get theirs."""
    (path,) = (path for path in Path(skimage.data.__file__).parent.glob(f"{name}.*") if path.suffix in {".png", ".jpg"})
    return frozen(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB))


def frozen(array):
    array.setflags(write=False)
    return array


def view(image, seed, *, strength=1.0, noise=5.0, light=0.3):
    """A reference cut from the middle of a picture, and another view of the same place.

    The view is turned by up to 25 degrees, scaled by up to 1.28, shifted by up to a tenth and tilted (corners moved
    by up to 6% of its size), all times ``strength``; brightness is changed by a gain of 1 +- ``light`` and an offset of
    up to 20 grey levels, and noise is added (standard deviation in grey levels). Both views lie within the picture.

    Returns:
        view, reference, and the 3 x 3 matrix from view to reference.
    """
    rng = np.random.default_rng(seed)
    full = np.array(image.shape[1::-1])
    size = (full * 0.6).astype(int)
    start = ((full - size) / 2).round().astype(int)
    reference = image[start[1] : start[1] + size[1], start[0] : start[0] + size[0]]
    corners = np.array([[0, 0], [size[0], 0], size, [0, size[1]]], float)
    while True:
        angle, scale = np.deg2rad(rng.uniform(-25, 25) * strength), np.exp(rng.uniform(-0.25, 0.25) * strength)
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        shift = (rng.uniform(-0.1, 0.1, 2) + rng.uniform(-0.06, 0.06, (4, 2))) * strength * size
        quad = (corners - size / 2) @ turn.T + full / 2 + shift
        if (quad >= 0).all() and (quad <= full - 1).all():
            break
    to_view = cv2.getPerspectiveTransform(quad.astype(np.float32), corners.astype(np.float32)).astype(float)
    seen = cv2.warpPerspective(image, to_view, tuple(int(side) for side in size), flags=cv2.INTER_CUBIC).astype(float)
    seen = seen * rng.uniform(1 - light, 1 + light) + rng.uniform(-20, 20) + rng.normal(0, noise, seen.shape)
    to_reference = np.array([[1, 0, -start[0]], [0, 1, -start[1]], [0, 0, 1]]) @ np.linalg.inv(to_view)
    return frozen(np.clip(seen, 0, 255).astype(np.uint8)), frozen(reference.copy()), to_reference


def view_error(found, true, shape):
    """Median and largest error (px of the reference) over a grid of points of the view that lie in the reference."""
    across, down = np.meshgrid(np.linspace(0, shape[1] - 1, 9), np.linspace(0, shape[0] - 1, 9))
    points = np.stack([across.ravel(), down.ravel()], axis=1)[None]
    goal = cv2.perspectiveTransform(points, true)[0]
    inside = (goal >= 0).all(axis=1) & (goal <= [shape[1] - 1, shape[0] - 1]).all(axis=1)
    errors = np.linalg.norm(cv2.perspectiveTransform(points, np.asarray(found))[0] - goal, axis=1)[inside]
    return float(np.median(errors)), float(errors.max())


def strips(image, seed, *, count=3, overlap=0.25, drift=3.0, noise=4.0, light=0.15):
    """Strips of a picture as a camera that travels to the right would take them, and their true corners.

    Positions are fractions of pixels; each strip has a gain of 1 +- ``light``, and noise (grey levels).
    """
    rng = np.random.default_rng(seed)
    height, width = image.shape[:2]
    length = int(width / (count - (count - 1) * overlap) - 3)
    taken, corners = [], []
    for index in range(count):
        x = np.clip(index * length * (1 - overlap) + rng.uniform(0, 3), 0, width - 1 - length)
        y = drift + rng.uniform(-drift, drift)
        size = (length, int(height - 2 * drift - 1))
        strip = cv2.warpAffine(image, np.array([[1, 0, -x], [0, 1, -y]]), size, flags=cv2.INTER_CUBIC).astype(float)
        strip = strip * rng.uniform(1 - light, 1 + light) + rng.normal(0, noise, strip.shape)
        taken.append(frozen(np.clip(strip, 0, 255).round().astype(np.uint8)))
        corners.append((x, y))
    return taken, np.array(corners)


def strips_error(found, true):
    """Largest error (px) of a step from one strip to the next."""
    return float(np.abs(np.diff(np.asarray(found), axis=0) - np.diff(true, axis=0)).max())


@pytest.fixture(scope="session")
def pictures():
    return {name: picture(name) for name in NAMES}


@pytest.fixture(scope="session")
def views():
    return view


@pytest.fixture(scope="session")
def error_of_view():
    return view_error


@pytest.fixture(scope="session")
def strips_of():
    return strips


@pytest.fixture(scope="session")
def error_of_strips():
    return strips_error


@pytest.fixture(scope="session")
def read_only():
    return frozen


@pytest.fixture(scope="session")
def manifest_of():
    def manifest(name):
        return yaml.safe_load((PACKAGE / f"{name}.node.yaml").read_text(encoding="utf-8"))

    return manifest


@pytest.fixture(scope="session")
def params_of(manifest_of):
    """The default parameters of a node as its manifest states them, with some replaced."""

    def of(name, **changed):
        return {key: schema["default"] for key, schema in manifest_of(name)["params"].items()} | changed

    return of
