"""A command group that imports the module of a command only when it is used."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click


class LazyGroup(click.Group):
    """Args: ``commands_table``: name -> (module, attribute, one line of help); ``open_to_packages``: others may add."""

    def __init__(
        self,
        *args: Any,
        commands_table: Mapping[str, tuple[str, str, str]],
        open_to_packages: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._table = commands_table
        self._added: dict[str, click.Command] | None = None if open_to_packages else {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the table's order."""
        del ctx
        return [*self._table, *self._offered()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module."""
        del ctx
        if cmd_name not in self._table:
            return self._offered().get(cmd_name)
        module, attribute, _ = self._table[cmd_name]
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which name is nearest."""
        if args[0] not in self._table and not args[0].startswith("-") and args[0] not in self._offered():
            from difflib import get_close_matches

            nearest = get_close_matches(args[0], self._table, n=1)
            hint = f" Did you mean '{nearest[0]}'?" if nearest else f" Known are {', '.join(self._table)}."
            raise click.UsageError(f"there is no command '{args[0]}'.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Help from the table: no module is imported for it."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in self._table.items()])
        if offered := self._offered():
            with formatter.section("Commands of installed packages"):
                formatter.write_dl([(name, command.get_short_help_str()) for name, command in offered.items()])

    def _offered(self) -> dict[str, click.Command]:
        """The commands that trusted packages add; a name of our own cannot be taken."""
        if self._added is None:
            from tyqi_core.hooks import load_hooks

            commands = [one for one in load_hooks().gathered("cli_commands") if isinstance(one, click.Command)]
            self._added = {str(one.name): one for one in commands if one.name not in self._table}
        return self._added
