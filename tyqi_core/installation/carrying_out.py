"""Doing what was planned, whole or not at all, and removing again. No plugin is imported in this process."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory

from tyqi_core.catalog.discovery import namespace_of, normalised
from tyqi_core.catalog.local_state import LocalState, read_state, write_state
from tyqi_core.errors import InstallationError, UsageError
from tyqi_core.installation.pip import Pip, Resolved
from tyqi_core.installation.planning import Plan
from tyqi_core.installation.present import Package, installed, needed_by
from tyqi_core.installation.releases import requirements_of


def carry_out(plan: Plan, pip: Pip) -> None:
    """Install into this environment.

    Raises:
        InstallationError: it failed; the environment is as it was before.
    """
    with TemporaryDirectory(prefix="tyqi-before-") as folder:
        kept = _Kept.of(plan.before, Path(folder))
        try:
            pip.install(plan.changes, plan.index)
        except BaseException:
            _undo(plan, pip, kept)
            raise
    _remember(plan)


@dataclass(frozen=True, slots=True)
class _Kept:
    """Copies of the files of packages that are about to be replaced: original -> copy."""

    files: Mapping[Path, Path]

    @classmethod
    def of(cls, names: Iterable[str], folder: Path) -> _Kept:
        files: dict[Path, Path] = {}
        for name in names:
            for file in metadata.distribution(name).files or ():
                original = Path(str(file.locate()))
                if original.is_file():
                    files[original] = folder / str(len(files))
                    shutil.copy2(original, files[original])
        return cls(files)

    def put_back(self) -> None:
        for original, copy in self.files.items():
            original.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(copy, original)


def _undo(plan: Plan, pip: Pip, kept: _Kept) -> None:
    """Take away what was installed so far, and put back what it replaced."""
    there = installed()
    changed = [one.name for one in plan.changes if one.name in there]
    fresh = [name for name in changed if there[name].version != plan.before.get(name)]
    with suppress(InstallationError):  # the first failure is the one to be told
        pip.uninstall(fresh)
    kept.put_back()


def _remember(plan: Plan) -> None:
    """Which packages came only because a plugin needs them: they go with it."""
    added = {one.name: one for one in plan.changes if one.name not in plan.before}
    plugins = {offer.name for offer in plan.offers}
    state = read_state()
    brought = dict(state.brought)
    for name in plugins:
        own = [found for found in _reached(name, {one.name: one for one in plan.changes}) if found in added]
        fresh = sorted({*brought.get(name, ()), *own}.difference(plugins))
        if fresh:
            brought[name] = tuple(fresh)
    if brought != state.brought:
        write_state(replace(state, brought=brought))


def _reached(name: str, changes: Mapping[str, Resolved]) -> set[str]:
    found: set[str] = set()
    waiting = [name]
    while waiting:
        change = changes.get(waiting.pop())
        for requirement in requirements_of(change.requires if change else ()):
            needed = normalised(requirement.name)
            if needed in changes and needed not in found:
                found.add(needed)
                waiting.append(needed)
    return found


@dataclass(frozen=True, slots=True)
class Removal:
    """What would be removed from this environment."""

    plugins: Sequence[Package]
    with_them: Sequence[Package]


def plan_removal(names: Sequence[str], packages: Mapping[str, Package]) -> Removal:
    """What goes when these plugins go: with them, what was installed for them and nobody else needs.

    Raises:
        UsageError: another package needs one of them (``NEEDED``).
    """
    for name in names:
        if others := [other for other in needed_by(packages, name) if other not in names]:
            remedy = f"Uninstall {', '.join(others)} as well."
            raise UsageError(f"{', '.join(others)} needs {name}", code="NEEDED", remedy=remedy)
    left = {name: package for name, package in packages.items() if name not in names}
    waiting = sorted({one for name in names for one in read_state().brought.get(name, ()) if one in left})
    found: list[Package] = []
    while loose := [name for name in waiting if name in left and not needed_by(left, name)]:
        found += [left.pop(name) for name in loose]
    return Removal([packages[name] for name in names], found)


def remove(removal: Removal, pip: Pip) -> None:
    """Remove packages, and all that is kept of them.

    Raises:
        InstallationError: it failed.
    """
    pip.uninstall([package.name for package in (*removal.plugins, *removal.with_them)])
    forget([package.name for package in removal.plugins])


def forget(distributions: Sequence[str]) -> None:
    """Drop what is kept of plugins that are gone."""
    state = read_state()
    spaces = {namespace_of(name) for name in distributions}
    disabled = tuple(one for one in state.disabled if one.partition(".")[0] not in spaces)
    brought = {name: names for name, names in state.brought.items() if name not in distributions}
    if (fresh := LocalState(disabled, brought)) != state:
        write_state(fresh)
