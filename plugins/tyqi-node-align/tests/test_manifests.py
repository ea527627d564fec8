from pathlib import Path

import cv2
import pytest
import yaml

import tyqi_node_align
from tyqi_core.node import LocalContext
from tyqi_core.protocol.validation import compiled, fill_defaults
from tyqi_node_align import nodes

NODES = {"register": nodes.Register, "stitch": nodes.Stitch}


@pytest.fixture(params=NODES)
def name(request):
    return request.param


def schema_of(manifest):
    return {"type": "object", "additionalProperties": False, "properties": manifest["params"]}


def test_every_port_and_parameter_is_described(manifest_of, name):
    manifest = manifest_of(name)
    for part in ("inputs", "outputs", "params"):
        assert all(declared["description"] for declared in manifest[part].values())
    assert all("default" in declared for declared in manifest["params"].values())


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("register", {"features": "akaze"}),
        ("register", {"model": "euclidean"}),
        ("register", {"work_size": 10}),
        ("register", {"tolerance": "wide"}),
        ("register", {"colour": 1}),
        ("stitch", {"direction": "sideways"}),
        ("stitch", {"min_overlap": 0}),
        ("stitch", {"max_drift": 2}),
        ("stitch", {"subpixel": "yes"}),
    ],
    indirect=["name"],
)
def test_wrong_parameters_are_refused_by_the_schema(manifest_of, name, params):
    schema = compiled(schema_of(manifest_of(name)))
    assert schema.is_valid({})
    assert not schema.is_valid(params)


def test_the_examples_run(manifest_of, name):
    folder = Path(tyqi_node_align.__file__).parent

    def loaded(value):
        if isinstance(value, list):
            return [loaded(item) for item in value]
        return cv2.cvtColor(cv2.imread(str(folder / value)), cv2.COLOR_BGR2RGB)

    manifest = manifest_of(name)
    for example in manifest["examples"]:
        params = fill_defaults(schema_of(manifest), example["params"])
        inputs = {port: loaded(value) for port, value in example["inputs"].items()}
        outputs = NODES[name]().process(inputs, LocalContext(params=params))
        assert set(outputs) == set(manifest["outputs"])


def test_the_manifests_are_plain_yaml_beside_the_module(manifest_of, name):
    assert yaml.safe_dump(manifest_of(name))
    assert manifest_of(name)["name"] == name
