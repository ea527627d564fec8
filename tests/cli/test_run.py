"""``tyqi run`` and what follows from it: results, records, resume, replay, drawings."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import picture

pytestmark = pytest.mark.needs_plugins

BATCH = 50


def run_of(folder, tyqi, *words, **environ):
    answer = tyqi("run", "project.yaml", *words, "--out", "out", "--json", **environ)
    assert answer.out, answer.err
    return answer


def test_a_picture_is_inspected_and_its_results_are_written(folder, tyqi):
    picture(folder / "wall.png")
    answer = run_of(folder, tyqi, "--input", "image=wall.png")
    assert answer.code == 0, answer.err
    document = answer.json()
    (run,) = document["runs"]
    assert document["ok"] is True
    assert run["status"] == "completed"
    assert run["path"] == ["T3 measurements.length.value > 20"]
    assert {Path(path).name for path in run["files"]} == {"severity.json", "mask.png", "measurements.json"}
    assert all((folder / path).stat().st_size for path in run["files"])
    assert (folder / "out" / "index.html").is_file()


def test_without_json_the_last_line_is_the_path_of_the_page(folder, tyqi):
    picture(folder / "wall.png")
    answer = tyqi("run", "project.yaml", "--input", "image=wall.png", "--out", "results")
    assert answer.code == 0, answer.err
    assert answer.out.splitlines()[-1] == str(Path("results/index.html"))


def test_a_parameter_changes_the_way_that_a_run_takes(folder, tyqi):
    picture(folder / "wall.png")
    answer = run_of(folder, tyqi, "--input", "image=wall.png", "--param", "long=500")
    assert answer.json()["runs"][0]["path"] == ["T3 otherwise"]


def test_one_missing_file_among_fifty_takes_no_other_along(folder, tyqi):
    picture(folder / "wall.png", size=48)
    names = ["image=wall.png" for _ in range(BATCH - 1)]
    names.insert(20, "image=gone.png")
    answer = run_of(folder, tyqi, *(word for name in names for word in ("--input", name)))
    assert answer.code == 1
    runs = answer.json()["runs"]
    assert [run["status"] for run in runs].count("completed") == BATCH - 1
    assert runs[20]["status"] == "failed"
    assert runs[20]["name"] == "gone.png"
    assert runs[20]["error"]["code"] == "FILE_NOT_FOUND"
    assert "gone.png" in answer.err


def bad_pictures(folder: Path) -> dict[str, str]:
    """File name -> the code with which it is refused."""
    whole = picture(folder / "whole.png").read_bytes()
    Image.open(folder / "whole.png").save(folder / "whole.jpg")
    jpeg = (folder / "whole.jpg").read_bytes()
    (folder / "whole.png").unlink()
    (folder / "whole.jpg").unlink()
    contents = {
        "empty.png": (b"", "EMPTY_FILE"),
        "text.png": (b"this is no picture at all", "NOT_AN_IMAGE"),
        "garbage.png": (whole[:40] + b"garbage" * 20, "IMAGE_CORRUPT"),
        "half.jpg": (jpeg[: len(jpeg) // 2], "IMAGE_CORRUPT"),
        "bomb.png": (png_header(20_000, 20_000), "IMAGE_TOO_LARGE"),
        "drawing.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "TYPE_NOT_ALLOWED"),
    }
    for name, (content, _) in contents.items():
        (folder / name).write_bytes(content)
    return {name: code for name, (_, code) in contents.items()}


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""
    size = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    chunks = [b"IHDR" + size, b"IDAT" + zlib.compress(bytes(1000)), b"IEND"]
    framed = [(len(one) - 4).to_bytes(4, "big") + one + zlib.crc32(one).to_bytes(4, "big") for one in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


def test_unusable_pictures_are_refused_with_their_codes_and_leave_nothing_behind(folder, tyqi):
    pictures = folder / "pictures"
    pictures.mkdir()
    expected = bad_pictures(pictures)
    picture(pictures / "good.png")
    answer = run_of(folder, tyqi, "--inputs-dir", "pictures")
    assert answer.code == 1
    found = {run["name"]: run.get("error", {}).get("code") for run in answer.json()["runs"]}
    assert found == {**expected, "good.png": None}
    assert [path.name for path in (folder / "out").iterdir() if path.is_dir()] == ["good"]
    assert len(list((folder / ".tyqi" / "runs").iterdir())) == 1
    assert not list(folder.rglob("*.part")) + list(folder.rglob("*.tmp"))


@pytest.mark.parametrize("mode", ["L", "RGBA", "I;16", "1", "P", "CMYK"])
def test_pictures_of_other_kinds_are_converted_by_the_declared_rule(folder, tyqi, mode):
    shades = np.linspace(0, 255, 64, dtype=np.uint8).reshape(1, 64).repeat(64, axis=0)
    made = Image.fromarray(shades.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(shades).convert(mode)
    made.save(folder / ("wall.tif" if mode == "CMYK" else "wall.png"))
    answer = run_of(folder, tyqi, "--input", f"image={'wall.tif' if mode == 'CMYK' else 'wall.png'}")
    assert answer.code == 0, answer.out


def test_a_folder_in_the_place_of_a_file_is_named(folder, tyqi):
    (folder / "wall.png").mkdir()
    answer = run_of(folder, tyqi, "--input", "image=wall.png")
    assert answer.code == 1
    assert answer.json()["runs"][0]["error"]["code"] == "NOT_A_FILE"


def test_hostile_file_names_stay_inside_the_results_folder(folder, tyqi):
    pictures = folder / "pictures"
    pictures.mkdir()
    for name in ("..%2f..%2fetc.png", "line\nbreak.png", "right\u202eto-left.png", "...png", "CON.png", "Ä ö ü.png"):
        picture(pictures / name, size=48)
    answer = run_of(folder, tyqi, "--inputs-dir", "pictures")
    assert answer.code == 0, answer.err
    for run in answer.json()["runs"]:
        for path in run["files"]:
            assert (folder / path).resolve().is_relative_to((folder / "out").resolve())
    assert "\u202e" not in (folder / "out" / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "PROJECT"),
        (["project.yaml", "--input", "image"], "PORT=FILE"),
        (["project.yaml", "--input", "picture=a.png"], "no input 'picture'"),
        (["project.yaml", "--inputs-dir", "nowhere"], "nowhere"),
        (["project.yaml", "--param", "lnog=3"], "lnog"),
        (["project.yaml", "--param", "long=NaN"], "long"),
        (["gone.yaml"], "gone.yaml"),
        (["."], "folder"),
        (["project.yaml", "--resume", "abc"], "--resume"),
    ],
)
def test_wrong_usage_ends_with_code_2_and_says_what_is_wrong(folder, tyqi, words, says):
    answer = tyqi("run", *words)
    assert answer.code == 2
    assert says in answer.err
    assert "Traceback" not in answer.err
    assert not (folder / ".tyqi").exists()


def test_json_errors_are_one_document_too(folder, tyqi):
    answer = tyqi("run", "gone.yaml", "--json")
    assert answer.code == 2
    assert answer.json()["error"]["problems"][0]["code"] == "FILE_NOT_FOUND"


def recorded(folder, tyqi) -> str:
    picture(folder / "wall.png")
    return run_of(folder, tyqi, "--input", "image=wall.png").json()["runs"][0]["id"]


def test_a_recorded_run_is_listed_told_and_drawn(folder, tyqi):
    run_id = recorded(folder, tyqi)
    assert [run["id"] for run in tyqi("runs", "--json").json()["runs"]] == [run_id]
    story = tyqi("runs", run_id[:6], "--json").json()
    assert set(story["tasks"]) == {"T1", "T2", "T3", "T3/T4", "T5"}
    assert all(task["status"] == "completed" for task in story["tasks"].values())
    assert tyqi("graph", "--run", run_id, "-o", "run.svg").code == 0
    assert "<svg" in (folder / "run.svg").read_text(encoding="utf-8")
    assert tyqi("graph", "project.yaml", "--format", "mermaid").out.startswith("flowchart")


def test_a_replay_gives_equal_outputs_and_a_swap_shows_a_difference(folder, tyqi):
    run_id = recorded(folder, tyqi)
    same = tyqi("replay", run_id, "--json")
    assert same.code == 0, same.err
    assert same.json()["equal"] is True
    swapped = tyqi("replay", run_id, "--swap", "crack.segment=1", "--json")
    assert swapped.code == 1
    assert {one["what"] for one in swapped.json()["differences"]} >= {"output mask"}


def test_without_retention_a_replay_is_refused(folder, tyqi):
    picture(folder / "wall.png")
    answer = run_of(folder, tyqi, "--input", "image=wall.png", TYQI_RETENTION_DAYS="0")
    refused = tyqi("replay", answer.json()["runs"][0]["id"])
    assert refused.code == 2
    assert "REPLAY_REFUSED" in refused.err


def test_a_damaged_payload_is_not_replayed(folder, tyqi):
    run_id = recorded(folder, tyqi)
    (payload,) = (folder / ".tyqi" / "runs" / run_id / "payloads").iterdir()
    payload.write_bytes(payload.read_bytes()[:-1] + b"x")
    refused = tyqi("replay", run_id)
    assert refused.code == 2
    assert "damaged" in refused.err


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent to a process group of its own on Windows")
def test_ctrl_c_leaves_runs_that_can_be_resumed_to_the_same_result(folder, tyqi):
    pictures = folder / "pictures"
    pictures.mkdir()
    picture(pictures / "00.png")  # quickly done, while the large ones still execute
    large = picture(pictures / "01.png", size=1500)
    for number in range(2, 12):
        (pictures / f"{number:02}.png").write_bytes(large.read_bytes())
    command = [sys.executable, "-m", "tyqi_core.cli", "run", "project.yaml", "--inputs-dir", "pictures", "--out", "out"]
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(folder.glob("out/*/mask.png")) and time.monotonic() < deadline:
        os.sched_yield()
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    stopped = re.findall(r"tyqi resume (\w+) --out out", told)
    assert stopped, told
    resumed = tyqi("resume", stopped[0], "--out", "out", "--json")
    assert resumed.code == 0, resumed.err
    assert tyqi("replay", stopped[0]).code == 0


def test_a_run_leaves_its_durations_in_the_history_and_the_next_one_adds_to_it(folder, tyqi):
    picture(folder / "wall.png")
    for times in (1, 2):
        assert run_of(folder, tyqi, "--input", "image=wall.png").code == 0
        nodes = json.loads((folder / ".tyqi" / "history.json").read_text(encoding="utf-8"))["nodes"]
        assert {node: entry["fields"]["n"] for node, entry in nodes.items()} == {
            "crack.segment@2": times,
            "crack.skeleton@1": times,
            "crack.width@1": times,
            "report.closeup@1": times,
            "report.severity@1": times,
        }


def test_a_damaged_history_is_a_warning_and_the_run_ends_well(folder, tyqi):
    picture(folder / "wall.png")
    (folder / ".tyqi").mkdir()
    (folder / ".tyqi" / "history.json").write_text("{", encoding="utf-8")
    answer = run_of(folder, tyqi, "--input", "image=wall.png")
    assert answer.code == 0
    assert "history.json.damaged" in answer.err
    assert (folder / ".tyqi" / "history.json").is_file()
