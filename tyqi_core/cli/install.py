"""``tyqi install`` and ``tyqi upgrade``."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import click

from tyqi_core.cli.output import answer_json, as_json, consent, say
from tyqi_core.errors import UsageError
from tyqi_core.settings import Settings

if TYPE_CHECKING:
    from tyqi_core.catalog.manifest import Manifest
    from tyqi_core.installation.differences import Offer
    from tyqi_core.installation.planning import Plan
    from tyqi_core.installation.probing import Usable

_registry = click.option("--registry", metavar="PLACE", help="A folder or URL. Default: the setting 'registry'.")
_yes = click.option("--yes", "-y", is_flag=True, help="Do not ask.")
_dry_run = click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")


@click.command(epilog="Examples:  tyqi install crack;  tyqi install 'crack==1.2';  tyqi install --isolated crack")
@click.argument("names", nargs=-1, required=True, metavar="NAME|WHEEL...")
@click.option("--isolated", is_flag=True, help="Into an environment of its own, with a queue and workers of its own.")
@_registry
@_yes
@_dry_run
@as_json
def install(
    names: tuple[str, ...], registry: str | None, *, isolated: bool, yes: bool, dry_run: bool, json_wanted: bool
) -> None:
    """Install nodes: from the registry by NAME (crack, crack==1.2), or from a WHEEL on disk.

    pip installs them, but moves nothing that tyqi-core stands on (torch, numpy, celery ...) and breaks no other plugin;
    what does not fit is told, with the versions. Before anything is changed it is shown what would be, how far the
    nodes were tested (tier), what they declare to do (network, files ...), and what is new against the version that is
    installed.
    """
    settings = Settings.load()
    errand = Errand(_location(registry, settings), settings, yes=yes, dry_run=dry_run)
    done = [errand.isolated(name) for name in names] if isolated else [errand.here(names)]
    _tell(done, json_wanted=json_wanted)


@click.command(epilog="Examples:  tyqi upgrade crack;  tyqi upgrade")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@_registry
@_yes
@_dry_run
@as_json
def upgrade(names: tuple[str, ...], registry: str | None, *, yes: bool, dry_run: bool, json_wanted: bool) -> None:
    """Install the newest versions of nodes that are installed here; without NAME of all that the registry knows."""
    from tyqi_core.installation.asking import distribution_of
    from tyqi_core.installation.isolated import environments

    settings = Settings.load()
    location = _location(registry, settings)
    wanted = {distribution_of(name): name for name in names} or _all_known(location)
    here = set(_installed())
    apart = {one.distribution for one in environments(settings.state)} - here
    if missing := sorted(wanted.keys() - here - apart):
        raise UsageError(f"{missing[0]} is not installed.", code="NOT_INSTALLED", remedy=f"tyqi install {missing[0]}")
    errand = Errand(location, settings, yes=yes, dry_run=dry_run)
    done = [errand.isolated(wanted[distribution]) for distribution in sorted(apart & wanted.keys())]
    if words := [wanted[distribution] for distribution in sorted(here & wanted.keys())]:
        done.append(errand.here(words, upgrade=True))
    _tell(done, json_wanted=json_wanted)


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a plan. ``nodes`` are those that were tried out; none if nothing was done."""

    plan: Plan
    changed: bool = False
    nodes: Sequence[Usable] = ()


@dataclass(frozen=True, slots=True)
class Errand:
    """One command: plan, show, ask, do, try out.

    Args:
        location: the registry's.
        settings: those in force.
        yes: nobody is asked.
        dry_run: nothing is done.
    """

    location: str
    settings: Settings
    yes: bool
    dry_run: bool

    def here(self, names: Sequence[str], *, upgrade: bool = False) -> Done:
        """Install into this environment."""
        from tyqi_core.app import open_catalog
        from tyqi_core.installation.carrying_out import carry_out
        from tyqi_core.installation.planning import Place, Planner
        from tyqi_core.installation.probing import probed

        say("Working out what would change ...")
        place = Place.here()
        plan = Planner(self.location, open_catalog(self.settings)).plan(names, place, upgrade=upgrade)
        _show(plan)
        if not plan.changes or self.dry_run:
            return Done(plan)
        consent("Install this?", yes=self.yes)
        carry_out(plan, place.pip)
        plugins = {offer.name for offer in plan.offers}
        return Done(plan, True, list(probed(open_catalog(self.settings, cache=False), plugins)))

    def isolated(self, name: str) -> Done:
        """Install into an environment of its own."""
        from tyqi_core.app import open_catalog
        from tyqi_core.installation.isolating import drafted, finish, refuse_beside
        from tyqi_core.installation.planning import Planner
        from tyqi_core.installation.probing import probed

        say(f"Working out what an environment of {name} needs ...")
        with drafted(self.settings.state) as draft:
            plan = Planner(self.location, open_catalog(self.settings)).plan([name], draft.place)
            refuse_beside(plan)
            _show(plan)
            if self.dry_run:
                return Done(plan)
            consent("Install this in an environment of its own?", yes=self.yes)
            made = finish(draft, plan, self.settings.state, sys.prefix)
        nodes = list(probed(open_catalog(self.settings, cache=False), {made.distribution}, made.python))
        say(f"It is in {made.folder}; 'tyqi up' and 'tyqi worker --env {made.name}' serve its queue {made.queue}.")
        return Done(plan, True, nodes)


def _location(given: str | None, settings: Settings) -> str:
    return settings.registry if given is None else given


def _installed() -> dict[str, str]:
    from tyqi_core.catalog.discovery import PREFIX
    from tyqi_core.installation.present import installed

    return {name: package.version for name, package in installed().items() if name.startswith(PREFIX)}


def _all_known(location: str) -> dict[str, str]:
    """Of all that is installed, what the registry has."""
    from tyqi_core.registry.reading import open_registry

    releases = open_registry(location).catalogue().releases
    known = {release.name for release in releases if not release.yanked and not release.quarantined}
    return {name: name for name in _installed() if name in known}


def _show(plan: Plan) -> None:
    for offer in plan.offers:
        _show_offer(offer, plan.before.get(offer.name, ""), plan.manifests.get(offer.name, ()))
    plugins = {offer.name for offer in plan.offers}
    if others := [change for change in plan.changes if change.name not in plugins]:
        say("with it:")
        for change in others:
            moved = f"{before} -> " if (before := plan.before.get(change.name)) else ""
            say(f"  {change.name} {moved}{change.version}")
    for remark in plan.remarks:
        say(f"note: {remark}")


def _show_offer(offer: Offer, before: str, manifests: Sequence[Manifest]) -> None:
    from tyqi_core.installation.differences import news

    moved = f"{before} -> " if before else ""
    may = f"may use {', '.join(offer.capabilities)}" if offer.capabilities else "declares no network, files or programs"
    say(f"{offer.name} {moved}{offer.version}   tier: {offer.tier}; {may}")
    for face in offer.nodes:
        say(f"  {face.id} {face.version}  {face.title}")
    for line in news(manifests, offer):
        say(f"  {line}")


def _tell(all_done: Sequence[Done], *, json_wanted: bool) -> NoReturn:
    """Say what can be used now, and end the command."""
    nodes = [node for done in all_done for node in done.nodes]
    ok = all(not node.reason for node in nodes)
    if json_wanted:
        parts = [{"done": done.changed, **done.plan.to_json()} for done in all_done]
        answer_json({"ok": ok, "done": any(done.changed for done in all_done), **_joined(parts), "nodes": _told(nodes)})
        raise click.exceptions.Exit(0 if ok else 1)
    for node in nodes:
        click.echo(f"{node.id} {node.version}: " + (f"cannot be used: {node.reason}" if node.reason else "usable"))
    for done in all_done:
        if not done.plan.changes:
            say("There is nothing to do: what is installed will do.")
        elif not done.changed:
            say("Nothing was done.")
    if not ok:
        say("To remove what cannot be used: tyqi uninstall NAME")
    raise click.exceptions.Exit(0 if ok else 1)


def _joined(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {key: [one for part in parts for one in part[key]] for key in ("plugins", "changes", "remarks")}


def _told(nodes: Sequence[Usable]) -> list[dict[str, Any]]:
    return [{"id": one.id, "version": one.version, "usable": not one.reason, "reason": one.reason} for one in nodes]
