from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from redis_servers import redis_binary

FOLDER = Path(__file__).parents[2] / "benchmarks"
SCRIPTS = ("batching", "catalog_load", "compile_time", "import_time", "makespan", "memory", "overhead", "settlement")
LIMIT_S = 240


def call(name: str, *arguments: str) -> str:
    """What a benchmark prints to its standard output."""
    command = [sys.executable, str(FOLDER / f"{name}.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_S, cwd=FOLDER.parent)
    assert done.returncode == 0, done.stderr
    return done.stdout


def check_case(case: dict[str, Any]) -> None:
    assert case.keys() == {"name", "unit", "ours", "peers", "ratio", "goal", "met"}
    assert all(isinstance(case[key], str) and case[key] for key in ("name", "unit", "goal"))
    assert isinstance(case["met"], bool)
    assert case["ratio"].keys() == case["peers"].keys()
    assert all(isinstance(ratio, float) for ratio in case["ratio"].values())
    for figures in (case["ours"], *case["peers"].values()):
        assert figures.keys() == {"median", "p99"}
        assert figures["p99"] >= figures["median"]


def test_every_script_that_measures_is_tested_here() -> None:
    scripts = {path.stem for path in FOLDER.glob("*.py") if not path.name.startswith("_")}
    assert scripts - {"generate_plugins"} == set(SCRIPTS)


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_shows_how_the_benchmark_is_called(name: str) -> None:
    text = call(name, "--help")
    assert f"python benchmarks/{name}.py --quick" in text
    assert "--json" in text


@pytest.mark.parametrize("name", SCRIPTS)
def test_json_prints_one_document_of_cases(name: str) -> None:
    if name in ("batching", "settlement"):
        redis_binary()
    document = json.loads(call(name, "--tiny", "--json"))
    assert document.keys() == {"machine", "cases"}
    assert document["machine"].keys() >= {"processor", "cores", "python"}
    assert document["cases"]
    for case in document["cases"]:
        check_case(case)
    names = [case["name"] for case in document["cases"]]
    assert len(set(names)) == len(names)


def test_without_json_every_case_is_a_row_that_says_whether_its_goal_is_met() -> None:
    text = call("makespan", "--tiny")
    assert text.count("goal: ") == 4
    assert text.count(": met") + text.count(": MISSED") == 4
