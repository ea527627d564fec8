"""Packages that are broken in the ways that packages are: what a node must be able to live beside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

_MANIFEST: Final = {
    "tyqi_node": 1,
    "name": "look",
    "version": "1.0.0",
    "title": "A broken neighbour",
    "description": "It stands beside the node under test.",
    "category": "utility",
    "licence": "Apache-2.0",
    "author": "The TYQ-i core developers",
    "requires_tyqi": ">=0.1",
}
_GOOD: Final = json.dumps(_MANIFEST)
_SIBLINGS: Final = {
    "raises": ("raise RuntimeError('a broken neighbour was imported')\n", _GOOD),
    "exits": ("import os\nos._exit(3)\n", _GOOD),
    "hangs": ("import threading\nthreading.Event().wait()\n", _GOOD),
    "yaml": ("", "tyqi_node: 1\nname: [look\n"),
    "bare": ("", ""),
    "newer": ("", json.dumps(_MANIFEST | {"requires_tyqi": ">=9999"})),
}
"""Name -> its module's code, and its manifest; without text there is none."""


def write_siblings(folder: Path) -> Path:
    """Write the packages into a folder, as if they were installed there. Returns the folder."""
    for name, (code, manifest) in _SIBLINGS.items():
        package = folder / f"tyqi_node_sibling_{name}"
        info = folder / f"tyqi_node_sibling_{name}-1.0.0.dist-info"
        package.mkdir(parents=True, exist_ok=True)
        info.mkdir(exist_ok=True)
        (package / "__init__.py").write_text(code, encoding="utf-8")
        record = [f"{package.name}/__init__.py,,", f"{info.name}/METADATA,,"]
        if manifest:
            (package / "look.node.yaml").write_text(manifest, encoding="utf-8")
            record.append(f"{package.name}/look.node.yaml,,")
        metadata = f"Metadata-Version: 2.1\nName: tyqi-node-sibling-{name}\nVersion: 1.0.0\n"
        (info / "METADATA").write_text(metadata, encoding="utf-8")
        entry_point = f"[tyqi.nodes]\nlook = {package.name}:Look\n"
        (info / "entry_points.txt").write_text(entry_point, encoding="utf-8")
        (info / "RECORD").write_text("\n".join(record) + "\n", encoding="utf-8")
    return folder
