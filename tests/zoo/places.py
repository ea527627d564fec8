"""Throwaway environments in which wheels are installed and commands are run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tyqi_core

CORE = Path(tyqi_core.__file__).parent
PATIENCE_S = 120.0
PROJECT = """\
tyqi: 1
project: {name}
inputs: {{image: {{type: image}}}}
tasks:
  T1: {{node: {node}, inputs: {{image: $input.image}}}}
outputs: {{image: T1.image, level: T1.level}}
"""


@dataclass(frozen=True)
class Answer:
    """How a command ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Standard output, which must hold one JSON document and nothing else."""
        assert self.out, self.err
        return json.loads(self.out)


@dataclass(frozen=True)
class Place:
    """A throwaway environment that sees the packages of this one, but no plugin of it; commands run in ``folder``."""

    python: Path
    site: Path
    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    @classmethod
    def make(cls, folder: Path) -> Place:
        """An environment without any plugin."""
        venv.create(folder / "env", with_pip=False, symlinks=os.name != "nt")
        python = folder / "env" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        scheme = {"base": str(folder / "env"), "platbase": str(folder / "env")}
        site = Path(sysconfig.get_path("purelib", "venv", vars=scheme))
        _link_packages(site)
        work = folder / "work"
        work.mkdir()
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TYQI_"))}
        own = {"TYQI_STATE": str(work / "state"), "TYQI_CACHE": str(folder / "cache")}
        return cls(python, site, work, {**ours, **own})

    def install(self, *wheels: Path) -> Answer:
        """Install wheels as a user does who asks nobody, with pip."""
        options = ("--disable-pip-version-check", "--no-index", "--no-deps", "--no-compile")
        command = (sys.executable, "-m", "pip", "--python", self.python, "install", *options, *wheels)
        return _ended(subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False))

    def tyqi(self, *words: str, **variables: str) -> Answer:
        """How a command ends."""
        with self.start(*words, **variables) as process:
            try:
                out, err = process.communicate(timeout=PATIENCE_S)
            finally:
                process.kill()
        return Answer(process.returncode, out, err)

    def start(self, *words: str, errors: int = subprocess.PIPE, **variables: str) -> subprocess.Popen[str]:
        """A command that goes on."""
        return subprocess.Popen(
            (self.python, "-m", "tyqi_core.cli", *words),
            cwd=self.folder,
            env={**self.variables, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )

    def project(self, node: str) -> str:
        """Write a project of one node; its file."""
        name = node.partition(".")[0]
        return self.write(name, PROJECT.format(name=name, node=node))

    def write(self, name: str, project: str) -> str:
        """Write a project; its file."""
        (self.folder / f"{name}.yaml").write_text(project, encoding="utf-8")
        return f"{name}.yaml"


def _link_packages(site: Path) -> None:
    """Everything but plugins; the core as it is imported here, from site-packages or from its repository."""
    left_out = ("tyqi_node_", "_tyqi_node_", "__editable__", "_editable_impl_", CORE.name)
    packages = Path(sysconfig.get_path("purelib"))
    for item in packages.iterdir():
        if not item.name.startswith(left_out) or item.match("tyqi_core-*.dist-info"):
            (site / item.name).symlink_to(item)
    if CORE.parent == packages:
        (site / CORE.name).symlink_to(CORE)
    else:
        (site / "core.pth").write_text(f"{CORE.parent}\n", encoding="utf-8")


def _ended(done: subprocess.CompletedProcess[str]) -> Answer:
    return Answer(done.returncode, done.stdout, done.stderr)
