"""Making an isolated environment: a virtual environment that takes the core, and what it stands on, from the host.

The host's packages are links in a folder of their own, behind the environment's own packages on its path: what the
plugin needs in another version is installed for it alone and found first. The links lie outside of the virtual
environment, so pip counts them as installed and never as its own to remove.
"""

from __future__ import annotations

import json
import os
import shutil
import venv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

from packaging.version import Version

import tyqi_core
from tyqi_core.conformance.host_versions import host_packages
from tyqi_core.errors import InstallationError, UsageError
from tyqi_core.installation.isolated import (
    FOLDER,
    HOST,
    RECORD,
    VENV,
    Isolated,
    digest_of,
    environments,
    python_of,
    site_of,
)
from tyqi_core.installation.pip import Pip
from tyqi_core.installation.planning import Place, Plan
from tyqi_core.installation.present import installed
from tyqi_core.resources import data_folder

CORE: Final = "tyqi-core"
_FOR_WORKERS: Final = ("amqp", "celery", "kombu", "redis", "xxhash")


@dataclass(frozen=True, slots=True)
class Draft:
    """An environment that is not in its place yet: the plugin is still to be installed."""

    folder: Path
    shared: Mapping[str, str]

    @property
    def place(self) -> Place:
        """Where the plugin is to be installed; the core's version stays, all others may differ from the host's."""
        packages = installed([str(site_of(self.folder)), str(self.folder / HOST)])
        core = f"{CORE}=={self.shared[CORE]}"
        return Place(Pip(python_of(self.folder)), packages, [core], isolated=True)


@contextmanager
def drafted(state: Path) -> Iterator[Draft]:
    """An empty environment; what is not finished at the end is removed.

    Raises:
        UsageError: this system's workers cannot be supervised (``PLATFORM``), or the folder cannot be written.
    """
    if os.name != "posix":
        raise UsageError("isolated environments need workers, and those Linux or macOS", code="PLATFORM")
    try:
        (state / FOLDER).mkdir(parents=True, exist_ok=True)
        folder = Path(mkdtemp(prefix=".new-", dir=state / FOLDER))
    except OSError as error:
        raise UsageError(f"{state / FOLDER} cannot be written: {error}", code="READ_ONLY") from error
    try:
        venv.create(folder / VENV, with_pip=False, symlinks=True)
        shared = _link_host(folder / HOST)
        site = site_of(folder)
        (site / "tyqi_host.pth").write_text(os.path.relpath(folder / HOST, site) + "\n", encoding="utf-8")
        yield Draft(folder, shared)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # others are in it
            (state / FOLDER).rmdir()


def finish(draft: Draft, plan: Plan, state: Path, host: str) -> Isolated:
    """Install what was planned and put the environment in its place; an older one of the same plugin and major goes.

    Raises:
        InstallationError: it failed; nothing is left of it.
    """
    plugin = plan.offers[0]
    lock = tuple(sorted(change.lock for change in plan.changes))
    there = state / FOLDER / digest_of(lock)
    made = Isolated(there, plugin.name, plugin.version, lock, draft.shared, host)
    if made not in (known := environments(state)):
        draft.place.pip.install(plan.changes, plan.index, compiled=False)  # its place is not its place yet
        _repoint_scripts(draft.folder, there)
        (draft.folder / RECORD).write_text(json.dumps(made.to_json(), indent=1), encoding="utf-8")
        _move(draft.folder, there)
    for other in known:
        if other.folder != there and other.distribution == plugin.name and _same_major(other.version, plugin.version):
            remove(other)
    return made


def refuse_beside(plan: Plan) -> None:
    """Refuse a plugin that is installed in this environment in the same major version: that one would be used.

    Raises:
        UsageError: it is (``INSTALLED_HERE``).
    """
    plugin = plan.offers[0]
    here = installed().get(plugin.name)
    if here is not None and _same_major(here.version, plugin.version):
        message = f"{here.name} {here.version} is installed in this environment, which goes before isolated ones."
        remedy = f"First: tyqi uninstall {plugin.name.removeprefix('tyqi-node-')}"
        raise UsageError(message, code="INSTALLED_HERE", remedy=remedy)


def remove(environment: Isolated) -> None:
    """Remove an isolated environment: first its name, so that nobody finds half of it."""
    doomed = environment.folder.with_name(f".old-{environment.folder.name}-{os.getpid()}")
    with suppress(FileNotFoundError):
        environment.folder.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)
    with suppress(OSError):  # others are in it
        environment.folder.parent.rmdir()


def _move(folder: Path, there: Path) -> None:
    try:
        if there.exists():  # of other links to the host, or damaged
            shutil.rmtree(there)
        folder.rename(there)
    except OSError as error:
        raise InstallationError(f"{there} cannot be written: {error}", remedy="Name another TYQI_STATE.") from error


def _same_major(one: str, other: str) -> bool:
    return Version(one).major == Version(other).major


def _repoint_scripts(folder: Path, there: Path) -> None:
    """Programs that came with packages name their interpreter by its path."""
    for script in python_of(folder).parent.iterdir():
        if script.is_file() and not script.is_symlink() and (text := script.read_bytes()).startswith(b"#!"):
            script.write_bytes(text.replace(os.fsencode(folder), os.fsencode(there)))


def _link_host(folder: Path) -> dict[str, str]:
    """Link the core and all that it stands on; name -> version of what was linked."""
    folder.mkdir()
    _link(Path(tyqi_core.__file__).parent, folder / "tyqi_core")
    for name in ("schemas", "templates"):
        source = data_folder(name)
        if not source.is_relative_to(Path(tyqi_core.__file__).parent):  # it runs from its repository
            _link(source, folder / name)
    shared: dict[str, str] = {}
    for name in dict.fromkeys((CORE, *host_packages(), *_FOR_WORKERS)):
        with suppress(metadata.PackageNotFoundError):
            shared |= _link_package(name, metadata.distribution(name), folder)
    return shared


def _link_package(name: str, package: metadata.Distribution, folder: Path) -> dict[str, str]:
    """Link the folders and modules of one package; one that is edited elsewhere (editable) has none to link."""
    files = package.files or ()
    if not files or (name != CORE and '"editable"' in (package.read_text("direct_url.json") or "")):
        return {}
    tops = {file.parts[0] for file in files if file.suffix != ".pth" and not file.is_absolute()}
    for top in tops - {"..", "__pycache__"}:
        source = Path(str(package.locate_file(top)))
        if source.exists():
            _link(source, folder / top)
    return {name: package.version}


def _link(source: Path, link: Path) -> None:
    with suppress(FileExistsError):  # a namespace that several packages share
        link.symlink_to(source.resolve())
