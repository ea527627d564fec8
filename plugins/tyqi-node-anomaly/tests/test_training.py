from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml

from tyqi_core.errors import ContractViolation, TaskCancelled
from tyqi_core.node import LocalContext
from tyqi_node_anomaly import model, nodes, training

PROJECT = Path(__file__).parents[1] / "training" / "project.yaml"


@pytest.fixture
def features(wall):
    def made(*seeds, size=96):
        images = [wall("gravel", seed, size) for seed in seeds]
        return [nodes.Features().process({"image": image}, LocalContext())["features"] for image in images]

    return made


@pytest.fixture
def quick(context, monkeypatch):
    monkeypatch.setattr("tyqi_node_anomaly.calibration.TILES_PER_PICTURE", 4)
    return lambda **overrides: context("train", **({"steps": 3, "batch": 2, "crop": 64} | overrides))


def test_the_same_seed_gives_the_same_file_and_another_seed_another(features, quick):
    inputs = {"features": features(0, 1), "held_out": features(2)}
    first, again, other = (nodes.Train().process(inputs, quick(seed=seed))["model"] for seed in (5, 5, 6))
    assert first == again
    assert first != other


def test_training_neither_reads_nor_moves_the_processs_random_generator(features, quick):
    inputs = {"features": features(0), "held_out": features(2)}
    first = nodes.Train().process(inputs, quick())["model"]
    torch.rand(7)
    before = torch.random.get_rng_state()
    assert nodes.Train().process(inputs, quick())["model"] == first
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_trained_model_can_be_given_to_the_scoring_node(features, quick, ready, tmp_path, wall):
    trained = nodes.Train().process({"features": features(0), "held_out": features(2)}, quick())
    path = tmp_path / "own.safetensors"
    path.write_bytes(trained["model"])
    scorer, ctx = ready(nodes.Score, "score", model=str(path))
    assert scorer.process({"image": wall()}, ctx).outputs["map"].shape == (128, 128)
    levels = model.load(str(path), "cpu")
    assert trained["measurements"]["level"]["value"] == pytest.approx(levels.level)
    assert trained["measurements"]["refined_level"]["value"] == pytest.approx(levels.refined_level)


def test_read_only_features_are_taken(features, quick):
    inputs = {"features": features(0), "held_out": features(2)}
    for plane in inputs["features"] + inputs["held_out"]:
        plane.setflags(write=False)
    assert nodes.Train().process(inputs, quick())["model"]


def test_features_do_not_change_with_brightness_and_tint(wall):
    grey = np.repeat(np.maximum(wall("gravel")[..., :1] // 2, 40), 3, axis=2)
    plain, lit = (
        nodes.Features().process({"image": image}, LocalContext())["features"]
        for image in (grey, np.rint(grey * np.array([1.6, 1.4, 1.2])).astype(np.uint8))
    )
    assert plain.shape == (1, 128, 128)
    assert plain.dtype == np.float32
    assert np.abs(plain - lit).max() < 0.1


@pytest.mark.parametrize(
    ("port", "planes", "reason"),
    [
        ("features", [], "features holds no picture"),
        ("held_out", [], "held_out holds no picture"),
        ("features", [np.zeros((1, 63, 200), np.float32)], r"features\[0\] .* at least 64 px"),
    ],
)
def test_training_without_usable_pictures_is_refused(features, quick, port, planes, reason):
    inputs = {"features": features(0), "held_out": features(2)} | {port: planes}
    with pytest.raises(ContractViolation, match=reason):
        nodes.Train().process(inputs, quick())


def test_a_crop_that_the_network_cannot_halve_three_times_is_refused(features, quick):
    with pytest.raises(ContractViolation, match="multiple of 8"):
        nodes.Train().process({"features": features(0), "held_out": features(2)}, quick(crop=68))


def test_training_stops_once_the_task_is_cancelled(features, quick):
    ctx = quick(steps=1000)
    ctx.on_progress = lambda fraction, note: setattr(ctx, "cancelled", True)
    with pytest.raises(TaskCancelled):
        nodes.Train().process({"features": features(0), "held_out": features(2)}, ctx)


def test_what_is_pasted_changes_the_crop_only_where_the_truth_says_so():
    rng = torch.Generator().manual_seed(1)
    clean = torch.rand((24, 1, 64, 64), generator=rng)
    odd, truth = training.pasted(clean, clean.flip(0), rng)
    touched = odd != clean
    assert bool(touched[truth > 0].float().mean() > 0.9)
    assert not bool(
        ((odd - clean).abs() > (0.51 * (odd - clean).abs().amax())).logical_and(truth == 0).flatten(1).all(1).any()
    )
    spoilt = truth.flatten(1).amax(1)
    assert 0 < float(spoilt.mean()) < 1


def test_pieces_cover_a_sheet_without_overlap():
    sheet = np.arange(7 * 9 * 3, dtype=np.uint8).reshape(7, 9, 3)
    pieces = nodes.Pieces().process({"image": sheet}, LocalContext(params={"largest": 4}))["pieces"]
    assert [piece.shape[:2] for piece in pieces] == [(4, 3), (4, 3), (4, 3), (3, 3), (3, 3), (3, 3)]
    assert np.array_equal(np.vstack([np.hstack(pieces[:3]), np.hstack(pieces[3:])]), sheet)
    assert all(piece.flags.c_contiguous for piece in pieces)


def test_the_sheets_are_cut_into_one_piece_a_surface(script, tmp_path):
    tasks = yaml.safe_load(PROJECT.read_text(encoding="utf-8"))["tasks"]
    for path, task, height in zip(
        script("training/make_pictures.py").write(tmp_path), (tasks["seen"], tasks["unseen"]), (320, 192), strict=True
    ):
        sheet = cv2.imread(str(path))
        pieces = nodes.Pieces().process({"image": sheet}, LocalContext(params=task["params"]))["pieces"]
        assert [piece.shape for piece in pieces] == [(height, 256, 3)] * 3


def test_training_calibration_and_test_areas_of_a_photograph_do_not_overlap(script):
    seen = np.zeros((512, 512), int)
    for area in script("training/make_pictures.py").AREAS.values():
        seen[area] += 1
    seen[:, 256:] += 1  # the region "test" of tyqi-node-synth
    assert (seen == 1).all()


def test_the_training_project_names_nodes_ports_and_parameters_that_exist(manifests):
    tasks = yaml.safe_load(PROJECT.read_text(encoding="utf-8"))["tasks"]
    for task in tasks.values():
        namespace, name = task["node"].split(".")
        assert namespace == "anomaly"
        assert set(task["inputs"]) <= set(manifests[name]["inputs"])
        assert set(task.get("params", {})) <= set(manifests[name]["params"])
