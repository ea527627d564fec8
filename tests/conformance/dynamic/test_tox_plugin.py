"""In a project of nodes tox knows the environment ``conform`` and holds pip to the host's versions."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from tyqi_core.conformance.host_versions import constraints_text

pytestmark = pytest.mark.slow

NODES = '[project.entry-points."tyqi.nodes"]\nlook = "tyqi_node_x.nodes:Look"\n'
PROJECT = '[project]\nname = "tyqi-node-x"\nversion = "1.0.0"\n'
INI = "[tox]\nenv_list = py\n[testenv]\ndeps = pytest\ncommands = pytest\n"
PLUGIN = "from tyqi_core.conformance.tox_plugin import tox_add_core_config, tox_add_env_config, tox_extend_envs\n"
ANNOUNCED = any(one.value == "tyqi_core.conformance.tox_plugin" for one in entry_points(group="tox"))


def tox(folder: Path, *arguments: str, pyproject: str = PROJECT + NODES, ini: str = INI, **variables: str) -> str:
    """Real tox in a folder; where no installed tyqi-core announces the plugin, the folder's toxfile does."""
    folder.mkdir(exist_ok=True)
    (folder / "pyproject.toml").write_text(pyproject)
    (folder / "tox.ini").write_text(ini)
    if not ANNOUNCED:
        (folder / "toxfile.py").write_text(PLUGIN)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TOX", "PIP_CONSTRAINT"))}
    path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path if entry)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "tox", *arguments],
        cwd=folder,
        env={**kept, "PYTHONPATH": path, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_project_of_nodes_has_the_environment_conform(tmp_path):
    listed = tox(tmp_path, "list")
    assert "conform -> the conformance kit of tyqi-core on the built wheel" in listed
    described = tox(tmp_path, "config", "-e", "conform", "-k", "commands", "deps")
    assert f"commands = tyqi conform {tmp_path}" in described
    assert "deps = tyqi-core[author,images]" in described


def test_all_its_environments_are_held_to_the_hosts_versions(tmp_path):
    described = tox(tmp_path, "config", "-e", "py,conform", "-k", "set_env")
    file = tmp_path / ".tox" / "tyqi-constraints.txt"
    assert described.count(f"PIP_CONSTRAINT={file}") == 2
    assert file.read_text() == constraints_text()


def test_a_path_with_spaces_reaches_pip_whole(tmp_path):
    described = tox(tmp_path / "a folder", "config", "-e", "py", "-k", "set_env")
    file = tmp_path / "a folder" / ".tox" / "tyqi-constraints.txt"
    assert f"PIP_CONSTRAINT={file.as_uri()}" in described


def test_what_the_project_says_itself_goes_before(tmp_path):
    ini = INI + "set_env = PIP_CONSTRAINT = mine.txt\n[testenv:conform]\ncommands = python -c 1\n"
    described = tox(tmp_path, "config", "-e", "conform", "-k", "commands", "set_env", ini=ini)
    assert "commands = python -c 1" in described
    assert "PIP_CONSTRAINT=mine.txt" in described


def test_constraints_of_the_caller_are_left_to_him(tmp_path):
    described = tox(tmp_path, "config", "-e", "py", "-k", "set_env", "pass_env", PIP_CONSTRAINT="mine.txt")
    assert "tyqi-constraints.txt" not in described
    assert "PIP_*" in described


def test_other_projects_are_left_as_they_are(tmp_path):
    assert "conform" not in tox(tmp_path, "list", pyproject=PROJECT)
    assert "PIP_CONSTRAINT" not in tox(tmp_path, "config", "-e", "py", "-k", "set_env", pyproject=PROJECT)
    assert not (tmp_path / ".tox" / "tyqi-constraints.txt").exists()
