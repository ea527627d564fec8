"""``tyqi run`` and ``tyqi resume``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from tyqi_core.cli.output import DEFAULT_OUT, INTERRUPTED, answer_json, as_json, parameters, params_option, say
from tyqi_core.errors import UsageError
from tyqi_core.settings import Settings

if TYPE_CHECKING:
    from tyqi_core.cli.batch import Batch
    from tyqi_core.client import Client
    from tyqi_core.protocol.ports import PortType
    from tyqi_core.workflow.plan import Plan

_out = click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_OUT,
    show_default=True,
    help="Folder for results.",
)
_threads = click.option("--threads", type=click.IntRange(1, 1024), help="How many tasks may execute at once.")

input_option = click.option(
    "--input", "inputs", multiple=True, metavar="PORT=FILE", help="A run input; several of one port: a batch."
)
inputs_dir_option = click.option("--inputs-dir", metavar="[PORT=]DIR", help="Every file of a folder becomes a run.")


@click.command(epilog="Example:  tyqi run project.yaml --inputs-dir pictures --out results --param wide_mm=2.5")
@click.argument("project", required=False, type=click.Path(path_type=Path))
@input_option
@inputs_dir_option
@params_option
@click.option("--resume", "resumed", metavar="RUN", help="Go on with a run that failed or was cancelled.")
@_threads
@_out
@as_json
def run(
    project: Path | None,
    inputs: tuple[str, ...],
    inputs_dir: str | None,
    params: tuple[str, ...],
    resumed: str | None,
    *,
    threads: int | None,
    out: Path,
    json_wanted: bool,
) -> None:
    """Inspect pictures with a project, in this process; no server is needed.

    Each picture is a run of its own: one that fails takes no other along. Results go into a folder a picture below
    --out, with an index.html over all of them, whose path is printed last. Exit code 1 if any run failed.
    """
    if resumed is not None:
        _refuse_beside_resume(project, inputs, inputs_dir, params)
        _resume(resumed, threads, out, json_wanted=json_wanted)
        return
    if project is None:
        raise UsageError("a PROJECT file is missing", remedy="Example: tyqi run project.yaml --inputs-dir pictures")
    from tyqi_core.app import open_catalog, open_project
    from tyqi_core.cli.batch import Batch
    from tyqi_core.runtime.inputs import batches

    settings = Settings.load()
    catalog = open_catalog(settings)
    opened = open_project(project, catalog, params=parameters(params))
    given = list(given_inputs(opened.plan, inputs, inputs_dir))
    with Batch(opened, catalog, settings, out, threads) as batch:
        for files in batches(given):
            batch.add(files)
        finish(batch, json_wanted=json_wanted)


@click.command(epilog="Example:  tyqi resume 3f2a")
@click.argument("run")
@click.option("--wait", is_flag=True, help="Of a run on workers: wait for its end, and write its results.")
@_threads
@_out
@as_json
def resume(run: str, *, wait: bool, threads: int | None, out: Path, json_wanted: bool) -> None:
    """Go on with a run that failed or was cancelled: what was settled stays, the rest is run.

    RUN is a run's id or an unambiguous beginning of it. A run of this process's kind is run here, to its end; one on
    workers goes on there.
    """
    from tyqi_core.runtime.record import has_record

    settings = Settings.load()
    if has_record(settings.state, run) or not _resume_on_workers(
        settings, run, out, wait=wait, json_wanted=json_wanted
    ):
        _resume(run, threads, out, json_wanted=json_wanted)


def _resume_on_workers(settings: Settings, run: str, out: Path, *, wait: bool, json_wanted: bool) -> bool:
    """Whether there is such a run on workers; then it goes on."""
    from tyqi_core.cli.shared import client_if_any, full_id

    client = client_if_any(settings)
    if client is None:
        return False
    with client:
        run_id = full_id(client, run)
        if run_id is None:
            return False
        client.resume(run_id)
        if wait:
            _wait_for_resumed(client, run_id, out, json_wanted=json_wanted)
        if json_wanted:
            answer_json({"ok": True, "id": run_id, "status": client.status(run_id)})
        else:
            say("It goes on; to watch it:")
            click.echo(f"tyqi runs {run_id} --follow")
    return True


def _wait_for_resumed(client: Client, run_id: str, out: Path, *, json_wanted: bool) -> NoReturn:
    from tyqi_core.app import open_catalog
    from tyqi_core.cli.report import Report, conclude
    from tyqi_core.cli.shared import Submitted, about_of, wait_and_write

    name, folder = about_of(client, run_id)
    report = Report(client.plan(run_id), open_catalog(), out)
    report.page = f"resumed-{run_id[:8]}.html"
    if not wait_and_write(client, report, name, [Submitted(0, name, folder, run_id)]):
        say(f"The run goes on; to watch it: tyqi runs {run_id} --follow")
        raise click.exceptions.Exit(INTERRUPTED)
    conclude(report, 1, lambda _: True, json_wanted=json_wanted)


def _resume(run_id: str, threads: int | None, out: Path, *, json_wanted: bool) -> None:
    from tyqi_core.app import Project, open_catalog
    from tyqi_core.cli.batch import Batch
    from tyqi_core.runtime.record import read_record

    settings = Settings.load()
    record = read_record(settings.state, run_id)
    opened = Project(record.plan(), record.source())
    with Batch(opened, open_catalog(settings), settings, out, threads) as batch:
        batch.resume(record)
        finish(batch, json_wanted=json_wanted)


def finish(batch: Batch, *, json_wanted: bool) -> NoReturn:
    """Wait for the runs with a progress bar, write the page, print the answer."""
    interrupted = not batch.wait()
    batch.conclude(interrupted=interrupted, json_wanted=json_wanted)


def given_inputs(plan: Plan, inputs: tuple[str, ...], folder: str | None) -> Iterator[tuple[str, Path]]:
    """The files that ``--input`` and ``--inputs-dir`` name, each with the run input it is for.

    Raises:
        UsageError: an input is unknown or a required one missing, or a folder cannot be read.
    """
    from tyqi_core.runtime.execute import required_inputs
    from tyqi_core.runtime.types import input_types

    named = set()
    for name, path in _named_files(input_types(plan), inputs, folder):
        named.add(name)
        yield name, path
    if missing := [name for name in required_inputs(plan) if name not in named]:
        raise UsageError(
            f"the input '{missing[0]}' is not given.",
            code="MISSING_INPUT",
            remedy=f"Add --input {missing[0]}=FILE (or, with a project, --inputs-dir {missing[0]}=DIR).",
        )


def _named_files(
    types: Mapping[str, PortType], inputs: tuple[str, ...], folder: str | None
) -> Iterator[tuple[str, Path]]:
    from tyqi_core.runtime.inputs import files_of, picture_input

    for text in inputs:
        name, separator, path = text.partition("=")
        if not separator or not path:
            raise UsageError(f"--input {text}: PORT=FILE is expected", remedy="Example: --input image=wall.png")
        if name not in types:
            raise _unknown_input(name, types)
        yield name, Path(path)
    if folder is not None:
        name, separator, path = folder.partition("=")
        if separator and name not in types and not Path(folder).exists():
            raise _unknown_input(name, types)
        if not separator or name not in types:
            name, path = picture_input(types), folder
        for file in files_of(Path(path)):
            yield name, file


def _unknown_input(name: str, types: Mapping[str, PortType]) -> UsageError:
    from tyqi_core.protocol.validation import nearest_name

    nearest = nearest_name(name, list(types))
    hint = f" Did you mean '{nearest}'?" if nearest else ""
    return UsageError(f"there is no input '{name}'; there is {', '.join(types) or 'none'}.{hint}", code="UNKNOWN_INPUT")


def _refuse_beside_resume(*given: Any) -> None:
    if any(given):
        raise UsageError(
            "--resume takes its project, inputs and parameters from the run's record; leave the others out"
        )
