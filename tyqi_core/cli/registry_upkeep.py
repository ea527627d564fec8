"""``tyqi registry verify``, ``mirror``, ``build``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tyqi_core.cli.output import answer_json, as_json, say
from tyqi_core.cli.progress import progress_bar
from tyqi_core.cli.registry import folder_named, location_of, registry_option

if TYPE_CHECKING:
    from tyqi_core.errors import Problem

existing = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command(epilog="Example:  tyqi registry build --registry shelf")
@registry_option
@as_json
def build(location: str | None, *, json_wanted: bool) -> None:
    """Make index, catalogue and website anew, where they are not as they should be.

    An empty folder becomes a registry.
    """
    from tyqi_core.registry.building import build as built
    from tyqi_core.registry.folder import RegistryFolder

    folder = RegistryFolder.create(folder_named(location))
    with progress_bar("releases", len(folder.published())) as advance:
        made = built(folder.root, advance)
    releases = made.catalogue.releases
    if json_wanted:
        problems = [problem.to_json() for problem in made.problems]
        answer_json({"ok": not problems, "releases": len(releases), "problems": problems})
    else:
        _tell(made.problems)
        click.echo(f"{len(releases)} releases, {sum(len(one.nodes) for one in releases)} nodes in {folder.root}")
    raise click.exceptions.Exit(1 if made.problems else 0)


@click.command(epilog="Example:  tyqi registry verify --reproduce crack")
@registry_option
@click.option(
    "--reproduce", metavar="NAME", help="Also run the conformance kit again on this package's newest release."
)
@as_json
def verify(location: str | None, reproduce: str | None, *, json_wanted: bool) -> None:
    """Check every wheel's hash, that its evidence is about it, and that every page shows what is published.

    Exit code 1 if something is wrong.
    """
    from tyqi_core.registry.folder import RegistryFolder
    from tyqi_core.registry.verifying import verify as verified

    folder = RegistryFolder.open(folder_named(location))
    with progress_bar("releases", len(folder.published())) as advance:
        found = verified(folder.root, advance)
    problems = [*found.problems, *(_reproduced(folder.root, reproduce) if reproduce else [])]
    if json_wanted:
        told = [problem.to_json() for problem in problems]
        answer_json({"ok": not told, "releases": found.releases, "problems": told})
    else:
        _tell(problems)
        click.echo(f"{found.releases} releases, {len(problems) or 'no'} problems")
    raise click.exceptions.Exit(1 if problems else 0)


@click.command(epilog="Example:  tyqi registry mirror stick --for project.yaml")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--for", "projects", multiple=True, type=existing, required=True, metavar="PROJECT", help="A project file."
)
@click.option(
    "--extra", "extras", multiple=True, default=["images"], show_default=True, help="An extra of tyqi-core to bring."
)
@click.option("--constraints", multiple=True, type=existing, help="pip's constraints for libraries.")
@registry_option
@as_json
def mirror(
    folder: Path,
    projects: tuple[Path, ...],
    extras: tuple[str, ...],
    constraints: tuple[Path, ...],
    location: str | None,
    *,
    json_wanted: bool,
) -> None:
    """Make a registry in FOLDER that holds all nodes of projects and every library that they need.

    On the machine without network: pip install --index-url file:///FOLDER/simple tyqi-node-NAME
    """
    from tyqi_core.registry.mirroring import mirror as mirrored
    from tyqi_core.registry.mirroring import needed, nodes_of
    from tyqi_core.registry.reading import open_registry

    registry = open_registry(location_of(location))
    releases = needed(registry.catalogue(), [one for project in projects for one in nodes_of(project)])
    with progress_bar("mirror", len(releases) + 2) as advance:
        step = _stepping(advance)
        made = mirrored(registry, folder.absolute(), releases, extras=extras, constraints=constraints, step=step)
    index = open_registry(str(folder)).simple_url
    names = [f"{one.name} {one.version}" for one in releases]
    if json_wanted:
        answer_json({"ok": True, "index": index, "releases": names, "libraries": list(made.libraries)})
        return
    say(f"{len(names)} packages of nodes and {len(made.libraries)} libraries: {', '.join([*names, *made.libraries])}")
    click.echo(index)


def _stepping(advance: Callable[[], None]) -> Callable[[str], None]:
    def step(text: str) -> None:
        say(text)
        advance()

    return step


def _reproduced(root: Path, name: str) -> list[Problem]:
    """What comes out otherwise when the kit is run again."""
    from tyqi_core.conformance.run import checks_of, conform
    from tyqi_core.registry.folder import RegistryFolder
    from tyqi_core.registry.reading import open_registry
    from tyqi_core.registry.searching import releases_named
    from tyqi_core.registry.verifying import reproduce

    newest = releases_named(open_registry(str(root)).catalogue(), name)[0]
    release = RegistryFolder.open(root).find(newest.name, newest.version)
    with progress_bar("checks", len(checks_of())) as advance:
        again = conform(release.wheel_path, progress=lambda _: advance())
    return reproduce(release, again)


def _tell(problems: Sequence[Problem]) -> None:
    for problem in problems:
        say(str(problem))
