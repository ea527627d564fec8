"""``tyqi validate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tyqi_core.cli.output import answer_json, as_json, parameters, params_option, say
from tyqi_core.errors import InvalidFile, TyqiError


@click.command(epilog="Example:  tyqi validate project.yaml")
@click.argument("projects", nargs=-1, required=True, metavar="PROJECT...", type=click.Path(path_type=Path))
@params_option
@as_json
def validate(projects: tuple[Path, ...], params: tuple[str, ...], *, json_wanted: bool) -> None:
    """Name every fault of project files: code, file, line and column, the nearest valid name, and what to do.

    Nothing is run and no plugin is imported. Exit code 2 if any file is invalid.
    """
    from tyqi_core.app import open_catalog, open_project

    catalog, given = open_catalog(), parameters(params)
    answers: list[dict[str, Any]] = []
    for path in projects:
        try:
            plan = open_project(path, catalog, params=given).plan
        except InvalidFile as error:
            answers.append({"file": str(path), "ok": False, **error.to_json()})
            say(str(error))
        except TyqiError as error:
            answers.append({"file": str(path), "ok": False, "problems": [error.to_json()]})
            say(f"{path}: {error}")
        else:
            answers.append({"file": str(path), "ok": True, "tasks": len(plan.tasks), "plan": plan.digest})
            if not json_wanted:
                click.echo(f"{path}: {plan.project}, {len(plan.tasks)} tasks, plan {plan.digest[:12]}")
    valid = all(answer["ok"] for answer in answers)
    if json_wanted:
        answer_json({"ok": valid, "projects": answers})
    raise click.exceptions.Exit(0 if valid else 2)
