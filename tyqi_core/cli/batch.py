"""Many runs of one project: fed in step with their ends, shown as a progress bar, written as they end."""

from __future__ import annotations

import json
import shlex
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Self

from tyqi_core.app import Project, open_runtime, resume_run
from tyqi_core.cli.output import DEFAULT_OUT, prints_on_stderr, say
from tyqi_core.errors import OutputError
from tyqi_core.results.files import try_folder, write_files
from tyqi_core.results.names import is_safe, safe_names
from tyqi_core.results.page import RunCard, batch_page
from tyqi_core.results.writer import write_outputs
from tyqi_core.runtime.history_file import add_histories
from tyqi_core.runtime.inputs import read_input
from tyqi_core.runtime.measuring import Tally
from tyqi_core.runtime.record import prune
from tyqi_core.runtime.story import path_taken, story_of
from tyqi_core.runtime.types import input_types, output_types

if TYPE_CHECKING:
    from tyqi_core.catalog.catalog import Catalog
    from tyqi_core.protocol.ports import PortType
    from tyqi_core.runtime.record import RunRecord
    from tyqi_core.runtime.run import RunHandle, RunResult
    from tyqi_core.settings import Settings

_POLL = 0.05
"""Seconds between looks at the runs, so that Ctrl-C is heard at once."""
_SMALL = 2000
"""Characters of JSON up to which an output is shown as it is."""
_JSON_LIKE = frozenset({"json", "measurements", "detections", "table"})


@dataclass(slots=True)
class _Item:
    """One run of the batch."""

    name: str
    begin: Callable[[Mapping[str, Any]], RunHandle]
    folder: str = ""
    handle: RunHandle | None = None


class Batch:
    """The runs of one command; a context manager.

    Args:
        project: what to run.
        catalog: its nodes.
        settings: where records go, how many threads.
        out: folder for results.
        threads: how many tasks may execute at once; goes before the setting.

    Raises:
        OutputError: nothing can be written into ``out``.
    """

    def __init__(self, project: Project, catalog: Catalog, settings: Settings, out: Path, threads: int | None) -> None:
        self.project = project
        try_folder(out)
        self._out = out
        self._page = "index.html"
        self._state = settings.state
        self._types = input_types(project.plan)
        self._output_types = output_types(project.plan, catalog)
        if settings.retention_days:
            prune(settings.state, settings.retention_days)
        self._tally = Tally()
        self._runtime = open_runtime(project, catalog, settings, threads=threads, tally=self._tally)
        self._ahead = 2 * (threads or settings.threads or 4)
        self._items: list[_Item] = []
        self._begun = monotonic()
        self._cards: dict[int, RunCard] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._runtime.close(grace=1.0)
        add_histories(self._state, self._tally.summaries())

    def add(self, files: Mapping[str, Path]) -> None:
        """Plan a run of these input files."""
        name = ", ".join(path.name or str(path) for path in files.values()) or self.project.plan.project
        load = partial(_load, self._types, files)
        self._items.append(_Item(name, lambda about: self._runtime.start(load, about=about)))

    def resume(self, record: RunRecord) -> None:
        """Plan to go on with a recorded run: its results go where they would have gone, the page beside the batch's."""
        about = record.header.get("about", {})
        name = str(about.get("name", record.id))
        folder = str(about.get("folder", ""))
        self._page = f"resumed-{record.id[:8]}.html"
        self._items.append(_Item(name, lambda _: resume_run(self._runtime, record), folder if is_safe(folder) else ""))

    def wait(self) -> bool:
        """Run everything, with a progress bar. False: Ctrl-C stopped it; runs that had begun can be resumed."""
        for item, folder in zip(self._items, safe_names(item.name for item in self._items), strict=True):
            item.folder = item.folder or folder
        with prints_on_stderr(), _progress_bar(self.project.plan.project, len(self._items)) as advance:
            waiting = deque(enumerate(self._items))
            running: deque[tuple[int, _Item]] = deque()
            try:
                self._feed(waiting, running, advance)
            except KeyboardInterrupt:
                self._stop(running, advance)
                return False
        return True

    def failed(self) -> Sequence[RunCard]:
        """The runs that did not complete, in order."""
        return [card for _, card in sorted(self._cards.items()) if card.status != "completed"]

    def resumable(self, card: RunCard) -> bool:
        """Whether a run that did not complete left a state to go on from."""
        return (self._state / "runs" / card.run_id / "state.json").is_file()

    def out_option(self) -> str:
        """What a resume must be told so that its results go where those of this batch are."""
        return "" if self._out == DEFAULT_OUT else f" --out {shlex.quote(str(self._out))}"

    def document(self) -> dict[str, Any]:
        """Write the page over all runs; returns what happened as one JSON object, also when the page has no place."""
        cards = [card for _, card in sorted(self._cards.items())]
        plan = self.project.plan
        when = datetime.now(tz=UTC).astimezone().strftime("%Y-%m-%d %H:%M")
        html = batch_page(cards, project=plan.project, plan=plan, subtitle=when, duration_s=monotonic() - self._begun)
        page: Path | None = None
        trouble: OutputError | None = None
        try:
            page, *_ = write_files(self._out, {self._page: html.encode()})
        except OutputError as error:
            trouble = error
        completed = sum(card.status == "completed" for card in cards)
        document = {
            "ok": completed == len(self._items) and trouble is None,
            "project": plan.project,
            "plan": plan.digest,
            "params": dict(plan.params),
            "total": len(self._items),
            "completed": completed,
            "report": None if page is None else str(page),
            "runs": [_run_json(card, self._out) for card in cards],
        }
        return document | ({"error": trouble.to_json()} if trouble else {})

    def _feed(
        self, waiting: deque[tuple[int, _Item]], running: deque[tuple[int, _Item]], advance: Callable[[], None]
    ) -> None:
        while waiting or running:
            while waiting and len(running) < self._ahead:
                number, item = waiting.popleft()
                item.handle = item.begin({"name": item.name, "folder": item.folder})
                running.append((number, item))
            self._collect(running, advance)

    def _stop(self, running: deque[tuple[int, _Item]], advance: Callable[[], None]) -> None:
        begun = [item.handle.id for _, item in running if item.handle is not None]
        try:
            say("Stopping; what executes may finish ...")
            self._runtime.cancel(*begun, grace=2.0)
        except KeyboardInterrupt:
            say("Stopping at once ...")
            self._runtime.cancel(*begun, grace=0.0)
        while running:
            self._collect(running, advance)

    def _collect(self, running: deque[tuple[int, _Item]], advance: Callable[[], None]) -> None:
        """Wait for the oldest run for a moment, then write what has ended."""
        handle = running[0][1].handle
        if handle is not None:
            handle.pause(_POLL)
        for number, item in [entry for entry in running if entry[1].handle and entry[1].handle.done()]:
            running.remove((number, item))
            self._cards[number] = self._card(item)
            advance()

    def _card(self, item: _Item) -> RunCard:
        assert item.handle is not None  # noqa: S101 - only runs that ended come here
        result = item.handle.wait()
        error = result.error
        files: list[Path] = []
        if result.status == "completed":
            try:
                files = write_outputs(self._out / item.folder, result.outputs, self._output_types)
            except OutputError as trouble:  # the other runs may still be written, or fail on their own
                error = trouble.to_json()
        return RunCard(
            name=item.name,
            run_id=result.id,
            status="failed" if error else result.status,
            path=path_taken(self.project.plan, result.events),
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


def _load(types: Mapping[str, PortType], files: Mapping[str, Path]) -> dict[str, Any]:
    return {name: read_input(path, types[name]) for name, path in files.items()}


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


@contextmanager
def _progress_bar(title: str, total: int) -> Iterator[Callable[[], None]]:
    """A bar on standard error; nothing where that is no terminal."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=total)
        yield lambda: progress.advance(task)
