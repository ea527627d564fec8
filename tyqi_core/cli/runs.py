"""``tyqi runs``."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from tyqi_core.cli.output import answer_json, as_json, say, time_of
from tyqi_core.errors import UsageError
from tyqi_core.settings import Settings

if TYPE_CHECKING:
    from tyqi_core.cli.views import RunView
    from tyqi_core.protocol.message import Event
    from tyqi_core.runtime.story import Step

_LOOK_S = 0.2


@click.command(epilog="Examples:  tyqi runs 3f2a --events;  tyqi runs 3f2a --follow")
@click.argument("run", required=False)
@click.option("--events", is_flag=True, help="Print the run's events as CloudEvents, one JSON object a line.")
@click.option("--follow", is_flag=True, help="Tell what happens in the run as it happens, until its end.")
@as_json
def runs(run: str | None, *, events: bool, follow: bool, json_wanted: bool) -> None:
    """List runs, newest first, or tell the story of one: what ran, in which order, how long.

    Runs of 'tyqi run' are recorded here; those on workers are listed too while their store is up. Of these the story
    also tells which worker executed a task, how long the task waited for one, and how many were lost with it. RUN is a
    run's id or an unambiguous beginning of it.
    """
    if run is None and (events or follow):
        option = "--events" if events else "--follow"
        raise UsageError(f"{option} needs a RUN.", remedy="Example: tyqi runs 3f2a --follow")
    settings = Settings.load()
    if run is None:
        _list(settings, json_wanted=json_wanted)
        return
    from tyqi_core.cli.views import opened_run

    with opened_run(settings, run) as view:
        if events:
            _events(view, follow=follow, json_wanted=json_wanted)
            return
        if follow:
            _follow(view, quiet=json_wanted)
        _story(view, json_wanted=json_wanted)


def _list(settings: Settings, *, json_wanted: bool) -> None:
    from tyqi_core.cli.views import listed

    rows = listed(settings)
    if json_wanted:
        answer_json({"runs": rows})
        return
    for row in rows:
        click.echo(f"{row['id']}  {time_of(row['created_ns'])}  {row['status']:<10} {row['where']:<8} {row['project']}")
    if not rows:
        click.echo(f"No runs in {settings.state}.")


def _events(view: RunView, *, follow: bool, json_wanted: bool) -> None:
    from tyqi_core.protocol.message import to_cloudevent

    project = str(view.header()["project"])
    told = _as_they_come(view) if follow else iter(view.events())
    rendered = (to_cloudevent(view.id, project, number, event) for number, event in enumerate(told))
    if json_wanted:
        answer_json({"id": view.id, "events": list(rendered)})
        return
    for event in rendered:
        click.echo(json.dumps(event))


def _as_they_come(view: RunView) -> Iterator[Event]:
    """The events of a run until its end."""
    seen = 0
    while True:
        over = view.ended()  # asked first: what an end brings is then among the events
        fresh = view.events(seen)
        yield from fresh
        seen += len(fresh)
        if over:
            return
        time.sleep(_LOOK_S)


def _follow(view: RunView, *, quiet: bool) -> None:
    """Tell what happens, and why tasks wait, on standard error; the story comes after."""
    begun, noted = 0, dict[str, str]()
    for event in _as_they_come(view):
        begun = begun or event.time_ns
        if not quiet:
            say(f"{(event.time_ns - begun) / 1e9:9.3f} s  {_in_words(event)}")
            noted = _tell_notes(view, noted)


def _tell_notes(view: RunView, noted: Mapping[str, str]) -> dict[str, str]:
    notes = dict(view.notes())
    for task, note in notes.items():
        if noted.get(task) != note:
            say(f"{'':11}  {task}  {note}")
    return notes


def _in_words(event: Event) -> str:
    data = event.data or {}
    error = data.get("error") or {}
    parts = [f"{event.kind:<16}", event.subject, data.get("worker"), data.get("outcome")]
    parts += [error.get("code"), error.get("message")]
    return " ".join(str(part) for part in parts if part)


def _story(view: RunView, *, json_wanted: bool) -> None:
    from tyqi_core.runtime.story import story_of

    header, notes = view.header(), view.notes()
    story = story_of(view.events())
    if json_wanted:
        tasks: dict[str, Any] = {instance: step.to_json() for instance, step in story.items()}
        answer_json({**header, "where": view.where, "tasks": tasks, "notes": dict(notes)})
        return
    click.echo(f"{view.id}  {header['project']}  {header['status']}")
    for line in _lines(story):
        click.echo(line)
    for task, note in notes.items():
        if story.get(task) is None or story[task].status in {"waiting", "running"}:
            click.echo(f"  {'waits':<10} {'':12}  {task} {note}")


def _lines(story: Mapping[str, Step]) -> Iterable[str]:
    on_workers = any(step.worker for step in story.values())
    for instance, step in story.items():
        waited = f"  waited {(step.waited_ns or 0) / 1e6:8.1f} ms" if on_workers else ""
        worker = f"  on {step.worker}" if step.worker else ""
        yield f"  {step.status:<10} {step.duration_ms:9.1f} ms{waited}  {instance}{step.remark()}{worker}"
