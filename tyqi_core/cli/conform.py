"""``tyqi conform``."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, cast

import click

from tyqi_core.cli.output import answer_json, as_json, say
from tyqi_core.conformance.evidence import ALL_MODES, TIERS
from tyqi_core.errors import TyqiError, UsageError

if TYPE_CHECKING:
    from rich.text import Text

    from tyqi_core.conformance.checks import Mode
    from tyqi_core.conformance.evidence import Evidence, Result, Tier

_STYLES = {"passed": "green", "warned": "yellow", "failed": "bold red", "skipped": "dim"}


@click.command(
    epilog="Examples:  tyqi conform . --out evidence.json;  tyqi conform dist/tyqi_node_rust-0.1.0-py3-none-any.whl"
    " --mode static --tier silver"
)
@click.argument("target")
@click.option(
    "--mode",
    "modes",
    type=click.Choice(ALL_MODES),
    multiple=True,
    help="Run these checks alone; may be given several times. static: nothing of the wheel runs; probe: it is"
    " imported; run: its nodes are executed. Both in an environment of their own.",
)
@click.option("--tier", type=click.Choice(TIERS[1:]), default=TIERS[1], show_default=True, help="What must be reached.")
@click.option(
    "--constraints",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Versions of the host that the wheel has to live with; this environment's if not given.",
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the evidence to this file.")
@as_json
def conform(
    target: str, modes: tuple[str, ...], tier: Tier, constraints: Path | None, out: Path | None, *, json_wanted: bool
) -> None:
    """Check the wheel of a node package: TARGET is a project's folder, a wheel, or the name of a published package.

    A folder is built first: what is checked is what others would install. Each finding names its check, the place
    and the remedy. Exit code 1 if the tier is not reached.
    """
    settled = cast("tuple[Mode, ...]", modes or ALL_MODES)
    with _wheel_of(target) as wheel:
        evidence = _checked(wheel, settled, constraints)
    reached = TIERS.index(evidence.tier) >= TIERS.index(tier)
    if out is not None:
        _write(out, evidence)
    if json_wanted:
        answer_json({"ok": reached, **evidence.to_json()})
    else:
        _show(evidence)
    raise click.exceptions.Exit(0 if reached else 1)


def _checked(wheel: Path, modes: tuple[Mode, ...], constraints: Path | None) -> Evidence:
    from tyqi_core.cli.progress import progress_bar
    from tyqi_core.conformance.run import checks_of, conform

    with progress_bar(f"checking {wheel.name}", len(checks_of(modes))) as advance:
        return conform(wheel, modes=modes, constraints=constraints, known=_known(), progress=lambda _: advance())


@contextmanager
def _wheel_of(target: str) -> Iterator[Path]:
    """The wheel that is meant; one that is built or fetched for it is gone afterwards."""
    path = Path(target)
    if path.is_file():
        yield path
        return
    if not path.is_dir() and (os.sep in target or target.endswith(".whl")):
        raise UsageError(f"there is no {target}", code="NO_WHEEL", remedy="Build one: python -m build --wheel.")
    with TemporaryDirectory(prefix="tyqi-conform-") as folder:
        yield _built(path, Path(folder)) if path.is_dir() else _fetched(target, Path(folder))


def _built(project: Path, folder: Path) -> Path:
    from tyqi_core.conformance.building import built

    say(f"building {project.resolve().name}")
    return built(project, folder)


def _fetched(name: str, folder: Path) -> Path:
    """The wheel of the newest release in the registry, or of the version that is installed here."""
    from tyqi_core.catalog.discovery import normalised

    location, here = _registry(), _installed_version(name)
    if location:
        from tyqi_core.registry.reading import open_registry

        registry = open_registry(location)
        releases = [one for one in registry.catalogue().releases if one.name == normalised(name)]
        chosen = next((one for one in releases if one.version == here), next(iter(releases), None))
        if chosen is not None:
            return registry.download(chosen, folder)
    raise _no_wheel(name, here, location)


def _no_wheel(name: str, here: str, location: str) -> UsageError:
    where = f" in {location}" if location else ", and no registry is named"
    if here:
        message = f"{name} {here} is installed, but checks need its wheel; there is none{where}"
        remedy = f"pip download --no-deps {name}=={here}, then tyqi conform FILE.whl; or set TYQI_REGISTRY."
    else:
        message = f"'{name}' is no folder and no file; nothing of that name is installed, nor published{where}"
        remedy = "Name a project's folder, a wheel, or a package that the registry of TYQI_REGISTRY publishes."
    return UsageError(message, code="NO_WHEEL", remedy=remedy)


def _installed_version(name: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except (PackageNotFoundError, ValueError):
        return ""


def _registry() -> str:
    from tyqi_core.settings import Settings

    return Settings.load().registry


def _known() -> Mapping[str, str] | None:
    """What is published, if a registry is named and can be read."""
    location = _registry()
    if not location:
        return None
    from tyqi_core.registry.reading import open_registry

    try:
        releases = open_registry(location).catalogue().releases
    except TyqiError as error:
        say(f"warning: names are not compared with those of the registry: {error}")
        return None
    return {node.id: release.name for release in releases for node in release.nodes}


def _write(path: Path, evidence: Evidence) -> None:
    from tyqi_core.runtime.keeping import write_whole

    try:
        write_whole(path, json.dumps(evidence.to_json(), indent=2) + "\n")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", code="OUT") from error


def _show(evidence: Evidence) -> None:
    from rich.console import Console
    from rich.padding import Padding

    console = Console(highlight=False)
    console.print(_table(evidence))
    for result in evidence.results:
        for finding in result.findings if result.outcome != "skipped" else ():
            place = f"{finding.file}:{finding.line}" if finding.line else finding.file
            console.print(_styled(f"{result.check} {place}".rstrip(), _STYLES[result.outcome]))
            text = f"{finding.message}\n{finding.remedy}".rstrip()
            console.print(Padding(_styled(text), (0, 0, 0, 4), expand=False))
    console.print(_styled(_summary(evidence), "bold"))


def _table(evidence: Evidence) -> Any:
    from rich.table import Table

    from tyqi_core.conformance.checks import CHECKS

    table = Table("check", "tier", "outcome", "what holds of a wheel that passes", box=None, pad_edge=False)
    for result in evidence.results:
        outcome = _styled(result.outcome, _STYLES[result.outcome])
        table.add_row(result.check, result.tier, outcome, _styled(_title(result, CHECKS[result.check].title)))
    return table


def _title(result: Result, title: str) -> str:
    """The title, with what was measured, or why the check was skipped."""
    figures = ", ".join(f"{name} {value:g}" for name, value in result.measured.items())
    reason = result.findings[0].message if result.outcome == "skipped" and result.findings else ""
    title = title.rstrip(".")
    return f"{title} ({figures or reason})" if figures or reason else title


def _summary(evidence: Evidence) -> str:
    counts = {outcome: sum(one.outcome == outcome for one in evidence.results) for outcome in _STYLES}
    told = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
    tier = evidence.tier if evidence.tier != "none" else "below bronze"
    part = "" if evidence.complete else f", as far as the checks of {' and '.join(evidence.modes)} go"
    return f"{evidence.distribution} {evidence.version}: {tier}{part} ({told}). SHA-256 {evidence.sha256[:16]}..."


def _styled(text: str, style: str = "") -> Text:
    from rich.text import Text

    return Text(text, style=style)
