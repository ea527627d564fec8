"""A partner's test file of two lines tests each node by each check; who uses none of it pays nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from importlib import import_module
from pathlib import Path

import pytest
from made_wheels import NODES, make_wheel

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
TEST = "def test_node(node_check):\n    node_check()\n"
PYPROJECT = (
    '[project]\nname = "tyqi-node-good"\nversion = "1.0.0"\n[project.entry-points."tyqi.nodes"]\nbrighten = "x:X"\n'
)


class Project:
    """A partner's folder, with the node installed in a folder of its own on the path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "project"
        self.site = folder / "site"
        (self.folder / "tests").mkdir(parents=True)
        (self.folder / "pyproject.toml").write_text(PYPROJECT)

    def install(self) -> None:
        wheel = make_wheel(self.folder.parent)
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(self.site)

    def pytest(self, test: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        (self.folder / "tests" / "test_it.py").write_text(test)
        path = os.pathsep.join([str(self.site), *(str(Path(entry).absolute()) for entry in sys.path if entry)])
        variables = {**os.environ, "PYTHONPATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        command = [sys.executable, "-P", "-m", "pytest", "-p", "tyqi_core.conformance.pytest_plugin", "-W", "error"]
        return subprocess.run(
            [*command, "-p", "no:cacheprovider", *arguments],
            cwd=self.folder,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_a_good_node_passes_each_check_as_a_test_of_its_own(project):
    project.install()
    done = project.pytest(TEST, "-v", "-k", "not R05")
    assert done.returncode == 0, done.stdout
    assert "test_node[good.brighten@1 T01] PASSED" in done.stdout
    assert "test_node[good.brighten@1 R02] PASSED" in done.stdout
    assert "test_node[good.brighten@1 T07] SKIPPED" in done.stdout


def test_a_node_that_ends_its_process_fails_its_own_test_alone(project):
    project.install()
    spoilt = NODES.replace(
        "bright = np", "__import__('os')._exit(4) if inputs['image'].size == 3 else 0\n        bright = np"
    )
    (project.site / "tyqi_node_good" / "nodes.py").write_text(spoilt)
    done = project.pytest(TEST, "-v", "-k", "T01 or T03 or T06")
    assert done.returncode == 1
    assert "T01] PASSED" in done.stdout
    assert "T03] FAILED" in done.stdout
    assert "T06] PASSED" in done.stdout
    assert "ended with exit code 4" in done.stdout


def test_a_project_that_is_not_installed_is_told_so_by_its_test(project):
    done = project.pytest(TEST + "\n\ndef test_other():\n    pass\n", "-v")
    assert done.returncode == 1
    assert "test_other PASSED" in done.stdout
    assert "no node of tyqi-node-good is installed here" in done.stdout
    assert "pip install --editable ." in done.stdout


def test_run_node_gives_outputs_and_raises_what_the_node_raises(project):
    project.install()
    test = """
import pytest
from tyqi_core.errors import InputError, NodeError, InvalidProject

def test_example(run_node):
    assert run_node("good.brighten")["image"].shape == (48, 64, 3)
    assert run_node("good.brighten", gain=0)["level"] == 0

def test_wrong(run_node):
    with pytest.raises(InputError, match="MISSING_INPUT"):
        run_node("good.brighten", {})
    with pytest.raises(InvalidProject):
        run_node("good.brighten", gain="loud")
"""
    done = project.pytest(test)
    assert done.returncode == 0, done.stdout


def test_who_uses_none_of_it_imports_none_of_it(project):
    test = """
import sys

def test_light():
    heavy = {"numpy", "hypothesis", "tyqi_core.catalog", "tyqi_core.runtime", "tyqi_core.workflow"}
    assert heavy.isdisjoint(sys.modules)
"""
    done = project.pytest(test)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("group", "names"),
    [
        ("pytest11", ("node_check", "run_node", "pytest_generate_tests")),
        ("tox", ("tox_extend_envs", "tox_add_core_config", "tox_add_env_config")),
    ],
)
def test_the_plugins_are_announced_by_the_package(group, names):
    with (ROOT / "pyproject.toml").open("rb") as file:
        announced = tomllib.load(file)["project"]["entry-points"][group]
    module = import_module(announced["tyqi"])
    assert all(hasattr(module, name) for name in names)
