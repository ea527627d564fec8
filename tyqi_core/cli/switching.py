"""``tyqi enable`` and ``tyqi disable``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from tyqi_core.cli.output import answer_json, as_json
from tyqi_core.errors import UsageError

if TYPE_CHECKING:
    from tyqi_core.catalog.catalog import Entry

_names = click.argument("names", nargs=-1, required=True, metavar="NODE|PLUGIN...")


@click.command(epilog="Examples:  tyqi disable crack.segment;  tyqi disable crack")
@_names
@as_json
def disable(names: tuple[str, ...], *, json_wanted: bool) -> None:
    """Keep nodes (crack.segment) or whole plugins (crack) installed, but offer them to no project and no worker.

    It holds for this environment and those isolated from it. Workers that run notice it when they are started again.
    """
    from tyqi_core.catalog.local_state import read_state, write_state

    state = read_state()
    wanted = [_meant(name, _entries()) for name in names]
    write_state(replace(state, disabled=tuple(sorted({*state.disabled, *wanted}))))
    _tell(wanted, "disabled", json_wanted=json_wanted)


@click.command(epilog="Example:  tyqi enable crack.segment")
@_names
@as_json
def enable(names: tuple[str, ...], *, json_wanted: bool) -> None:
    """Offer nodes or plugins again that were disabled."""
    from tyqi_core.catalog.local_state import read_state, write_state

    state = read_state()
    wanted = [switch for name in names for switch in _switches(name, state.disabled)]
    write_state(replace(state, disabled=tuple(one for one in state.disabled if one not in wanted)))
    _tell(wanted, "enabled", json_wanted=json_wanted)


def _entries() -> Sequence[Entry]:
    from tyqi_core.app import open_catalog

    return open_catalog().entries()


def _meant(name: str, entries: Sequence[Entry]) -> str:
    """The id of an installed node, or the name of an installed distribution.

    Raises:
        UsageError: it is neither.
    """
    from tyqi_core.catalog.discovered import normalised
    from tyqi_core.installation.asking import distribution_of
    from tyqi_core.protocol.validation import nearest_name

    ids = {entry.id for entry in entries}
    if name in ids:
        return name
    if "." not in name:
        distribution = distribution_of(name)
        if distribution in {normalised(entry.distribution) for entry in entries}:
            return distribution
    near = nearest_name(name, sorted(ids))
    hint = f" Did you mean '{near}'?" if near else ""
    raise UsageError(f"no node and no plugin '{name}' is installed.{hint}", code="NODE_UNKNOWN")


def _switches(name: str, disabled: Sequence[str]) -> Iterator[str]:
    """What has to be taken off the list for ``name``.

    Raises:
        UsageError: nothing (``NOT_DISABLED``).
    """
    from tyqi_core.installation.asking import distribution_of

    distribution = distribution_of(name)
    if "." in name:
        found = [name] if name in disabled else []
    else:  # a whole plugin, with nodes of it that were disabled one by one
        found = [one for one in disabled if distribution_of(one) == distribution]
    if not found and distribution in disabled:
        remedy = f"tyqi enable {distribution.removeprefix('tyqi-node-')}"
        raise UsageError(f"the whole plugin is disabled, not '{name}' alone.", code="NOT_DISABLED", remedy=remedy)
    if not found:
        raise UsageError(f"'{name}' is not disabled.", code="NOT_DISABLED", remedy="'tyqi nodes' tells what is.")
    yield from found


def _tell(names: Sequence[str], what: str, *, json_wanted: bool) -> None:
    if json_wanted:
        answer_json({"ok": True, what: list(names)})
        return
    for name in names:
        click.echo(f"{name}: {what}")
