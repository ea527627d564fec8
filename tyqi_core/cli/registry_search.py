"""``tyqi registry search`` and ``show``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tyqi_core.cli.output import answer_json, as_json, say
from tyqi_core.cli.registry import location_of, registry_option
from tyqi_core.errors import CatalogError, InvalidProject, RegistryError, UsageError

if TYPE_CHECKING:
    from tyqi_core.protocol.ports import PortType
    from tyqi_core.registry.catalogue import Catalogue, Listing, Release
    from tyqi_core.registry.searching import Hit


@click.command(epilog="Example:  tyqi registry search --from image --to anomaly_map --device cpu")
@click.argument("words", nargs=-1)
@click.option("--from", "inputs", multiple=True, metavar="TYPE", help="It takes this: image, 'list of image'.")
@click.option("--to", "outputs", multiple=True, metavar="TYPE", help="It gives this.")
@click.option("--after", metavar="NODE|PROJECT:TASK", help="It can follow this: all that it needs comes from there.")
@click.option("--category", default="", help="Its category, for example segmentation.")
@click.option("--tag", default="", help="One of its tags.")
@click.option("--device", default="", type=click.Choice(["", "cpu", "gpu"]), help="Where it can compute.")
@click.option("--licence", default="", help="Its licence, for example Apache-2.0.")
@click.option("--tier", type=click.Choice(["bronze", "silver", "gold"]), help="At least this tier.")
@registry_option
@as_json
def search(
    words: tuple[str, ...],
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    after: str | None,
    location: str | None,
    *,
    json_wanted: bool,
    **filters: Any,
) -> None:
    """Find nodes. All that is given must hold; the best come first.

    'What turns an image into an anomaly map on a CPU?' is --from image --to anomaly_map --device cpu. 'What can follow
    task T1 of my project?' is --after project.yaml:T1.
    """
    from tyqi_core.registry.reading import open_registry
    from tyqi_core.registry.searching import Query, type_named
    from tyqi_core.registry.searching import search as find

    catalogue = open_registry(location_of(location)).catalogue()
    query = Query(
        words=words,
        inputs=[type_named(text) for text in inputs],
        outputs=[type_named(text) for text in outputs],
        after=() if after is None else _outputs_of(after, catalogue),
        **filters,
    )
    hits = find(catalogue, query)
    if json_wanted:
        answer_json({"nodes": [_hit_json(hit) for hit in hits]})
        return
    for hit in hits:
        click.echo(_line(hit))
    if not hits:
        say("No node in the registry fits.")


@click.command(epilog="Example:  tyqi registry show crack")
@click.argument("name")
@registry_option
@as_json
def show(name: str, location: str | None, *, json_wanted: bool) -> None:
    """Tell all about a package (crack, tyqi-node-crack) or a node (crack.segment): versions, nodes, evidence."""
    from tyqi_core.registry.reading import open_registry
    from tyqi_core.registry.searching import offered, releases_named

    registry = open_registry(location_of(location))
    catalogue = registry.catalogue()
    releases = releases_named(catalogue, name)
    newest = next((one for one in offered(catalogue) if one.name == releases[0].name), releases[0])
    if "." in name:
        newest = _only(newest, name)
    failed = [one for one in registry.evidence(newest).results if one.outcome in {"failed", "warned"}]
    if json_wanted:
        versions = [{part: getattr(one, part) for part in _OF_A_VERSION} for one in releases]
        findings = [{"check": one.check, "tier": one.tier, "outcome": one.outcome} for one in failed]
        answer_json({"release": asdict(newest), "versions": versions, "evidence": findings})
        return
    _tell(newest, registry.simple_url)
    for one in failed:
        click.echo(f"{one.check} {one.outcome} ({one.tier}): {'; '.join(map(str, one.findings))}")
    _section("versions", {one.version: _version(one) for one in releases})


_OF_A_VERSION = ("version", "published", "tier", "yanked", "quarantined", "sha256")


def _outputs_of(after: str, catalogue: Catalogue) -> Sequence[PortType]:
    """The types that a node, or a task of a project, gives: of the registry's node, or of the one installed here."""
    from tyqi_core.catalog.catalog import Catalog
    from tyqi_core.registry.searching import offering, outputs_of

    reference = _node_of_task(after) if ":" in after else after
    try:
        found = outputs_of(offering(catalogue, reference).node)
    except RegistryError as unknown:
        try:
            manifest = Catalog.load().find(reference)
        except CatalogError:
            raise unknown from None
        found = [port.type for port in manifest.outputs.values()]
    if not found:
        raise UsageError(f"'{reference}' has no outputs that anything could follow", code="NO_OUTPUTS")
    return found


def _node_of_task(after: str) -> str:
    """The node that a task runs: ``project.yaml:T1``."""
    from tyqi_core.protocol.document import read_file

    file, _, task = after.rpartition(":")
    document = read_file(Path(file), error=InvalidProject)
    tasks = document.value.get("tasks") if isinstance(document.value, dict) else None
    declared = tasks.get(task) if isinstance(tasks, dict) else None
    if isinstance(declared, dict) and isinstance(declared.get("node"), str):
        return str(declared["node"])
    known = ", ".join(map(str, list(tasks)[:20])) if isinstance(tasks, dict) else ""
    hint = f"It has {known}." if known else "Write PROJECT:TASK, for example project.yaml:T1."
    raise UsageError(f"{file} has no task '{task}' with a node", code="NO_TASK", remedy=hint)


def _only(release: Release, name: str) -> Release:
    """The release with the one node that was asked for."""
    node_id, _, major = name.partition("@")
    nodes = [
        node for node in release.nodes if node.id == node_id and (not major or node.version.startswith(f"{major}."))
    ]
    if not nodes:
        known = ", ".join(sorted({node.id for node in release.nodes}))
        raise RegistryError(
            f"{release.name} {release.version} has no '{name}'", code="UNKNOWN_NODE", remedy=f"It has {known}."
        )
    return replace(release, nodes=nodes)


def _hit_json(hit: Hit) -> dict[str, Any]:
    node, release = hit.node, hit.release
    told = {name: getattr(node, name) for name in ("id", "version", "title", "category", "device", "licence")}
    told |= {"tags": list(node.tags), "tier": release.tier, "distribution": release.name, "release": release.version}
    return told | {"inputs": _types(node.inputs), "outputs": _types(node.outputs)}


def _types(ports: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    from tyqi_core.protocol.ports import PortType

    return {name: str(PortType.parse(port)) for name, port in ports.items()}


def _line(hit: Hit) -> str:
    node, release = hit.node, hit.release
    return f"{node.id:<28} {node.version:<8} {release.tier:<7} {node.device:<4} {node.title}   ({release.name})"


def _tell(release: Release, index: str) -> None:
    state = _version(release)
    click.echo(f"{release.name} {release.version}   {state}")
    capabilities = ", ".join(release.capabilities) or "none"
    click.echo(
        f"capabilities: {capabilities};  Python {release.requires_python or 'any'};  {release.size / 1024:.0f} KiB"
    )
    click.echo(f"sha256 {release.sha256}")
    click.echo(f"pip install --index-url {index} {release.name}=={release.version}\n")
    for node in release.nodes:
        _tell_node(node)
    click.echo(f"requires: {', '.join(release.requires) or 'nothing'}")
    _section("links", release.urls)


def _tell_node(node: Listing) -> None:
    click.echo(f"{node.id} {node.version}  {node.title}   ({node.category}, {node.licence}, {node.queue})")
    click.echo(f"{node.description}\n")
    for title, ports in (("inputs", node.inputs), ("outputs", node.outputs)):
        told = _types(ports)
        _section(title, {name: f"{told[name]}  {port.get('description', '')}" for name, port in ports.items()})
    _section("parameters", {name: _parameter(schema) for name, schema in node.params.items()})
    _section("outcomes", node.outcomes)
    click.echo("")


def _parameter(schema: Mapping[str, Any]) -> str:
    default = f" [default {json.dumps(schema['default'])}]" if "default" in schema else ""
    return f"{schema.get('type', 'any')}{default}  {schema.get('description', '')}"


def _version(release: Release) -> str:
    quarantined = f", quarantined: {release.quarantined}" if release.quarantined else ""
    yanked = f", yanked: {release.yanked}" if release.yanked else ""
    return f"{release.tier}, {release.published[:10]}{quarantined}{yanked}"


def _section(title: str, rows: Mapping[str, str]) -> None:
    if rows:
        click.echo(f"{title}:")
        for name, text in rows.items():
            click.echo(f"  {name:<16} {' '.join(text.split())}")
