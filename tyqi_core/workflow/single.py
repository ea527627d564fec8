"""A project of one task around one node, for trying the node out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tyqi_core.catalog.manifest import Manifest

TASK = "N1"


def single_node_project(manifest: Manifest, params: Mapping[str, Any]) -> str:
    """The project's text (JSON, which is YAML): inputs and outputs are the node's own ports."""
    inputs = {}
    for name, port in manifest.inputs.items():
        inputs[name] = port.type.to_json() | {"required": port.required}
        if port.default is not None:
            inputs[name]["default"] = port.default
    task: dict[str, Any] = {
        "node": f"{manifest.id}@{manifest.major}",
        "params": dict(params),
        "inputs": {name: f"$input.{name}" for name in inputs},
    }
    if manifest.outcomes:
        task |= {"condition": True, "branches": dict.fromkeys(manifest.outcomes)}
    project = {
        "tyqi": 1,
        "project": manifest.id.replace(".", "-"),
        "inputs": inputs,
        "tasks": {TASK: task},
        "outputs": {name: f"{TASK}.{name}" for name in manifest.outputs},
    }
    return json.dumps(project, indent=1)
