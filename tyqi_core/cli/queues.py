"""``tyqi queues``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from tyqi_core.cli.output import answer_json, as_json, say
from tyqi_core.errors import StoreError, UsageError
from tyqi_core.settings import Settings

if TYPE_CHECKING:
    from tyqi_core.runtime.distributed.needs import Host
    from tyqi_core.runtime.distributed.planning import Device, Placement, Proposal
    from tyqi_core.runtime.history import NodeHistory

_NARROWEST = 120
"""Columns of the tables where standard output is no terminal."""
_EXAMPLE = "Example: --devices 0=24576,1=24576"


@click.command(epilog="Example:  tyqi queues --devices 0=24576,1=24576")
@click.option(
    "--devices",
    "given",
    metavar="NAME=MB,...",
    default="",
    help="The GPUs of the workers, by the name in CUDA_VISIBLE_DEVICES, and their memory in MiB.",
)
@as_json
def queues(given: str, *, json_wanted: bool) -> None:
    """Show what the installed nodes took so far, and propose queues, workers and devices for them.

    Durations and memory come from the runs recorded here and from workers, where their store is known; of a node that
    has hardly run, from its manifest. Nothing is changed: lines for projects and commands for workers are printed.
    """
    from tyqi_core.catalog.catalog import Catalog
    from tyqi_core.runtime.distributed.needs import NodeLoad
    from tyqi_core.runtime.distributed.planning import propose

    devices = list(_devices(given))
    settings = Settings.load()
    remembered, waiting = _remembered(settings)
    manifests = [entry.manifest for entry in Catalog.load().entries() if entry.manifest is not None]
    loads = [NodeLoad(manifest, remembered.get(manifest.reference)) for manifest in manifests]
    host = _this_host()
    proposal = propose(loads, devices, host=host)
    if json_wanted:
        nodes = {one.node: _history_json(remembered.get(one.node)) for one in proposal.placements}
        answer_json({"host": host._asdict(), "histories": nodes, "waiting": waiting, **proposal.to_json()})
        return
    _show(proposal, remembered, host)
    if waiting is not None:
        rows = ((name, str(count)) for name, count in waiting.items())
        _table("Messages that wait for workers", ("queue", "messages"), rows)


def _remembered(settings: Settings) -> tuple[Mapping[str, NodeHistory], dict[str, int] | None]:
    """What nodes took, and how many messages wait in each queue; ``None`` where there are no workers to ask."""
    from tyqi_core.app import has_store, histories, queue_lengths
    from tyqi_core.runtime.distributed.queues import QUEUES
    from tyqi_core.runtime.history import from_fields
    from tyqi_core.runtime.history_file import read_histories

    if not has_store(settings):
        return histories(settings), None
    try:
        return histories(settings), queue_lengths(settings, QUEUES)
    except StoreError as error:
        say(f"warning: what workers saw is left out: {error}")
        found = read_histories(settings.state)
        return {node: from_fields(fields) for node, fields in found.items()}, None


def _show(proposal: Proposal, remembered: Mapping[str, NodeHistory], host: Host) -> None:
    if not proposal.placements:
        click.echo("No nodes are installed. Plugins are pip packages named tyqi-node-*.")
        return
    columns = ("node", "runs", "failed", "mean", "95% below", "memory", "GPU", "queue", "why")
    _table("What nodes took", columns, (_node_row(one, remembered.get(one.node)) for one in proposal.placements))
    _table(
        f"Proposed queues, on hosts with {host.cores} cores and {host.memory_mb} MiB",
        ("queue", "processes", "devices", "nodes", "why"),
        ((q.name, str(q.processes), ", ".join(q.devices), ", ".join(q.nodes), q.reason) for q in proposal.queues),
    )
    if proposal.devices:
        rows = ((d.name, f"{d.used_mb} of {d.usable_mb} MiB", ", ".join(d.nodes)) for d in proposal.devices)
        _table("Devices, nine tenths of each to be filled", ("device", "filled", "nodes"), rows)
    if overrides := proposal.overrides():
        click.echo("\nLines for the tasks of these nodes in your projects:")
        for node, line in overrides.items():
            click.echo(f"  {line}  # {node}")
    click.echo("\nWorkers:")
    for command in proposal.commands():
        click.echo(f"  {command}")
    for warning in proposal.warnings:
        say(f"warning: {warning}")


def _node_row(one: Placement, history: NodeHistory | None) -> tuple[str, ...]:
    from tyqi_core.runtime.distributed.needs import shown_s

    if history is None:
        return (one.node, "-", "-", "-", "-", "-", "-", one.queue, one.reason)
    durations = (shown_s(history.mean_s), shown_s(history.p95_s)) if history.recent else ("-", "-")
    memory = tuple("-" if peak is None else f"{peak} MiB" for peak in (history.memory_mb, history.gpu_memory_mb))
    return (one.node, str(history.count), str(history.failures), *durations, *memory, one.queue, one.reason)


def _table(title: str, columns: Iterable[str], rows: Iterable[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, _NARROWEST)
    click.echo(f"\n{title}:")
    table = Table(box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold", no_wrap=name in {"node", "queue"})
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _history_json(history: NodeHistory | None) -> dict[str, Any] | None:
    return None if history is None else asdict(history)


def _devices(given: str) -> Iterator[Device]:
    from tyqi_core.runtime.distributed.planning import Device

    for text in filter(None, (part.strip() for part in given.split(","))):
        name, separator, memory = text.rpartition("=")
        if not separator or not name or not memory.isascii() or not memory.isdigit() or not int(memory):
            raise UsageError(f"--devices {text}: NAME=MB is expected.", remedy=_EXAMPLE)
        yield Device(name, int(memory))


def _this_host() -> Host:
    """Cores and memory of this machine; where it does not tell its memory, the usual host's."""
    from tyqi_core.runtime.distributed.needs import Host

    cores = os.cpu_count() or Host().cores
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // (1024 * 1024)
    except (AttributeError, ValueError, OSError):
        memory = Host().memory_mb
    return Host(cores, memory)
