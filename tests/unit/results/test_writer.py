"""Outputs become files that other programs open, whole or not at all."""

from __future__ import annotations

import errno
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tyqi_core.errors import OutputError
from tyqi_core.protocol.ports import PortType
from tyqi_core.results import files
from tyqi_core.results.files import write_files
from tyqi_core.results.media import suffix_of
from tyqi_core.results.writer import write_outputs

RNG = np.random.default_rng(7)


def kind(declaration) -> PortType:
    return PortType.parse({"type": declaration} if isinstance(declaration, str) else declaration)


def written(folder, value, declaration) -> list[str]:
    paths = write_outputs(folder, {"thing": value}, {"thing": kind(declaration)})
    return [path.relative_to(folder).as_posix() for path in paths]


def test_a_picture_becomes_a_png(tmp_path):
    picture = RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    assert written(tmp_path, picture, "image") == ["thing.png"]
    assert np.array_equal(np.asarray(Image.open(tmp_path / "thing.png")), picture)


def test_a_picture_of_floats_keeps_its_values_beside_the_png(tmp_path):
    picture = RNG.random((6, 8, 3), dtype=np.float32)
    assert written(tmp_path, picture, {"type": "image", "dtype": ["float32"]}) == ["thing.png", "thing.npy"]
    assert np.array_equal(np.load(tmp_path / "thing.npy", allow_pickle=False), picture)


@pytest.mark.parametrize(("labels", "mode"), [([0, 255], "L"), ([0, 1, 2], "P")])
def test_a_mask_is_grey_or_has_one_colour_for_each_label(tmp_path, labels, mode):
    mask = RNG.choice(labels, (9, 9)).astype(np.uint8)
    assert written(tmp_path, mask, "mask") == ["thing.png"]
    picture = Image.open(tmp_path / "thing.png")
    assert picture.mode == mode
    assert np.array_equal(np.asarray(picture), mask)


def test_an_anomaly_map_becomes_a_heat_picture_and_its_values(tmp_path):
    values = RNG.random((5, 6), dtype=np.float32)
    assert written(tmp_path, values, "anomaly_map") == ["thing.png", "thing.npy"]
    with Image.open(tmp_path / "thing.png") as picture:
        assert picture.size == (6, 5)
    assert np.array_equal(np.load(tmp_path / "thing.npy", allow_pickle=False), values)


def test_a_tensor_keeps_its_values(tmp_path):
    values = RNG.random((1, 3, 4), dtype=np.float32)
    assert written(tmp_path, values, "tensor") == ["thing.npy"]
    assert np.array_equal(np.load(tmp_path / "thing.npy", allow_pickle=False), values)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_torch_tensor_is_written_like_an_array(tmp_path, dtype):
    torch = pytest.importorskip("torch")
    values = torch.arange(6, dtype=getattr(torch, dtype)).reshape(2, 3).requires_grad_()
    assert written(tmp_path, values, "tensor") == ["thing.npy"]
    assert np.load(tmp_path / "thing.npy", allow_pickle=False).tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    ("value", "declaration"),
    [
        ({"level": 3, "reasons": ["Riß"]}, "json"),
        ([{"box": [0, 0, 4, 4], "score": 0.5, "label": "spot"}], "detections"),
        ({"length": {"value": 3.5, "unit": "mm"}}, "measurements"),
        ({"columns": [{"name": "a", "unit": "mm"}], "rows": [[1], [2]]}, "table"),
        ([1, None, 3], {"type": "json", "list": True, "null_items": True}),
        (0, "json"),
    ],
)
def test_data_becomes_readable_json(tmp_path, value, declaration):
    assert written(tmp_path, value, declaration) == ["thing.json"]
    text = (tmp_path / "thing.json").read_text(encoding="utf-8")
    assert json.loads(text) == value
    assert text.endswith("\n")
    assert "\\u" not in text


def test_a_video_frame_is_a_picture_and_its_place_in_time(tmp_path):
    frame = {"image": np.zeros((4, 4, 3), np.uint8), "index": 12, "timestamp_s": 0.48}
    assert written(tmp_path, frame, "video_frame") == ["thing.png", "thing.json"]
    assert json.loads((tmp_path / "thing.json").read_text()) == {"index": 12, "timestamp_s": 0.48}


def test_a_list_of_pictures_becomes_numbered_files_with_gaps_for_what_is_missing(tmp_path):
    picture = np.zeros((2, 2, 3), np.uint8)
    declaration = {"type": "image", "list": True, "null_items": True}
    assert written(tmp_path, [picture, None, picture], declaration) == ["thing/0000.png", "thing/0002.png"]


def test_an_output_that_was_not_produced_leaves_no_file(tmp_path):
    assert written(tmp_path, None, "image") == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("data", "media_types", "suffix"),
    [
        (b"<!doctype html><p>x", ["text/html"], ".html"),
        (b"anything", ["text/html; charset=utf-8"], ".html"),
        (b"{}", ["application/json"], ".json"),
        (b"  <!DOCTYPE HTML>", None, ".html"),
        (b"\x89PNG\r\n\x1a\n....", None, ".png"),
        (b"RIFF....WEBPVP8 ", None, ".webp"),
        (b"\x89PNG\r\n\x1a\n....", ["image/jpeg", "image/png"], ".png"),
        (b"\x89PNG\r\n\x1a\n....", ["image/jpeg", "image/webp"], ".bin"),
        ((9).to_bytes(8, "little") + b'{"a":{}}  ', ["application/octet-stream"], ".safetensors"),
        ((99).to_bytes(8, "little") + b'{"a":{}}  ', ["application/octet-stream"], ".bin"),
        (b"model", ["application/x-safetensors"], ".safetensors"),
        (b"", None, ".bin"),
        (b"\x00\x01", ["application/octet-stream"], ".bin"),
        (b"x", ["application/x-unheard-of"], ".bin"),
    ],
)
def test_bytes_get_the_suffix_of_their_media_type_or_of_what_they_are(data, media_types, suffix):
    assert suffix_of(data, media_types) == suffix


def test_bytes_are_written_as_they_are(tmp_path):
    page = b"<!doctype html><title>r</title>"
    assert written(tmp_path, page, {"type": "bytes", "media_type": ["text/html"]}) == ["thing.html"]
    assert (tmp_path / "thing.html").read_bytes() == page


def test_two_outputs_whose_names_differ_in_case_alone_get_two_files(tmp_path):
    paths = write_outputs(tmp_path, {"Report": 1, "report": 2}, {"Report": kind("json"), "report": kind("json")})
    assert len({path.name.lower() for path in paths}) == 2


def test_other_files_of_the_folder_are_left_alone_and_old_results_are_replaced(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "thing.json").write_text("old")
    written(tmp_path, 1, "json")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"notes.txt": "mine", "thing.json": "1\n"}


@pytest.mark.parametrize(("value", "declaration"), [(float("nan"), "json"), ("no array", "image"), ({}, "video_frame")])
def test_a_value_that_no_file_can_hold_is_named_and_nothing_of_the_run_is_written(tmp_path, value, declaration):
    outputs, types = {"good": 1, "bad": value}, {"good": kind("json"), "bad": kind(declaration)}
    with pytest.raises(OutputError, match="output 'bad'") as caught:
        write_outputs(tmp_path / "out", outputs, types)
    assert caught.value.code == "OUTPUT_NOT_ENCODABLE"
    assert not (tmp_path / "out").exists()


def test_a_file_where_the_folder_should_be_is_named(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError) as caught:
        write_files(tmp_path / "out", {"a.json": b"{}"})
    assert caught.value.code == "OUTPUT_NOT_A_FOLDER"
    assert (tmp_path / "out").read_text() == "a file"


def test_a_folder_where_a_file_should_be_is_named_and_the_rest_of_the_set_is_gone(tmp_path):
    (tmp_path / "b.json" / "inside").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"b\.json"):
        write_files(tmp_path, {"b.json": b"{}"})
    assert [path.name for path in tmp_path.iterdir()] == ["b.json"]


FILLS_UP = """
import resource, sys
from pathlib import Path
from tyqi_core.errors import OutputError
from tyqi_core.results.files import write_files
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_files(Path(sys.argv[1]), {"small.bin": b"new", "large.bin": bytes(5000)})
except OutputError as error:
    print(error.code)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
def test_when_the_disk_fills_up_the_old_files_stay_and_nothing_half_written_does(tmp_path):
    (tmp_path / "small.bin").write_bytes(b"old")
    (tmp_path / "large.bin").write_bytes(b"old")
    command = [sys.executable, "-c", FILLS_UP, str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "DISK_FULL"
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"small.bin": b"old", "large.bin": b"old"}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.ENAMETOOLONG])
def test_each_refusal_of_the_system_says_what_to_do(tmp_path, number):
    with pytest.raises(OutputError) as caught, files._translated(tmp_path / "a.png"):
        raise OSError(number, "as the system words it")
    assert caught.value.code != "OUTPUT_NOT_WRITTEN"
    assert caught.value.remedy
    assert "a.png" in caught.value.message


def test_an_interrupt_while_writing_leaves_nothing_behind(tmp_path):
    class Interrupting(dict):
        def items(self):
            yield "a.json", b"{}"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_files(tmp_path, Interrupting())
    assert list(tmp_path.iterdir()) == []
