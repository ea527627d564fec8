"""Colours that carry meaning: a heat scale for anomaly maps, distinct hues for the labels of a mask."""

from __future__ import annotations

import colorsys
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

_HEAT_STOPS = ((0.0, 4, 5, 22), (0.25, 84, 18, 110), (0.5, 187, 55, 84), (0.75, 249, 142, 9), (1.0, 252, 255, 190))
"""Position, red, green, blue: lightness grows evenly, so that order shows in grey print and to the colour-blind too.

After the scale "inferno": N. Smith, S. van der Walt, "A Better Default Colormap for Matplotlib", SciPy 2015 (CC0).
"""

_GOLDEN = 0.618033988749895
"""Steps of the golden ratio around the hue circle keep any number of neighbours far apart."""


def heat(values: Array) -> Array:
    """An anomaly map as a picture: 0 is black, its largest value is pale yellow.

    Args:
        values: ``(H, W)``, finite and >= 0.

    Returns:
        ``(H, W, 3)`` uint8, RGB.
    """
    top = float(values.max()) if values.size else 0.0
    scaled = np.clip(values / top, 0.0, 1.0) if top > 0 else np.zeros(values.shape)
    positions = [stop[0] for stop in _HEAT_STOPS]
    channels = [np.interp(scaled, positions, [stop[channel] for stop in _HEAT_STOPS]) for channel in (1, 2, 3)]
    return np.stack(channels, axis=-1).round().astype("uint8")


def label_palette() -> list[tuple[int, int, int]]:
    """A colour for each of the 256 labels of a mask: 0 is black, 255 white, the others are told apart by hue."""
    hues = (colorsys.hsv_to_rgb((label * _GOLDEN) % 1.0, 0.65, 0.95) for label in range(256))
    palette = [(round(red * 255), round(green * 255), round(blue * 255)) for red, green, blue in hues]
    palette[0], palette[255] = (0, 0, 0), (255, 255, 255)
    return palette
