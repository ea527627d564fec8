"""Runs on workers as commands see them: which run a person means, and the wait for ends with a progress bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tyqi_core.cli.progress import progress_bar
from tyqi_core.errors import TyqiError, UsageError
from tyqi_core.runtime.run import RunResult

if TYPE_CHECKING:
    from tyqi_core.cli.report import Report
    from tyqi_core.client import Client
    from tyqi_core.settings import Settings

MANY: Final = 10_000
"""How many runs are looked through, the newest first."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """One run on workers. Without an id it was refused before it was one, by ``error``."""

    number: int
    name: str
    folder: str
    run_id: str = ""
    error: TyqiError | None = None

    def refusal(self) -> RunResult:
        """What there is to report of a run that never was."""
        return RunResult("", "failed", error=None if self.error is None else self.error.to_json())


def full_id(client: Client, run_id: str) -> str | None:
    """The id of the run on workers that is named by its id or the beginning of it; ``None`` if there is none.

    Raises:
        UsageError: there are several.
    """
    from tyqi_core.stores.redis import RUN_ID

    if RUN_ID.fullmatch(run_id) and client.status(run_id) is not None:
        return run_id
    found = [summary.run_id for summary in client.runs(MANY) if summary.run_id.startswith(run_id)]
    if len(found) > 1:
        raise UsageError(f"{len(found)} runs on workers begin with {run_id}", code="UNKNOWN_RUN", remedy=_LOOK)
    return found[0] if found else None


_LOOK: Final = "'tyqi runs' lists them."


def existing_id(client: Client, run_id: str) -> str:
    """As :func:`full_id`.

    Raises:
        UsageError: there is no such run, or several.
    """
    if found := full_id(client, run_id):
        return found
    raise UsageError(f"there is no run {run_id} on workers", code="UNKNOWN_RUN", remedy=_LOOK)


def about_of(client: Client, run_id: str) -> tuple[str, str]:
    """What a run is called, and the folder of its results."""
    from tyqi_core.results.names import is_safe

    about = (client.events(run_id)[0].data or {}).get("about", {})
    name, folder = str(about.get("name", run_id)), str(about.get("folder", ""))
    return name, folder if is_safe(folder) else run_id


def client_if_any(settings: Settings) -> Client | None:
    """A client of the store, if one is named or runs here.

    Raises:
        StoreError: it is away.
    """
    from tyqi_core.app import has_store

    if not has_store(settings):
        return None
    from tyqi_core.client import Client

    return Client.connect(settings)


def wait_and_write(client: Client, report: Report, title: str, runs: Sequence[Submitted]) -> bool:
    """Wait for runs with a progress bar and write the results of each as it ends. False: Ctrl-C; the runs go on."""
    by_id = {run.run_id: run for run in runs if run.run_id}
    with progress_bar(title, len(runs)) as advance:
        for run in runs:
            if not run.run_id:
                report.add(run.number, run.name, run.folder, run.refusal())
                advance()
        try:
            for run_id in client.wait_for(list(by_id)):
                run = by_id[run_id]
                report.add(run.number, run.name, run.folder, client.result(run_id))
                advance()
        except KeyboardInterrupt:
            return False
    return True
