"""HTML that is safe by construction: every string is escaped unless it is marked as HTML already."""

from __future__ import annotations

from functools import lru_cache
from html import escape
from typing import Final

_TURNING: Final = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Characters that turn the direction of writing, and with it what a reader takes a name for."""
_CONTROL: Final = (*range(9), 11, 12, *range(14, 32), *range(127, 160))
_HARMLESS: Final = dict.fromkeys((*map(ord, _TURNING), *_CONTROL), "\ufffd")
_VOID: Final = frozenset({"br", "hr", "img", "input", "link", "meta"})


class Html(str):
    """Text that is HTML already; only this module and the sanitiser of READMEs make some."""

    __slots__ = ()


def shown(text: object) -> Html:
    """Foreign text as HTML: escaped, and without characters that steer what stands beside it."""
    return text if isinstance(text, Html) else _escaped(str(text))


@lru_cache(maxsize=16_384)
def _escaped(text: str) -> Html:
    return Html(escape(text.translate(_HARMLESS)))


def tag(element: str, *children: object, **attributes: str | bool | None) -> Html:
    """An element.

    Args:
        element: its name.
        children: texts, which are escaped, and HTML, which is not; ``None`` is left out.
        attributes: by name, where an underscore at the end is dropped (``class_``) and others become hyphens; ``True``
            is an attribute without a value, ``False`` and ``None`` none.
    """
    opening = f"<{element}{''.join(map(_attribute, attributes.items()))}>"
    return Html(opening if element in _VOID else f"{opening}{joined(*children)}</{element}>")


def joined(*children: object) -> Html:
    """Several pieces, one after the other."""
    return Html("".join([shown(child) for child in children if child is not None]))


def _attribute(pair: tuple[str, str | bool | None]) -> str:
    name, value = pair
    if value is None or value is False:
        return ""
    name = name.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{shown(str(value))}"'
