"""What the scripts of the Redis store are given: our words as the flat lists that they read."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tyqi_core.errors import InternalError, UsageError
from tyqi_core.protocol.message import Event, event_line
from tyqi_core.scheduler import Change, Ready
from tyqi_core.stores.base import Count, Inner, Wanted
from tyqi_core.stores.redis_scripts import Argument
from tyqi_core.stores.redis_values import fields_of

INSTANCE = re.compile(r"[A-Za-z0-9_/\[\]]{1,2000}")
_ITEM = re.compile(r"(.*)\[(\d{1,9})\]/([^/]+)")
_WORKER = re.compile(r"[A-Za-z0-9._@:-]{0,200}")
_GROUP = re.compile(r"[A-Za-z0-9._@:-]{1,200}")


def milliseconds(seconds: float) -> int:
    """As the scripts count time."""
    return round(seconds * 1000)


def nonce() -> str:
    """What tells a call that is repeated from another call."""
    return os.urandom(8).hex()


def compact(value: Any) -> str:
    """A value as JSON without spaces."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def event(kind: str, subject: str, data: Mapping[str, Any] | None) -> str:
    """An event's line from behind its time on; the script puts the time before it."""
    if data is None:
        return f',"{kind}","{subject}"]'
    return event_line(Event(0, kind, subject, data))[2:]


def ready_entries(ready: Sequence[Ready]) -> Iterator[Argument]:
    """Tasks that become ready."""
    yield len(ready)
    for entry in ready:
        if not INSTANCE.fullmatch(entry.path.replace("[*]", "")):
            raise InternalError(f"{entry.path[:100]!r} is no path of a task")
        yield from (entry.path, "" if entry.items is None else entry.items)


def changes(given: Sequence[Change]) -> Iterator[Argument]:
    """Changes of counters."""
    yield len(given)
    for change in given:
        yield from change


def groups(given: Mapping[str, str]) -> Iterator[Argument]:
    """The groups that tasks belong to."""
    yield len(given)
    for path, group in given.items():
        if not _GROUP.fullmatch(group):
            raise InternalError(f"{group[:100]!r} is no name of a group")
        yield path
        yield group


def sample(node: str, counts: Sequence[Count]) -> Iterator[Argument]:
    """What is added to a node's history."""
    yield node
    yield len(counts)
    for count in counts:
        yield from count


def inner(worker: str, given: Sequence[Inner]) -> Iterator[Argument]:
    """Tasks that are settled with another, and who executed them."""
    yield worker
    yield len(given)
    for one in given:
        yield one.instance
        yield event(one.kind, one.instance, one.data)


def claim(worker: str, instance: str, wanted: Sequence[Wanted], lease_s: float, mark: str) -> Iterator[Argument]:
    """A claim; ``mark`` is its nonce.

    Raises:
        UsageError: the worker's name has letters that no name has.
    """
    if not _WORKER.fullmatch(worker):
        raise UsageError(f"{worker[:100]!r} is no name of a worker", code="BAD_WORKER")
    match = _ITEM.fullmatch(instance) if "]" in instance else None
    yield instance
    yield f"{match[1]}[*]/{match[3]}" if match else ""
    yield match[2] if match else ""
    yield worker
    yield milliseconds(lease_s)
    yield mark
    yield len(wanted)
    for place, required in wanted:
        fields = fields_of(place)
        yield int(required)
        yield place.instance
        yield len(fields)
        yield from fields
