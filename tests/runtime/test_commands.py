"""What the commands promise around runs: one JSON document, Ctrl-C, folders that cannot be written, damaged records."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from trial_runs import NUMBER, wait_for


def project(shell: Any, tasks: str, *, outputs: str = "out: T1.value", more: str = "") -> str:
    """A project file in the shell's folder; its name."""
    text = f"tyqi: 1\nproject: trial\n{more}tasks:\n{tasks}\noutputs: {{{outputs}}}\n"
    (shell.folder / "trial.yaml").write_text(text, encoding="utf-8")
    return "trial.yaml"


def batch(shell: Any, count: int) -> list[str]:
    """``--input`` options that make a batch of runs."""
    return [word for _ in range(count) for word in ("--input", "n=n.json")]


def long_runs(shell: Any) -> tuple[str, Path]:
    """A project whose node does not stop when it is told to, and the file into which it says that it began."""
    began = shell.folder / "began.txt"
    params = f'{{file: "{began}", until: "{shell.folder}/go", stubborn: true}}'
    task = f"  T1: {{node: trial.sleep, inputs: {{x: $input.n}}, params: {params}}}"
    return project(shell, task, more=f"inputs: {{n: {NUMBER}}}\n"), began


# -- standard output --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["run", "nodes run", "replay"])
def test_what_a_node_prints_goes_to_standard_error(shell, command):
    file = project(shell, "  T1: {node: trial.misbehave, params: {how: prints}}")
    words = ("run", file, "--json")
    if command == "replay":
        words = ("replay", json.loads(shell.process(*words).communicate(timeout=60)[0])["runs"][0]["id"], "--json")
    if command == "nodes run":
        words = ("nodes", "run", "trial.misbehave", "--param", "how=prints", "--json")
    out, told = shell.process(*words).communicate(timeout=60)
    assert json.loads(out)
    assert "said with print" in told
    assert "said by a C library" in told


def test_the_json_document_is_readable_whatever_bytes_a_file_name_holds(shell):
    name = b"n\xff.json"
    (shell.folder / "inputs").mkdir()
    Path(str(shell.folder).encode().decode(), "inputs", name.decode(errors="surrogateescape")).write_text("3")
    file = project(
        shell,
        "  T1: {node: trial.add, inputs: {x: $input.n}}",
        outputs="out: T1.sum",
        more=f"inputs: {{n: {NUMBER}}}\n",
    )
    out, told = shell.process("run", file, "--inputs-dir", "n=inputs", "--json").communicate(timeout=60)
    assert json.loads(out.encode("ascii"))["completed"] == 1, told


# -- Ctrl-C -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_stops_a_whole_batch_in_one_go_also_when_its_node_does_not_listen(shell, times):
    file, began = long_runs(shell)
    process = shell.process("run", file, *batch(shell, 6), "--threads", "2", "--json")
    try:
        wait_for(began, "begun")
        for _ in range(times):
            process.send_signal(signal.SIGINT)
            if times > 1:
                assert process.stderr.readline()  # 'Stopping' is said before the next one
        out, told = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Traceback" not in told
    runs = json.loads(out)["runs"]
    assert {run["status"] for run in runs} == {"cancelled"}
    begun = [path for path in (shell.folder / "state" / "runs").iterdir() if (path / "run.json").exists()]
    assert begun
    assert all((path / "state.json").is_file() for path in begun), "each can be resumed"
    lines = began.read_text(encoding="utf-8").split()
    assert lines.count("begun") <= 2, "no other run begins what a stopped one has left"
