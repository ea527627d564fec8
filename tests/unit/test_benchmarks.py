from __future__ import annotations

import contextlib
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from redis_servers import redis_binary

FOLDER = Path(__file__).parents[2] / "benchmarks"
SCRIPTS = (
    "batching",
    "catalog_load",
    "compile_time",
    "distributed",
    "import_time",
    "makespan",
    "many_plugins",
    "memory",
    "overhead",
    "payloads",
    "registry",
    "settlement",
    "short_beside_long",
)
ON_REDIS = {"batching", "distributed", "many_plugins", "payloads", "settlement", "short_beside_long"}
PLACE = " (the floor in our place)"
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
    if name in ON_REDIS:
        redis_binary()
    check_document(json.loads(call(name, "--tiny", "--json")))


def check_document(document: dict[str, Any]) -> None:
    assert document.keys() == {"machine", "cases"}
    assert document["machine"].keys() >= {"processor", "cores", "python"}
    assert document["cases"]
    for case in document["cases"]:
        check_case(case)
    names = [case["name"] for case in document["cases"]]
    assert len(set(names)) == len(names)


def test_the_peers_of_workers_are_measured_without_us_on_every_broker() -> None:
    redis_binary()
    document = json.loads(call("distributed", "--tiny", "--json", "--peers-only"))
    check_document(document)
    brokers = ["Redis", "RabbitMQ"] if rabbitmq_is_installed() else ["Redis"]
    for number in range(1, 7):
        for broker in brokers:
            idle = next(case for case in document["cases"] if case["name"].startswith(f"{broker}: W{number} "))
            assert idle["name"].endswith(f", idle latency{PLACE}")
            peers = {"canvas, all branches", "canvas, branch executor"} if number == 3 else {"canvas"}
            assert idle["peers"].keys() == peers


def rabbitmq_is_installed() -> bool:
    return any(shutil.which("rabbitmq-server", path=path) for path in (os.environ["PATH"], "/usr/lib/rabbitmq/bin"))


def test_without_rabbitmq_a_benchmark_says_so_and_takes_redis(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "redis-server").symlink_to(redis_binary())
    text = "import _servers; _servers.DEBIAN_FOLDER = '/none'; import distributed as d; print(d.brokers(None))"
    environment = {**os.environ, "PATH": str(tmp_path / "bin"), "PYTHONPATH": str(FOLDER)}
    done = subprocess.run([sys.executable, "-c", text], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['redis']"
    assert "no rabbitmq-server is installed" in done.stderr


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM])
def test_a_benchmark_that_is_stopped_leaves_no_process_and_no_file_behind(signal_: int, tmp_path: Path) -> None:
    redis_binary()
    command = [sys.executable, str(FOLDER / "distributed.py"), "--peers-only", "--broker", "redis"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as benchmark:
        assert benchmark.stderr is not None
        while "one run at a time" not in (line := benchmark.stderr.readline()):
            assert line, "the benchmark has ended"
        assert (
            len(at_home_in(tmp_path)) > 8
        )  # a server, four bare processes, two Celery workers with two processes each
        benchmark.send_signal(signal_)
        benchmark.communicate(timeout=LIMIT_S)
    assert benchmark.returncode != 0
    assert at_home_in(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def at_home_in(folder: Path) -> list[str]:
    """The processes whose current folder lies in a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            if path.readlink().is_relative_to(folder):
                found.append(path.parent.name)
    return found


def test_goals_of_workers_are_judged_by_the_ratio_to_the_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    compared = importlib.import_module("distributed")._compared
    goals = {"canvas": 5.0, "floor": 0.5}

    def judged(ours: float, *, lower: bool) -> dict[str, Any]:
        samples = {"ours": [ours], "canvas": [50.0], "floor": [4.0]}
        return dict(compared("name", "ms", samples, goals, lower=lower).to_json())

    assert judged(8.0, lower=True)["goal"] == "at least 5 times lower than canvas; within 2 times of floor"
    assert judged(8.0, lower=True)["met"]
    assert not judged(8.1, lower=True)["met"]
    assert judged(250.0, lower=False)["met"]
    assert not judged(249.0, lower=False)["met"]


def test_without_json_every_case_is_a_row_that_says_whether_its_goal_is_met() -> None:
    text = call("makespan", "--tiny")
    assert text.count("goal: ") == 4
    assert text.count(": met") + text.count(": MISSED") == 4
