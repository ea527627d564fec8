"""Nodes in environments of their own: made whole or not at all, on their own queues, beside each other in one run."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from trial_hosts import WITH_LIBRARY, Host

from tyqi_core.installation.isolated import digest_of

pytestmark = pytest.mark.slow
PATIENCE_S = 60.0
LOOK = """\
import conflictlib, numpy, tyqi_core
from importlib.metadata import entry_points
print(conflictlib.VERSION, len(entry_points(group="tyqi.nodes")))
"""
PROJECT = """\
tyqi: 1
project: both
inputs: {x: {type: json, schema: {type: number}}}
tasks:
  T1: {node: one.tell, inputs: {x: $input.x}, queue: cpu.short}
  T2: {node: two.tell, inputs: {x: T1.y}}
  T3: {node: here.tell, inputs: {x: T2.y}}
outputs: {y: T3.y}
"""


class Up:
    """A ``tyqi`` command that goes on until it is told to stop."""

    def __init__(self, host: Host, *words: str, **environ: str) -> None:
        self.told = host.folder / f"{words[0]}.{time.monotonic_ns()}.txt"
        with self.told.open("wb") as out:
            command = [host.python, "-P", "-m", "tyqi_core.cli", *words]
            pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": out}
            self.process = subprocess.Popen(command, cwd=host.folder, env=host.environ | environ, **pipes)

    def until(self, text: str) -> str:
        """Wait until it has said something; all that it said so far."""
        until = time.monotonic() + PATIENCE_S
        while text not in (said := self.told.read_text(encoding="utf-8")):
            assert self.process.poll() is None, said
            assert time.monotonic() < until, said
            time.sleep(0.05)
        return said

    def end(self) -> int:
        """Tell it to stop; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)


@pytest.fixture(scope="module")
def both(host: Host, registry) -> dict[str, Any]:
    """Two nodes that need two versions of one library, each in an environment of its own; one node beside them."""
    for word, version in (("one", "1"), ("two", "2")):
        registry.add(word, requires=[f"conflictlib=={version}"], source=WITH_LIBRARY)
    registry.add("here")
    host.tyqi("install", "here", "--yes")
    (host.folder / "both.yaml").write_text(PROJECT, encoding="utf-8")
    (host.folder / "x.json").write_text("5", encoding="utf-8")
    return host.tyqi("install", "--isolated", "one", "two", "--yes", "--json").json()


@pytest.fixture
def up(host: Host, both, redis_server) -> Iterator[Up]:
    command = Up(host, "up", "--concurrency", "1", TYQI_REDIS=redis_server.url, TYQI_NAMESPACE="isolated")
    yield command
    assert command.end() == 0


def folders(host: Host) -> dict[str, Path]:
    found = (host.folder / "state" / "envs").glob("*/environment.json")
    return {json.loads(file.read_text(encoding="utf-8"))["distribution"]: file.parent for file in found}


def test_both_are_usable_listed_as_isolated_and_named_by_their_lock(host, both):
    assert [(one["id"], one["usable"]) for one in both["nodes"]] == [("one.tell", True), ("two.tell", True)]
    assert (host.state_of("one.tell"), host.state_of("here.tell")) == ("isolated", "enabled")
    for name, folder in folders(host).items():
        lock = json.loads((folder / "environment.json").read_text(encoding="utf-8"))["lock"]
        assert [line.split("==")[0] for line in lock] == ["conflictlib", name]
        assert folder.name == digest_of(lock)


def test_neither_the_host_nor_the_other_one_sees_what_is_in_an_environment(host, both):
    assert host.run("-c", "import conflictlib").code == 1
    python = folders(host)["tyqi-node-one"] / "venv" / "bin" / "python"
    done = subprocess.run([python, "-I", "-c", LOOK], capture_output=True, text=True, check=True)
    assert done.stdout == "1 1\n"


def test_nodes_that_need_conflicting_versions_work_in_one_run_with_one_of_the_host(host, both, up, redis_server):
    up.until("Ready for runs")
    words = ("submit", "both.yaml", "--input", "x=x.json", "--wait", "--out", "results", "--json")
    answer = host.tyqi(*words, TYQI_REDIS=redis_server.url, TYQI_NAMESPACE="isolated").json()
    (run,) = answer["runs"]
    assert run["status"] == "completed"
    (written,) = (host.folder / "results").rglob("y.json")
    assert json.loads(written.read_text(encoding="utf-8")) == 10 * (10 * 5 + 1) + 2 + 1


def test_a_worker_for_one_environment_alone_serves_its_queue(host, both, redis_server):
    queue = f"env.{folders(host)['tyqi-node-one'].name[:8]}"
    worker = Up(host, "worker", "--env", "one", "--concurrency", "1", TYQI_REDIS=redis_server.url)
    said = worker.until("pid ")
    assert f"queues {queue}; prefork, 1 at once" in said
    assert worker.end() == 0
    assert "NO_ENVIRONMENT" in host.tyqi("worker", "--env", "four", code=2).err


def test_in_process_such_a_project_is_refused_with_what_to_do_instead(host, both):
    answer = host.tyqi("run", "both.yaml", "--input", "x=x.json", code=2)
    assert "ISOLATED: 'one.tell' lives in an isolated environment" in answer.err
    assert "'tyqi up', then 'tyqi submit PROJECT --wait'" in answer.err


def test_the_same_environment_is_not_made_twice(host, both):
    inode = folders(host)["tyqi-node-one"].stat().st_ino
    host.tyqi("install", "--isolated", "one", "--yes")
    assert folders(host)["tyqi-node-one"].stat().st_ino == inode


def test_a_plugin_that_is_installed_here_is_not_isolated_as_well(host, both):
    answer = host.tyqi("install", "--isolated", "here", "--yes", code=2)
    assert "INSTALLED_HERE" in answer.err
    assert "tyqi uninstall here" in answer.err


def test_a_conflict_with_the_core_itself_is_told_and_leaves_nothing(host, both, registry):
    registry.add("newercore", requires=["tyqi-core>=9"])
    before = host.files()
    answer = host.tyqi("install", "--isolated", "newercore", "--yes", code=1)
    assert "tyqi-node-newercore 1.0.0 needs tyqi-core>=9" in answer.err
    assert host.files() == before


def test_an_upgrade_replaces_the_environment_and_uninstalling_removes_it(host, both, registry):
    before = host.files()
    registry.add("moves", requires=["conflictlib==1"], source=WITH_LIBRARY)
    host.tyqi("install", "--isolated", "moves", "--yes")
    first = folders(host)["tyqi-node-moves"]
    registry.add("moves", "1.1.0", requires=["conflictlib==2"], source=WITH_LIBRARY)
    assert "moves.tell 1.1.0: usable" in host.tyqi("upgrade", "moves", "--yes").out
    assert folders(host)["tyqi-node-moves"] != first
    assert not first.exists()
    host.tyqi("uninstall", "moves", "--yes")
    assert host.files() == before


def test_doctor_tells_an_environment_whose_interpreter_is_gone_and_what_the_host_has_changed(host, both, registry):
    registry.add("worn")
    host.tyqi("install", "--isolated", "worn", "--yes")
    folder = folders(host)["tyqi-node-worn"]
    record = folder / "environment.json"
    body = json.loads(record.read_text(encoding="utf-8"))
    record.write_text(json.dumps(body | {"shared": body["shared"] | {"numpy": "1.0"}}), encoding="utf-8")
    assert "numpy 1.0 -> " in host.tyqi("doctor", "--no-probe", code=None).out
    shutil.rmtree(folder / "venv" / "bin")
    said = host.tyqi("doctor", code=1).out
    assert "environment of tyqi-node-worn: its interpreter is gone" in said
    assert "tyqi uninstall worn, then tyqi install --isolated worn" in said
    host.tyqi("uninstall", "worn", "--yes")
