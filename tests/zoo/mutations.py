"""Mutations of the good package: what becomes of a sound node when its author slips, and the check that tells it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from animals import CODE, ENTRIES, GOOD, MANIFEST, Animal
from made_wheels import MANIFEST as GOOD_MANIFEST
from made_wheels import NODES, REQUIRES, manifest_text

_mutation = partial(Animal, named=GOOD, version="1.0.1")


def _with(field: str, name: str, **changes: Any) -> dict[str, Any]:
    """The good manifest's ``field`` with one of its entries changed."""
    return {field: {**GOOD_MANIFEST[field], name: {**GOOD_MANIFEST[field][name], **changes}}}


MUTATIONS: Sequence[Animal] = (
    _mutation(
        "data_dropped",
        "the package data is left out of the wheel",
        "M01",
        "static",
        also=frozenset({"V01", "V02"}),
        without=[MANIFEST, "PACKAGE/examples/wall.png"],
    ),
    _mutation(
        "id_renamed",
        "the node is called otherwise in a patch release",
        "V01",
        "upgrade",
        also=frozenset({"V02"}),
        members={
            ENTRIES: "[tyqi.nodes]\nlighten = PACKAGE.nodes:Brighten\n",
            "PACKAGE/lighten.node.yaml": manifest_text(name="lighten", version="1.0.1"),
        },
        without=[MANIFEST],
    ),
    _mutation(
        "output_widened",
        "an output may hold more than before, in a minor release",
        "V01",
        "upgrade",
        version="1.1.0",
        manifest={"version": "1.1.0", **_with("outputs", "level", schema={"type": "number", "minimum": 0})},
    ),
    _mutation("eval_added", "`eval` in the code", "S01", "static", process="ctx.logger.info(eval('inputs'))\n"),
    _mutation("licence_removed", "the licence file is missing", "P01", "static", without=["INFO/licenses/LICENSE"]),
    _mutation(
        "torch_pinned", "`torch==` among the requirements", "P04", "static", requires=(*REQUIRES, "torch==2.6.0")
    ),
    _mutation("pth_added", "a `.pth` in the wheel", "P03", "static", members={"good.pth": "import tyqi_node_good\n"}),
    _mutation(
        "input_written",
        "works in place, on its input",
        "T06",
        "run",
        also=frozenset({"T01"}),
        process="inputs['image'] *= 2\n",
    ),
    _mutation(
        "description_dropped",
        "a port without a description",
        "D02",
        "static",
        manifest={"version": "1.0.1", "inputs": {"image": {"type": "image"}}},
    ),
    _mutation("example_dropped", "no example", "D01", "static", manifest={"version": "1.0.1", "examples": None}),
    _mutation(
        "port_removed",
        "an output is gone in a minor release",
        "V01",
        "upgrade",
        version="1.1.0",
        also=frozenset({"V02"}),
        manifest={"version": "1.1.0", "outputs": {"image": GOOD_MANIFEST["outputs"]["image"]}},
    ),
    _mutation(
        "noise_added",
        "adds noise, and is still declared deterministic",
        "T04",
        "run",
        also=frozenset({"R01", "R02"}),
        members={
            CODE: NODES.replace("* ctx.params", "* np.random.default_rng().uniform(0.9, 1.1) * ctx.params"),
        },
    ),
)
BY_NAME: Mapping[str, Animal] = {mutation.name: mutation for mutation in MUTATIONS}
