"""What it costs to import the package, to call light commands, and to install it.

Imports and commands run in fresh processes, each after a bare interpreter that is subtracted. ``tyqi nodes`` must
import no plugin and nothing heavy. The installed size is that of all files that pip adds to a fresh environment, with
compiled ones, without pip itself; where there is no network that case is left out.

    python benchmarks/import_time.py --quick
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import _nodes
from _measure import REPOSITORY, Case, Size, below, beyond_bare, main, pick, say
from generate_plugins import generate

IMPORT_MS = 100.0
COMMAND_MS = 200.0
INSTALLED_MB = 120.0
HEAVY = ("torch", "networkx", "numpy", "cv2", "PIL", "jsonschema", "jsonschema_rs", "skimage", "rich")
LISTED = (
    "import runpy, sys, atexit\n"
    "atexit.register(lambda: print('\\n@', *sys.modules))\n"
    "sys.argv = ['tyqi', 'nodes']\n"
    "runpy.run_module('tyqi_core.cli', run_name='__main__', alter_sys=False)\n"
)
PROJECT = (
    _nodes.HEAD
    + "inputs: {image: {type: image}}\ntasks:\n  T1: {node: generated_0000.node0, inputs: {image: $input.image}}\n"
)


def cases(size: Size) -> list[Case]:
    repetitions = pick(size, full=30, quick=7, tiny=1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = plugins(folder, pick(size, full=100, quick=100, tiny=2))
        project = folder / "project.yaml"
        project.write_text(PROJECT, encoding="utf-8")
        found = timed("import tyqi_core", ["-c", "import tyqi_core"], IMPORT_MS, repetitions, environment)
        for command in (["--help"], ["nodes"], ["validate", str(project)]):
            arguments = ["-P", "-m", "tyqi_core.cli", *command]
            found += timed(f"tyqi {command[0]}", arguments, COMMAND_MS, repetitions, environment)
        found.append(imported(environment))
    return found if size == "tiny" else found + installed()


def plugins(folder: Path, count: int) -> dict[str, str]:
    """An environment with generated plugins, whose index is warm once they are old enough to be trusted."""
    site = folder / "site"
    site.mkdir()
    generate(site, count)
    past = 1_700_000_000
    for path in [site, *site.rglob("*")]:
        os.utime(path, (past, past))
    return {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(site)]), "TYQI_CACHE": str(folder / "cache")}


def timed(name: str, arguments: list[str], limit: float, repetitions: int, environment: dict[str, str]) -> list[Case]:
    say(name)
    taken = beyond_bare(arguments, repetitions, environment)
    goal = f"median under {limit:g} ms beyond a bare interpreter"
    return [
        Case(name, "ms", {"ours": taken.wall}, goal, below(limit)),
        Case(f"{name}, processor time", "ms", {"ours": taken.cpu}, goal, below(limit)),
    ]


def imported(environment: dict[str, str]) -> Case:
    """How many heavy modules and plugins a warm ``tyqi nodes`` imports."""
    output = beyond_bare(["-P", "-c", LISTED], 1, environment).outputs[0]
    modules = output.rpartition("@")[2].split()
    heavy = [name for name in modules if name in HEAVY or name.startswith("tyqi_node_")]
    say(f"tyqi nodes imports {len(modules)} modules; heavy ones: {' '.join(heavy) or 'none'}")
    goal = f"none of {', '.join(HEAVY)}, and no plugin"
    return Case("tyqi nodes: heavy modules imported", "modules", {"ours": [len(heavy)]}, goal, below(1))


def installed() -> list[Case]:
    """Megabytes that ``pip install`` of this repository adds to a fresh environment."""
    say("pip install into a fresh environment")
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / ("Scripts" if sys.platform == "win32" else "bin") / "python"
        command = [str(python), "-m", "pip", "install", "--quiet", "--compile", str(REPOSITORY)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            say(f"pip could not install, so there is no figure of the size:\n{done.stderr[-1000:]}")
            return []
        megabytes = size_of(Path(folder)) / 1e6
    goal = f"under {INSTALLED_MB:g} MB"
    return [Case("pip install tyqi-core, with dependencies", "MB", {"ours": [megabytes]}, goal, below(INSTALLED_MB))]


def size_of(environment: Path) -> int:
    """Bytes of all files of installed packages, without those that every environment has."""
    [site] = environment.rglob("site-packages")
    total = 0
    for entry in site.iterdir():
        if not entry.name.startswith(("pip", "setuptools", "pkg_resources", "_distutils_hack", "distutils-precedence")):
            total += sum(path.lstat().st_size for path in [entry, *entry.rglob("*")] if not path.is_dir())
    return total


if __name__ == "__main__":
    main(__doc__, cases)
