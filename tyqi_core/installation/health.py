"""What is wrong with what is installed, found without importing any of it, and how to mend it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tyqi_core.catalog.discovery import PREFIX
from tyqi_core.catalog.local_state import read_state
from tyqi_core.errors import TyqiError
from tyqi_core.installation.asking import distribution_of
from tyqi_core.installation.isolated import HOST, Isolated, environments
from tyqi_core.installation.present import Package, installed, misfits

if TYPE_CHECKING:
    from tyqi_core.settings import Settings


@dataclass(frozen=True, slots=True)
class Ailment:
    """One thing that is not as it should be, or that somebody should know who wonders."""

    subject: str
    level: Literal["warning", "fault"]
    text: str
    remedy: str


def ailments(settings: Settings) -> Iterator[Ailment]:
    """All of them."""
    packages = installed()
    apart = environments(settings.state)
    yield from _disabled(packages, apart)
    yield from _misfits(packages)
    for environment in apart:
        yield from _isolated(environment, packages)
    yield from _withdrawn(settings.registry, packages, apart)


def _disabled(packages: Mapping[str, Package], apart: Sequence[Isolated]) -> Iterator[Ailment]:
    there = packages.keys() | {one.distribution for one in apart}
    for name in read_state().disabled:
        known = distribution_of(name) in there
        text = "is disabled: no project and no worker uses it" if known else "is disabled, and not installed any more"
        yield Ailment(name, "warning", text, f"If that is not meant: tyqi enable {name}")


def _misfits(packages: Mapping[str, Package]) -> Iterator[Ailment]:
    """Plugins whose requirements do not hold: something was changed behind their backs."""
    for one in misfits(packages, [name for name in packages if name.startswith(PREFIX) or name == "tyqi-core"]):
        text = f"needs {one.name}{one.versions}, " + (f"here is {one.found}" if one.found else "which is not installed")
        if one.package.name == "tyqi-core":
            remedy = f"pip install '{one.name}{one.versions}'"
        else:
            short = one.package.name.removeprefix(PREFIX)
            remedy = f"tyqi upgrade {short}, or in an environment of its own: tyqi uninstall {short}, "
            remedy += f"then tyqi install --isolated {short}"
        yield Ailment(f"{one.package.name} {one.package.version}", "fault", text, remedy)


def _isolated(environment: Isolated, packages: Mapping[str, Package]) -> Iterator[Ailment]:
    subject = f"environment of {environment.distribution}"
    anew = f"tyqi uninstall {environment.name}, then tyqi install --isolated {environment.name}"
    if not environment.python.exists():
        yield Ailment(subject, "fault", f"its interpreter is gone: {environment.python}", anew)
        return
    if lost := sorted(link.name for link in (environment.folder / HOST).iterdir() if not link.exists()):
        text = f"what it shared with the host is gone: {', '.join(lost[:5])}"
        yield Ailment(subject, "fault", text, anew)
    elif environment.host != sys.prefix:
        text = f"it was made by another environment, {environment.host}, and shares that one's packages"
        yield Ailment(subject, "warning", text, f"If that is not meant: {anew}")
    else:
        yield from _moved(subject, environment, packages, anew)


def _moved(subject: str, one: Isolated, packages: Mapping[str, Package], remedy: str) -> Iterator[Ailment]:
    """It works with the host's packages as they are now; whether its plugin does, nobody has resolved."""
    moved = [
        f"{name} {version} -> {packages[name].version if name in packages else 'gone'}"
        for name, version in one.shared.items()
        if name not in packages or packages[name].version != version
    ]
    if moved:
        yield Ailment(subject, "warning", f"the host has changed since it was made: {', '.join(moved)}", remedy)


def _withdrawn(registry: str, packages: Mapping[str, Package], apart: Sequence[Isolated]) -> Iterator[Ailment]:
    """Installed releases that the registry has quarantined or yanked since."""
    there = {(one.name, one.version) for one in packages.values() if one.name.startswith(PREFIX)}
    there |= {(one.distribution, one.version) for one in apart}
    if not registry or not there:
        return
    from tyqi_core.registry.reading import open_registry  # noqa: PLC0415 - only where there is one

    try:
        releases = open_registry(registry).catalogue().releases
    except TyqiError as error:
        yield Ailment("registry", "warning", error.message, error.remedy or "Name another in TYQI_REGISTRY.")
        return
    for release in releases:
        subject, short = f"{release.name} {release.version}", release.name.removeprefix(PREFIX)
        if (release.name, release.version) not in there:
            continue
        if release.quarantined:
            remedy = f"tyqi upgrade {short}, or until there is a better one: tyqi disable {short}"
            yield Ailment(subject, "fault", f"is quarantined: {release.quarantined}", remedy)
        elif release.yanked:
            yield Ailment(subject, "warning", f"is yanked: {release.yanked}", f"tyqi upgrade {short}")
