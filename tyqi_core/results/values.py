"""Small JSON values as lines that people read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MAX_LETTERS = 160
_TELLING = frozenset({"severity", "verdict", "label", "level", "grade", "score"})
"""Words of names under which nodes give their verdict."""


def readable(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and text of every value inside: ``{"a": {"b": 1}}`` is ``a b`` and ``1``.

    A number with a unit, as measurements have it, is one line; so is a list of plain values. A verdict comes first,
    what says little comes last. The name of the only value is left out where its parts have names of their own.
    """
    only = next(iter(values.values())) if len(values) == 1 else None
    named = only if isinstance(only, Mapping) and "unit" not in only else values
    return sorted((line for name, value in named.items() for line in _lines(name, value)), key=_rank)


def _rank(line: tuple[str, str]) -> int:
    name, text = line
    if text == "none" or text.endswith(" entries"):
        return 2
    return 0 if _TELLING.intersection(name.split()) else 1


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
