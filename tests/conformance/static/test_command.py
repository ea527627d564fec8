"""``tyqi conform`` as its user calls it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from dataclasses import replace

import pytest
from made_wheels import LICENCE, MANIFEST, NODES, README, make_wheel, manifest_text, picture

from tyqi_core.conformance.evidence import ALL_MODES, Evidence, Result
from tyqi_core.conformance.run import checks_of, conform
from tyqi_core.registry.publishing import publish


@pytest.fixture
def tyqi(tmp_path):
    def call(*words, **environ):
        command = [sys.executable, "-m", "tyqi_core.cli", "conform", *map(str, words)]
        variables = {**os.environ, "COLUMNS": "120", **environ}
        return subprocess.run(
            command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False, timeout=120
        )

    return call


@pytest.fixture
def project(tmp_path):
    """A project as an author has it."""
    folder = tmp_path / "tyqi-node-good"
    files = {
        "pyproject.toml": PYPROJECT,
        "README.md": README.format(name="tyqi-node-good", namespace="good"),
        "LICENSE": LICENCE,
        "tyqi_node_good/__init__.py": "",
        "tyqi_node_good/nodes.py": NODES,
        "tyqi_node_good/brighten.node.yaml": manifest_text(),
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "tyqi_node_good/examples").mkdir()
    (folder / "tyqi_node_good/examples/wall.png").write_bytes(picture())
    return folder


PYPROJECT = textwrap.dedent("""\
    [build-system]
    requires = ["hatchling"]
    build-backend = "hatchling.build"

    [project]
    name = "tyqi-node-good"
    version = "1.0.0"
    description = "A TYQ-i node that brightens pictures."
    readme = "README.md"
    requires-python = ">=3.11"
    license = "Apache-2.0"
    license-files = ["LICENSE"]
    dependencies = ["tyqi-core>=0.1,<1", "numpy>=1.26"]

    [project.urls]
    Source = "https://github.com/tyq-i/tyqi-node-good"
    Issues = "https://github.com/tyq-i/tyqi-node-good/issues"

    [project.entry-points."tyqi.nodes"]
    brighten = "tyqi_node_good.nodes:Brighten"
""")


def test_a_good_wheel_is_told_check_by_check(tyqi, tmp_path):
    answer = tyqi(make_wheel(tmp_path), "--mode", "static")
    assert answer.returncode == 0, answer.stderr
    assert [line.split()[:3] for line in answer.stdout.splitlines()[1:2]] == [["M01", "bronze", "passed"]]
    assert "tyqi-node-good 1.0.0: gold, as far as the checks of static go" in " ".join(answer.stdout.split())


def test_a_fault_is_told_with_check_place_and_remedy_and_the_exit_code_is_1(tyqi, tmp_path):
    wheel = make_wheel(tmp_path, files={"tyqi_node_good/nodes.py": NODES + "eval('1')\n"})
    answer = tyqi(wheel, "--mode", "static")
    assert answer.returncode == 1
    assert f"S01 tyqi_node_good/nodes.py:{len(NODES.splitlines()) + 1}\n    It evaluates text as code" in answer.stdout
    assert "Write the code out" in answer.stdout


def test_the_evidence_is_written_and_printed_as_json(tyqi, tmp_path):
    answer = tyqi(make_wheel(tmp_path), "--mode", "static", "--json", "--out", "evidence.json")
    printed = json.loads(answer.stdout)
    assert printed.pop("ok") is True
    assert json.loads((tmp_path / "evidence.json").read_text()) == printed
    assert Evidence.from_json(printed).tier == "gold"


def test_more_than_bronze_can_be_asked_for(tyqi, tmp_path):
    params = {name: {**schema, "description": ""} for name, schema in MANIFEST["params"].items()}
    wheel = make_wheel(tmp_path, files={"tyqi_node_good/brighten.node.yaml": manifest_text(params=params)})
    assert tyqi(wheel, "--mode", "static").returncode == 0
    assert tyqi(wheel, "--mode", "static", "--tier", "silver").returncode == 1


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("gone/x.whl", "NO_WHEEL"),
        ("tyqi-node-that-nobody-made", "NO_WHEEL"),
        ("tyqi-core", "NO_WHEEL"),
        (".", "NO_PROJECT"),
        ("plain.txt", "BAD_WHEEL"),
    ],
)
def test_a_target_that_is_none_is_wrong_usage_with_a_remedy(tyqi, tmp_path, target, code):
    (tmp_path / "plain.txt").write_text("no wheel")
    answer = tyqi(target, "--mode", "static")
    assert answer.returncode == 2
    assert f"{code}: " in answer.stderr
    assert answer.stdout == ""


def test_of_an_installed_package_without_a_wheel_it_says_how_to_get_one(tyqi):
    assert "pip download --no-deps tyqi-core==" in tyqi("tyqi-core").stderr


@pytest.fixture
def registry(tmp_path):
    """A registry that publishes the good wheel, by evidence that every check has passed."""
    wheel, shelf = make_wheel(tmp_path / "wheels"), tmp_path / "shelf"
    results = [Result(id_, tier, "passed") for id_, tier in {one.id: one.tier for one in checks_of()}.items()]
    publish(shelf, wheel, replace(conform(wheel, modes=["static"]), results=results, modes=ALL_MODES))
    return str(shelf)


def test_a_published_package_is_fetched_from_the_registry(tyqi, registry):
    answer = tyqi("tyqi-node-good", "--mode", "static", "--json", TYQI_REGISTRY=registry)
    assert answer.returncode == 0, answer.stderr
    body = json.loads(answer.stdout)
    assert body["wheel"] == "tyqi_node_good-1.0.0-py3-none-any.whl"
    assert [one["outcome"] for one in body["results"] if one["check"] == "M04"] == ["passed"]


def test_names_are_compared_with_those_of_the_registry(tyqi, registry, tmp_path):
    answer = tyqi(make_wheel(tmp_path, "tyqi-node-goods"), "--mode", "static", TYQI_REGISTRY=registry)
    assert "'tyqi-node-goods' is one edit away from 'tyqi-node-good', which is published." in answer.stdout


def test_a_registry_that_cannot_be_read_is_told_and_the_checks_go_on(tyqi, tmp_path):
    answer = tyqi(make_wheel(tmp_path), "--mode", "static", TYQI_REGISTRY=str(tmp_path / "gone"))
    assert answer.returncode == 0
    assert "names are not compared with those of the registry" in answer.stderr


@pytest.mark.slow
def test_a_project_is_built_and_its_wheel_checked_without_network(tyqi, project):
    offline = {"PIP_NO_INDEX": "1", "PIP_INDEX_URL": "http://127.0.0.1:9/"}
    answer = tyqi(project, "--mode", "static", "--json", **offline)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert json.loads(answer.stdout)["wheel"] == "tyqi_node_good-1.0.0-py3-none-any.whl"


@pytest.mark.slow
def test_package_data_that_the_wheel_lacks_is_found_although_the_checkout_has_it(tyqi, project):
    text = PYPROJECT + '\n[tool.hatch.build.targets.wheel]\nexclude = ["*.node.yaml"]\n'
    (project / "pyproject.toml").write_text(text)
    answer = tyqi(project, "--mode", "static")
    assert answer.returncode == 1
    assert "there is no 'brighten.node.yaml' beside the module" in answer.stdout


@pytest.mark.slow
def test_a_project_that_cannot_be_built_says_why(tyqi, project):
    (project / "pyproject.toml").write_text(PYPROJECT.replace('version = "1.0.0"', 'version = "one"'))
    answer = tyqi(project, "--mode", "static")
    assert answer.returncode == 2
    assert "BUILD_FAILED" in answer.stderr
    assert "one" in answer.stderr
