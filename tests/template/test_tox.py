"""Straight after generation, with no edit, an author's own tools pass: real tox and pip, in fresh environments."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from wheelhouse import write_wheelhouse

from tests.template.conftest import run
from tyqi_core.catalog.wheel import Wheel
from tyqi_core.conformance.core_wheel import write_core_wheel

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def package(bake: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package of which every answer is the default."""
    return bake(tmp_path_factory.mktemp("author"))


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """pip's settings under which it finds what is installed here, but not tyqi-core, and asks no network."""
    folder = write_wheelhouse(tmp_path_factory.mktemp("wheels"), "tyqi-core[author,images]", "hatchling")
    next(folder.glob("tyqi_core-*.whl")).unlink()
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder), "PIP_CONFIG_FILE": os.devnull, "PIP_NO_COMPILE": "1"}


def test_the_core_that_tox_offers_is_what_a_release_holds(core_dist, tmp_path):
    release, offered = Wheel(next(core_dist.glob("*.whl"))), Wheel(write_core_wheel(tmp_path))
    assert sorted(offered.files) == sorted(release.files)
    assert offered.path.name == release.path.name
    code = [name for name in release.files if ".dist-info/" not in name]
    assert [name for name in code if release.read(name) != offered.read(name)] == []


def test_tox_passes_and_the_wheel_reaches_bronze_at_least(package, offline):
    tox = run(sys.executable, "-m", "tox", "--colored", "no", cwd=package, **offline)
    assert tox.code == 0, tox.out[-4000:] + tox.err[-2000:]
    assert "py: OK" in tox.out
    assert "conform: OK" in tox.out
    assert re.search(r"\b[1-9]\d* passed", tox.out)
    assert re.search(r"tyqi-node-first-look 0\.1\.0: (bronze|silver|gold) ", tox.out)


def test_constraints_that_the_user_has_set_stay_and_spaces_in_paths_do_no_harm(bake, tmp_path):
    (tmp_path / "a b").mkdir()
    package = bake(tmp_path / "a b")
    told = run(
        sys.executable, "-m", "tox", "config", "-e", "py", "-k", "set_env", cwd=package, PIP_CONSTRAINT="mine.txt"
    )
    (line,) = (line for line in told.out.splitlines() if "PIP_CONSTRAINT" in line)
    mine, ours = line.partition("=")[2].split(" ")
    assert (mine, ours.startswith("file:///")) == ("mine.txt", True)
    (link,) = package.rglob("where.txt")
    assert (ours, link.read_text(encoding="utf-8")) == (link.as_uri(), f"--find-links {link.parent.as_uri()}\n")
    assert list(link.parent.glob("tyqi_core-*.whl"))


def test_a_project_without_nodes_is_left_alone(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'other'\nversion = '1'\n", encoding="utf-8")
    (tmp_path / "tox.ini").write_text("[tox]\n", encoding="utf-8")
    told = run(sys.executable, "-m", "tox", "config", "-e", "py", "-k", "set_env", cwd=tmp_path)
    assert told.code == 0, told.err
    assert "PIP_CONSTRAINT" not in told.out
    assert not list(tmp_path.rglob("where.txt"))
