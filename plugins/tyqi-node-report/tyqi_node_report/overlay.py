"""Drawing on pictures: outlines of masks, heat of anomaly maps, boxes, a scale bar. Inputs are never modified.

Widths and letters grow with the picture, so that a drawing of 4,000 px reads like one of 400.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tyqi_core.errors import ContractViolation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Image = NDArray[np.uint8]
Mask = NDArray[np.uint8]
AnomalyMap = NDArray[np.float32]
Colour = tuple[int, int, int]

# Okabe and Ito, "Color Universal Design" (2008): told apart with every common colour vision. RGB.
MASK_COLOURS: tuple[Colour, ...] = ((0, 229, 255), (240, 228, 66), (204, 121, 167), (0, 158, 115))
BOX_COLOUR: Colour = (230, 159, 0)
_INK: Colour = (16, 18, 22)
_PAPER: Colour = (255, 255, 255)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def stroke(image: Image) -> int:
    """A line width that can be seen on a picture of this size (px)."""
    return max(1, round(float(min(image.shape[:2])) / 320))


def annotated(
    image: Image,
    mask: Mask | None = None,
    anomaly: AnomalyMap | None = None,
    detections: Sequence[Mapping[str, Any]] | None = None,
    *,
    level: float = 1.0,
    alpha: float = 0.36,
) -> Image:
    """The picture with all that was found: heat below, then outlines, then boxes with labels.

    Args:
        image: RGB, shape (H, W, 3).
        mask: labels, shape (H, W); every label other than 0 gets an outline of its own colour.
        anomaly: shape (H, W); drawn where it comes near ``level``.
        detections: boxes as in the TP type.
        level: anomaly value from which a place counts as odd.
        alpha: opacity of the heat where it is strongest, 0 to 1.

    Returns:
        A new picture of the same shape.

    Raises:
        ContractViolation: mask or map of another size than the picture.
    """
    drawn = image.copy() if anomaly is None else heated(image, anomaly, level=level, alpha=alpha)
    if mask is not None:
        _outline(drawn, mask)
    for detection in detections or ():
        _box(drawn, detection)
    return drawn


def check_size(image: Image, other: NDArray[Any], name: str) -> None:
    """Refuse what does not lie on the picture pixel by pixel.

    Raises:
        ContractViolation: another height or width (``SHAPE_MISMATCH``).
    """
    if other.shape[:2] != image.shape[:2]:
        found, expected = (f"{a.shape[1]} x {a.shape[0]} px" for a in (other, image))
        raise ContractViolation(
            f"the {name} is {found}, the picture {expected}.",
            code="SHAPE_MISMATCH",
            remedy=f"Bind a {name} that was made of this very picture.",
        )


def heat_colours(anomaly: AnomalyMap, level: float) -> Image:
    """Anomaly values as colours (inferno): black at 0, the middle at the level, near the brightest far above it.

    The scale is ``a / (a + level)``, so that any value has its colour. RGB, shape (H, W, 3).
    """
    grey = np.rint(255 * anomaly / (anomaly + level)).astype(np.uint8)
    coloured: Image = cv2.applyColorMap(grey, cv2.COLORMAP_INFERNO)[..., ::-1].astype(np.uint8)
    return np.ascontiguousarray(coloured)


def heated(image: Image, anomaly: AnomalyMap, *, level: float, alpha: float, floor: float = 0.7) -> Image:
    """The picture under its heat: nothing below ``floor`` times the level, full opacity from three times on."""
    check_size(image, anomaly, "anomaly map")
    opacity = alpha * np.sqrt(np.clip((anomaly / level - floor) / (3 - floor), 0, 1))[..., None]
    blended = image * (1 - opacity) + heat_colours(anomaly, level) * opacity
    heat: Image = np.rint(blended).astype(np.uint8)
    return heat


def _outline(drawn: Image, mask: Mask) -> None:
    """Outline each label a little outside of it, so that the defect itself stays in view."""
    check_size(drawn, mask, "mask")
    width = stroke(drawn)
    reach = 2 * width + 3
    gap = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    for index, label in enumerate(np.unique(mask[mask > 0])):
        grown = cv2.dilate((mask == label).astype(np.uint8), gap)
        contours, _ = cv2.findContours(grown, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(drawn, contours, -1, _INK, width + 2, cv2.LINE_AA)
        cv2.drawContours(drawn, contours, -1, MASK_COLOURS[index % len(MASK_COLOURS)], width, cv2.LINE_AA)


def _box(drawn: Image, detection: Mapping[str, Any]) -> None:
    x0, y0, x1, y1 = (round(edge) for edge in detection["box"])
    width = stroke(drawn)
    corners = (x0, y0), (max(x0, x1 - 1), max(y0, y1 - 1))
    cv2.rectangle(drawn, *corners, _INK, width + 2, cv2.LINE_AA)
    cv2.rectangle(drawn, *corners, BOX_COLOUR, width, cv2.LINE_AA)
    plate(drawn, f"{detection['label']} {detection['score']:.2f}", (x0, y0), BOX_COLOUR, above=True)


def plate(drawn: Image, text: str, at: tuple[int, int], colour: Colour, *, above: bool = False) -> None:
    """Write dark letters on a plate of the given colour, moved so that it lies inside the picture."""
    scale = max(0.34, min(drawn.shape[:2]) / 1100)
    thick = max(1, round(scale * 1.4))
    (wide, high), base = cv2.getTextSize(text, _FONT, scale, thick)
    pad = max(2, high // 3)
    full_wide, full_high = wide + 2 * pad, high + base + 2 * pad
    left = max(0, min(at[0], drawn.shape[1] - full_wide))
    wanted = at[1] - full_high if above else at[1]
    top = max(0, min(wanted, drawn.shape[0] - full_high))
    cv2.rectangle(drawn, (left, top), (left + full_wide - 1, top + full_high - 1), colour, -1)
    cv2.putText(drawn, text, (left + pad, top + pad + high), _FONT, scale, _INK, thick, cv2.LINE_AA)


def closeup(image: Image, mask: Mask, *, side: int = 128, output: int = 512, mm_per_px: float | None = None) -> Image:
    """Enlarge the worst place: where the mask is widest, outlined thinly, with a scale bar.

    Args:
        image: RGB, shape (H, W, 3).
        mask: 0 is background, shape (H, W). Without any foreground the middle of the picture is shown.
        side: side of the square shown (px of the picture); more where the defect is wider, less where the picture ends.
        output: side of the enlarged picture (px).
        mm_per_px: size of a pixel on the surface (mm), for the scale bar; None: the bar is in px.

    Returns:
        RGB, shape (output, output, 3).

    Raises:
        ContractViolation: the mask is of another size than the picture.
    """
    check_size(image, mask, "mask")
    left, top, side = _worst_square(mask, side)
    window = np.s_[top : top + side, left : left + side]
    factor = output / side
    how = cv2.INTER_CUBIC if factor > 1 else cv2.INTER_AREA
    enlarged = cv2.resize(np.ascontiguousarray(image[window]), (output, output), interpolation=how).astype(np.uint8)
    foreground = cv2.resize((mask[window] > 0).astype(np.float32), (output, output), interpolation=cv2.INTER_LINEAR)
    foreground = cv2.GaussianBlur(foreground, (0, 0), max(0.1, 0.6 * factor))  # no stairs where pixels become large
    contours, _ = cv2.findContours((foreground >= 0.5).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(enlarged, contours, -1, MASK_COLOURS[0], max(2, output // 256), cv2.LINE_AA)
    _scale_bar(enlarged, factor, mm_per_px)
    return enlarged


def worst_place(mask: Mask) -> tuple[int, int, float]:
    """Where the foreground is widest: x, y and the width there (px); the middle of the mask if there is none."""
    height, width = mask.shape
    padded = cv2.copyMakeBorder((mask > 0).astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    inside = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]
    y, x = np.unravel_index(int(np.argmax(inside)), inside.shape)
    if not inside[y, x]:
        return width // 2, height // 2, 0.0
    return int(x), int(y), 2 * float(inside[y, x])


def _worst_square(mask: Mask, side: int) -> tuple[int, int, int]:
    x, y, thickness = worst_place(mask)
    height, width = mask.shape
    side = min(max(side, math.ceil(1.6 * thickness)), height, width)
    left = min(max(0, x - side // 2), width - side)
    top = min(max(0, y - side // 2), height - side)
    return left, top, side


def _scale_bar(enlarged: Image, factor: float, mm_per_px: float | None) -> None:
    """A bar of a round length, about a quarter of the picture wide, bottom left, on a plate."""
    output = enlarged.shape[0]
    per_unit = factor / mm_per_px if mm_per_px else factor  # px of the enlarged picture for one mm or one px
    length = round_length(0.3 * output / per_unit)
    text = f"{length:g} {'mm' if mm_per_px else 'px'}"
    pixels = max(2, round(length * per_unit))
    margin, thick = max(4, output // 32), max(2, output // 128)
    scale = max(0.34, output / 900)
    (wide, high), base = cv2.getTextSize(text, _FONT, scale, 1)
    left, bottom = margin, output - margin
    right = left + max(pixels, wide) + 2 * thick
    plate_top = bottom - high - base - 4 * thick
    dark = enlarged[max(0, plate_top - thick) : bottom + thick, max(0, left - 2 * thick) : right + 2 * thick]
    dark[:] = (dark * 0.25).astype(np.uint8)
    cv2.rectangle(enlarged, (left, bottom - 2 * thick), (left + pixels - 1, bottom - thick), _PAPER, -1)
    cv2.putText(enlarged, text, (left, bottom - 4 * thick), _FONT, scale, _PAPER, 1, cv2.LINE_AA)


def round_length(limit: float) -> float:
    """The largest of 1, 2, 5, 10, 20, ... (and 0.5, 0.2, ...) that does not exceed ``limit``."""
    power = 10.0 ** math.floor(math.log10(limit))
    return max(step * power for step in (1, 2, 5) if step * power <= limit * (1 + 1e-9))
