import io
import json
import pickle
import struct
import zipfile
from importlib import resources

import pytest
import torch
from safetensors import torch as safetensors

from tyqi_core.errors import InputError
from tyqi_node_anomaly import model, nodes

SHIPPED = (resources.files("tyqi_node_anomaly") / "model.safetensors").read_bytes()


class Planted:
    """Unpickling it writes a file."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return open, (str(self.marker), "w")


def header_says(size, body=b""):
    return struct.pack("<Q", size) + body


def lying(header):
    text = json.dumps(header).encode()
    return header_says(len(text), text)


def changed(**tensors):
    return safetensors.save({**safetensors.load(SHIPPED), **tensors})


def without(name):
    return safetensors.save({key: value for key, value in safetensors.load(SHIPPED).items() if key != name})


def zip_bomb():
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10_000_000))
    return content.getvalue()


UNUSABLE = {
    "empty": b"",
    "text": b"not a model",
    "zip bomb": zip_bomb(),
    "cut off": SHIPPED[:-100],
    "longer than its header says": SHIPPED + b"\0" * 8,
    "header longer than the file": header_says(1 << 40, b"{}"),
    "offsets of 100 GB": lying({"levels": {"dtype": "F32", "shape": [2], "data_offsets": [0, 100 << 30]}}),
    "shape and offsets differ": lying({"levels": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 8]}}),
    "another network": safetensors.save({"weight": torch.zeros(3)}),
    "one tensor missing": without("head.bias"),
    "one tensor too many": changed(extra=torch.zeros(1)),
    "wrong shape": changed(**{"head.bias": torch.zeros(2)}),
    "wrong dtype": changed(levels=torch.zeros(2, dtype=torch.float64)),
    "not finite": changed(levels=torch.tensor([0.0, float("nan")])),
}


@pytest.mark.parametrize("content", UNUSABLE.values(), ids=UNUSABLE)
@pytest.mark.parametrize(("node", "name"), [(nodes.Score, "score"), (nodes.Refine, "refine")])
def test_an_unusable_model_file_is_refused_at_setup_by_name_and_with_advice(context, tmp_path, node, name, content):
    path = tmp_path / "odd.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"BAD_MODEL: cannot use .*odd\.safetensors.* anomaly\.train") as caught:
        node().setup(context(name, model=str(path)))
    assert caught.value.code == "BAD_MODEL"


@pytest.mark.parametrize("write", [pickle.dumps, "torch"], ids=["pickle", "torch file"])
def test_a_pickled_model_is_refused_and_nothing_in_it_is_executed(context, tmp_path, write):
    marker, path = tmp_path / "executed", tmp_path / "model.pt"
    if write == "torch":
        torch.save(Planted(marker), path)
    else:
        path.write_bytes(write(Planted(marker)))
    with pytest.raises(InputError, match="BAD_MODEL"):
        nodes.Score().setup(context("score", model=str(path)))
    assert not marker.exists()


def test_a_file_larger_than_any_model_is_refused_unread(context, tmp_path):
    path = tmp_path / "huge.safetensors"
    with path.open("wb") as file:
        file.truncate(model.LARGEST + 1)
    with pytest.raises(InputError, match=r"8388609 bytes, and 8388608 are allowed"):
        nodes.Score().setup(context("score", model=str(path)))


@pytest.mark.parametrize("path", ["missing.safetensors", ".", "a\0b"])
def test_a_path_that_is_no_file_is_refused(context, path):
    with pytest.raises(InputError, match="BAD_MODEL"):
        nodes.Score().setup(context("score", model=path))


def test_a_model_survives_writing_and_reading_bit_for_bit():
    assert model.dump(model.parse(SHIPPED, "shipped")) == SHIPPED


def test_the_shipped_model_is_below_2_mb():
    assert len(SHIPPED) < 2_000_000


def test_another_file_with_the_same_content_scores_the_same(ready, score, tmp_path, wall):
    path = tmp_path / "copy.safetensors"
    path.write_bytes(SHIPPED)
    copied, ctx = ready(nodes.Score, "score", model=str(path))
    assert copied.process({"image": wall()}, ctx).outputs["score"] == score(wall()).outputs["score"]
