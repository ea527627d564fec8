from pathlib import Path

import cv2
import numpy as np
import pytest

import tyqi_node_image
from tyqi_core.errors import InputError
from tyqi_core.node import LocalContext
from tyqi_core.protocol.images import encode_image
from tyqi_core.protocol.ports import PortType, checker
from tyqi_core.protocol.validation import compiled, fill_defaults
from tyqi_node_image import nodes

NODES = {
    "decode": nodes.Decode,
    "filter": nodes.Filter,
    "resize": nodes.resize,
    "tiles": nodes.Tiles,
    "merge_tiles": nodes.MergeTiles,
}


@pytest.fixture(params=NODES)
def name(request):
    return request.param


@pytest.fixture
def decode(params_of):
    def decoded(data, **params):
        return nodes.Decode().process({"data": data}, LocalContext(params=params_of("decode", **params)))["image"]

    return decoded


def schema_of(manifest):
    return {"type": "object", "additionalProperties": False, "properties": manifest.get("params", {})}


def test_a_png_decodes_to_the_very_picture(decode, astronaut):
    image = decode(encode_image(astronaut))
    assert np.array_equal(image, astronaut)
    assert image.flags.c_contiguous


def test_grey_keeps_three_equal_channels_of_the_picture_s_brightness(decode, astronaut):
    image = decode(encode_image(astronaut), grey=True)
    assert image.shape == astronaut.shape
    assert np.ptp(image, axis=2).max() == 0
    assert np.abs(image[..., 0] - astronaut @ [0.299, 0.587, 0.114]).max() < 1
    assert image.flags.c_contiguous


def test_a_grey_file_becomes_rgb(decode, gravel):
    assert np.array_equal(decode(encode_image(np.ascontiguousarray(gravel[..., 0]))), gravel)


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda data: b"", "EMPTY_FILE"),
        (lambda data: data[:5000], "IMAGE_CORRUPT"),
        (lambda data: b"no picture at all", "NOT_AN_IMAGE"),
        (lambda data: b"%PDF-1.7 and so on", "TYPE_NOT_ALLOWED"),
    ],
)
def test_bad_bytes_are_refused_with_the_code_of_the_core(decode, astronaut, spoil, code):
    with pytest.raises(InputError) as caught:
        decode(spoil(encode_image(astronaut)))
    assert caught.value.code == code


def test_every_port_and_parameter_is_described(manifest_of, name):
    manifest = manifest_of(name)
    for part in ("inputs", "outputs", "params"):
        assert all(declared["description"] for declared in manifest.get(part, {}).values())
    assert all("default" in declared for declared in manifest.get("params", {}).values())


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("decode", {"grey": "yes"}),
        ("filter", {"method": "blur"}),
        ("filter", {"sigma": 0}),
        ("filter", {"radius": 2.5}),
        ("filter", {"sigma": float("nan")}),
        ("resize", {"width": 0}),
        ("resize", {"fit": "outside"}),
        ("tiles", {"overlap": 1}),
        ("tiles", {"tile": 1}),
        ("tiles", {"stride": 8}),
    ],
    indirect=["name"],
)
def test_wrong_parameters_are_refused_by_the_schema(manifest_of, name, params):
    schema = compiled(schema_of(manifest_of(name)))
    assert schema.is_valid({})
    assert not schema.is_valid(params)


def test_the_examples_run_and_their_outputs_fit_the_ports(manifest_of, name):
    folder = Path(tyqi_node_image.__file__).parent

    def loaded(value):
        if isinstance(value, list):
            return [loaded(item) for item in value]
        if not isinstance(value, str):
            return value
        path = folder / value
        return path.read_bytes() if name == "decode" else cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)

    manifest = manifest_of(name)
    for example in manifest["examples"]:
        params = fill_defaults(schema_of(manifest), example.get("params", {}))
        inputs = {port: loaded(value) for port, value in example["inputs"].items()}
        outputs = NODES[name]().process(inputs, LocalContext(params=params))
        assert set(outputs) == set(manifest["outputs"])
        for port, declaration in manifest["outputs"].items():
            assert checker(PortType.parse(declaration))(outputs[port]) is None


def test_merge_tiles_takes_the_grid_that_tiles_gives(manifest_of):
    given, wanted = (
        PortType.parse(manifest_of(name)[part]["grid"])
        for name, part in (("tiles", "outputs"), ("merge_tiles", "inputs"))
    )
    assert wanted.accepts(given) is None
