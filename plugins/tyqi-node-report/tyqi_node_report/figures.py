"""Figures and names as people read them."""

from __future__ import annotations

UNITS = {"1": "", "px2": "px²", "mm2": "mm²", "m2": "m²", "deg": "°"}
"""Units as machines write them -> as people read them; others stand as they are."""


def number(value: float) -> str:
    """A figure with three significant digits, whole above 100, no exponent in the usual range."""
    if value != 0 and not 1e-4 <= abs(value) < 1e7:
        return f"{value:.2e}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def with_unit(value: float, unit: str, name: str = "") -> str:
    """A figure and its unit, with a no-break space; a dimensionless ``..._fraction`` is told in per cent."""
    if unit in ("1", "") and name.endswith("_fraction"):
        value, unit = 100 * value, "%"
    shown = UNITS.get(unit, unit)
    return number(value) + (shown if shown in ("", "°", "%") else f"\u00a0{shown}")


def words(name: str) -> str:
    """A machine's name as words: ``max_width`` -> ``Max width``."""
    spaced = name.replace("_", " ").strip()
    return spaced[:1].upper() + spaced[1:]
