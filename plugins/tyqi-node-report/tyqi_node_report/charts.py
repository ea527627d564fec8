"""Small SVG drawings for the page, made by hand: no script, no library, colours by the page's style sheet.

Every drawing carries a text alternative (``role="img"`` and ``aria-label``) and scales with its column.
"""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from tyqi_node_report.figures import number, with_unit
from tyqi_node_report.overlay import heat_colours, round_length
from tyqi_node_report.severity import LABELS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def _svg(width: int, height: int, label: str, kind: str, body: str) -> str:
    return (
        f'<svg class="chart {kind}" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}">{body}</svg>'
    )


def _text(x: float, y: float, text: str, kind: str = "tick", anchor: str = "middle") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _rect(x: float, y: float, width: float, height: float, kind: str) -> str:
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{max(0.0, width):.1f}" height="{height:.1f}"/>'


def bullet(graded: Mapping[str, Any]) -> str:
    """One figure on its steps: a band for each level, equally wide, and a pointer at the value."""
    width, top, thick = 480, 26, 14
    steps, value = [float(step) for step in graded["steps"]], float(graded["value"])
    band = width / (len(steps) + 1)
    bands = "".join(
        _rect(index * band + (1 if index else 0), top, band - (1 if index else 0), thick, f"band l{index}")
        for index in range(len(steps) + 1)
    )
    ticks = "".join(
        _text((index + 1) * band, top + thick + 15, with_unit(step, graded["unit"], graded["figure"]))
        for index, step in enumerate(steps)
    )
    x = min(width - 3.0, max(3.0, band * _position(value, steps)))
    pointer = f'<path class="pointer" d="M{x:.1f} {top + thick + 1}v{-thick - 3}l-5 -7h10l-5 7"/>'
    anchor = "start" if x < 40 else "end" if x > width - 40 else "middle"
    shown = with_unit(value, graded["unit"], graded["figure"])
    label = f"{graded['title']}: {shown}, level {graded['level']} ({LABELS[graded['level']]})"
    return _svg(width, 58, label, "bullet", bands + ticks + pointer + _text(x, 12, shown, "value", anchor))


def _position(value: float, steps: Sequence[float]) -> float:
    """Where a value lies when every band is one wide; above the last step it nears the end without reaching it."""
    low = 0.0
    for index, step in enumerate(steps):
        if value < step:
            return index + max(0.0, value - low) / (step - low)
        low = step
    return len(steps) + 1 - 1 / (1 + (value - low) / (low or 1.0))


def histogram(counts: Sequence[int], edges: Sequence[float], level: float) -> str:
    """How much of the surface has which anomaly, on a logarithmic axis, with the calibrated level marked."""
    width, height, left, bottom, top = 480, 220, 48, 36, 20
    total, floor = max(1, sum(counts)), -4.0
    room = height - bottom - top

    def y(share: float) -> float:
        return top + room * min(1.0, max(0.0, math.log10(share) / floor)) if share > 0 else top + room

    def x(value: float) -> float:
        return left + (width - left - 8) * value / edges[-1]

    grid = "".join(
        f'<line class="grid" x1="{left}" x2="{width - 8}" y1="{y(10.0**power):.1f}" y2="{y(10.0**power):.1f}"/>'
        + _text(left - 6, y(10.0**power) + 4, f"{100 * 10.0**power:g}%", anchor="end")
        for power in range(-4, 1)
    )
    bars = "".join(
        _rect(x(low) + 0.5, y(count / total), x(high) - x(low) - 1, top + room - y(count / total), kind)
        for count, low, high in zip(counts, edges[:-1], edges[1:], strict=True)
        if count
        for kind in ["bar odd" if (low + high) / 2 >= level else "bar"]
    )
    at = x(level)
    marker = f'<line class="level" x1="{at:.1f}" x2="{at:.1f}" y1="{top - 4}" y2="{top + room}"/>' + _text(
        at, top - 8, f"level {number(level)}", "value"
    )
    step = max(round_length(edges[-1] / 4), edges[-1] / 8)
    ticks = np.arange(0, edges[-1] * 1.001, step).tolist()
    axis = "".join(_text(x(value), height - bottom + 16, number(value)) for value in ticks)
    caption = _text((left + width) / 2, height - 4, "anomaly score", "axis")
    above = sum(count for count, low in zip(counts, edges, strict=False) if low >= level) / total
    label = f"Histogram of the anomaly map: {number(100 * above)}% of the surface lies above the level {number(level)}"
    return _svg(width, height, label, "histogram", grid + bars + marker + axis + caption)


def colour_bar(level: float) -> str:
    """The colours of the heat map: the level in the middle, three times the level at three quarters."""
    shares = np.linspace(0, 0.98, 9, dtype=np.float32)
    colours = heat_colours((level * shares / (1 - shares))[None, :], level)[0].tolist()
    stops = "".join(
        f'<stop offset="{index / 8:.3f}" stop-color="#{red:02x}{green:02x}{blue:02x}"/>'
        for index, (red, green, blue) in enumerate(colours)
    )
    gradient = f'<linearGradient id="heat">{stops}</linearGradient>'
    body = f'<defs>{gradient}</defs><rect x="8" y="2" width="224" height="10" rx="2" fill="url(#heat)"/>'
    ticks = "".join(_text(8 + 224 * share, 26, number(level * share / (1 - share))) for share in (0.0, 0.5, 0.75, 0.9))
    return _svg(240, 30, f"Colours of the anomaly score: {number(level)} is in the middle", "colours", body + ticks)


def score_bar(score: float) -> str:
    """A score 0 to 1 as a short bar."""
    share = min(1.0, max(0.0, score))
    body = _rect(0, 0, 80, 8, "track") + _rect(0, 0, 80 * share, 8, "bar")
    return _svg(80, 8, f"score {score:.2f}", "score", body)
