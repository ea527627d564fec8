"""What the commands promise around runs: one JSON document, Ctrl-C, folders that cannot be written, damaged records."""

from __future__ import annotations

import json
import os
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


@pytest.mark.parametrize(
    ("sent", "times"), [(signal.SIGINT, 1), (signal.SIGINT, 2), (signal.SIGTERM, 1)], ids=["once", "twice", "sigterm"]
)
def test_ctrl_c_stops_a_whole_batch_in_one_go_also_when_its_node_does_not_listen(shell, sent, times):
    file, began = long_runs(shell)
    process = shell.process("run", file, *batch(shell, 6), "--threads", "2", "--json")
    try:
        wait_for(began, "begun")
        for _ in range(times):
            process.send_signal(sent)
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


# -- results and where they go ----------------------------------------------------------------------------------------


FLAKY = f"inputs: {{n: {NUMBER}}}\n"


def flaky_batch(shell: Any) -> str:
    """A project whose first run fails and whose others complete; the failed one completes when it is resumed."""
    tasks = f'  T1: {{node: trial.misbehave, inputs: {{x: $input.n}}, params: {{how: fails_first, times: 1, file: "{shell.folder}/tries"}}}}'
    return project(shell, tasks, more=FLAKY)


def test_a_resumed_run_writes_where_its_batch_did_and_leaves_the_page_of_the_batch(shell):
    first, second = shell.folder / "a" / "n.json", shell.folder / "b" / "n.json"
    for path in (first, second):
        path.parent.mkdir()
        path.write_text("3")
    file = flaky_batch(shell)
    words = ("--input", "n=a/n.json", "--input", "n=b/n.json", "--out", "my results", "--threads", "1", "--json")
    process = shell.process("run", file, *words)
    out, told = process.communicate(timeout=60)
    failed, whole = sorted(json.loads(out)["runs"], key=lambda run: run["status"] == "completed")
    assert (failed["status"], whole["status"]) == ("failed", "completed")
    assert f"tyqi resume {failed['id']} --out 'my results'" in told
    page = (shell.folder / "my results" / "index.html").read_bytes()
    resumed = shell.json("resume", failed["id"], "--out", "my results")
    assert resumed["completed"] == 1
    assert {Path(path).parent for path in resumed["runs"][0]["files"]}.isdisjoint(
        Path(path).parent for path in whole["files"]
    )
    assert (shell.folder / "my results" / "index.html").read_bytes() == page
    assert (shell.folder / resumed["report"]).is_file()
    assert resumed["report"] != str(Path("my results/index.html"))


def test_results_that_cannot_be_written_are_known_before_anything_runs(shell):
    (shell.folder / "file").touch()
    file = project(shell, f'  T1: {{node: trial.ledger, params: {{file: "{shell.folder}/ledger", name: T1}}}}')
    assert "OUTPUT_NOT_A_FOLDER" in shell("run", file, "--out", "file/out", status=1)
    assert not (shell.folder / "ledger").exists()
    assert not (shell.folder / "state").exists()


def test_a_page_that_cannot_be_written_takes_no_result_along(shell):
    (shell.folder / "out" / "index.html").mkdir(parents=True)
    file = project(shell, "  T1: {node: trial.add, inputs: {x: {value: 3}}}", outputs="out: T1.sum")
    document = shell.json("run", file, "--out", "out", status=1)
    assert document["runs"][0]["values"] == {"out": 3}
    assert (document["ok"], document["report"]) == (False, None)
    assert document["error"]["code"] == "OUTPUT_NOT_A_FILE"


def test_a_run_whose_results_could_not_be_written_is_not_said_to_be_resumable(shell):
    (shell.folder / "out" / "trial" / "out.json").mkdir(parents=True)
    file = project(shell, "  T1: {node: trial.add, inputs: {x: {value: 3}}}", outputs="out: T1.sum")
    out, told = shell.process("run", file, "--out", "out", "--json").communicate(timeout=60)
    assert json.loads(out)["runs"][0]["error"]["code"] == "OUTPUT_NOT_A_FILE"
    assert "resume" not in told


# -- parameters and inputs --------------------------------------------------------------------------------------------

WISHES = "params: {plus: {type: number}}\n"


def wishing(shell: Any) -> str:
    """A project with a parameter that must be given."""
    task = "  T1: {node: trial.add, inputs: {x: {value: 3}}, params: {plus: $param.plus}}"
    return project(shell, task, outputs="out: T1.sum", more=WISHES)


def test_a_project_whose_parameter_has_no_default_is_validated_and_drawn_with_a_value(shell):
    file = wishing(shell)
    assert "MISSING_PARAM" in shell.json("validate", file, status=2)["projects"][0]["problems"][0]["code"]
    assert shell.json("validate", file, "--param", "plus=2")["ok"] is True
    assert shell("graph", file, "--param", "plus=2").startswith("<svg")


def test_a_plan_is_printed_as_json_when_asked_for_in_either_way(shell):
    file = wishing(shell)
    plan = shell.json("graph", file, "--param", "plus=2")
    assert plan["project"] == "trial"
    shell("graph", file, "--param", "plus=2", "-o", "plan.json")
    assert json.loads((shell.folder / "plan.json").read_text(encoding="utf-8")) == plan


def test_a_node_is_described_as_json_wherever_the_option_stands(shell):
    assert shell.json("nodes", "trial.add") == json.loads(shell("nodes", "--json", "trial.add"))


def test_a_required_input_that_is_not_given_is_wrong_usage_and_nothing_is_written(shell):
    file = flaky_batch(shell)
    told = shell("run", file, "--out", "out", status=2)
    assert "MISSING_INPUT" in told
    assert "--input n=FILE" in told
    assert not (shell.folder / "out").exists()


def test_a_pipe_in_the_place_of_a_file_is_refused(shell):
    os.mkfifo(shell.folder / "pipe")
    file = flaky_batch(shell)
    document = shell.json("run", file, "--input", "n=pipe", status=1)
    assert document["runs"][0]["error"]["code"] == "NOT_A_FILE"


@pytest.mark.parametrize("line", ["threads = true", "threads = 1.5", "state = 5", 'state = ""', "[state]"])
def test_a_setting_of_the_wrong_kind_is_refused(shell, line):
    (shell.folder / "tyqi.toml").write_text(line, encoding="utf-8")
    told = shell("runs", status=2)
    assert "SETTING" in told
    assert "tyqi.toml" in told


def test_a_remedy_is_a_sentence_of_its_own(shell):
    assert "trial/state/runs. 'tyqi runs' lists them." in shell("runs", "abc", status=2).replace(
        str(shell.folder), "trial"
    )


@pytest.mark.parametrize(
    ("given", "says"), [("plus=many", "expected type number"), ("pluss=1", "Did you mean 'plus'?")]
)
def test_a_parameter_of_a_node_that_does_not_fit_is_named_not_a_line_that_nobody_wrote(shell, given, says):
    told = shell("nodes", "run", "trial.add", "--param", given, status=2)
    assert says in told
    assert f"parameter '{given.partition('=')[0]}'" in told
    assert "<" not in told
