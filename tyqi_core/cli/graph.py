"""``tyqi graph``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tyqi_core.cli.output import parameters, params_option
from tyqi_core.errors import UsageError
from tyqi_core.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tyqi_core.runtime.story import Step
    from tyqi_core.workflow.plan import Plan


@click.command(epilog="Examples:  tyqi graph project.yaml -o plan.svg;  tyqi graph --run 3f2a --format mermaid")
@click.argument("project", required=False, type=click.Path(path_type=Path))
@click.option(
    "--run", "run_id", metavar="RUN", help="Draw a run, recorded or on workers, the path that it took marked."
)
@click.option("--format", "form", type=click.Choice(["svg", "mermaid", "json"]), help="Default: by the file's suffix.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="A file; default: standard output."
)
@params_option
@click.option("--json", "json_wanted", is_flag=True, help="The same as --format json.")
def graph(
    project: Path | None,
    run_id: str | None,
    form: str | None,
    output: Path | None,
    params: tuple[str, ...],
    *,
    json_wanted: bool,
) -> None:
    """Draw a project as SVG or Mermaid, or a finished run with the path it took through it.

    With --format json the compiled plan itself is printed.
    """
    plan, story = _subject(project, run_id, params)
    text = _drawn(plan, story, "json" if json_wanted else form or _form_of(output))
    if output is None:
        click.echo(text)
        return
    from tyqi_core.results.files import write_files

    write_files(output.parent, {output.name: text.encode()})
    click.echo(str(output))


def _form_of(output: Path | None) -> str:
    suffix = ".svg" if output is None else output.suffix.lower()
    return {".svg": "svg", ".json": "json"}.get(suffix, "mermaid")


def _subject(
    project: Path | None, run_id: str | None, params: tuple[str, ...]
) -> tuple[Plan, Mapping[str, Step] | None]:
    if run_id is not None and (project is not None or params):
        raise UsageError("--run takes its project and parameters from the run's record; leave the others out.")
    if run_id is not None:
        from tyqi_core.cli.views import opened_run
        from tyqi_core.runtime.story import story_of

        with opened_run(Settings.load(), run_id) as run:
            return run.plan(), story_of(run.events())
    if project is None:
        raise UsageError("a PROJECT file or --run RUN is missing", remedy="Example: tyqi graph project.yaml")
    from tyqi_core.app import load_project

    return load_project(project, params=parameters(params)), None


def _drawn(plan: Plan, story: Mapping[str, Step] | None, form: str) -> str:
    if form == "json":
        import json

        return json.dumps(plan.to_json(), indent=2)
    from tyqi_core.results.drawing import plan_mermaid, plan_svg

    return plan_svg(plan, story) if form == "svg" else plan_mermaid(plan, story)
