"""``tyqi registry publish``, ``yank``, ``quarantine``."""

from __future__ import annotations

import json
import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tyqi_core.cli.output import answer_json, as_json, say
from tyqi_core.cli.registry import folder_named, location_of, registry_option
from tyqi_core.errors import UsageError

if TYPE_CHECKING:
    from tyqi_core.conformance.evidence import Evidence
    from tyqi_core.registry.catalogue import Release

KEY_VARIABLE = "TYQI_REGISTRY_KEY"
existing = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command(epilog="Example:  tyqi registry publish dist/tyqi_node_rust-1.0.0-py3-none-any.whl --registry shelf")
@click.argument("wheel", type=existing)
@registry_option
@click.option(
    "--evidence", type=existing, help="What 'tyqi conform --out' wrote for this wheel; else it is checked now."
)
@click.option("--constraints", type=existing, help="pip's constraints for the check; default: those of this host.")
@click.option("--similar-name", is_flag=True, help="Take a name that is one letter away from a published one.")
@as_json
def publish(
    wheel: Path,
    location: str | None,
    evidence: Path | None,
    constraints: Path | None,
    *,
    similar_name: bool,
    json_wanted: bool,
) -> None:
    """Check a wheel with the conformance kit and publish it. An empty folder becomes a registry.

    Refused is what does not reach bronze, a version that is published already, a name that is taken or easily
    mistaken, and a version that says less than has changed since the last one. To a registry on a web server
    ('tyqi registry serve') the wheel is sent; TYQI_REGISTRY_KEY holds the key.
    """
    from tyqi_core.cli.progress import progress_bar
    from tyqi_core.conformance.run import checks_of
    from tyqi_core.registry.publishing import publish as published
    from tyqi_core.registry.reading import folder_of

    given = None if evidence is None else _read_evidence(evidence)
    if folder_of(target := location_of(location)) is None:
        _send(target, wheel, given, json_wanted=json_wanted)
        return
    with progress_bar("checks", 0 if given else len(checks_of())) as advance:
        release = published(
            folder_named(target),
            wheel,
            given,
            constraints=constraints,
            similar_name=similar_name,
            progress=lambda _: advance(),
        )
    _tell(release, json_wanted=json_wanted)


@click.command(epilog="Example:  tyqi registry yank crack 1.2.0 --reason 'reads the wrong channel'")
@click.argument("name")
@click.argument("version")
@click.option("--reason", help="Why; shown to everybody.")
@click.option("--undo", is_flag=True, help="Offer it again.")
@registry_option
@as_json
def yank(name: str, version: str, reason: str | None, location: str | None, *, undo: bool, json_wanted: bool) -> None:
    """Keep pip from choosing a release, unless somebody asks for that very version. Nothing is deleted."""
    from tyqi_core.registry.publishing import yank as withdrawn

    said, folder = _reason(reason, undo=undo), folder_named(location)
    full = _full_name(folder, name)
    withdrawn(folder, full, version, said)
    _tell_withdrawn(f"{full} {version}", "yanked", said, json_wanted=json_wanted)


@click.command(epilog="Example:  tyqi registry quarantine crack 1.2.0 --reason 'sends pictures elsewhere'")
@click.argument("name")
@click.argument("version")
@click.option("--reason", help="Why; shown to everybody.")
@click.option("--undo", is_flag=True, help="Offer it again.")
@registry_option
@as_json
def quarantine(
    name: str, version: str, reason: str | None, location: str | None, *, undo: bool, json_wanted: bool
) -> None:
    """Keep a release from being installed any more. Nothing is deleted, and everybody sees why.

    Where it is installed already, tyqi doctor says so.
    """
    from tyqi_core.registry.publishing import quarantine as withdrawn

    said, folder = _reason(reason, undo=undo), folder_named(location)
    full = _full_name(folder, name)
    withdrawn(folder, full, version, said)
    _tell_withdrawn(f"{full} {version}", "quarantined", said, json_wanted=json_wanted)


def _send(target: str, wheel: Path, evidence: Evidence | None, *, json_wanted: bool) -> None:
    """Publish over HTTP."""
    key = os.environ.get(KEY_VARIABLE, "")
    if not key:
        remedy = f"Its operator makes one: tyqi registry serve --new-key NAME. Put it into {KEY_VARIABLE}."
        raise UsageError(f"{target} takes wheels only with a key", code="KEY_NEEDED", remedy=remedy)
    told = import_module("tyqi_core.registry.sending").send(target, wheel, evidence, key=key)
    if json_wanted:
        answer_json({"ok": True, "release": told})
    else:
        say(f"{told['name']} {told['version']} is published, {told['tier']}")
        click.echo(told["filename"])


def _read_evidence(path: Path) -> Evidence:
    from tyqi_core.conformance.evidence import Evidence

    try:
        return Evidence.from_json(json.loads(path.read_bytes()))
    except ValueError as error:
        remedy = "Write it with 'tyqi conform WHEEL --out FILE'."
        raise UsageError(f"{path}: {error}", code="BAD_EVIDENCE", remedy=remedy) from error


def _full_name(folder: Path, name: str) -> str:
    from tyqi_core.registry.reading import open_registry
    from tyqi_core.registry.searching import releases_named

    return releases_named(open_registry(str(folder)).catalogue(), name)[0].name


def _reason(reason: str | None, *, undo: bool) -> str:
    if undo == bool(reason):
        raise UsageError("say why with --reason, or take it back with --undo", remedy="Example: --reason 'wrong unit'")
    return reason or ""


def _tell(release: Release, *, json_wanted: bool) -> None:
    if json_wanted:
        told = {name: getattr(release, name) for name in ("name", "version", "filename", "sha256", "tier", "published")}
        answer_json({"ok": True, "release": told | {"nodes": [f"{node.id} {node.version}" for node in release.nodes]}})
        return
    say(f"{release.name} {release.version} is published, {release.tier}: {', '.join(n.id for n in release.nodes)}")
    click.echo(release.filename)


def _tell_withdrawn(release: str, how: str, reason: str, *, json_wanted: bool) -> None:
    if json_wanted:
        answer_json({"ok": True, "release": release, how: reason})
    else:
        click.echo(f"{release} is {how}: {reason}" if reason else f"{release} is {how} no more")
