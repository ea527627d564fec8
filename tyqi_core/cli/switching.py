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
    """The id of an installed node, or the namespace of an installed plugin.

    Raises:
        UsageError: it is neither (``NODE_UNKNOWN``).
    """
    from tyqi_core.protocol.validation import nearest_name

    known = {entry.id for entry in entries} | {entry.found.origin.namespace for entry in entries}
    if (word := _word(name)) in known:
        return word
    near = nearest_name(word, sorted(known))
    hint = f" Did you mean '{near}'?" if near else ""
    raise UsageError(f"no node and no plugin '{name}' is installed.{hint}", code="NODE_UNKNOWN")


def _word(name: str) -> str:
    """A node's id as it is; of a plugin, however it is written, its namespace."""
    from tyqi_core.catalog.discovery import namespace_of
    from tyqi_core.installation.asking import distribution_of

    return name if "." in name else namespace_of(distribution_of(name))


def _switches(name: str, disabled: Sequence[str]) -> Iterator[str]:
    """What has to be taken off the list for ``name``; for a plugin also nodes that were disabled one by one.

    Raises:
        UsageError: nothing (``NOT_DISABLED``).
    """
    word = _word(name)
    found = [one for one in disabled if one == word or ("." not in word and one.startswith(f"{word}."))]
    space = word.partition(".")[0]
    if not found and space in disabled:
        message, remedy = f"the whole plugin is disabled, not '{name}' alone.", f"tyqi enable {space}"
        raise UsageError(message, code="NOT_DISABLED", remedy=remedy)
    if not found:
        raise UsageError(f"'{name}' is not disabled.", code="NOT_DISABLED", remedy="'tyqi nodes' tells what is.")
    yield from found


def _tell(names: Sequence[str], what: str, *, json_wanted: bool) -> None:
    if json_wanted:
        answer_json({"ok": True, what: list(names)})
        return
    for name in names:
        click.echo(f"{name}: {what}")
