"""The repository's own virtual environment: made once, brought up to date when the requirements change.

Shared by the scripts beside it. Plain pip and venv, so that a fresh Python is all one needs. Everything that is
reported goes to standard error: standard output belongs to the script's result.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
CONSTRAINTS = ROOT / "constraints.txt"
STAMP = VENV / "tyqi-setup.txt"
OLDEST = (3, 11)
BUILD_BACKENDS = ("hatchling", "editables", "setuptools")


def say(text: str) -> None:
    """Report a step to whoever watches."""
    print(f"== {text}", file=sys.stderr, flush=True)


def tool(name: str) -> str:
    """The path of a program inside the environment: ``python``, ``tyqi``, ``lint-imports``."""
    return str(VENV / "Scripts" / f"{name}.exe") if os.name == "nt" else str(VENV / "bin" / name)


def run(*command: str, **variables: str) -> int:
    """Run a program in the repository's root; its output is passed through.

    Returns:
        Its exit status.
    """
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **variables}, check=False).returncode


def ensure(*groups: str) -> None:
    """Make ``.venv`` hold the core, all plugins and the dependency groups named; nothing is done where it does.

    Raises:
        SystemExit: Python is too old, or pip failed (its own message says why).
    """
    if sys.version_info < OLDEST:
        found = ".".join(map(str, sys.version_info[:3]))
        raise SystemExit(f"Python 3.11 or newer is needed; this is {found} ({sys.executable})")
    wanted = set(groups)
    current = _requirements_digest()
    digest, *installed = STAMP.read_text(encoding="utf-8").split() if STAMP.exists() else [""]
    if digest == current and wanted <= set(installed):
        return
    everything = sorted(wanted | set(installed))
    _make_venv()
    _install(everything)
    STAMP.write_text(" ".join([current, *everything]) + "\n", encoding="utf-8")


def plugins() -> list[Path]:
    """The folders of the plugins that live in this repository."""
    return sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))


def _requirements_digest() -> str:
    parts = [ROOT / "pyproject.toml", CONSTRAINTS, *(plugin / "pyproject.toml" for plugin in plugins())]
    text = b"\0".join(str(path.relative_to(ROOT)).encode() + path.read_bytes() for path in parts)
    return hashlib.sha256(text + sys.version.encode()).hexdigest()


def _make_venv() -> None:
    if Path(tool("python")).exists():
        return
    if VENV.is_file():
        raise SystemExit(f"{VENV} is a file, where the virtual environment belongs; move it away and run this again")
    say(f"making {VENV}")
    # Debian packages ensurepip apart from Python. Where it is missing, the pip that runs outside installs one inside.
    bundled = importlib.util.find_spec("ensurepip") is not None
    venv.create(VENV, with_pip=bundled, clear=True)
    if not bundled:
        _check(run(sys.executable, "-m", "pip", "--python", tool("python"), "install", *_quiet(), "pip"), "pip")


def _install(groups: list[str]) -> None:
    say("installing the core, the plugins and " + (", ".join(groups) or "nothing else") + " (minutes the first time)")
    pip = (tool("python"), "-m", "pip", "install", *_quiet(), "--constraint", str(CONSTRAINTS))
    _check(run(*pip, "pip", *BUILD_BACKENDS), "the build tools")
    # One resolver run for everything: a plugin's need for the core is met by this checkout. The build tools are
    # there already, so no package gets an environment of its own to be built in.
    editable = [part for folder in plugins() for part in ("--editable", str(folder))]
    group_options = [part for group in groups for part in ("--group", group)]
    _check(
        run(
            *pip,
            "--no-build-isolation",
            "--editable",
            ".[images,torch,standalone,author,registry]",
            *editable,
            *group_options,
        ),
        "the core and the plugins",
    )


def _quiet() -> tuple[str, ...]:
    return ("--disable-pip-version-check",) if sys.stderr.isatty() else ("--disable-pip-version-check", "--quiet")


def _check(status: int, what: str) -> None:
    if status:
        raise SystemExit(f"installing {what} failed, see above; run the same command again to go on")
