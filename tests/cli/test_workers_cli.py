"""``tyqi up``, ``worker``, ``orchestrator`` and what is done with runs on workers: real processes, a real Redis."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from redis_servers import redis_binary
from trial_runs import NUMBER, trial_catalog, trial_folder, wait_for
from trial_shell import TYQI, Shell

__all__ = ["trial_catalog", "trial_folder"]

PATIENCE_S = 60.0
PROC = Path("/proc")
pytestmark = pytest.mark.skipif(not PROC.is_dir(), reason="looks for processes in /proc")

QUICK = {"TYQI_LEASE_S": "1", "TYQI_GRACE_S": "0.5"}
HEAD = f"tyqi: 1\nproject: trial\ninputs: {{n: {NUMBER}}}\n"


@pytest.fixture(scope="module", autouse=True)
def _server_is_installed() -> None:
    redis_binary()


class Command:
    """A ``tyqi`` command that goes on until it is told to stop."""

    def __init__(self, shell: Shell, *words: str, **environ: str) -> None:
        self.shell = shell
        self.told = shell.folder / f"{words[0]}.{time.monotonic_ns()}.txt"
        with self.told.open("wb") as out:
            environment = os.environ | shell.environment | environ
            self.process = subprocess.Popen(
                (*TYQI, *words), cwd=shell.folder, env=environment, stdout=out, stderr=out, stdin=subprocess.DEVNULL
            )

    def until(self, text: str) -> str:
        """Wait until it has said something; all that it said so far."""
        return eventually(lambda: self._said(text), lambda: f"'{text}' was not said:\n{self.told.read_text()}")

    def _said(self, text: str) -> str:
        assert text in self.told.read_text() or self.process.poll() is None, self.told.read_text()
        return said if text in (said := self.told.read_text()) else ""

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send it a signal; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    def close(self) -> None:
        if self.process.poll() is None:
            self.end(signal.SIGKILL)


def eventually(look: Callable[[], Any], complaint: Callable[[], str]) -> Any:
    """What a look finds, once it finds something."""
    until = time.monotonic() + PATIENCE_S
    while not (found := look()):
        assert time.monotonic() < until, complaint()
        time.sleep(0.02)
    return found


def processes(shell: Shell) -> list[str]:
    """The commands of all processes that were started with this shell's state folder."""
    mark = f"TYQI_STATE={shell.environment['TYQI_STATE']}\0".encode()
    found = []
    for environ in PROC.glob("[0-9]*/environ"):
        try:
            if mark in environ.read_bytes():
                found.append(environ.with_name("cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:  # it has ended meanwhile
            continue
    return found


def nothing_is_left(shell: Shell) -> None:
    eventually(lambda: not processes(shell), lambda: f"still there: {processes(shell)}")


def write(shell: Shell, name: str, task: str, *, output: str = "value", more: str = "") -> str:
    """A project of one task, whose output it gives."""
    text = f"{HEAD}tasks:\n  T1: {{{task}, inputs: {{x: $input.n}}{more}}}\noutputs: {{out: T1.{output}}}\n"
    (shell.folder / name).write_text(text, encoding="utf-8")
    return name


def long(shell: Shell, name: str) -> tuple[str, Path, Path]:
    """A project that ends once a file is there; where it says that it began; that file."""
    began, go = shell.folder / f"{name}.began", shell.folder / f"{name}.go"
    params = f'params: {{file: "{began}", until: "{go}"}}'
    return write(shell, f"{name}.yaml", f"node: trial.sleep, {params}"), began, go


@pytest.fixture(scope="module")
def up(trial_catalog, tmp_path_factory) -> Iterator[Command]:
    """One ``tyqi up`` for the tests that only use it."""
    command = Command(Shell(tmp_path_factory.mktemp("up")), "up", "--concurrency", "2", **QUICK)
    command.until("Ready for runs")
    yield command
    assert command.end(signal.SIGTERM) == 0
    nothing_is_left(command.shell)


@pytest.fixture
def shell(up: Command) -> Shell:
    """A shell in the folder in which ``tyqi up`` runs."""
    return up.shell


def submit(shell: Shell, file: str) -> str:
    """Submit a run; its id."""
    (run,) = shell.json("submit", file, "--input", "n=n.json")["runs"]
    return run["id"]


def story(shell: Shell, run_id: str) -> Any:
    """What became of a run, once it has ended."""
    return shell.json("runs", run_id, "--follow")


# -- with one `tyqi up` -----------------------------------------------------------------------------------------------


def test_what_runs_is_told_with_its_queues_pool_and_process(up):
    said = up.until("Ready for runs")
    assert re.search(
        r"^cpu: queues cpu\.short, cpu\.long, cpu\.heavy.*; prefork, 2 at once; pid \d+$", said, re.MULTILINE
    )
    assert re.search(r"^orchestrator: .*pid \d+$", said, re.MULTILINE)
    assert "tyqi submit" in said


def test_up_json_is_for_its_user_alone_and_no_password_is_told(up):
    path = up.shell.folder / "state" / "up.json"
    assert path.stat().st_mode & 0o777 == 0o600
    about = json.loads(path.read_text(encoding="utf-8"))
    password = about["redis"].split("@")[0].rpartition(":")[2]
    assert about["pid"] == up.process.pid
    assert {"redis", "orchestrator", "cpu"} <= {*about["pids"]}
    assert password not in up.told.read_text()
    assert not [command for command in processes(up.shell) if password in command]


def test_submit_and_wait_writes_what_run_writes(shell):
    words = ("--input", "n=n.json")
    process = shell.process("submit", "scaled.yaml", *words, "--wait", "--out", "on_workers", "--json")
    out, told = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, told
    shared, alone = json.loads(out), shell.json("run", "scaled.yaml", *words, "--out", "alone")
    for document, folder in ((shared, "on_workers"), (alone, "alone")):
        assert document["report"] == f"{folder}/index.html"
        (run,) = document["runs"]
        run["files"] = [file.removeprefix(folder) for file in run["files"]]
        del run["id"], run["duration_s"], document["report"]
    assert shared == alone
    for file in alone["runs"][0]["files"]:
        one, other = (shell.folder / folder / file.lstrip("/") for folder in ("on_workers", "alone"))
        assert one.read_bytes() == other.read_bytes()


def test_a_run_whose_input_cannot_be_used_takes_no_other_along(shell):
    (shell.folder / "bad.json").write_text('"ten"', encoding="utf-8")
    words = ("--input", "n=bad.json", "--input", "n=n.json", "--wait", "--out", "mixed")
    document = shell.json("submit", "scaled.yaml", *words, status=1)
    assert [run["status"] for run in document["runs"]] == ["failed", "completed"]
    assert document["runs"][0]["error"]["code"]


def test_without_waiting_ids_are_printed_and_the_story_tells_who_executed_what(shell):
    run_id = shell("submit", "scaled.yaml", "--input", "n=n.json").strip()
    told = story(shell, run_id[:12])
    assert (told["id"], told["status"], told["where"]) == (run_id, "completed", "workers")
    assert told["tasks"]["T1"]["worker"]
    assert told["tasks"]["T1"]["waited_ms"] >= 0
    assert told["branches"].keys() == {"T2"}
    assert re.search(r"completed .*waited .*T1 .* on \S+:\d+", shell("runs", run_id))
    row = next(row for row in shell.json("runs")["runs"] if row["id"] == run_id)
    assert (row["project"], row["status"], row["where"]) == ("scaled", "completed", "workers")
    assert f"{run_id}  " in shell("runs")


def test_events_and_the_graph_of_a_run_on_workers_are_had_as_of_a_recorded_one(shell):
    run_id = submit(shell, "scaled.yaml")
    lines = shell("runs", run_id, "--events", "--follow").splitlines()
    kinds = [json.loads(line)["type"] for line in lines]
    assert (kinds[0], kinds[-1]) == ("tyqi.run.accepted", "tyqi.run.completed")
    assert "<svg" in shell("graph", "--run", run_id)


def test_a_run_is_followed_while_it_runs(shell):
    file, began, go = long(shell, "followed")
    run_id = submit(shell, file)
    wait_for(began, "begun")
    process = shell.process("runs", run_id, "--follow")
    assert process.stderr is not None
    lines = iter(process.stderr.readline, "")
    assert any("task.started" in line for line in lines)
    go.touch()
    rest, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert "completed" in rest


def test_a_run_is_cancelled_and_goes_on_when_it_is_resumed(shell):
    file, began, go = long(shell, "cancelled")
    run_id = submit(shell, file)
    wait_for(began, "begun")
    assert shell.json("cancel", run_id) == {"ok": True, "id": run_id, "status": "cancelled"}
    go.touch()
    document = shell.json("resume", run_id, "--wait", "--out", "resumed")
    assert [run["status"] for run in document["runs"]] == ["completed"]
    assert (shell.folder / "resumed").is_dir()
    assert shell.json("cancel", run_id, status=1)["status"] == "completed"


def test_dead_runs_are_listed_and_replayed_from_the_task_that_failed(shell):
    tries = shell.folder / "tries.txt"
    params = f'params: {{how: fails_first, times: 1, file: "{tries}"}}'
    file = write(shell, "dead.yaml", f"node: trial.misbehave, {params}")
    run_id = submit(shell, file)
    assert story(shell, run_id)["status"] == "failed"
    row = next(row for row in shell.json("dead", "list")["runs"] if row["id"] == run_id)
    assert (row["task"], row["code"]) == ("T1", "NODE_ERROR")
    assert row["failed_ns"] > 0
    assert run_id in shell("dead", "list")
    assert shell.json("dead", "replay", "--all")["ok"]
    assert story(shell, run_id)["status"] == "completed"
    refused = shell.json("dead", "replay", run_id, status=1)
    assert refused["runs"][0]["error"]["code"] == "NOT_RESUMABLE"


def test_ctrl_c_ends_the_wait_and_not_the_runs(shell):
    file, began, go = long(shell, "interrupted")
    process = shell.process("submit", file, "--input", "n=n.json", "--wait", "--out", "never")
    wait_for(began, "begun")
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    (run_id,) = re.findall(r"tyqi runs (\w+) --follow", told)
    go.touch()
    assert story(shell, run_id)["status"] == "completed"


def test_queues_tells_what_waits_and_what_workers_saw(shell):
    story(shell, submit(shell, "scaled.yaml"))
    document = shell.json("queues")
    assert document["waiting"]["cpu.short"] == 0
    assert "Messages that wait for workers" in shell("queues")


def test_doctor_reaches_store_and_broker(shell):
    found = {one["subject"]: one for one in shell.json("doctor", "--no-probe")["findings"]}
    assert (found["store"]["level"], found["broker"]["level"]) == ("ok", "ok")


def test_a_queue_that_nobody_here_serves_is_told_when_a_run_is_submitted(shell):
    task = "node: trial.add, queue: cpu.long.7"
    file = write(shell, "elsewhere.yaml", task, output="sum")
    process = shell.process("submit", file, "--input", "n=n.json")
    out, told = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert "cpu.long.7" in told
    assert shell.json("cancel", out.strip())["status"] == "cancelled"


def test_the_store_and_a_worker_that_were_killed_are_started_again_and_runs_go_on(up, shell):
    def pid(name: str) -> int:
        return json.loads((shell.folder / "state" / "up.json").read_text(encoding="utf-8"))["pids"][name]

    before = pid("redis"), pid("cpu")
    for killed in before:
        os.kill(killed, signal.SIGKILL)
    eventually(lambda: {pid("redis"), pid("cpu")}.isdisjoint(before), up.told.read_text)
    assert story(shell, submit(shell, "scaled.yaml"))["status"] == "completed"


def test_a_second_up_in_the_folder_is_refused_with_the_pid_of_the_first(up, shell):
    refused = shell("up", status=2)
    assert refused.startswith("UP_RUNNING")
    assert str(up.process.pid) in refused


@pytest.mark.parametrize("words", [("cancel", "x"), ("resume", "x"), ("runs", "x"), ("dead", "replay", "x")])
def test_a_run_that_is_not_there_is_told(shell, words):
    assert shell(*words, status=2).startswith("UNKNOWN_RUN")


# -- the end of `tyqi up` ---------------------------------------------------------------------------------------------


@pytest.fixture
def own(trial_catalog, tmp_path) -> Shell:
    """A folder of a test's own."""
    return Shell(tmp_path)


class Starter:
    """Starts commands in a folder, and ends what a failed test leaves of them."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self.begun: list[Command] = []

    def __call__(self, *words: str, **environ: str) -> Command:
        self.begun.append(Command(self.shell, *words, **environ))
        return self.begun[-1]


@pytest.fixture
def start(own: Shell) -> Iterator[Starter]:
    """Starts commands in the test's folder."""
    starter = Starter(own)
    yield starter
    for command in starter.begun:
        command.close()


def test_a_killed_up_leaves_no_process_and_its_runs_go_on_at_the_next_which_ctrl_c_ends_whole(own, start):
    first = start("up", "--concurrency", "1", **QUICK)
    first.until("Ready for runs")
    file, began, go = long(own, "under_way")
    run_id = submit(own, file)
    wait_for(began, "begun")
    written = own.folder / "state" / "redis"
    eventually(lambda: any(b"task.started" in file.read_bytes() for file in written.rglob("*.aof")), lambda: "no claim")
    assert first.end(signal.SIGKILL) == -signal.SIGKILL
    nothing_is_left(own)
    assert (own.folder / "state" / "up.json").is_file()
    assert own("submit", file, "--input", "n=n.json", status=2).startswith("NO_STORE")

    go.touch()
    second = start("up", "--concurrency", "1", **QUICK)
    second.until("Ready for runs")
    told = story(own, run_id)
    assert (told["status"], told["tasks"]["T1"]["deaths"]) == ("completed", 1)
    assert second.end(signal.SIGINT) == 0
    assert processes(own) == []
    assert not (own.folder / "state" / "up.json").exists()


# -- workers and orchestrators by themselves --------------------------------------------------------------------------


def test_a_run_goes_through_workers_of_all_other_pools_and_all_end_when_told(own, start, redis_server, redis_client):
    own.environment |= {"TYQI_REDIS": redis_server.url, **QUICK}
    pools = ["threads", "solo", *(pool for pool in ("gevent", "eventlet") if find_spec(pool))]
    tasks = ["  T0: {node: trial.add, inputs: {x: $input.n}}"]
    orchestrator = start("orchestrator")
    for number, pool in enumerate(pools):
        tasks.append(f"  T{number + 1}: {{node: trial.add, queue: io.{number}, inputs: {{x: T{number}.sum}}}}")
        queues = "cpu.short,io.0" if pool == "threads" else f"io.{number}"
        start("worker", "--queues", queues, "--pool", pool)
    text = f"{HEAD}tasks:\n{chr(10).join(tasks)}\noutputs: {{out: T{len(pools)}.sum}}\n"
    (own.folder / "pools.yaml").write_text(text, encoding="utf-8")

    document = own.json("submit", "pools.yaml", "--input", "n=n.json", "--wait")
    told = story(own, document["runs"][0]["id"])
    assert told["status"] == "completed"
    workers = [told["tasks"][f"T{number}"]["worker"] for number in range(len(pools) + 1)]
    assert len(set(workers)) == len(workers)  # that of threads has a process for each kind of queue
    orchestrator.until("Looking after runs")
    said = start.begun[1].until("cpu: queues cpu.short; threads, ")
    assert re.search(r"^io: queues io\.0; threads, 16 at once; pid \d+$", said, re.MULTILINE)
    assert [command.end() for command in start.begun] == [0] * len(start.begun)
    nothing_is_left(own)


def test_one_round_of_an_orchestrator_says_what_it_did(own, redis_server, redis_client):
    found = own.json("orchestrator", "--once", TYQI_REDIS=redis_server.url)
    assert found == {"told": 0, "taken": 0, "tidied": 0}
    assert "0 tasks told again" in own("orchestrator", "--once", TYQI_REDIS=redis_server.url)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        pytest.param(("worker", "--pool", "threads", "--max-memory", "9"), "POOL", id="a limit of threads"),
        pytest.param(("worker", "--queues", "cpu.shrot"), "BAD_QUEUE", id="no queue"),
        pytest.param(("worker", "--queues", "gpu.short", "--pool", "prefork", "--devices", "0"), "POOL", id="CUDA"),
        pytest.param(("worker", "--queues", ","), "USAGE", id="no name"),
        pytest.param(("worker",), "NO_STORE", id="no store"),
        pytest.param(("orchestrator",), "NO_STORE", id="nothing to look after"),
        pytest.param(("orchestrator", "--json"), "USAGE", id="JSON of no end"),
        pytest.param(("submit", "scaled.yaml", "--input", "n=n.json"), "NO_STORE", id="nobody to submit to"),
        pytest.param(("submit", "scaled.yaml", "--input", "n=n.json", "--out", "x"), "USAGE", id="out of nothing"),
        pytest.param(("cancel", "0"), "UNKNOWN_RUN", id="nothing to cancel"),
        pytest.param(("dead", "list"), "NO_STORE", id="no dead"),
        pytest.param(("dead", "replay"), "USAGE", id="replay of nothing"),
    ],
)
def test_what_cannot_work_is_refused_with_its_code(own, words, code):
    assert own(*words, status=2).startswith(code)
