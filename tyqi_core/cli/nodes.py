"""``tyqi nodes``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tyqi_core.catalog.catalog import Catalog, Entry
from tyqi_core.catalog.probe import Verdicts
from tyqi_core.cli.output import DEFAULT_OUT, answer_json, as_json, parameters, params_option

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tyqi_core.catalog.manifest import Manifest, Port


class NodesGroup(click.Group):
    """``tyqi nodes``, ``tyqi nodes NAME`` and ``tyqi nodes run NAME``: a first word that is no command is a name."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Take a word that is no command for the name of a node."""
        if args[0] not in self.commands:
            return "show", show, args
        return super().resolve_command(ctx, args)


@click.group(
    cls=NodesGroup,
    invoke_without_command=True,
    subcommand_metavar="[NAME | run NAME ...]",
    epilog="Examples:  tyqi nodes;  tyqi nodes crack.segment;  tyqi nodes run crack.segment --input image=wall.png",
)
@as_json
@click.pass_context
def nodes(ctx: click.Context, *, json_wanted: bool) -> None:
    """List the installed nodes, describe one (tyqi nodes NAME), or run one (tyqi nodes run NAME).

    Broken ones are listed with their reason. No plugin is imported.
    """
    if ctx.invoked_subcommand is not None:
        return
    catalog, verdicts = Catalog.load(), Verdicts.load()
    entries = catalog.entries()
    if json_wanted:
        answer_json({"nodes": [_entry_json(entry, verdicts) for entry in entries]})
        return
    for entry in entries:
        click.echo(_line(entry, verdicts))
    if not entries:
        click.echo("No nodes are installed. Plugins are pip packages named tyqi-node-*.")


@nodes.command(hidden=True)
@click.argument("name")
@as_json
@click.pass_context
def show(ctx: click.Context, name: str, *, json_wanted: bool) -> None:
    """Describe one node: ports, parameters, outcomes, resources."""
    manifest = Catalog.load().find(name)
    if json_wanted or _asked_before(ctx):
        answer_json({"id": manifest.id, "distribution": manifest.distribution, **manifest.body})
        return
    click.echo(f"{manifest.id} {manifest.version}  {manifest.title}   ({manifest.distribution})")
    click.echo(f"\n{manifest.description.strip()}\n")
    _ports("inputs", manifest.inputs)
    _ports("outputs", manifest.outputs)
    _section("parameters", {name: _parameter(schema) for name, schema in _properties(manifest).items()})
    _section("outcomes", manifest.outcomes)
    resources = manifest.resources
    click.echo(f"runs on {resources.device}, {resources.cores} core(s), {resources.memory_mb} MiB, {manifest.queue}")
    click.echo(f"uses {', '.join(manifest.capabilities) or 'no network, no processes, no files, no native code'}")


@nodes.command(name="run", epilog="Example:  tyqi nodes run crack.segment --input image=wall.png --out results")
@click.argument("name")
@click.option("--input", "inputs", multiple=True, metavar="PORT=FILE", help="A file for an input port.")
@params_option
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=DEFAULT_OUT, show_default=True)
@as_json
@click.pass_context
def run_node(
    ctx: click.Context, name: str, inputs: tuple[str, ...], params: tuple[str, ...], *, out: Path, json_wanted: bool
) -> None:
    """Run one node on files, validated and recorded as in a project, and write its outputs to --out."""
    from tyqi_core.app import node_project
    from tyqi_core.cli.batch import Batch
    from tyqi_core.cli.run import finish, given_inputs
    from tyqi_core.runtime.inputs import batches
    from tyqi_core.settings import Settings

    catalog = Catalog.load()
    project = node_project(name, catalog, parameters(params))
    given = list(given_inputs(project.plan, inputs, None))
    with Batch(project, catalog, Settings.load(), out, None) as batch:
        for files in batches(given):
            batch.add(files)
        finish(batch, json_wanted=json_wanted or _asked_before(ctx))


def _asked_before(ctx: click.Context) -> bool:
    """Whether ``--json`` stands before the name: ``tyqi nodes --json crack.segment``."""
    return ctx.parent is not None and bool(ctx.parent.params["json_wanted"])


def _entry_json(entry: Entry, verdicts: Verdicts) -> dict[str, Any]:
    body: dict[str, Any] = {"id": entry.id, "state": entry.state, "distribution": entry.distribution}
    manifest = entry.manifest
    if manifest is None:
        return body | {"problems": [problem.to_json() for problem in entry.problems]}
    body |= {"version": manifest.version, "title": manifest.title, "category": manifest.category}
    body |= {"queue": manifest.queue, "tags": list(manifest.tags), "outcomes": list(manifest.outcomes)}
    body |= {"capabilities": list(manifest.capabilities)}
    body |= {"inputs": {name: str(port.type) for name, port in manifest.inputs.items()}}
    body |= {"outputs": {name: str(port.type) for name, port in manifest.outputs.items()}}
    if (verdict := verdicts.of(manifest)) is not None:
        body["probe"] = {"ok": verdict.ok, "reason": verdict.reason, "seconds": round(verdict.seconds, 3)}
    return body


def _line(entry: Entry, verdicts: Verdicts) -> str:
    manifest = entry.manifest
    if manifest is None:
        reason = entry.reason.replace("\n", "\n    ")
        return f"{entry.id:<24} broken     ({entry.distribution})\n    {reason}"
    verdict = verdicts.of(manifest)
    probe = "" if verdict is None or verdict.ok else f"\n    cannot be imported: {verdict.reason}"
    uses = f"  (uses {', '.join(manifest.capabilities)})" if manifest.capabilities else ""
    head = f"{manifest.id:<24} {entry.state:<10} {manifest.version:<8} {manifest.queue:<10}"
    return f"{head} {manifest.title}{uses}{probe}"


def _ports(title: str, ports: Mapping[str, Port]) -> None:
    _section(title, {name: f"{port.type}{_optional(port)}  {port.description}" for name, port in ports.items()})


def _optional(port: Port) -> str:
    if port.default is not None:
        return f" [default {port.default}]"
    return "" if port.required else " [optional]"


def _parameter(schema: Mapping[str, Any]) -> str:
    default = f" [default {schema['default']}]" if "default" in schema else ""
    return f"{schema.get('type', 'any')}{default}  {schema.get('description', '')}"


def _properties(manifest: Manifest) -> Mapping[str, Any]:
    properties: Mapping[str, Any] = manifest.params_schema["properties"]
    return properties


def _section(title: str, rows: Mapping[str, str]) -> None:
    if rows:
        click.echo(f"{title}:")
        for name, text in rows.items():
            click.echo(f"  {name:<16} {' '.join(text.split())}")
