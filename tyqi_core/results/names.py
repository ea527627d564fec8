"""Names that come from outside, made fit for a file system and for people's eyes.

A picture's name is foreign text: it may hold ``../``, a line break, an override of the writing direction, or four
thousand letters. Folders therefore get a *generated* name, and the original is kept as *escaped text*.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from itertools import chain, count

MAX_SLUG = 48
MAX_SHOWN_BYTES = 255

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_UNFIT = re.compile(r"[^A-Za-z0-9_]+")
_DEVICES = frozenset({"con", "prn", "aux", "nul"} | {f"{kind}{n}" for kind in ("com", "lpt") for n in range(10)})
"""Names that Windows keeps for devices, with any suffix."""


def safe_name(original: str) -> str:
    """A name for the files of one input: ASCII letters, digits, ``-`` and ``_`` only, the same on every call.

    A plain name stays as it is, without its suffix (``wall_03.png`` -> ``wall_03``). Any other one becomes what can be
    kept of it and a digest of the whole, so that two different originals do not meet.
    """
    stem = _stem(original)
    if _PLAIN.fullmatch(stem) and len(stem) <= MAX_SLUG and stem.lower() not in _DEVICES:
        return stem
    return _digested(original)


def is_safe(name: str) -> bool:
    """Whether a name is of the kind that :func:`safe_name` makes, and so names nothing outside its folder."""
    return _PLAIN.fullmatch(name) is not None


def safe_names(originals: Iterable[str]) -> list[str]:
    """One name for each original, in order, all different, also where the file system ignores case.

    ``a.png`` and ``a.jpg`` both would be ``a``: each gets a digest. An original that comes twice gets a number too.
    """
    listed = list(originals)
    simple = [safe_name(original) for original in listed]
    shared = Counter(name.lower() for name in simple)
    taken = {name.lower() for name in simple if shared[name.lower()] == 1}
    names = []
    for original, name in zip(listed, simple, strict=True):
        chosen = name if shared[name.lower()] == 1 else _free(_digested(original), taken)
        taken.add(chosen.lower())
        names.append(chosen)
    return names


def shown_name(original: str) -> str:
    r"""The original for people: what cannot be seen or would turn the text around is written as ``\u202e``.

    At most 255 bytes of UTF-8; a longer one ends in ``…``. It still has to be escaped for HTML.
    """
    return _cut("".join(_visible(character) for character in original), MAX_SHOWN_BYTES) or "(no name)"


def _free(name: str, taken: set[str]) -> str:
    numbered = (f"{name}-{number}" for number in count(2))
    return next(candidate for candidate in chain([name], numbered) if candidate.lower() not in taken)


def _stem(original: str) -> str:
    stem, dot, suffix = original.rpartition(".")
    return stem if dot and stem and suffix.isalnum() else original


def _digested(original: str) -> str:
    slug = _UNFIT.sub("-", _stem(original)).strip("-_")[:MAX_SLUG].rstrip("-_") or "item"
    digest = hashlib.sha256(original.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{slug}-{digest}"


def _visible(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()


def _cut(text: str, limit: int) -> str:
    data = text.encode()
    if len(data) <= limit:
        return text
    ellipsis = "…"
    return data[: limit - len(ellipsis.encode())].decode(errors="ignore") + ellipsis
