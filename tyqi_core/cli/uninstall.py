"""``tyqi uninstall``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from tyqi_core.cli.output import answer_json, as_json, consent, say
from tyqi_core.errors import UsageError
from tyqi_core.settings import Settings

if TYPE_CHECKING:
    from tyqi_core.installation.carrying_out import Removal
    from tyqi_core.installation.isolated import Isolated


@click.command(epilog="Example:  tyqi uninstall crack")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@as_json
def uninstall(names: tuple[str, ...], *, yes: bool, json_wanted: bool) -> None:
    """Remove nodes, from here and from environments of their own, with what was installed only because they need it.

    No plugin is imported, so one that cannot even be imported can be removed.
    """
    from tyqi_core.installation.asking import distribution_of
    from tyqi_core.installation.carrying_out import forget, plan_removal, remove
    from tyqi_core.installation.isolated import environments
    from tyqi_core.installation.isolating import remove as remove_environment
    from tyqi_core.installation.pip import Pip
    from tyqi_core.installation.present import installed

    wanted = list(dict.fromkeys(distribution_of(name) for name in names))
    packages = installed()
    apart = [one for one in environments(Settings.load().state) if one.distribution in wanted]
    here = [name for name in wanted if name in packages]
    if missing := [name for name in wanted if name not in here and name not in {one.distribution for one in apart}]:
        raise UsageError(f"{missing[0]} is not installed.", code="NOT_INSTALLED", remedy="'tyqi nodes' lists what is.")
    removal = plan_removal(here, packages)
    gone = _show(removal, apart)
    consent("Remove this?", yes=yes)
    for environment in apart:
        remove_environment(environment)
    remove(removal, Pip())
    forget(wanted)
    if json_wanted:
        answer_json({"ok": True, "removed": gone})


def _show(removal: Removal, apart: Sequence[Isolated]) -> list[str]:
    """Say what would go; the same in a list."""
    gone = [f"{package.name} {package.version}" for package in removal.plugins]
    gone += [
        f"{package.name} {package.version} (came with it, and nobody else needs it)" for package in removal.with_them
    ]
    gone += [f"{one.distribution} {one.version} in {one.folder}" for one in apart]
    say("To be removed:")
    for line in gone:
        say(f"  {line}")
    return gone
