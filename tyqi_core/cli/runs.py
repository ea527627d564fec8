"""``tyqi runs``."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import click

from tyqi_core.cli.output import answer_json, as_json
from tyqi_core.errors import UsageError
from tyqi_core.settings import Settings


@click.command(epilog="Example:  tyqi runs 3f2a --events")
@click.argument("run", required=False)
@click.option("--events", is_flag=True, help="Print the run's events as CloudEvents, one JSON object a line.")
@as_json
def runs(run: str | None, *, events: bool, json_wanted: bool) -> None:
    """List the recorded runs, newest first, or tell the story of one: what ran, in which order, how long.

    RUN is a run's id or an unambiguous beginning of it.
    """
    if run is None and events:
        raise UsageError("--events needs a RUN.", remedy="Example: tyqi runs 3f2a --events")
    settings = Settings.load()
    if run is None:
        _list(settings, json_wanted=json_wanted)
    else:
        _story(settings, run, events=events, json_wanted=json_wanted)


def _list(settings: Settings, *, json_wanted: bool) -> None:
    from tyqi_core.runtime.record import read_headers

    headers = read_headers(settings.state)
    if json_wanted:
        answer_json({"runs": [{key: header.get(key) for key in _SHOWN} for header in headers]})
        return
    for header in headers:
        click.echo(f"{header['id']}  {_time(header['created_ns'])}  {header['status']:<10} {header['project']}")
    if not headers:
        click.echo(f"No runs in {settings.state}.")


_SHOWN = ("id", "project", "status", "created_ns", "branches", "error")


def _story(settings: Settings, run: str, *, events: bool, json_wanted: bool) -> None:
    from tyqi_core.protocol.message import to_cloudevent
    from tyqi_core.runtime.record import read_record
    from tyqi_core.runtime.story import story_of

    record = read_record(settings.state, run)
    happened = record.events()
    if events:
        project = record.header["project"]
        rendered = [to_cloudevent(record.id, project, number, event) for number, event in enumerate(happened)]
        if json_wanted:
            answer_json({"id": record.id, "events": rendered})
            return
        for event in rendered:
            click.echo(json.dumps(event))
        return
    story = story_of(happened)
    if json_wanted:
        tasks: dict[str, Any] = {instance: step.to_json() for instance, step in story.items()}
        answer_json({**{key: record.header.get(key) for key in _SHOWN}, "tasks": tasks})
        return
    click.echo(f"{record.id}  {record.header['project']}  {record.header['status']}")
    for instance, step in story.items():
        click.echo(f"  {step.status:<10} {step.duration_ms:9.1f} ms  {instance}{step.remark()}")


def _time(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds / 1e9, tz=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
