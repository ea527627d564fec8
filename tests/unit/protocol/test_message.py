"""TP messages: valid CloudEvents for everybody else, short lines for us."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from tyqi_core.errors import InputError
from tyqi_core.protocol.message import KINDS, Event, event_line, parse_event_line, to_cloudevent
from tyqi_core.protocol.validation import compiled, outside_subset
from tyqi_core.resources import data_folder

SCHEMA = json.loads((data_folder("schemas") / "tp-message.schema.json").read_text(encoding="utf-8"))
NOON = 1_700_000_000_123_456_789

DATA = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "outcome": st.text(max_size=5),
        "count": st.integers(0, 9),
        "try": st.integers(1, 9),
        "delay_s": st.floats(0, 9),
        "error": st.fixed_dictionaries({"code": st.just("NODE_ERROR"), "message": st.text(max_size=9)}),
        "other": st.lists(st.integers(0, 3), max_size=2),
    },
)
EVENTS = st.builds(
    Event, st.integers(0, 2**62), st.sampled_from(KINDS), st.sampled_from(["", "T1", "T4[3]/T5/T5a"]), DATA
)


@given(EVENTS, st.integers(0, 10**9), st.sampled_from(["facade", "Fassade Süd", "a/b?c#d", "x" * 80]))
def test_every_message_is_a_cloudevent_to_the_reference_library(event: Event, number: int, project: str) -> None:
    message = to_cloudevent("0192-run", project, number, event)
    parsed = JSONFormat().read(CloudEvent, json.dumps(message).encode())
    assert parsed.get_type() == f"tyqi.{event.kind}"
    assert parsed.get_id() == f"0192-run-{number}"
    assert parsed.get_subject() == (event.subject or None)
    assert parsed.get_extension("tpversion") == "1"
    assert parsed.get_data() == (event.data or {})
    assert compiled(SCHEMA).problems(message) == []


def test_the_same_event_is_the_same_message_whenever_it_is_rendered() -> None:
    event = Event(NOON, "task.completed", "T1/T2a", {"outcome": "wide"})
    message = to_cloudevent("r1", "Fassade Süd", 7, event)
    assert message == to_cloudevent("r1", "Fassade Süd", 7, event)
    assert message == {
        "specversion": "1.0",
        "id": "r1-7",
        "source": "/tyqi/Fassade%20S%C3%BCd/r1",
        "type": "tyqi.task.completed",
        "time": "2023-11-14T22:13:20.123456Z",
        "tpversion": "1",
        "sequence": "000000000007",
        "subject": "T1/T2a",
        "datacontenttype": "application/json",
        "dataschema": "https://tyq-i.example/schemas/tp-message.schema.json#/definitions/data",
        "data": {"outcome": "wide"},
    }


def test_the_time_of_a_message_is_the_time_of_the_event() -> None:
    message = to_cloudevent("r", "p", 0, Event(NOON, "run.accepted", ""))
    parsed = datetime.fromisoformat(message["time"])
    assert parsed == datetime.fromtimestamp(1_700_000_000, tz=UTC).replace(microsecond=123_456)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"type": "tyqi.task.complete"}, "Did you mean 'tyqi.task.completed'?"),
        ({"specversion": "0.3"}, "$.specversion"),
        ({"subject": ""}, "$.subject"),
        ({"time": "yesterday"}, "$.time"),
        ({"data": {"error": {"code": "X"}}}, "$.data.error: the key 'message' is missing"),
        ({"datta": {}}, "Did you mean 'data'?"),
    ],
)
def test_a_message_that_is_none_is_told_what_is_wrong(change: dict[str, Any], expected: str) -> None:
    message = to_cloudevent("r", "p", 0, Event(NOON, "task.ready", "T1")) | change
    if "datta" in change:
        del message["data"]
    assert expected in " ".join(map(str, compiled(SCHEMA).problems(message)))


def test_the_schema_lists_exactly_the_kinds_and_keeps_to_the_subset() -> None:
    assert {f"tyqi.{kind}" for kind in KINDS} == set(SCHEMA["properties"]["type"]["enum"])
    assert outside_subset(SCHEMA) == []


@given(EVENTS)
def test_an_event_comes_back_from_its_line(event: Event) -> None:
    line = event_line(event)
    assert line.isascii()
    assert line.splitlines() == [line]
    back = parse_event_line(line)
    assert back == event._replace(data=event.data or None)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "3",
        "[]",
        "[1]",
        '[1, "task.ready"]',
        '["1", "task.ready", "T1"]',
        '[1, "task.done", "T1"]',
        '[1, "task.ready", null]',
        '[1, "task.ready", "T1", []]',
        '[1, "task.ready", "T1", {}, 4]',
        '{"time_ns": 1}',
        "[" * 100_000,
    ],
)
def test_a_damaged_line_is_refused(line: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_event_line(line)
    assert caught.value.code == "BAD_EVENT"


def test_a_line_never_holds_what_is_no_json() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        event_line(Event(1, "task.ready", "", {"a": float("nan")}))
