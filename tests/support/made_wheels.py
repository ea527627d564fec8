"""Wheels made for tests, in milliseconds: archives written by hand, with no build tool.

What :func:`make_wheel` makes without further words passes every check of the conformance kit; a test spoils the one
thing that it is about::

    make_wheel(folder)                                                        # tyqi-node-good 1.0.0, node good.brighten
    make_wheel(folder, without=["tyqi_node_good/brighten.node.yaml"])
    make_wheel(folder, files={"tyqi_node_good/nodes.py": NODES + "eval('1')\\n"})
    make_wheel(folder, files={"tyqi_node_good/brighten.node.yaml": manifest_text(inputs={...}, licence=None)})
    make_wheel(folder, files={metadata_path(): metadata_text(requires=["torch==2.1"])})
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

NAME = "tyqi-node-good"
VERSION = "1.0.0"
REQUIRES = ("tyqi-core>=0.1,<1", "numpy>=1.26")
TIME = (2026, 1, 1, 0, 0, 0)

NODES = '''\
"""A node that brightens pictures."""

import numpy as np

from tyqi_core import Node


class Brighten(Node):
    """Multiplies a picture by a factor."""

    def process(self, inputs, ctx):
        """See the manifest."""
        bright = np.clip(inputs["image"].astype(np.float32) * ctx.params["gain"], 0, 255).astype(np.uint8)
        return {"image": bright, "level": float(bright.mean())}
'''

MANIFEST: Mapping[str, Any] = {
    "tyqi_node": 1,
    "name": "brighten",
    "version": "1.0.0",
    "title": "Brighter picture",
    "description": "Multiplies a picture by a factor; what would be brighter than white is white.",
    "category": "preprocessing",
    "tags": ["brightness"],
    "licence": "Apache-2.0",
    "author": "The TYQ-i core developers",
    "requires_tyqi": ">=0.1,<1",
    "inputs": {"image": {"type": "image", "description": "RGB picture"}},
    "outputs": {
        "image": {"type": "image", "description": "The brighter picture, of the same size"},
        "level": {
            "type": "json",
            "schema": {"type": "number", "minimum": 0, "maximum": 255},
            "description": "Mean of the brighter picture (grey levels)",
        },
    },
    "params": {
        "gain": {
            "type": "number",
            "minimum": 0,
            "maximum": 16,
            "default": 2,
            "description": "Factor (1: no change)",
        }
    },
    "resources": {"device": "cpu", "cores": 1, "memory_mb": 300, "duration": "short"},
    "idempotent": True,
    "deterministic": True,
    "thread_safe": True,
    "examples": [{"inputs": {"image": "examples/wall.png"}, "params": {"gain": 3}}],
}

README = """\
# {name}

Brightens pictures: the node `{namespace}.brighten`.

## Usage

```sh
tyqi nodes run {namespace}.brighten --input image=wall.png --param gain=3
```
"""

LICENCE = """\
Copyright 2026 The TYQ-i core developers

Licensed under the Apache License, Version 2.0; you may obtain a copy at https://www.apache.org/licenses/LICENSE-2.0
"""


def make_wheel(
    folder: Path,
    name: str = NAME,
    version: str = VERSION,
    files: Mapping[str, str | bytes] | None = None,
    without: Iterable[str] = (),
) -> Path:
    """Write a wheel that passes every check, changed as told.

    Args:
        folder: where the file is written; made if it is not there.
        name, version: the distribution's. Its package is ``name`` with underscores, its node ``NAMESPACE.brighten``.
        files: members to add or to replace. ``RECORD`` is made afterwards, to fit, unless it is among them.
        without: members to leave out (also of ``RECORD``; leaving out ``RECORD`` itself is possible too).

    Returns:
        The wheel's path.
    """
    members = _good(name, version) | {path: _bytes(content) for path, content in (files or {}).items()}
    record = f"{dist_info(name, version)}/RECORD"
    for path in without:
        members.pop(path, None)
    if record not in members and record not in without:
        members[record] = record_text(members, record).encode()
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{package_of(name)}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in members.items():
            archive.writestr(zipfile.ZipInfo(path, TIME), content, zipfile.ZIP_DEFLATED)
    return wheel


def package_of(name: str = NAME) -> str:
    """The import package of a distribution: ``tyqi_node_good``."""
    return name.lower().replace("-", "_").replace(".", "_")


def dist_info(name: str = NAME, version: str = VERSION) -> str:
    """The metadata folder inside the wheel."""
    return f"{package_of(name)}-{version}.dist-info"


def metadata_path(name: str = NAME, version: str = VERSION) -> str:
    """Where ``METADATA`` lies in the wheel."""
    return f"{dist_info(name, version)}/METADATA"


def manifest_text(**changes: Any) -> str:
    """The good manifest with top-level fields replaced; those set to ``None`` are left out. JSON is YAML too."""
    body = {key: value for key, value in {**MANIFEST, **changes}.items() if value is not None}
    lines = (f"{json.dumps(key)}: {json.dumps(value)}" for key, value in body.items())
    return "\n".join(lines) + "\n"


def metadata_text(
    name: str = NAME,
    version: str = VERSION,
    *,
    requires: Sequence[str] = REQUIRES,
    readme: str | None = None,
    headers: Mapping[str, str | Sequence[str] | None] | None = None,
) -> str:
    """The good ``METADATA``.

    Args:
        requires: the ``Requires-Dist`` lines.
        readme: the long description; a good one if not given.
        headers: further headers, or other values of those that are there; a list gives several lines, ``None`` none.
    """
    repository = f"https://github.com/tyq-i/{name}"
    fields: dict[str, str | Sequence[str] | None] = {
        "Metadata-Version": "2.4",
        "Name": name,
        "Version": version,
        "Summary": "A TYQ-i node that brightens pictures.",
        "Author": "The TYQ-i core developers",
        "License-Expression": "Apache-2.0",
        "License-File": "LICENSE",
        "Requires-Python": ">=3.11",
        "Requires-Dist": requires,
        "Project-URL": [f"Source, {repository}", f"Issues, {repository}/issues"],
        "Description-Content-Type": "text/markdown",
        **(headers or {}),
    }
    lines = [f"{key}: {value}" for key, values in fields.items() for value in _several(values)]
    namespace = package_of(name).removeprefix("tyqi_node_")
    text = README.format(name=name, namespace=namespace) if readme is None else readme
    return "\n".join(lines) + "\n\n" + text


def record_text(members: Mapping[str, bytes], record: str) -> str:
    """A ``RECORD`` that fits the members."""
    return "".join(f"{path},{_hash(content)},{len(content)}\n" for path, content in members.items()) + f"{record},,\n"


def picture() -> bytes:
    """A small RGB picture as PNG: a wall of 48 x 64 px with a dark line across it."""
    rows = [b"\0" + b"".join(_pixel(x, y) for x in range(64)) for y in range(48)]
    header = struct.pack(">IIBBBBB", 64, 48, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"".join(rows), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _good(name: str, version: str) -> dict[str, bytes]:
    package, info = package_of(name), dist_info(name, version)
    texts = {
        f"{package}/__init__.py": f'"""The nodes of {name}."""\n',
        f"{package}/nodes.py": NODES,
        f"{package}/brighten.node.yaml": manifest_text(),
        f"{info}/METADATA": metadata_text(name, version),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: made_wheels\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[tyqi.nodes]\nbrighten = {package}.nodes:Brighten\n",
        f"{info}/licenses/LICENSE": LICENCE,
    }
    members = {path: text.encode() for path, text in texts.items()}
    return {**members, f"{package}/examples/wall.png": picture()}


def _bytes(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content


def _several(values: str | Sequence[str] | None) -> Sequence[str]:
    return [values] if isinstance(values, str) else values or []


def _hash(content: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def _pixel(x: int, y: int) -> bytes:
    dark = abs(x - y) < 2
    return bytes((40, 36, 30)) if dark else bytes((120 + (7 * x + 3 * y) % 11, 110 + x % 5, 100 + y % 7))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
