"""``tyqi registry serve``."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tyqi_core.cli.output import say
from tyqi_core.errors import UsageError
from tyqi_core.registry.layout import DESCRIPTION

if TYPE_CHECKING:
    from starlette.applications import Starlette

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@click.command(epilog="Example:  tyqi registry serve --registry nodes --port 8123")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen; 0.0.0.0 is everywhere.")
@click.option("--port", default=8123, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option(
    "--registry",
    "given",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="The registry's folder. Default: the setting 'registry' (TYQI_REGISTRY).",
)
@click.option(
    "--largest", default=512, show_default=True, type=click.IntRange(1), help="MiB that a publication may have."
)
@click.option("--own-evidence", is_flag=True, help="Check every wheel here, whatever evidence comes with it.")
@click.option("--new-key", metavar="NAME", help="Make a key for publishing, print it, and do not serve.")
@click.option("--remove-key", metavar="NAME", help="Make a key worthless, and do not serve.")
def serve(
    *,
    host: str,
    port: int,
    given: Path | None,
    largest: int,
    own_evidence: bool,
    new_key: str | None,
    remove_key: str | None,
) -> None:
    """Offer a registry's folder over HTTP, until Ctrl-C: website, index for pip, and publishing with a key.

    Keys are shown once, when they are made; the folder keeps only their SHA-256.
    """
    from tyqi_core.registry.keys import Keys

    folder = _folder(given)
    if new_key is not None:
        click.echo(Keys(folder).new(new_key))
        say(f"This is the key of {new_key}. It is shown this once; who publishes sets TYQI_REGISTRY_KEY to it.")
    elif remove_key is not None:
        Keys(folder).remove(remove_key)
        say(f"The key of {remove_key} is worthless now.")
    else:
        app = _application(folder, largest * 1024 * 1024, trusting=not own_evidence)
        _serve(app, folder, host, port)


def _folder(given: Path | None) -> Path:
    from tyqi_core.cli.registry import folder_named

    folder = folder_named(None if given is None else str(given))
    if not (folder / DESCRIPTION).is_file():
        remedy = "Name its folder: --registry, TYQI_REGISTRY, or 'registry' in tyqi.toml."
        raise UsageError(f"{folder} is no registry", code="NO_REGISTRY", remedy=remedy)
    return folder


def _application(folder: Path, largest: int, *, trusting: bool) -> Starlette:
    try:
        from tyqi_core.registry.serving import application

        return application(folder, largest=largest, trusting=trusting, told=say)
    except ModuleNotFoundError as error:
        remedy = "Run: pip install 'tyqi-core[registry]'"
        raise UsageError(f"serving needs {error.name}", code="EXTRA_MISSING", remedy=remedy) from error


def _serve(app: Starlette, folder: Path, host: str, port: int) -> None:
    import uvicorn

    from tyqi_core.registry.keys import Keys

    with _listening(host, port) as listener:
        shown = f"[{host}]" if ":" in host else host
        say(f"Serving {folder} at http://{shown}:{listener.getsockname()[1]}/; pid {os.getpid()}")
        if not Keys(folder):
            say("Nobody can publish yet; 'tyqi registry serve --new-key NAME' makes a key.")
        if host not in LOOPBACK:
            say("Keys travel as they are: put a proxy with TLS in front before others publish over a network.")
        config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False, ws="none")
        try:
            uvicorn.Server(config).run(sockets=[listener])
        except KeyboardInterrupt:
            say("Stopped.")


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=256)
    except OSError as error:
        remedy = "Choose another with --port; 0 takes a free one."
        raise UsageError(
            f"cannot listen on {host}:{port}: {error.strerror}", code="PORT_TAKEN", remedy=remedy
        ) from error
