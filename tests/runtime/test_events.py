"""The story of a run: which events, in which order, and what they are to the world outside."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from trial_runs import NUMBER, completed, story

from tyqi_core.protocol.message import event_line, parse_event_line, to_cloudevent

MIXED = f"""
inputs: {{n: {NUMBER}}}
tasks:
  T1: {{node: trial.decide, inputs: {{x: $input.n}}, condition: true, branches: {{a: A, b: B, none: null}}}}
  A: {{node: trial.misbehave, subchain: true, inputs: {{x: T1.value}}, params: {{how: raises}}, retries: 1, on_error: {{branch: E}}}}
  E: {{node: trial.add, subchain: true, inputs: {{x: {{value: 0}}}}}}
  A2: {{node: trial.pair, predecessor: [A], inputs: {{a: A.value}}}}
  B: {{node: trial.misbehave, subchain: true, params: {{how: raises}}, on_error: skip}}
  B2: {{node: trial.pair, inputs: {{a: B.value}}}}
  I: {{node: trial.items, predecessor: [T1], inputs: {{n: $input.n}}, foreach: {{over: items, body: C, collect: {{all: C.sum}}}}}}
  C: {{node: trial.add, subchain: true, inputs: {{x: $item.item}}}}
  J: {{node: trial.pair, predecessor: [I], inputs: {{a: T1.branch.both, b: I.each.all}}}}
outputs: {{both: J.both}}
"""


def test_a_run_tells_everything_in_order(run):
    result = run(MIXED, {"n": 1})
    completed(result)
    assert story(result.events) == [
        ("run.accepted", ""),
        ("task.ready", "T1"),
        ("task.started", "T1"),
        ("task.completed", "T1"),
        ("task.ready", "T1/A"),
        ("task.started", "T1/A"),
        ("task.retried", "T1/A"),
        ("task.started", "T1/A"),
        ("task.failed", "T1/A"),
        ("task.ready", "T1/A/E"),
        ("task.started", "T1/A/E"),
        ("task.completed", "T1/A/E"),
        ("task.ready", "T1/A2"),
        ("task.started", "T1/A2"),
        ("task.completed", "T1/A2"),
        ("task.ready", "I"),
        ("task.started", "I"),
        ("task.completed", "I"),
        ("task.ready", "I[*]/C"),
        ("task.started", "I[0]/C"),
        ("task.completed", "I[0]/C"),
        ("task.ready", "J"),
        ("task.started", "J"),
        ("task.completed", "J"),
        ("run.completed", ""),
    ]


def test_a_skipped_task_is_not_told_to_have_started(run):
    result = run(
        MIXED.replace("B2: {node: trial.pair, inputs: {a", "B2: {node: trial.add, inputs: {x").replace(
            "T1.branch.both", "T1.value"
        ),
        {"n": 2},
    )
    completed(result)
    mine = [(event.kind, event.subject) for event in result.events if event.subject == "T1/B2"]
    assert mine == [("task.ready", "T1/B2"), ("task.skipped", "T1/B2")]


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_equal_inputs_give_equal_stories(run, n):
    first, second = run(MIXED, {"n": n}), run(MIXED, {"n": n})
    assert first.outputs == second.outputs
    assert sorted(story(first.events)) == sorted(story(second.events))


def test_times_never_run_backwards(run):
    times = [event.time_ns for event in run(MIXED, {"n": 9}).events]
    assert times == sorted(times)


def test_the_first_event_holds_the_digests_of_plan_and_inputs(run):
    one, same, other = (run(MIXED, {"n": n}).events[0].data for n in (1, 1, 2))
    assert one == same
    assert one["plan"] == other["plan"]
    assert one["inputs"].keys() == {"n"}
    assert one["inputs"] != other["inputs"]


def test_the_last_event_of_a_failed_run_holds_the_error(run):
    result = run("tasks:\n  T1: {node: trial.misbehave, params: {how: raises}}\noutputs: {out: T1.value}")
    assert result.events[-1].kind == "run.failed"
    assert result.events[-1].data == {"error": result.error}


def every_kind(run, tmp_path) -> list[tuple[str, list]]:
    results = [run(MIXED, {"n": n}) for n in range(3)]
    results.append(run("tasks:\n  T1: {node: trial.misbehave, params: {how: raises}}\noutputs: {out: T1.value}"))
    return [(result.id, list(result.events)) for result in results]


def test_every_event_is_a_valid_cloudevent(run, tmp_path):
    """Read back by the CloudEvents project's own library, and by our schema for messages."""
    import jsonschema

    from tyqi_core.resources import data_folder

    schema = json.loads((data_folder("schemas") / "tp-message.schema.json").read_text(encoding="utf-8"))
    validator = jsonschema.Draft7Validator(schema)
    kinds = set()
    for run_id, events in every_kind(run, tmp_path):
        for number, event in enumerate(events):
            message: Mapping[str, Any] = to_cloudevent(run_id, "trial", number, event)
            text = json.dumps(message, allow_nan=False)
            validator.validate(json.loads(text))
            read = JSONFormat().read(CloudEvent, text)
            assert read.get_type() == f"tyqi.{event.kind}"
            assert read.get_subject() == (event.subject or None)
            kinds.add(event.kind)
    assert kinds >= {"run.accepted", "run.completed", "run.failed"}
    assert kinds >= {f"task.{end}" for end in ("ready", "started", "completed", "failed", "skipped", "retried")}


def test_ids_of_events_are_unique_within_and_across_runs(run, tmp_path):
    told = every_kind(run, tmp_path)
    ids = [
        to_cloudevent(run_id, "trial", number, event)["id"]
        for run_id, events in told
        for number, event in enumerate(events)
    ]
    assert len(set(ids)) == len(ids)


def test_every_event_survives_being_written_as_a_line(run, tmp_path):
    for _, events in every_kind(run, tmp_path):
        for event in events:
            line = event_line(event)
            assert "\n" not in line
            back = parse_event_line(line)
            assert (back.time_ns, back.kind, back.subject, dict(back.data or {})) == (
                *event[:3],
                dict(event.data or {}),
            )
