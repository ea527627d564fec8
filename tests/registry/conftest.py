"""Wheels made by hand, and evidence that says of them what a test needs; the kit itself has tests of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from made_wheels import dist_info, make_wheel, manifest_text, metadata_text, package_of

from tyqi_core.catalog.manifest import Manifest
from tyqi_core.catalog.wheel import Wheel
from tyqi_core.conformance.evidence import Evidence, Finding, Result
from tyqi_core.conformance.run import checks_of
from tyqi_core.registry.catalogue import Release
from tyqi_core.registry.publishing import publish

NODE = "brighten.node.yaml"


def manifest(**changes: Any) -> Manifest:
    """The manifest of ``good.brighten`` with fields replaced, as the wheel's would be read."""
    origin = {"namespace": "good", "local_id": "brighten", "entry_point": "tyqi_node_good.nodes:Brighten"}
    text = manifest_text(**changes)
    return Manifest.parse(text, NODE, **origin, distribution="tyqi-node-good", distribution_version="1.0.0")


def wheel_with(folder: Path, name: str, version: str, /, requires: Sequence[str] | None = None, **changes: Any) -> Path:
    """A good wheel whose manifest has fields replaced; its requirements too, if they are given."""
    files = {f"{package_of(name)}/{NODE}": manifest_text(**changes)}
    if requires is not None:
        files[f"{dist_info(name, version)}/METADATA"] = metadata_text(name, version, requires=requires)
    return make_wheel(folder / f"{name}-{version}", name, version, files)


def evidence_for(path: Path, **failed: str) -> Evidence:
    """Evidence that every check passes, but those named, with what they found."""
    wheel = Wheel(path)
    results = [
        {"check": one.id, "tier": one.tier, "outcome": "failed" if one.id in failed else "passed"}
        | ({"findings": [_finding(failed[one.id])]} if one.id in failed else {})
        for one in {one.id: one for one in checks_of()}.values()
    ]
    body = Evidence(path.name, wheel.sha256, wheel.name, wheel.version, "0.1.0", "3.11.0", ()).to_json()
    return Evidence.from_json(body | {"results": results})


def _finding(message: str) -> dict[str, Any]:
    return {"message": message, "file": "tyqi_node_good/nodes.py", "line": 7, "remedy": "Mend it."}


def result_of(evidence: Evidence, check: str) -> Result:
    """One check's result."""
    return next(result for result in evidence.results if result.check == check)


def texts(findings: Sequence[Finding]) -> str:
    """All findings as one text."""
    return "\n".join(map(str, findings))


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """Where a registry will be; not there yet."""
    return tmp_path / "shelf"


@pytest.fixture
def put(tmp_path: Path, shelf: Path) -> Callable[..., Release]:
    """Publish a good wheel, changed as told, with evidence that it passes everything."""

    def published(name: str = "tyqi-node-good", version: str = "1.0.0", /, **changes: Any) -> Release:
        path = wheel_with(tmp_path / "wheels", name, version, **changes)
        return publish(shelf, path, evidence_for(path))

    return published
