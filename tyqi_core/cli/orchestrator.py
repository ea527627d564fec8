"""``tyqi orchestrator``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from tyqi_core.cli.output import answer_json, as_json, say
from tyqi_core.errors import UsageError
from tyqi_core.settings import Settings

if TYPE_CHECKING:
    from tyqi_core.runtime.distributed.sweeper import Sweeper


@click.command(epilog="Example:  tyqi orchestrator --once --json")
@click.option("--once", is_flag=True, help="Do one round, and say what was done.")
@as_json
def orchestrator(*, once: bool, json_wanted: bool) -> None:
    """Look after runs on workers, until SIGTERM or Ctrl-C; any number of these may run.

    Tasks that nobody took are told again, those of dead workers are given to others, those whose delay is over are
    retried, runs whose time is over are forgotten. A store that is away is waited for.
    """
    from tyqi_core.app import open_sweeper
    from tyqi_core.cli.serving import wait_for_store

    if json_wanted and not once:
        raise UsageError("--json needs --once", remedy="Example: tyqi orchestrator --once --json")
    settings = Settings.load()
    if not once:
        wait_for_store(settings)
    sweeper = open_sweeper(settings)
    try:
        _one_round(sweeper, json_wanted=json_wanted) if once else _until_told(sweeper)
    finally:
        sweeper.close()


def _one_round(sweeper: Sweeper, *, json_wanted: bool) -> None:
    swept = sweeper.sweep()
    if json_wanted:
        answer_json(swept._asdict())
        return
    click.echo(f"{swept.told} tasks told again, {swept.taken} taken from dead workers, {swept.tidied} things tidied.")


def _until_told(sweeper: Sweeper) -> None:
    """In a thread of its own, so that a signal finds the main thread free."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1, "sweeper") as threads:
        sweeping = threads.submit(sweeper.run)
        say(f"Looking after runs; pid {os.getpid()}")
        try:
            sweeping.result()
        except KeyboardInterrupt:
            sweeper.stop()
