"""Catalogues for tests of the registry's site: a small one of everything that a page must show, and one of any size."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tyqi_core.catalog.wheel import Wheel
from tyqi_core.conformance.evidence import Evidence, Finding, Result, Tier
from tyqi_core.registry.catalogue import Catalogue, Listing, Release

IMAGE: Mapping[str, Any] = {"type": "image", "description": "RGB picture of the surface"}
MASK: Mapping[str, Any] = {"type": "mask", "description": "255 on the defect, 0 elsewhere"}
MAX_WIDTH: Mapping[str, Any] = {
    "type": "number",
    "minimum": 1,
    "maximum": 64,
    "default": 10,
    "description": "Widest crack to find (px)",
}
MODEL: Mapping[str, Any] = {"type": "string", "default": "", "setup": True, "description": "File of the model"}


def listing(id_: str = "crack.segment", **changes: Any) -> Listing:
    """A node that can be listed; what is not said is the crack segmentation's."""
    body: dict[str, Any] = {
        "version": "1.0.0",
        "title": "Crack segmentation",
        "description": "Marks cracks: dark lines with an edge on both sides.",
        "category": "segmentation",
        "tags": ["crack", "concrete"],
        "licence": "Apache-2.0",
        "author": "Bridge Works",
        "device": "cpu",
        "queue": "cpu.short",
        "inputs": {"image": IMAGE},
        "outputs": {"mask": MASK},
        "params": {"max_width": MAX_WIDTH},
        "requires_tyqi": ">=0.1,<1",
    }
    return Listing(id_, **{**body, **changes})


def release(*nodes: Listing, **changes: Any) -> Release:
    """A release of these nodes, named for the first one's namespace."""
    name = "tyqi-node-" + nodes[0].id.partition(".")[0].replace("_", "-")
    version = changes.get("version", "1.0.0")
    body: dict[str, Any] = {
        "name": name,
        "version": version,
        "filename": f"{name.replace('-', '_')}-{version}-py3-none-any.whl",
        "sha256": hashlib.sha256(f"{name} {version}".encode()).hexdigest(),
        "size": 48_213,
        "published": "2026-11-20T09:30:00Z",
        "requires_python": ">=3.11",
        "requires": ["tyqi-core>=0.1,<1", "numpy>=1.26"],
        "tier": "silver",
        "capabilities": [],
        "nodes": list(nodes),
    }
    return Release(**{**body, **changes})


def catalogue(*releases: Release, title: str = "Inspection nodes") -> Catalogue:
    """A catalogue of these."""
    return Catalogue(title, list(releases))


def evidence(of: Release, results: Sequence[Result] | None = None) -> Evidence:
    """Evidence for a release's wheel."""
    told = (
        Result("M01", "bronze", "passed"),
        Result(
            "I02",
            "silver",
            "warned",
            [Finding("the import takes 2.4 s.", "tyqi_node_crack/nodes.py", 3)],
            {"import_s": 2.4},
        ),
        Result("R05", "gold", "failed", [Finding("memory grows by 1.2 MB a call.", remedy="Free what a call made.")]),
        Result("T08", "silver", "skipped", [Finding("it declares no GPU.")]),
    )
    return Evidence(
        of.filename, of.sha256, of.name, of.version, "0.1.0", "3.11.7", results if results is not None else told
    )


def all_passed(wheel: Path, but: str = "") -> Evidence:
    """Evidence for a wheel that passes every check of the kit, but for one."""
    from tyqi_core.conformance.run import checks_of

    read = Wheel(wheel)
    results = [
        Result(one.id, one.tier, "failed", [Finding("eval is used")])
        if one.id == but
        else Result(one.id, one.tier, "passed")
        for one in checks_of()
    ]
    return Evidence(wheel.name, read.sha256, read.name, read.version, "0.1.0", "3.11.7", results)


def shelf() -> Catalogue:
    """Six packages, each with something of its own: majors, outcomes, a withdrawn and a quarantined release."""
    ridges = listing(
        version="2.0.0",
        title="Crack segmentation by ridges",
        description="Marks dark lines: a ridge filter of several scales that wants an edge on both sides.",
        tags=["crack", "concrete", "ridge"],
        params={"max_width": MAX_WIDTH, "model": MODEL},
    )
    width = listing(
        "crack.width",
        title="Crack width",
        description="Measures the width of cracks along their middle line.",
        category="measurement",
        tags=["crack", "width"],
        inputs={"mask": MASK},
        outputs={"measurements": {"type": "measurements", "description": "Widest and mean width (mm)"}},
    )
    triage = listing(
        "surface.triage",
        title="Surface triage",
        description="Decides whether a surface shows a crack, a spall or neither.",
        category="classification",
        tags=["triage", "condition"],
        outputs={"score": {"type": "json", "schema": {"type": "number", "minimum": 0, "maximum": 1}}},
        outcomes={"crack": "a dark line", "spall": "an odd area", "clean": "neither of them"},
        params={},
        licence="MIT",
    )
    anomaly = listing(
        "anomaly.patches",
        title="Anomalies by patches",
        description="Compares patches with what clean surfaces look like.",
        category="anomaly",
        tags=["anomaly", "memory bank"],
        device="gpu",
        queue="gpu.short",
        outputs={"map": {"type": "anomaly_map", "description": "Oddness of each pixel (1 is the threshold)"}},
        licence="MIT",
    )
    tiles = listing(
        "image.tiles",
        title="Cut into tiles",
        description="Cuts a picture into tiles of one size, for a foreach over them.",
        category="preprocessing",
        tags=["tiles", "foreach"],
        outputs={"tiles": {"type": "image", "list": True, "description": "The tiles, row by row"}},
    )
    rail = listing(
        "rail.detect",
        title="Rail fasteners",
        description="Finds fasteners of rails and those that are missing.",
        category="detection",
        tags=["rail", "fastener"],
        device="any",
        queue="gpu.long",
        outputs={"found": {"type": "detections", "description": "One box a fastener (px)"}},
        licence="LGPL-3.0-only",
    )
    first = listing(title="Crack segmentation by black-hat", description="Closing minus the picture, then a threshold.")
    return catalogue(
        release(anomaly, tier="gold", capabilities=["native", "files"]),
        release(ridges, first, width, version="1.1.0", readme="<h1>Cracks</h1><p>How they are <b>found</b>.</p>"),
        release(first, width, version="1.0.0", yanked="masks are shifted by one pixel", tier="bronze"),
        release(tiles, tier="gold"),
        release(rail, tier="bronze", quarantined="it sends pictures to a server", capabilities=["network"]),
        release(triage),
    )


def many(count: int) -> Catalogue:
    """A catalogue of ``count`` nodes, each a package, that differ as nodes of a large marketplace would."""
    chance = random.Random(7)  # noqa: S311  (nothing secret)
    made = [_one(number, chance) for number in range(count)]
    return catalogue(*sorted(made, key=lambda one: one.name), title="A thousand nodes")


_SUBJECTS = ("crack", "rust", "spall", "rail", "blade", "weld", "bolt", "joint", "paint", "leak", "pothole", "moss")
_DEEDS = {
    "segmentation": ("Marks {}s in pictures", "image", "mask"),
    "detection": ("Finds {}s and frames them", "image", "detections"),
    "classification": ("Tells kinds of {}s apart", "image", "json"),
    "anomaly": ("Shows where a {} looks odd", "image", "anomaly_map"),
    "measurement": ("Measures {}s", "mask", "measurements"),
    "reporting": ("Lists {}s in a table", "measurements", "table"),
}


def _one(number: int, chance: random.Random) -> Release:
    subject, category = chance.choice(_SUBJECTS), chance.choice(list(_DEEDS))
    text, takes, gives = _DEEDS[category]
    tiers: Sequence[Tier] = ("bronze", "silver", "silver", "gold")
    node = listing(
        f"{subject}_{number:04}.{category}",
        title=f"{text.format(subject)}, number {number}",
        description=f"{text.format(subject)}. Made for tests; it is one of many and does nothing. " * 2,
        category=category,
        tags=[subject, chance.choice(("steel", "concrete", "wood", "glass")), f"series {number % 40}"],
        licence=chance.choice(("Apache-2.0", "MIT", "BSD-3-Clause")),
        device=chance.choice(("cpu", "cpu", "gpu", "any")),
        inputs={"in": {"type": takes, "description": "What it looks at"}},
        outputs={"out": {"type": gives, "description": "What it found"}},
        params={f"setting_{index}": MAX_WIDTH for index in range(4)},
    )
    return release(node, tier=chance.choice(tiers), readme=f"<h1>{node.title}</h1><p>{'Some words. ' * 60}</p>")
