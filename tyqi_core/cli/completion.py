"""``tyqi completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command(epilog="Example:  tyqi completion bash >> ~/.bashrc")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that completes commands, options and file names in a shell."""
    from tyqi_core.cli import cli

    completer = get_completion_class(shell)
    if completer is None:
        raise click.UsageError(f"there is no completion for {shell}")
    click.echo(completer(cli, {}, "tyqi", "_TYQI_COMPLETE").source())
