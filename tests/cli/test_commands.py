"""The other commands: help, validate, nodes, doctor, completion."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.conftest import picture
from tyqi_core.cli import COMMANDS

pytestmark = pytest.mark.needs_plugins

BAD = Path(__file__).parents[1] / "bad_projects"
EXPECT = re.compile(rb"# expect: (?P<code>[A-Z0-9_]+) line (?P<line>[0-9]+)")


@pytest.mark.parametrize("command", [*COMMANDS])
def test_every_command_has_help_with_an_example(tyqi, command):
    answer = tyqi(command, "--help")
    assert answer.code == 0
    assert f"tyqi {command}" in answer.out
    assert "Example" in answer.out


def test_a_mistyped_command_is_told_its_nearest_name(tyqi):
    answer = tyqi("validat")
    assert answer.code == 2
    assert "'validate'" in answer.err


def test_validate_names_the_right_fault_at_the_right_line_of_every_bad_project(tyqi):
    files = sorted(path for path in BAD.iterdir() if path.suffix in {".yaml", ".yml"})
    answer = tyqi("validate", *files, "--json")
    assert answer.code == 2
    found = {}
    for project in answer.json()["projects"]:
        found[Path(project["file"]).name] = {(one["code"], one.get("line", 0)) for one in project["problems"]}
    for path in files:
        expected = EXPECT.search(path.read_bytes().replace(b"\0", b""))
        assert expected is not None, path.name
        codes, lines = zip(*found[path.name], strict=True)  # one fault may show in several places: an alias bomb
        assert ({*codes}, min(lines)) == ({expected["code"].decode()}, int(expected["line"])), path.name


def test_validate_of_one_bad_project_prints_file_line_and_remedy(tyqi):
    answer = tyqi("validate", BAD / "port_unknown.yaml")
    assert answer.code == 2
    assert re.search(r"port_unknown\.yaml:\d+:\d+: [A-Z_]+: ", answer.err)


def test_validate_of_a_good_project_says_so(tyqi):
    answer = tyqi("validate", "project.yaml", "--json")
    assert answer.code == 0
    assert answer.json()["projects"][0]["tasks"] == 5


def test_nodes_are_listed_and_described(tyqi):
    listed = {node["id"]: node for node in tyqi("nodes", "--json").json()["nodes"]}
    assert listed["crack.segment"]["outputs"] == {"mask": "mask"}
    described = tyqi("nodes", "crack.segment")
    assert described.code == 0
    assert "inputs:" in described.out
    assert listed["crack.segment"]["capabilities"] == []
    assert "uses no network, no processes, no files, no native code" in described.out
    unknown = tyqi("nodes", "crack.segmnet")
    assert unknown.code == 2
    assert "crack.segment" in unknown.err


def test_one_node_runs_on_one_picture(folder, tyqi):
    picture(folder / "wall.png")
    answer = tyqi("nodes", "run", "crack.segment", "--input", "image=wall.png", "--out", "out", "--json")
    assert answer.code == 0, answer.err
    assert (folder / "out" / "wall" / "mask.png").is_file()


def test_a_condition_node_runs_alone(folder, tyqi):
    picture(folder / "wall.png", size=128)
    answer = tyqi("nodes", "run", "surface.triage", "--input", "image=wall.png", "--json")
    assert answer.code == 0, answer.err
    assert answer.json()["runs"][0]["path"][0].startswith("N1 ")


def test_doctor_finds_this_installation_sound(tyqi):
    answer = tyqi("doctor", "--json")
    faults = [finding for finding in answer.json()["findings"] if finding["level"] == "fault"]
    assert (answer.code, faults) == (0, [])


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(tyqi, shell):
    answer = tyqi("completion", shell)
    assert answer.code == 0
    assert "_TYQI_COMPLETE" in answer.out


def test_completion_offers_commands(tyqi):
    answer = tyqi(_TYQI_COMPLETE="bash_complete", COMP_WORDS="tyqi va", COMP_CWORD="1")
    assert "validate" in answer.out


def test_listing_nodes_imports_no_plugin_and_nothing_heavy(folder, tyqi):
    import subprocess
    import sys

    command = [sys.executable, "-X", "importtime", "-m", "tyqi_core.cli", "nodes"]
    for _ in range(2):  # the second time from the index
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    modules = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    heavy = {"torch", "networkx", "numpy", "cv2", "PIL", "jsonschema"}
    assert "click" in modules
    assert not {name for name in modules if name.partition(".")[0] in heavy or name.startswith("tyqi_node")}
