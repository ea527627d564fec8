"""``tyqi cancel``."""

from __future__ import annotations

import click

from tyqi_core.cli.output import answer_json, as_json, say
from tyqi_core.errors import UsageError
from tyqi_core.settings import Settings


@click.command(epilog="Example:  tyqi cancel 3f2a --grace 0")
@click.argument("run")
@click.option(
    "--grace",
    type=click.FloatRange(0),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="How long what executes may take to end; then it is given up.",
)
@as_json
def cancel(run: str, *, grace: float, json_wanted: bool) -> None:
    """Stop a run on workers: nothing new starts, nodes that execute are told. It can be resumed.

    RUN is a run's id or an unambiguous beginning of it. Exit code 1 if it had ended otherwise already.
    """
    from tyqi_core.cli.shared import client_if_any, full_id
    from tyqi_core.runtime.record import has_record

    settings = Settings.load()
    client = client_if_any(settings)
    if client is not None:
        with client:
            if run_id := full_id(client, run):
                _answer(run_id, client.cancel(run_id, grace), json_wanted=json_wanted)
    if has_record(settings.state, run):
        raise UsageError(f"run {run} is not on workers", remedy="Ctrl-C in the shell that runs it stops it.")
    remedy = "'tyqi runs' lists them." if client else "Start 'tyqi up', or name the store: TYQI_REDIS=redis://..."
    raise UsageError(f"there is no run {run} on workers", code="UNKNOWN_RUN", remedy=remedy)


def _answer(run_id: str, status: str, *, json_wanted: bool) -> None:
    stopped = status in {"cancelled", "cancelling"}
    if json_wanted:
        answer_json({"ok": stopped, "id": run_id, "status": status})
    else:
        click.echo(f"{run_id}  {status}")
    if status == "cancelling":
        say("It ends once an orchestrator looks after it ('tyqi orchestrator', or 'tyqi up').")
    raise click.exceptions.Exit(0 if stopped else 1)
