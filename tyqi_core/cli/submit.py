"""``tyqi submit``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from tyqi_core.cli.output import DEFAULT_OUT, INTERRUPTED, answer_json, as_json, parameters, params_option, say
from tyqi_core.cli.run import given_inputs, input_option, inputs_dir_option
from tyqi_core.errors import InputError, TyqiError, UsageError
from tyqi_core.settings import Settings

if TYPE_CHECKING:
    from tyqi_core.app import Project
    from tyqi_core.catalog.catalog import Catalog
    from tyqi_core.cli.shared import Submitted
    from tyqi_core.client import Client


@click.command(epilog="Example:  tyqi submit project.yaml --inputs-dir pictures --wait --out results")
@click.argument("project", type=click.Path(path_type=Path))
@input_option
@inputs_dir_option
@params_option
@click.option("--wait", is_flag=True, help="Wait until all have ended, and write their results.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help=f"With --wait: folder for results.  [default: {DEFAULT_OUT}]",
)
@as_json
def submit(
    project: Path,
    inputs: tuple[str, ...],
    inputs_dir: str | None,
    params: tuple[str, ...],
    *,
    wait: bool,
    out: Path | None,
    json_wanted: bool,
) -> None:
    """Inspect pictures with a project, on workers: those of 'tyqi up' here, or of the cluster in the settings.

    Each picture is a run of its own, as with 'tyqi run'. Their ids are printed; with --wait results are written as
    'tyqi run' writes them. Ctrl-C while waiting ends the wait, not the runs. Exit code 1 if any run failed.
    """
    if out is not None and not wait:
        raise UsageError("--out needs --wait: without it nothing is written.", remedy="Add --wait.")
    from tyqi_core.app import open_catalog, open_project
    from tyqi_core.client import Client
    from tyqi_core.runtime.inputs import batches

    settings = Settings.load()
    catalog = open_catalog(settings)
    opened = open_project(project, catalog, params=parameters(params))
    items = list(batches(list(given_inputs(opened.plan, inputs, inputs_dir))))
    with Client.connect(settings) as client:
        _warn_of_queues(opened, settings)
        if wait:
            _wait(client, opened, catalog, items, out or DEFAULT_OUT, json_wanted=json_wanted)
        _tell(opened, _submit_all(client, opened, items), json_wanted=json_wanted)


def _submit_all(client: Client, project: Project, items: Sequence[Mapping[str, Path]]) -> list[Submitted]:
    """Submit runs one after the other. One that is refused takes no other along.

    Raises:
        TyqiError: store or broker are away; what was submitted so far goes on, and was told.
    """
    from tyqi_core.cli.batch import name_of
    from tyqi_core.cli.progress import progress_bar
    from tyqi_core.results.names import safe_names

    names = [name_of(files, project.plan.project) for files in items]
    done: list[Submitted] = []
    try:
        with progress_bar("submitting", len(items)) as advance:
            for files, name, folder in zip(items, names, safe_names(names), strict=True):
                done.append(_submit_one(client, project, files, (len(done), name, folder)))
                advance()
    except (TyqiError, KeyboardInterrupt):
        begun = [run.run_id for run in done if run.run_id]
        say(f"{len(begun)} of {len(items)} runs were submitted and go on: {' '.join(begun)}")
        raise
    return done


def _submit_one(client: Client, project: Project, files: Mapping[str, Path], place: tuple[int, str, str]) -> Submitted:
    from tyqi_core.cli.batch import load_inputs
    from tyqi_core.cli.shared import Submitted
    from tyqi_core.runtime.types import input_types

    _, name, folder = place
    try:
        values = load_inputs(input_types(project.plan), files)
        return Submitted(*place, client.submit(project, values, about={"name": name, "folder": folder}))
    except InputError as error:
        return Submitted(*place, error=error)


def _wait(
    client: Client,
    project: Project,
    catalog: Catalog,
    items: Sequence[Mapping[str, Path]],
    out: Path,
    *,
    json_wanted: bool,
) -> NoReturn:
    from tyqi_core.cli.report import Report, conclude
    from tyqi_core.cli.shared import wait_and_write

    report = Report(project.plan, catalog, out)
    runs = _submit_all(client, project, items)
    if not wait_and_write(client, report, project.plan.project, runs):
        _say_how_to_go_on(runs)
        if json_wanted:
            answer_json(report.document(len(runs)) | {"ok": False, "interrupted": True})
        raise click.exceptions.Exit(INTERRUPTED)
    conclude(report, len(runs), lambda card: bool(card.run_id), json_wanted=json_wanted)


def _say_how_to_go_on(runs: Sequence[Submitted]) -> None:
    begun = [run.run_id for run in runs if run.run_id]
    say("The runs go on. To look at them: tyqi runs. To follow or to stop one:")
    for run_id in begun[:3]:
        say(f"  tyqi runs {run_id} --follow    tyqi cancel {run_id}")
    if len(begun) > 3:  # noqa: PLR2004 - the three above
        say(f"  ... and {len(begun) - 3} more")


def _tell(project: Project, runs: Sequence[Submitted], *, json_wanted: bool) -> NoReturn:
    refused = [run for run in runs if run.error is not None]
    if json_wanted:
        told = [{"id": run.run_id, "name": run.name} | _fault(run) for run in runs]
        plan = project.plan
        answer_json({"ok": not refused, "project": plan.project, "plan": plan.digest, "runs": told})
    else:
        for run in runs:
            if run.run_id:
                click.echo(run.run_id)
    for run in refused:
        say(f"{run.name}: {run.error}")
    raise click.exceptions.Exit(1 if refused else 0)


def _fault(run: Submitted) -> dict[str, object]:
    return {} if run.error is None else {"error": run.error.to_json()}


def _warn_of_queues(project: Project, settings: Settings) -> None:
    """A queue that nobody serves lets runs wait without end; of a cluster's workers nobody knows that here."""
    from tyqi_core.runtime.distributed.upfile import running_up

    up = running_up(settings.state)
    if up is None or settings.redis not in {"", up.redis}:
        return
    wanted = {task.queue for task in project.plan.tasks.values()}
    if missing := sorted(wanted.difference(up.queues)):
        say(f"warning: the 'tyqi up' here does not serve {', '.join(missing)}; such tasks wait for other workers.")
