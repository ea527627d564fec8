"""What tox's own environments are given in a project of nodes; that tox passes is told by ``test_half_hour``."""

from __future__ import annotations

import sys

import pytest

from tests.template.conftest import run
from tyqi_core.catalog.wheel import Wheel
from tyqi_core.conformance.core_wheel import write_core_wheel

pytestmark = pytest.mark.slow


def test_the_core_that_tox_offers_is_what_a_release_holds(core_dist, tmp_path):
    release, offered = Wheel(next(core_dist.glob("*.whl"))), Wheel(write_core_wheel(tmp_path))
    assert sorted(offered.files) == sorted(release.files)
    assert offered.path.name == release.path.name
    code = [name for name in release.files if ".dist-info/" not in name]
    assert [name for name in code if release.read(name) != offered.read(name)] == []


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
