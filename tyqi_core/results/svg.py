"""The small shapes that drawings are made of, and text that never leaves its box.

Text is set in a fixed-width face, so its width is known without measuring: one letter is at most 0.62 of the
letter height wide in all faces named here, and an East Asian or emoji character two letters.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from html import escape
from itertools import pairwise

Point = tuple[float, float]

FACES = "ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', monospace"
LETTER = 0.62
_TURN = 8.0
"""Radius of the bend of a right-angled line."""
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that change the direction of writing for what follows them."""


def cells(text: str) -> int:
    """The width of a text, in letters."""
    return sum(2 if unicodedata.east_asian_width(character) in "WFA" else 1 for character in text)


def fitted(text: str, limit: int) -> str:
    """The text, cut to ``limit`` letters, with an ellipsis where something is missing."""
    if cells(text) <= limit:
        return text
    kept, used = "", 0
    for character in text:
        used += cells(character)
        if used > limit - 2:
            break
        kept += character
    return kept + "…"


def attribute(value: str) -> str:
    """Foreign text for an attribute or an element's text, without what XML forbids or what turns text around."""
    return escape("".join(map(_harmless, value)))


def _harmless(character: str) -> str:
    if character.isprintable():
        return character
    if character.isspace():
        return character if unicodedata.category(character) == "Zs" else " "
    return character if unicodedata.category(character) == "Cf" and character not in _TURNING else "�"


def text(content: str, at: Point, style: str, anchor: str = "start") -> str:
    """A line of text; ``at`` is the left, middle or right end of its base line."""
    return f'<text class="{style}" x="{at[0]:g}" y="{at[1]:g}" text-anchor="{anchor}">{attribute(content)}</text>'


def rectangle(at: Point, size: tuple[float, float], style: str, radius: float = 8) -> str:
    """A rectangle with round corners."""
    return (
        f'<rect class="{style}" x="{at[0]:g}" y="{at[1]:g}" width="{size[0]:g}" height="{size[1]:g}" rx="{radius:g}"/>'
    )


def hexagon(size: tuple[float, float], style: str, tip: float) -> str:
    """A box whose sides end in points: the sign for a decision."""
    width, height = size
    points = [(tip, 0), (width - tip, 0), (width, height / 2), (width - tip, height), (tip, height), (0, height / 2)]
    return f'<polygon class="{style}" points="{" ".join(f"{x:g},{y:g}" for x, y in points)}"/>'


def curve(points: Sequence[Point], style: str) -> str:
    """A line through points: straight where it only goes down, else bent so that it leaves and arrives upright."""
    steps = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for (x0, y0), (x1, y1) in pairwise(points):
        middle = (y0 + y1) / 2
        bend = f"C{x0:.1f} {middle:.1f} {x1:.1f} {middle:.1f} {x1:.1f} {y1:.1f}"
        steps.append(f"L{x1:.1f} {y1:.1f}" if abs(x1 - x0) < 1 else bend)
    return f'<path class="{style}" d="{"".join(steps)}"/>'


def elbow(start: Point, end: Point, bend_y: float, style: str) -> str:
    """A line that goes down, across at ``bend_y``, and down again, with round corners."""
    (x0, y0), (x1, y1) = start, end
    if abs(x1 - x0) < 1:
        return f'<path class="{style}" d="M{x0:.1f} {y0:.1f}V{y1:.1f}"/>'
    way = 1 if x1 > x0 else -1
    turn = min(_TURN, abs(x1 - x0) / 2, bend_y - y0, y1 - bend_y)
    return (
        f'<path class="{style}" d="M{x0:.1f} {y0:.1f}V{bend_y - turn:.1f}Q{x0:.1f} {bend_y:.1f} '
        f"{x0 + way * turn:.1f} {bend_y:.1f}H{x1 - way * turn:.1f}Q{x1:.1f} {bend_y:.1f} "
        f'{x1:.1f} {bend_y + turn:.1f}V{y1:.1f}"/>'
    )


def tip(at: Point, style: str) -> str:
    """The head of an arrow that points down to ``at``."""
    x, y = at
    return f'<path class="{style}" d="M{x:.1f} {y:.1f}l-4.5 -8h9z"/>'


def shifted(content: str, by: Point) -> str:
    """A group, moved."""
    return f'<g transform="translate({by[0]:.1f} {by[1]:.1f})">{content}</g>'
