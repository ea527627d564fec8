"""TP messages: what happened in a run, compact inside, CloudEvents 1.0 outside.

Inside the framework an event is a small tuple, and one short line in ``events.jsonl``. On its way out it becomes a
CloudEvents 1.0 event in structured mode, as ``schemas/tp-message.schema.json`` describes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import quote

from tyqi_core.errors import InputError

TP_VERSION = "1"
MESSAGE_SCHEMA = "https://tyq-i.example/schemas/tp-message.schema.json"
KINDS = (
    "run.accepted",
    "task.ready",
    "task.started",
    "task.completed",
    "task.failed",
    "task.skipped",
    "task.retried",
    "task.quarantined",
    "run.completed",
    "run.failed",
    "run.cancelled",
    "run.resumed",
)
"""The closed list of message types, without their prefix ``tyqi.``."""

_EPOCH_SECOND = 1_000_000_000
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class Event(NamedTuple):
    """Something that happened in a run.

    Attributes:
        time_ns: nanoseconds since 1970-01-01 UTC.
        kind: one of :data:`KINDS`.
        subject: the task instance (``T1/T2a``); empty for the run itself.
        data: what else there is to say, a JSON object.
    """

    time_ns: int
    kind: str
    subject: str
    data: Mapping[str, Any] | None = None


def to_cloudevent(run_id: str, project: str, sequence: int, event: Event) -> dict[str, Any]:
    """The event as a CloudEvents 1.0 event in structured mode, ready for ``json.dumps``.

    The id is made of run and sequence number, so that the same event has the same id whenever it is rendered.

    Args:
        run_id: the run that the event belongs to.
        project: the project's name.
        sequence: the event's number within the run, from 0.
        event: the event.
    """
    message = {
        "specversion": "1.0",
        "id": f"{run_id}-{sequence}",
        "source": f"/tyqi/{quote(project, safe='')}/{quote(run_id, safe='')}",
        "type": f"tyqi.{event.kind}",
        "time": _rfc3339(event.time_ns),
        "tpversion": TP_VERSION,
        "sequence": f"{sequence:012d}",
    }
    if event.subject:  # CloudEvents knows no empty subject
        message["subject"] = event.subject
    return message | {
        "datacontenttype": "application/json",
        "dataschema": f"{MESSAGE_SCHEMA}#/definitions/data",
        "data": dict(event.data or {}),
    }


def event_line(event: Event) -> str:
    """The event as one line of ASCII JSON, without the line's end: ``[time_ns, kind, subject, data]``.

    Raises:
        ValueError: the data holds NaN or an infinity.
        TypeError: the data is no JSON.
    """
    parts = list(event) if event.data else list(event[:3])
    return _encode(parts)


def parse_event_line(line: str) -> Event:
    """The event that :func:`event_line` wrote.

    Raises:
        InputError: the line is damaged (``BAD_EVENT``).
    """
    try:
        parts = json.loads(line)
        event = Event(*parts)
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"a line of events is damaged: {error}", code="BAD_EVENT") from error
    data_fits = event.data is None or isinstance(event.data, dict)
    if type(parts) is not list or type(event.time_ns) is not int or event.kind not in KINDS or not data_fits:
        raise InputError("a line of events holds no event", code="BAD_EVENT")
    if not isinstance(event.subject, str):
        raise InputError("a line of events names no subject", code="BAD_EVENT")
    return event


def _rfc3339(time_ns: int) -> str:
    """UTC with microseconds; the nanoseconds below are cut off."""
    seconds, rest = divmod(time_ns, _EPOCH_SECOND)
    return f"{datetime.fromtimestamp(seconds, tz=UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1000:06d}Z"
