"""A fresh environment that holds tyqi-core, one wheel, and what the wheel says it needs: nothing else.

What the host has is linked, package by package: that takes no time, works without network, and leaves out whatever the
wheel forgot to ask for. Only what the host lacks is fetched by pip. See docs/decisions/0071.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import sysconfig
import venv
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import Distribution
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeVar

import tyqi_core
from tyqi_core.catalog.wheel import Wheel
from tyqi_core.conformance import children
from tyqi_core.conformance.children import Ended, Talk
from tyqi_core.conformance.host_versions import (
    CORE,
    Closure,
    closure,
    conflicts,
    constraints_text,
    core_packages,
    read_constraints,
)
from tyqi_core.errors import UsageError

TOOLS: Final = ("amqp", "celery", "hypothesis", "kombu", "pillow", "redis[hiredis]", "xxhash")
"""What the checks themselves use, where the host has it: messages, pictures, generated inputs."""

T = TypeVar("T")
_PIP_S: Final = 900
_LOG: Final = "pip.log"
_UNREACHABLE: Final = re.compile(r"Could not fetch URL .*connection error|NewConnectionError|Retrying \(")
"""In the log of pip. What it says itself is the same as for a package that does not exist."""


@dataclass(frozen=True, eq=False)
class Installed:
    """A wheel in an environment of its own.

    Attributes:
        wheel: the wheel.
        environment: the environment's folder.
        python: its interpreter.
        constraints: the host's versions, as a file.
        needs: what the wheel's requirements come to on the host.
        fault: why it is not installed: what pip said; empty if it is.
        unreachable: it is not installed because no index could be asked.
        home: where its home, caches and temporary files are.
        variables: what its programs see of ours.
        before: its files when the wheel was not there yet, see :meth:`files`.
        reports: see :meth:`once`.
    """

    wheel: Wheel
    environment: Path
    python: Path
    constraints: Path
    needs: Closure
    fault: str
    unreachable: bool
    home: Path
    variables: Mapping[str, str] = field(repr=False)
    before: frozenset[str] = field(repr=False)
    reports: dict[str, Any] = field(default_factory=dict, repr=False)

    def once(self, name: str, make: Callable[[], T]) -> T:
        """What ``make`` returns when it is first called under this name: several checks read one report."""
        if name not in self.reports:
            self.reports[name] = make()
        report: T = self.reports[name]
        return report

    @cached_property
    def site_packages(self) -> Path:
        """Where its packages are."""
        return _site_packages(self.environment)

    @property
    def modules(self) -> list[str]:
        """The top-level names that the wheel brings."""
        tops = {name.split("/", 1)[0] for name in self.wheel.files}
        names = {top.removesuffix(".py") for top in tops if not top.endswith((".dist-info", ".data"))}
        return sorted(name for name in names if name.isidentifier())

    def files(self) -> frozenset[str]:
        """The files of the environment; what is linked to the host is not looked into."""
        return _files(self.environment)

    def reinstall(self) -> None:
        """Install the wheel again, once it was uninstalled."""
        _install(self.python, self.variables, self.wheel, self.constraints, complete=True)

    def run(
        self,
        *arguments: str | Path,
        given: bytes = b"",
        timeout_s: float = 60,
        memory_mb: int = children.MEMORY_MB,
        variables: Mapping[str, str] | None = None,
    ) -> Ended:
        """Run its interpreter, contained in time and memory.

        Args:
            arguments: of the interpreter: ``"-m", "package.module"``, a script, ``"-c", "..."``.
            given: its standard input.
            timeout_s: seconds after which it is killed.
            memory_mb: how much it may allocate.
            variables: further environment variables.
        """
        environment = {**self.variables, **(variables or {})}
        command = [self.python, "-P", *arguments]
        return children.run(command, environment, given=given, timeout_s=timeout_s, memory_mb=memory_mb)

    def talk(
        self,
        *arguments: str | Path,
        given: bytes = b"",
        patience_s: float,
        memory_mb: int = children.MEMORY_MB,
        variables: Mapping[str, str] | None = None,
    ) -> Talk:
        """Start its interpreter on a program that tells what it does; see :class:`Talk`."""
        environment = {**self.variables, **(variables or {})}
        command = [self.python, "-P", *arguments]
        return Talk(command, environment, given=given, memory_mb=memory_mb, patience_s=patience_s)

    def pip(self, *arguments: str | Path, timeout_s: float = _PIP_S) -> Ended:
        """Run the host's pip on it: its own has none."""
        return _pip(self.python, self.variables, arguments, timeout_s)


@contextmanager
def installed(wheel: Wheel | Path, constraints: Path | None = None) -> Iterator[Installed]:
    """The wheel, installed in a fresh environment, which is removed at the end.

    A wheel that cannot be installed gives an :class:`Installed` with a ``fault``: the checks tell of it.

    Args:
        wheel: what to install.
        constraints: versions that pip may not leave; by default the host's own.

    Raises:
        UsageError: there is no pip here (``NO_PIP``), or the file is no wheel.
    """
    with TemporaryDirectory(prefix="tyqi-conform-", ignore_cleanup_errors=True) as folder:
        known = wheel if isinstance(wheel, Wheel) else Wheel(wheel)
        yield _made(Path(folder).resolve(), known, constraints)


def _made(folder: Path, wheel: Wheel, constraints: Path | None) -> Installed:
    environment, home = folder / "env", folder / "home"
    venv.EnvBuilder(with_pip=False, symlinks=os.name != "nt").create(environment)
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    requirements = wheel.metadata.get_all("Requires-Dist") or []
    needs = closure(requirements, wheel.name)
    _link_all(_site_packages(environment), needs.found)
    if constraints is None:
        constraints = folder / "constraints.txt"
        constraints.write_text(constraints_text(), encoding="utf-8")
    variables = children.variables(home)
    before = _files(environment)
    fault = "; ".join(conflicts(requirements, read_constraints(constraints)))
    if not fault:
        fault = _install(python, variables, wheel, constraints, complete=not needs.lacking)
    unreachable = bool(fault and needs.lacking and _UNREACHABLE.search(_log(variables)))
    if needs.lacking:  # what was fetched for it is not its own
        before |= frozenset(name for name in _files(environment) if not _is_of(wheel, name))
    return Installed(wheel, environment, python, constraints, needs, fault, unreachable, home, variables, before)


def _install(python: Path, variables: Mapping[str, str], wheel: Wheel, constraints: Path, *, complete: bool) -> str:
    """What pip had against it; empty if it is installed."""
    offline = ("--no-deps", "--no-index") if complete else ("--constraint", constraints)
    ended = _pip(python, variables, ("install", "--no-compile", *offline, wheel.path.absolute()), _PIP_S)
    return "" if ended.code == 0 else _complaints(ended)


def _pip(python: Path, variables: Mapping[str, str], arguments: Iterable[str | Path], timeout_s: float) -> Ended:
    if find_spec("pip") is None:
        remedy = "Install pip beside tyqi-core: python -m ensurepip."
        raise UsageError("wheels are installed by pip, and there is none here", code="NO_PIP", remedy=remedy)
    # The environment's settings and proxies are the caller's: only the plugin's own code must not see them.
    environment = {**os.environ, "PYTHONNOUSERSITE": "1", "TMPDIR": variables["TMPDIR"]}
    log = Path(variables["TMPDIR"], _LOG)
    quiet = ("--disable-pip-version-check", "--no-input", "--quiet", "--log", log)
    command: list[str | Path] = [sys.executable, "-m", "pip", "--python", python, *quiet, *arguments]
    return children.run(command, environment, timeout_s=timeout_s)


def _log(variables: Mapping[str, str]) -> str:
    log = Path(variables["TMPDIR"], _LOG)
    return log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""


def _complaints(ended: Ended) -> str:
    lines = [line.removeprefix("ERROR: ") for line in ended.errors.splitlines() if not line.startswith("WARNING")]
    return " ".join(lines)[-1000:] or ended.reason


def _is_of(wheel: Wheel, name: str) -> bool:
    return any(name.endswith(f"/{member}") for member in wheel.files) or f"/{wheel.dist_info}/" in name


def _files(environment: Path) -> frozenset[str]:
    found = (Path(folder, name) for folder, _, names in os.walk(environment) for name in names)
    return frozenset(path.relative_to(environment).as_posix() for path in found)


def _site_packages(environment: Path) -> Path:
    scheme = {"base": str(environment), "platbase": str(environment)}
    return Path(sysconfig.get_path("purelib", "venv", vars=scheme))


# -- linking ----------------------------------------------------------------------------------------------------------


def _link_all(site_packages: Path, needed: Mapping[str, Distribution]) -> None:
    tools = closure([*TOOLS, CORE], "the checks").found
    for name, distribution in {**tools, **core_packages(), **needed}.items():
        for top in _tops(distribution, metadata_only=name == CORE):
            _link(site_packages / top, Path(str(distribution.locate_file(top))))
    _link_core(site_packages)


def _link_core(site_packages: Path) -> None:
    """The very tyqi-core that runs here. One in a repository is put on the path, as its editable install would be."""
    package = Path(tyqi_core.__file__).parent
    if (package / "_data").is_dir():
        _link(site_packages / package.name, package)
    else:
        (site_packages / "tyqi_core.pth").write_text(f"{package.parent}\n", encoding="utf-8")


def _tops(distribution: Distribution, *, metadata_only: bool) -> set[str]:
    """The names in site-packages that a distribution owns: packages, modules, ``.pth`` files, its metadata."""
    parts = {Path(str(file)).parts[0] for file in distribution.files or ()}
    tops = parts - {"..", "__pycache__", "bin", "Scripts", "share", "include"}
    return {top for top in tops if top.endswith(".dist-info")} if metadata_only else tops


def _link(target: Path, source: Path) -> None:
    """Link ``target`` to ``source``; a folder that several distributions share becomes one of links to their parts."""
    if not source.exists() or (target.exists() and target.resolve() == source.resolve()):
        return
    if not target.exists():
        _symlink(target, source)
    elif target.is_dir() and source.is_dir():
        if target.is_symlink():
            first = target.resolve()
            target.unlink()
            target.mkdir()
            for part in first.iterdir():
                _symlink(target / part.name, part)
        for part in source.iterdir():
            _link(target / part.name, part)


def _symlink(target: Path, source: Path) -> None:
    try:
        target.symlink_to(source, target_is_directory=source.is_dir())
    except OSError:  # Windows lets few make links
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, target)
