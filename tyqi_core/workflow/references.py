"""How data is named in a project: ``$input.image``, ``$item.tile``, ``$param.limit``, ``$error``, ``T1.mask``,
``T1.branch.measurements``, ``T4.each.scores``.
"""  # noqa: D205 - the forms are the summary

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from tyqi_core.protocol.validation import nearest_name

Kind = Literal["input", "item", "param", "error", "slot"]

TASK_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
RESERVED = frozenset({"and", "or", "not", "in", "true", "false", "null", "has", "size"})
"""Words of the expression language; no task bears one of these names."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_ROOTS = ("$input", "$item", "$param", "$error")
_VIEWS = ("branch", "each")


@dataclass(frozen=True, slots=True)
class Reference:
    """A parsed reference.

    ``name`` is the run input, the alias, the parameter or the slot (``mask``, ``branch.mask``, ``each.scores``);
    ``task`` is the task that holds a slot.
    """

    kind: Kind
    name: str = ""
    task: str = ""

    @property
    def view(self) -> str:
        """``branch`` or ``each`` for what a task hands outward, else empty."""
        return self.name.split(".", 1)[0] if "." in self.name else ""

    @property
    def port(self) -> str:
        """The last part of the name."""
        return self.name.rsplit(".", 1)[-1]

    def __str__(self) -> str:
        if self.kind == "slot":
            return f"{self.task}.{self.name}"
        return "$error" if self.kind == "error" else f"${self.kind}.{self.name}"


@lru_cache(maxsize=65536)
def parse_reference(text: str) -> Reference | str:
    """The reference that ``text`` is, or what is wrong with it."""
    parts = text.split(".")
    length, fault = reference_length(parts)
    if fault:
        return fault
    if length < len(parts):
        return f"'{text[:100]}' goes on after '{'.'.join(parts[:length])[:100]}'; fields are read in expressions only."
    if parts[0].startswith("$"):
        if parts[1:] and not _NAME.fullmatch(parts[1]):
            return f"'{parts[1][:100]}' is no name."
        return Reference(parts[0][1:], *parts[1:])  # type: ignore[arg-type]
    if not TASK_NAME.fullmatch(parts[0]) or not all(_NAME.fullmatch(part) for part in parts[1:]):
        return f"'{text[:100]}' is no reference such as T1.mask."
    return Reference("slot", ".".join(parts[1:]), parts[0])


def reference_length(parts: Sequence[str]) -> tuple[int, str]:
    """How many of the dotted ``parts`` name the data (the others are fields of it), and what is wrong or nothing."""
    root = parts[0]
    if root == "$error":
        return 1, ""
    if root.startswith("$"):
        if root not in _ROOTS:
            near = nearest_name(root, _ROOTS)
            return 0, f"there is no '{root[:60]}'; there are {', '.join(_ROOTS)}." + (
                f" Did you mean '{near}'?" if near else ""
            )
        return 2, "" if len(parts) > 1 else f"write {root}.NAME."
    if len(parts) > 1 and parts[1] in _VIEWS:
        return 3, "" if len(parts) > 2 else f"write {root[:60]}.{parts[1]}.NAME."  # noqa: PLR2004 - task, view, name
    return 2, "" if len(parts) > 1 else f"'{root[:60]}' is no reference: write TASK.PORT, $input.NAME, ..."
