"""Small JSON values as lines that people read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MAX_LETTERS = 160


def readable(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and text of every value inside: ``{"a": {"b": 1}}`` is ``a b`` and ``1``.

    A number with a unit, as measurements have it, is one line; so is a list of plain values.
    """
    return [line for name, value in values.items() for line in _lines(name, value)]


def _lines(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and {"value", "unit"} <= value.keys():
        yield name, f"{_plain(value['value'])} {value['unit']}".strip()
    elif isinstance(value, Mapping):
        for inner, element in value.items():
            yield from _lines(f"{name} {inner}", element)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        flat = all(not isinstance(element, Mapping | list) for element in value)
        yield name, _cut(", ".join(map(_plain, value)) or "none") if flat else f"{len(value)} entries"
    else:
        yield name, _cut(_plain(value))


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return "none" if value is None else str(value)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_LETTERS else text[: MAX_LETTERS - 1] + "…"
