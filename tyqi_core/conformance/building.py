"""A project's folder, built to the wheel that is checked."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement

from tyqi_core.errors import UsageError

LONGEST_BUILD_S: Final = 900
_TOLD: Final = 15
"""Lines of a failed build's output that are repeated."""


def built(project: Path, folder: Path) -> Path:
    """Build the wheel of a project, as ``python -m build --wheel`` does.

    Where everything that the build asks for is installed here, it is used, so that no network is needed.

    Args:
        project: a folder with a ``pyproject.toml``.
        folder: where the wheel is written; empty.

    Raises:
        UsageError: it is no project (``NO_PROJECT``), nothing here can build (``NO_BUILDER``), or the build fails
            (``BUILD_FAILED``).
    """
    if not (project / "pyproject.toml").is_file():
        remedy = "Name a folder with a pyproject.toml, or a wheel."
        raise UsageError(f"there is no pyproject.toml in {project}", code="NO_PROJECT", remedy=remedy)
    if find_spec("build") is None:
        remedy = "pip install 'tyqi-core[author]', or build the wheel yourself and name that."
        raise UsageError("wheels are built by 'build', which is not installed here", code="NO_BUILDER", remedy=remedy)
    _run_build(project, folder, isolated=not _has_all(_build_requirements(project)))
    wheels = sorted(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise UsageError(f"building {project} gave {len(wheels)} wheels", code="BUILD_FAILED")
    return wheels[0]


def _run_build(project: Path, folder: Path, *, isolated: bool) -> None:
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(project)]
    command += [] if isolated else ["--no-isolation"]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LONGEST_BUILD_S)
    except subprocess.TimeoutExpired as error:
        raise UsageError(f"building {project} took more than {LONGEST_BUILD_S} s", code="BUILD_FAILED") from error
    if ended.returncode:
        said = "\n".join((ended.stdout + ended.stderr).strip().splitlines()[-_TOLD:])
        raise UsageError(f"{project} cannot be built:\n{said}", code="BUILD_FAILED")


def _build_requirements(project: Path) -> list[str]:
    try:
        document = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{project / 'pyproject.toml'}: {error}", code="NO_PROJECT") from error
    table = document.get("build-system")
    wanted = table.get("requires") if isinstance(table, dict) else None
    return [str(one) for one in wanted] if isinstance(wanted, list) else ["setuptools"]


def _has_all(requirements: list[str]) -> bool:
    return all(map(_is_here, requirements))


def _is_here(text: str) -> bool:
    try:
        wanted = Requirement(text)
        if wanted.marker is not None and not wanted.marker.evaluate():
            return True
        return wanted.url is None and wanted.specifier.contains(version(wanted.name), prereleases=True)
    except (InvalidRequirement, PackageNotFoundError):
        return False
