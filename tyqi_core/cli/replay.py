"""``tyqi replay``."""

from __future__ import annotations

import json

import click

from tyqi_core.cli.output import answer_json, as_json, prints_on_stderr, say
from tyqi_core.errors import UsageError
from tyqi_core.settings import Settings

_SHOWN = 60


@click.command(epilog="Example:  tyqi replay 3f2a --swap crack.segment=2")
@click.argument("run")
@click.option(
    "--swap",
    "swaps",
    multiple=True,
    metavar="NODE=VERSION",
    help="Run another major version, or another node, in a node's place: crack.segment=2, crack.segment=other.node.",
)
@as_json
def replay(run: str, swaps: tuple[str, ...], *, json_wanted: bool) -> None:
    """Repeat a recorded run from its inputs and compare status, branches taken and outputs.

    Exit code 0 if all agree, 1 if something differs. RUN is a run's id or an unambiguous beginning of it.
    """
    from tyqi_core.app import open_catalog, replay_run
    from tyqi_core.runtime.record import read_record

    settings = Settings.load()
    record = read_record(settings.state, run)
    exchanged = dict(_swap(text) for text in swaps)
    with prints_on_stderr():
        comparison = replay_run(record, open_catalog(settings), settings, exchanged)
    if json_wanted:
        answer_json(comparison.to_json())
    elif comparison.equal:
        click.echo(f"Run {record.id}: the repetition gives the same status, branches and outputs.")
    else:
        click.echo(f"Run {record.id}: the repetition differs.")
        for one in comparison.differences:
            click.echo(f"  {one.what}: {_short(one.recorded)} -> {_short(one.replayed)}")
    if comparison.result.error:
        say(f"The repetition failed: {comparison.result.error}")
    raise click.exceptions.Exit(0 if comparison.equal else 1)


def _swap(text: str) -> tuple[str, str]:
    node, separator, reference = text.partition("=")
    if not separator or not node or not reference:
        raise UsageError(f"--swap {text}: NODE=VERSION or NODE=OTHER.NODE is expected")
    return node, f"{node}@{reference}" if reference.isdigit() else reference


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
