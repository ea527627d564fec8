"""``tyqi registry``: the group, and what its commands share."""

from __future__ import annotations

from pathlib import Path

import click

from tyqi_core.cli.lazy import LazyGroup
from tyqi_core.errors import UsageError

COMMANDS = {
    "search": ("tyqi_core.cli.registry_search", "search", "Find nodes by words, type, device, licence or tier."),
    "show": ("tyqi_core.cli.registry_search", "show", "Tell all about a package or a node."),
    "publish": ("tyqi_core.cli.registry_publish", "publish", "Check a wheel and publish it."),
    "yank": ("tyqi_core.cli.registry_publish", "yank", "Keep pip from choosing a release."),
    "quarantine": ("tyqi_core.cli.registry_publish", "quarantine", "Keep a release from being installed at all."),
    "verify": ("tyqi_core.cli.registry_upkeep", "verify", "Check hashes, evidence and pages of the whole folder."),
    "mirror": ("tyqi_core.cli.registry_upkeep", "mirror", "Make a registry for a machine without network."),
    "build": ("tyqi_core.cli.registry_upkeep", "build", "Make index, catalogue and website anew."),
    "serve": ("tyqi_core.cli.registry_serve", "serve", "Serve the registry, and take wheels from those with a key."),
}

registry_option = click.option(
    "--registry",
    "location",
    metavar="FOLDER|URL",
    help="The registry. Default: the setting 'registry' (TYQI_REGISTRY).",
)


@click.group(
    cls=LazyGroup,
    commands_table=COMMANDS,
    open_to_packages=False,
    epilog="Example:  tyqi registry search crack --from image --to mask --device cpu",
)
def registry() -> None:
    """Publish, find and check nodes in a registry: a folder, or the same folder on a web server."""


def location_of(given: str | None) -> str:
    """The registry that a command is about.

    Raises:
        UsageError: none is named.
    """
    from tyqi_core.settings import Settings

    named = given or Settings.load().registry
    if not named:
        remedy = "Name a folder or URL: --registry, TYQI_REGISTRY, or 'registry' in tyqi.toml."
        raise UsageError("no registry is named", code="NO_REGISTRY", remedy=remedy)
    return named


def folder_named(given: str | None) -> Path:
    """The registry's folder, for commands that change it.

    Raises:
        UsageError: none is named, or it is on a web server.
    """
    from tyqi_core.registry.reading import folder_of

    location = location_of(given)
    folder = folder_of(location)
    if folder is None:
        remedy = "Name the folder that is served, on the machine where it lies."
        raise UsageError(f"{location} is on a web server and is only read here", code="NO_FOLDER", remedy=remedy)
    return folder
