"""What a command leaves of its runs: files, a page over all of them, one JSON document."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, NoReturn

import click

from tyqi_core.cli.output import DEFAULT_OUT, INTERRUPTED, answer_json, say
from tyqi_core.errors import OutputError
from tyqi_core.results.files import try_folder, write_files
from tyqi_core.results.names import shown_name
from tyqi_core.results.page import RunCard, batch_page
from tyqi_core.results.writer import write_outputs
from tyqi_core.runtime.story import path_taken, story_of
from tyqi_core.runtime.types import output_types

if TYPE_CHECKING:
    from tyqi_core.catalog.catalog import Catalog
    from tyqi_core.runtime.run import RunResult
    from tyqi_core.workflow.plan import Plan

_SMALL = 2000
"""Characters of JSON up to which an output is shown as it is."""
_JSON_LIKE = frozenset({"json", "measurements", "detections", "table"})


class Report:
    """The runs of one plan, written as they end.

    Args:
        plan: what they walked.
        catalog: its nodes.
        out: folder for results.

    Raises:
        OutputError: nothing can be written into ``out``.
    """

    def __init__(self, plan: Plan, catalog: Catalog, out: Path) -> None:
        try_folder(out)
        self.page = "index.html"
        self._plan = plan
        self._out = out
        self._output_types = output_types(plan, catalog)
        self._begun = monotonic()
        self._cards: dict[int, RunCard] = {}

    def failed(self) -> Sequence[RunCard]:
        """The runs that did not complete, in order."""
        return [card for _, card in sorted(self._cards.items()) if card.status != "completed"]

    def out_option(self) -> str:
        """What a resume must be told so that its results go where those of this batch are."""
        return "" if self._out == DEFAULT_OUT else f" --out {shlex.quote(str(self._out))}"

    def document(self, total: int) -> dict[str, Any]:
        """Write the page over all runs; returns what happened as one JSON object, also when the page has no place."""
        cards = [card for _, card in sorted(self._cards.items())]
        plan = self._plan
        when = datetime.now(tz=UTC).astimezone().strftime("%Y-%m-%d %H:%M")
        html = batch_page(cards, project=plan.project, plan=plan, subtitle=when, duration_s=monotonic() - self._begun)
        page: Path | None = None
        trouble: OutputError | None = None
        try:
            page, *_ = write_files(self._out, {self.page: html.encode()})
        except OutputError as error:
            trouble = error
        completed = sum(card.status == "completed" for card in cards)
        document = {
            "ok": completed == total and trouble is None,
            "project": plan.project,
            "plan": plan.digest,
            "params": dict(plan.params),
            "total": total,
            "completed": completed,
            "report": None if page is None else str(page),
            "runs": [_run_json(card, self._out) for card in cards],
        }
        return document | ({"error": trouble.to_json()} if trouble else {})

    def add(self, number: int, name: str, folder: str, result: RunResult) -> None:
        """Write the results of a run that ended.

        Args:
            number: its place among the runs.
            name: what its user calls it.
            folder: of its results, below the folder of all.
            result: how it ended.
        """
        self._cards[number] = self._card(name, folder, result)

    def _card(self, name: str, folder: str, result: RunResult) -> RunCard:
        error = result.error
        files: list[Path] = []
        if result.status == "completed":
            try:
                files = write_outputs(self._out / folder, result.outputs, self._output_types)
            except OutputError as trouble:  # the other runs may still be written, or fail on their own
                error = trouble.to_json()
        return RunCard(
            name=name,
            run_id=result.id,
            status="failed" if error else result.status,
            path=path_taken(self._plan, result.events),
            duration_s=result.duration_s,
            files={path.name: path.relative_to(self._out) for path in files},
            error=error,
            values=self._values(result),
            thumbnail=_thumbnail(files, self._out),
            story=story_of(result.events),
        )

    def _values(self, result: RunResult) -> dict[str, Any]:
        return {
            name: value
            for name, value in result.outputs.items()
            if value is not None and self._output_types[name].name in _JSON_LIKE
        }


def conclude(
    report: Report, total: int, resumable: Callable[[RunCard], bool], *, interrupted: bool = False, json_wanted: bool
) -> NoReturn:
    """Tell of the runs that failed, write the page, print the answer and end the command with its exit code.

    Args:
        report: of the runs.
        total: how many there were to be.
        resumable: whether one that did not complete can be resumed.
        interrupted: Ctrl-C ended the command.
        json_wanted: print the one document.
    """
    for card in report.failed():
        reason = f": {card.error.get('code')}: {card.error.get('message')}" if card.error else ""
        say(f"{shown_name(card.name)}: {card.status}{reason}")
        if resumable(card):
            say(f"  To go on with it: tyqi resume {card.run_id}{report.out_option()}")
    document = report.document(total)
    if json_wanted:
        answer_json(document)
    else:
        _tell(document)
    if interrupted:
        raise click.exceptions.Exit(INTERRUPTED)
    raise click.exceptions.Exit(0 if document["ok"] else 1)


def _tell(document: Mapping[str, Any]) -> None:
    begun = len(document["runs"])
    rest = f"; {document['total'] - begun} had not begun" if begun < document["total"] else ""
    say(f"{document['completed']} of {document['total']} runs completed{rest}.")
    if document["report"]:
        click.echo(document["report"])
    else:
        say(f"{document['error']['code']}: {document['error']['message']}")


def _run_json(card: RunCard, out: Path) -> dict[str, Any]:
    body: dict[str, Any] = {
        "id": card.run_id,
        "name": card.name,
        "status": card.status,
        "path": list(card.path),
        "duration_s": round(card.duration_s, 6),
        "files": [str(out / path) for path in card.files.values()],
        "values": {name: value for name, value in card.values.items() if len(json.dumps(value)) <= _SMALL},
    }
    return body | ({"error": card.error} if card.error else {})


def _thumbnail(files: Sequence[Path], out: Path) -> str | None:
    """The first picture among the outputs, as a link from the page."""
    picture = next((path for path in files if path.suffix == ".png"), None)
    return None if picture is None else picture.relative_to(out).as_posix()
