"""Packages made from the template: every combination of its options, once, for all tests of this folder."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tyqi_core.resources import data_folder

ROOT = Path(__file__).parents[2]
TEMPLATE = data_folder("templates") / "node-cookiecutter"
QUESTIONS = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Options:
    """One answer to each question that has choices."""

    kind: str
    torch: bool
    device: str
    licence: str

    @property
    def name(self) -> str:
        """A package name of its own for each combination."""
        library = "torch" if self.torch else "numpy"
        return f"{self.kind}-{library}-{self.device}-{self.licence.lower().replace('.', '-')}"

    def __str__(self) -> str:
        return self.name


COMBINATIONS = [
    Options(*answers)
    for answers in itertools.product(QUESTIONS["kind"], (False, True), QUESTIONS["device"], QUESTIONS["licence"])
    if answers[1] or answers[2] == "cpu"  # the others are refused
]
OF_ONE_LICENCE = [options for options in COMBINATIONS if options.licence == QUESTIONS["licence"][0]]
"""Licences change no code."""


@dataclass(frozen=True)
class Answer:
    """How a command ended."""

    code: int
    out: str
    err: str


def run(*command: str | Path, cwd: Path, given: str = "", **environ: str) -> Answer:
    """Run a program in a folder."""
    done = subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env={**os.environ, **environ},
        input=given,
        capture_output=True,
        encoding="utf-8",
        timeout=600,
        check=False,
    )
    return Answer(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def core_dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel of this very core, as a release would be."""
    folder = tmp_path_factory.mktemp("core")
    built = run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    assert built.code == 0, built.out + built.err
    return folder


@pytest.fixture(scope="session")
def bake(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Plain cookiecutter on the template, with none of the user's settings; returns the package's folder."""
    from cookiecutter.main import cookiecutter

    home = tmp_path_factory.mktemp("cookiecutter")
    settings = home / "settings.json"
    settings.write_text(json.dumps({"replay_dir": str(home), "cookiecutters_dir": str(home)}), encoding="utf-8")

    def made(out: Path, **answers: str | bool) -> Path:
        folder = cookiecutter(
            str(TEMPLATE), no_input=True, extra_context=answers, output_dir=str(out), config_file=str(settings)
        )
        return Path(folder)

    return made


@pytest.fixture(scope="session")
def baked(bake: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Mapping[Options, Path]:
    """The package's folder of every combination."""
    out = tmp_path_factory.mktemp("baked")
    return {one: bake(out, name=one.name, **vars(one)) for one in COMBINATIONS}


@pytest.fixture(scope="session")
def wheels(baked: Mapping[Options, Path], tmp_path_factory: pytest.TempPathFactory) -> Mapping[Options, Path]:
    """The wheels of the combinations of one licence, each with its own build backend."""
    dist = tmp_path_factory.mktemp("dist")
    made = {}
    for options in OF_ONE_LICENCE:
        target = dist / options.name
        built = run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", target, cwd=baked[options])
        assert built.code == 0, built.err
        (made[options],) = target.glob("*.whl")
    return made


@pytest.fixture(scope="session")
def site(wheels: Mapping[Options, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the path with all these wheels as pip would lay them out: nothing in them needs more."""
    folder = tmp_path_factory.mktemp("site")
    for wheel in wheels.values():
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
    return folder


@pytest.fixture(scope="session")
def with_site(site: Path) -> Mapping[str, str]:
    """Environment variables under which these packages are installed, and the index of nodes is their own."""
    paths = [str(site), str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "TYQI_CACHE": str(site / "cache")}
