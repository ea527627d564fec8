"""The names of queues: ``<class>[.<n>]``, and ``env.<hash>`` for the nodes of one isolated environment.

A project's own queue names are checked by its schema when it is compiled; these functions are for what people and
hooks say elsewhere: ``tyqi worker --queues``, settings, ``queue_for``.
"""

from __future__ import annotations

import re

from tyqi_core.errors import UsageError

QUEUES = ("cpu.short", "cpu.long", "cpu.heavy", "gpu.short", "gpu.long", "io")
"""The queues that nodes lead to by their manifests alone."""

CLASSES = (*QUEUES, "gpu.heavy")
"""What a queue's name may begin with. No manifest leads to ``gpu.heavy``; a project may name it."""

PRIVATE = "env"

_NAME = re.compile(rf"(?P<class>{'|'.join(map(re.escape, CLASSES))})(\.[0-9]+)?|(?P<private>{PRIVATE})\.[0-9a-z]+")


def queue_class(name: str) -> str:
    """The class of a queue: ``cpu.long`` of ``cpu.long.2``, ``env`` of a private one.

    Raises:
        UsageError: it is no queue's name.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        raise UsageError(f"There is no queue '{name}'.", code="BAD_QUEUE", remedy=_remedy(name))
    return found["class"] or found["private"]


def check_queue(name: str) -> str:
    """``name``, if it is a queue's name.

    Raises:
        UsageError: it is not; with the nearest name.
    """
    queue_class(name)
    return name


def _remedy(name: str) -> str:
    from tyqi_core.protocol.validation import nearest_name  # noqa: PLC0415 - only on the way to an error

    near = nearest_name(name, CLASSES)
    guess = f"Did you mean '{near}'? " if near else ""
    return f"{guess}Queues are {', '.join(CLASSES)}, each also with a number (cpu.long.2), and {PRIVATE}.<hash>."
