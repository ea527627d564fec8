"""``tyqi registry`` as it is called: a process, its exit code, its two streams."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from made_wheels import MANIFEST, make_wheel

from tests.registry.conftest import evidence_for, wheel_with
from tyqi_core.cli.registry import COMMANDS

NAME = "tyqi-node-good"


@pytest.fixture
def tyqi(tmp_path, shelf):
    """Call ``tyqi registry`` with the shelf as the setting; gives code, output, errors."""

    def call(*words, **environ):
        command = [sys.executable, "-m", "tyqi_core.cli", "registry", *map(str, words)]
        env = {**os.environ, "TYQI_REGISTRY": str(shelf), **environ}
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False)
        return done.returncode, done.stdout, done.stderr

    return call


@pytest.fixture
def evidence(tmp_path):
    """Write the evidence that a wheel passes all, but what is named."""

    def written(wheel: Path, **failed: str) -> Path:
        path = tmp_path / "evidence.json"
        path.write_text(json.dumps(evidence_for(wheel, **failed).to_json()))
        return path

    return written


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "serve"])
def test_every_command_has_help_with_an_example(tyqi, command):
    code, out, _ = tyqi(command, "--help")
    assert (code, "Example" in out, f"tyqi registry {command}" in out) == (0, True, True)


def test_the_help_of_the_group_lists_its_commands_and_no_others(tyqi):
    code, out, _ = tyqi("--help")
    assert code == 0
    assert all(name in out for name in COMMANDS)


def test_a_wheel_is_published_shown_and_found(tyqi, evidence, tmp_path):
    wheel = make_wheel(tmp_path)
    code, out, err = tyqi("publish", wheel, "--evidence", evidence(wheel), "--json")
    assert code == 0, err
    assert json.loads(out)["release"]["tier"] == "gold"
    code, out, err = tyqi("show", "good", "--json")
    assert code == 0, err
    assert json.loads(out)["release"]["nodes"][0]["id"] == "good.brighten"
    code, out, _ = tyqi("show", "good.brighten")
    assert code == 0
    assert f"simple/ {NAME}==1.0.0" in out
    assert "gain             number [default 2]" in out
    code, out, _ = tyqi("search", "bright", "--from", "image", "--to", "image", "--device", "cpu", "--json")
    assert [node["id"] for node in json.loads(out)["nodes"]] == ["good.brighten"]
    code, out, err = tyqi("search", "--tag", "nothing")
    assert (code, out) == (0, "")


def test_a_refusal_names_check_place_and_remedy_and_ends_with_1(tyqi, evidence, tmp_path):
    wheel = make_wheel(tmp_path)
    code, out, err = tyqi("publish", wheel, "--evidence", evidence(wheel, S01="eval is called."), "--json")
    assert code == 1
    (problem,) = json.loads(out)["error"]["problems"]
    assert (problem["code"], problem["file"], problem["line"]) == ("S01", "tyqi_node_good/nodes.py", 7)
    assert "nodes.py:7:1: S01: eval is called. Mend it." in err


def test_evidence_that_is_none_is_a_wrong_call(tyqi, tmp_path):
    wheel = make_wheel(tmp_path)
    code, _, err = tyqi("publish", wheel, "--evidence", wheel)
    assert (code, "BAD_EVIDENCE" in err) == (2, True)


def test_yank_and_quarantine_need_a_reason_and_are_undone(tyqi, put):
    put()
    assert tyqi("yank", "good", "1.0.0")[0] == 2
    code, out, err = tyqi("yank", "good", "1.0.0", "--reason", "wrong unit")
    assert (code, out.strip()) == (0, f"{NAME} 1.0.0 is yanked: wrong unit"), err
    assert tyqi("quarantine", NAME, "1.0.0", "--reason", "sends pictures elsewhere")[0] == 0
    _, out, _ = tyqi("show", "good")
    assert "quarantined: sends pictures elsewhere, yanked: wrong unit" in out
    assert tyqi("search", "bright")[1] == ""
    assert tyqi("yank", "good", "1.0.0", "--undo")[0] == tyqi("quarantine", "good", "1.0.0", "--undo")[0] == 0
    assert "good.brighten" in tyqi("search", "bright")[1]


def test_verify_ends_with_1_and_names_what_is_wrong_and_build_mends_pages(tyqi, put, shelf):
    put()
    (shelf / "catalogue.json").write_text("{}")
    code, out, _ = tyqi("verify", "--json")
    assert (code, json.loads(out)["problems"][0]["file"]) == (1, "catalogue.json")
    assert tyqi("build")[0] == 0
    assert tyqi("verify")[:2] == (0, "1 releases, no problems\n")


def test_build_makes_a_registry_of_a_folder_that_is_not_there(tyqi, shelf):
    code, out, err = tyqi("build", "--json")
    assert (code, json.loads(out)["releases"]) == (0, 0), err
    assert json.loads((shelf / "registry.json").read_text())["tyqi_registry"] == 1


def test_what_can_follow_a_task_of_a_project_is_found(tyqi, put, tmp_path):
    put()
    put("tyqi-node-masks", "1.0.0", inputs={"mask": {"type": "mask"}}, examples=[], params={})
    (tmp_path / "project.yaml").write_text("tyqi: 1\nproject: p\ntasks:\n  T1: {node: good.brighten@1}\n")
    for asked in ("project.yaml:T1", "good.brighten"):
        _, out, err = tyqi("search", "--after", asked, "--json")
        assert [node["id"] for node in json.loads(out)["nodes"]] == ["good.brighten"], err
    code, _, err = tyqi("search", "--after", "project.yaml:T2")
    assert (code, "It has T1." in err) == (2, True)


def test_names_that_are_not_there_are_told_the_nearest(tyqi, put):
    put()
    assert "Did you mean 'tyqi-node-good'?" in tyqi("show", "godo")[2]
    assert "Did you mean 'anomaly_map'?" in tyqi("search", "--to", "anomalymap")[2]
    assert tyqi("search", "--after", "good.brihgten")[0] == 1


def test_a_registry_that_is_nowhere_is_a_wrong_call(tyqi, tmp_path):
    code, _, err = tyqi("search", TYQI_REGISTRY="")
    assert (code, "TYQI_REGISTRY" in err) == (2, True)
    code, _, err = tyqi("search", "--registry", "ftp://host/x")
    assert code == 2
    code, _, err = tyqi("yank", "good", "1", "--reason", "x", "--registry", "https://host/x")
    assert (code, "NO_FOLDER" in err) == (2, True)


def test_the_setting_counts_from_the_folder_of_its_file(tyqi, put, tmp_path):
    put()
    (tmp_path / "tyqi.toml").write_text('registry = "shelf"\n')
    assert "good.brighten" in tyqi("search", TYQI_REGISTRY="")[1]
    (tmp_path / "tyqi.toml").write_text('registry = "ftp://x"\n')
    assert tyqi("search", TYQI_REGISTRY="")[0] == 2


def test_listing_what_there_is_imports_nothing_heavy(put, shelf, tmp_path):
    put()
    command = [
        sys.executable,
        "-X",
        "importtime",
        "-m",
        "tyqi_core.cli",
        "registry",
        "search",
        "--registry",
        str(shelf),
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    modules = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "click" in modules
    assert not modules & {"torch", "networkx", "cv2", "PIL", "markdown_it", "nh3", "starlette", "hypothesis"}


def test_a_node_whose_version_says_too_little_is_refused_by_the_command(tyqi, put, evidence, tmp_path):
    put()
    narrowed = {"gain": {**MANIFEST["params"]["gain"], "maximum": 4}}
    wheel = wheel_with(tmp_path / "next", NAME, "1.0.1", version="1.0.1", params=narrowed)
    code, _, err = tyqi("publish", wheel, "--evidence", evidence(wheel))
    assert (code, "V01" in err, "takes less than before" in err) == (1, True, True)
