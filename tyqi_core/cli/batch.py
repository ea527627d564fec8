"""Many runs of one project: fed in step with their ends, shown as a progress bar, written as they end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self

from tyqi_core.app import Project, open_runtime, resume_run
from tyqi_core.cli.output import prints_on_stderr, say
from tyqi_core.cli.progress import progress_bar
from tyqi_core.cli.report import Report, conclude
from tyqi_core.results.names import is_safe, safe_names
from tyqi_core.runtime.history_file import add_histories
from tyqi_core.runtime.inputs import read_input
from tyqi_core.runtime.measuring import Tally
from tyqi_core.runtime.record import prune
from tyqi_core.runtime.types import input_types

if TYPE_CHECKING:
    from tyqi_core.catalog.catalog import Catalog
    from tyqi_core.protocol.ports import PortType
    from tyqi_core.results.page import RunCard
    from tyqi_core.runtime.record import RunRecord
    from tyqi_core.runtime.run import RunHandle
    from tyqi_core.settings import Settings

_POLL = 0.05
"""Seconds between looks at the runs, so that Ctrl-C is heard at once."""


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
        self.report = Report(project.plan, catalog, out)
        self._state = settings.state
        self._types = input_types(project.plan)
        if settings.retention_days:
            prune(settings.state, settings.retention_days)
        self._tally = Tally()
        self._runtime = open_runtime(project, catalog, settings, threads=threads, tally=self._tally)
        self._ahead = 2 * (threads or settings.threads or 4)
        self._items: list[_Item] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._runtime.close(grace=1.0)
        add_histories(self._state, self._tally.summaries())

    def add(self, files: Mapping[str, Path]) -> None:
        """Plan a run of these input files."""
        name = name_of(files, self.project.plan.project)
        load = partial(load_inputs, self._types, files)
        self._items.append(_Item(name, lambda about: self._runtime.start(load, about=about)))

    def resume(self, record: RunRecord) -> None:
        """Plan to go on with a recorded run: its results go where they would have gone, the page beside the batch's."""
        about = record.header.get("about", {})
        name = str(about.get("name", record.id))
        folder = str(about.get("folder", ""))
        self.report.page = f"resumed-{record.id[:8]}.html"
        self._items.append(_Item(name, lambda _: resume_run(self._runtime, record), folder if is_safe(folder) else ""))

    def wait(self) -> bool:
        """Run everything, with a progress bar. False: Ctrl-C stopped it; runs that had begun can be resumed."""
        for item, folder in zip(self._items, safe_names(item.name for item in self._items), strict=True):
            item.folder = item.folder or folder
        with prints_on_stderr(), progress_bar(self.project.plan.project, len(self._items)) as advance:
            waiting = deque(enumerate(self._items))
            running: deque[tuple[int, _Item]] = deque()
            try:
                self._feed(waiting, running, advance)
            except KeyboardInterrupt:
                self._stop(running, advance)
                return False
        return True

    def resumable(self, card: RunCard) -> bool:
        """Whether a run that did not complete left a state to go on from."""
        return (self._state / "runs" / card.run_id / "state.json").is_file()

    def conclude(self, *, interrupted: bool, json_wanted: bool) -> NoReturn:
        """Write the page and end the command with its answer."""
        conclude(self.report, len(self._items), self.resumable, interrupted=interrupted, json_wanted=json_wanted)

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
            assert item.handle is not None  # noqa: S101 - for the type checker
            self.report.add(number, item.name, item.folder, item.handle.wait())
            advance()


def load_inputs(types: Mapping[str, PortType], files: Mapping[str, Path]) -> dict[str, Any]:
    """The inputs of a run, read from their files.

    Raises:
        InputError: one cannot be used.
    """
    return {name: read_input(path, types[name]) for name, path in files.items()}


def name_of(files: Mapping[str, Path], otherwise: str) -> str:
    """What a run of these files is called."""
    return ", ".join(path.name or str(path) for path in files.values()) or otherwise
