from pathlib import Path

import pytest

from tyqi_core.catalog.manifest import Manifest
from tyqi_core.node import Outcome
from tyqi_core.protocol.ports import checker
from tyqi_node_anomaly import nodes

NODES = {
    "score": nodes.Score,
    "refine": nodes.Refine,
    "grade": nodes.grade,
    "map": nodes.Map,
    "pieces": nodes.Pieces,
    "features": nodes.Features,
    "train": nodes.Train,
}


@pytest.fixture
def read():
    def parsed(name):
        path = Path(nodes.__file__).parent / f"{name}.node.yaml"
        return Manifest.parse(
            path.read_text(encoding="utf-8"),
            path,
            namespace="anomaly",
            local_id=name,
            entry_point=f"tyqi_node_anomaly.nodes:{NODES[name].__name__}",
            distribution="tyqi-node-anomaly",
            distribution_version="1.0.0",
        )

    return parsed


def test_every_node_has_a_manifest(manifests):
    assert set(manifests) == set(NODES)


@pytest.mark.parametrize("name", ["score", "refine", "grade", "map", "pieces", "features"])
def test_a_node_gives_what_its_manifest_declares_on_its_own_example(read, ready, example_tile, name):
    manifest = read(name)
    example = manifest.examples[0]
    inputs = {port: example_tile if port == "image" else value for port, value in example["inputs"].items()}
    instance, ctx = ready(NODES[name], name, **example.get("params", {}))
    result = instance.process(inputs, ctx)
    outputs = result.outputs if isinstance(result, Outcome) else result
    assert set(outputs) == set(manifest.outputs)
    for port, value in outputs.items():
        assert checker(manifest.outputs[port].type)(value) is None
    assert not manifest.outcomes or result.name in manifest.outcomes


def test_training_gives_what_its_manifests_declare(read, ready, wall, monkeypatch):
    monkeypatch.setattr("tyqi_node_anomaly.calibration.TILES_PER_PICTURE", 2)
    cutter, ctx = ready(nodes.Pieces, "pieces")
    pieces = cutter.process({"image": wall(size=96)}, ctx)
    assert checker(read("pieces").outputs["pieces"].type)(pieces["pieces"]) is None
    looker, ctx = ready(nodes.Features, "features")
    features = [looker.process({"image": piece}, ctx)["features"] for piece in pieces["pieces"]]
    trainer, ctx = ready(nodes.Train, "train", steps=2, batch=1, crop=64)
    trained = trainer.process({"features": features, "held_out": features}, ctx)
    for port, value in trained.items():
        assert checker(read("train").outputs[port].type)(value) is None


def test_the_ports_of_the_workflows_fit_together(read):
    assert read("grade").inputs["finding"].type.accepts(read("refine").outputs["finding"].type) is None
    assert read("grade").inputs["score"].type.accepts(read("score").outputs["score"].type) is None
    assert (
        read("map").inputs["scores"].type.accepts(read("grade").outputs["score"].type.listed(null_items=True)) is None
    )
    features = read("features").outputs["features"].type.listed(null_items=False)
    assert read("train").inputs["features"].type.accepts(features) is None
    assert read("train").inputs["held_out"].type.accepts(features) is None
