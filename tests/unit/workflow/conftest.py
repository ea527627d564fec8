"""A catalog in memory with the first-party nodes' ids, ports and outcomes; nothing need be installed to compile."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tyqi_core.catalog.catalog import Catalog, LocalNode
from tyqi_core.catalog.manifest import Manifest
from tyqi_core.errors import InvalidProject, Problem
from tyqi_core.node import Node
from tyqi_core.protocol.document import read_document
from tyqi_core.workflow.compiler import compile_text
from tyqi_core.workflow.plan import Plan

NODES = """
surface.triage: {in: {image: image}, out: {score: fraction}, outcomes: [crack, spall, clean]}
crack.segment: {in: {image: image}, out: {mask: mask}}
crack.skeleton: {in: {mask: mask}, out: {skeleton: mask}}
crack.width:
  in: {mask: mask, skeleton: mask}
  out: {measurements: measurements, mask: mask}
  params: {mm_per_px: {type: number, minimum: 0, default: 0, description: "mm"}}
spall.segment: {in: {image: image}, out: {mask: mask}}
spall.area: {in: {mask: mask}, out: {measurements: measurements, mask: mask}}
image.decode: {in: {data: bytes}, out: {image: image}}
image.filter: {in: {image: image}, out: {image: image}}
image.resize: {in: {image: image}, out: {image: image}}
image.tiles: {in: {image: image}, out: {tiles: image*, grid: object}}
align.register:
  in: {image: image, reference: image}
  out: {image: image, transform: object, measurements: measurements}
align.stitch: {in: {strips: image*}, out: {image: image, measurements: measurements}}
anomaly.score: {in: {image: image}, out: {score: positive, map: anomaly_map}, outcomes: [odd, fine]}
anomaly.refine: {in: {image: image}, out: {finding: object}}
anomaly.grade: {in: {score: number, finding: object?}, out: {score: number}}
anomaly.map: {in: {scores: numbers_or_null, grid: object}, out: {map: anomaly_map}}
detect.blobs: {in: {image: image}, out: {detections: detections}}
report.severity: {in: {measurements: measurements?, score: number?}, out: {severity: severity}}
report.annotate: {in: {image: image, mask: mask?, map: anomaly_map?, detections: detections?}, out: {image: image}}
report.closeup: {in: {image: image, mask: mask}, out: {closeup: image}}
report.page:
  in:
    image: image
    annotated: image?
    closeup: image?
    measurements: measurements?
    severity: object?
    map: anomaly_map?
    detections: detections?
  out: {page: html, report: object}
synth.texture: {in: {}, out: {image: image}}
"""

TYPES: dict[str, dict[str, Any]] = {
    "fraction": {"type": "json", "schema": {"type": "number", "minimum": 0, "maximum": 1}},
    "positive": {"type": "json", "schema": {"type": "number", "minimum": 0}},
    "number": {"type": "json", "schema": {"type": "number"}},
    "object": {"type": "json", "schema": {"type": "object"}},
    "severity": {
        "type": "json",
        "schema": {
            "type": "object",
            "properties": {"level": {"type": "integer"}, "label": {"type": "string"}},
            "additionalProperties": False,
        },
    },
    "numbers_or_null": {"type": "json", "list": True, "null_items": True, "schema": {"type": "number"}},
    "html": {"type": "bytes", "media_type": ["text/html"]},
}


def port(text: str) -> dict[str, Any]:
    """``mask?`` is an optional mask, ``image*`` a list of images."""
    name = text.rstrip("?*")
    declaration = dict(TYPES.get(name, {"type": name}))
    if text.endswith("*"):
        declaration["list"] = True
    if text.endswith("?"):
        declaration["required"] = False
    return declaration


def manifest(node: str, body: dict[str, Any], version: str = "1.0.0") -> Manifest:
    namespace, _, name = node.partition(".")
    content = {
        "tyqi_node": 1,
        "name": name,
        "version": version,
        "title": name,
        "description": "A node of a test.",
        "category": "utility",
        "licence": "Apache-2.0",
        "author": "Tests",
        "requires_tyqi": ">=0",
        "inputs": {key: port(text) for key, text in body["in"].items()},
        "outputs": {key: port(text) for key, text in body["out"].items()},
        "params": body.get("params", {}),
        "resources": body.get("resources", {}),
    }
    if "outcomes" in body:
        content["outcomes"] = dict.fromkeys(body["outcomes"], "what it decided")
    return Manifest.parse(
        json.dumps(content),
        f"{node}.node.yaml",
        namespace=namespace,
        local_id=name,
        entry_point="tests:Nothing",
        distribution=f"tyqi-node-{namespace}",
        distribution_version=version,
    )


def catalog_of(nodes: str) -> Catalog:
    table = read_document(nodes).value
    return Catalog.of(*(LocalNode(manifest(node, body), Node) for node, body in table.items()))


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return catalog_of(NODES)


Compile = Callable[..., Plan]


@pytest.fixture
def compiled(catalog: Catalog) -> Compile:
    """Compile tasks (and more) given as YAML; ``inputs: {image}`` is there unless said otherwise."""

    def compile_it(text: str, **params: Any) -> Plan:
        return compile_text(whole(text), "project.yaml", catalog, params)

    return compile_it


@pytest.fixture
def problems(catalog: Catalog) -> Callable[..., list[Problem]]:
    """The problems of a project; fails if it has none."""

    def problems_of(text: str, **params: Any) -> list[Problem]:
        with pytest.raises(InvalidProject) as raised:
            compile_text(whole(text), "project.yaml", catalog, params)
        return list(raised.value.problems)

    return problems_of


def whole(text: str) -> str:
    head = "tyqi: 1\nproject: p\n"
    if "\ninputs:" not in f"\n{text}":
        head += "inputs: {image: {type: image}}\n"
    return head + text
