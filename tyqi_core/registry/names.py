"""Names of distributions: whose they are, and which look like another one's."""

from __future__ import annotations

from collections.abc import Iterable

from tyqi_core.catalog.discovery import namespace_of
from tyqi_core.conformance.evidence import Finding

PREFIX = "tyqi-node-"


def name_findings(name: str, published: Iterable[str], *, similar_name: bool = False) -> list[Finding]:
    """What speaks against publishing a distribution under this name (M04); one that is published keeps its name.

    Args:
        name: normalised.
        published: the normalised names that are taken.
        similar_name: do not mind names that are one edit away.
    """
    taken = set(published)
    if name in taken:
        return []
    found = []
    for other in sorted(taken):
        if namespace_of(other) == namespace_of(name):
            message = f"ids that begin with '{namespace_of(name)}.' belong to {other}."
            found.append(Finding(message, remedy="Choose another name for the distribution."))
        elif not similar_name and one_edit_apart(_own(name), _own(other)):
            message = f"'{name}' is one letter away from {other}, which is published."
            remedy = "Choose a name that nobody mistakes for the other, or ask the registry's operator."
            found.append(Finding(message, remedy=remedy))
    return found


def one_edit_apart(one: str, other: str) -> bool:
    """Whether one letter added, left out, changed or swapped with its neighbour makes one word of the other.

    A digit for another digit does not count: ``stage1`` and ``stage2`` are a series.
    """
    if len(one) > len(other):
        one, other = other, one
    if one == other or len(other) - len(one) > 1:
        return False
    start = next((at for at, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), len(one))
    if len(one) < len(other):
        return one[start:] == other[start + 1 :]
    if one[start + 1 :] == other[start + 1 :]:
        return not (one[start].isdigit() and other[start].isdigit())
    swapped = one[start + 1 : start + 2] + one[start] + one[start + 2 :]
    return swapped == other[start:]


def _own(name: str) -> str:
    """The part of a name that its author chose."""
    return name.removeprefix(PREFIX)
