"""``tyqi dead``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from tyqi_core.cli.output import answer_json, as_json, say, time_of
from tyqi_core.errors import TyqiError, UsageError
from tyqi_core.settings import Settings

if TYPE_CHECKING:
    from tyqi_core.client import Client
    from tyqi_core.stores.base import Summary


@click.group(epilog="Examples:  tyqi dead list;  tyqi dead replay --all")
def dead() -> None:
    """Runs on workers that failed: what of them failed, and another chance for them."""


@dead.command("list", epilog="Example:  tyqi dead list --json")
@as_json
def list_(*, json_wanted: bool) -> None:
    """List the runs that failed, the newest first: the task that failed or was quarantined, why, and when."""
    from tyqi_core.client import Client

    with Client.connect(Settings.load()) as client:
        rows = [_row(client, summary) for summary in _failed(client)]
    if json_wanted:
        answer_json({"runs": rows})
        return
    for row in rows:
        at = time_of(row["failed_ns"])
        click.echo(f"{row['id']}  {at}  {row['task'] or '-'}  {row['code'] or '-'}: {row['message'] or ''}")
    if not rows:
        click.echo("No run on workers has failed.")


@dead.command("replay", epilog="Example:  tyqi dead replay 3f2a 77c0")
@click.argument("runs", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All runs that failed.")
@as_json
def replay(runs: tuple[str, ...], *, everything: bool, json_wanted: bool) -> None:
    """Go on with runs that failed, from the task that failed, with a fresh count of tries and of lost workers.

    The same as 'tyqi resume' of each. Exit code 1 if one cannot go on.
    """
    if bool(runs) == everything:
        raise UsageError("name runs, or all of them with --all", remedy="Example: tyqi dead replay --all")
    from tyqi_core.cli.shared import existing_id
    from tyqi_core.client import Client

    with Client.connect(Settings.load()) as client:
        ids = [one.run_id for one in _failed(client)] if everything else [existing_id(client, run) for run in runs]
        told = [_resumed(client, run_id) for run_id in ids]
    refused = [one for one in told if "error" in one]
    if json_wanted:
        answer_json({"ok": not refused, "runs": told})
    else:
        _tell(told)
    raise click.exceptions.Exit(1 if refused else 0)


def _tell(told: Sequence[dict[str, Any]]) -> None:
    for one in told:
        if "error" in one:
            say(f"{one['id']}: {one['error']['message']}")
        else:
            click.echo(one["id"])
    say(f"{sum('error' not in one for one in told)} of {len(told)} runs go on.")


def _failed(client: Client) -> list[Summary]:
    from tyqi_core.cli.shared import MANY

    return [summary for summary in client.runs(MANY) if summary.status == "failed"]


def _row(client: Client, summary: Summary) -> dict[str, Any]:
    error = summary.error or {}
    told = {name: error.get(name) for name in ("task", "node", "code", "message")}
    return {"id": summary.run_id, **told, "failed_ns": client.events(summary.run_id)[-1].time_ns}


def _resumed(client: Client, run_id: str) -> dict[str, Any]:
    try:
        client.resume(run_id)
    except TyqiError as error:  # the others are tried all the same
        return {"id": run_id, "error": error.to_json()}
    return {"id": run_id}
