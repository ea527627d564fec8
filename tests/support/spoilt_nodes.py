"""One wheel with many nodes, each of which breaks its contract in one way."""

from __future__ import annotations

from pathlib import Path

from made_wheels import dist_info, make_wheel, manifest_text, metadata_text

NAME = "tyqi-node-spoilt"
PACKAGE = "tyqi_node_spoilt"
RESOURCES = {"device": "cpu", "cores": 1, "memory_mb": 300, "duration": "short"}

HEAD = '''\
"""Nodes that break their contract."""

import contextlib
import ctypes
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tyqi_core import Node
from tyqi_core.errors import InputError


def brighter(inputs):
    """What the good node does."""
    bright = np.clip(inputs["image"].astype(np.float32) * 2, 0, 255).astype(np.uint8)
    return {"image": bright, "level": float(bright.mean())}

'''

BODIES = {
    "good": "return brighter(inputs)",
    "refuses": "if inputs['image'].shape[0] < 8:\n raise InputError('too small')\nreturn brighter(inputs)",
    "raises": "return brighter(inputs) | {'level': float(np.zeros(3)[int(inputs['image'].size)])}",
    "too_bright": "return brighter(inputs) | {'level': 999.0}",
    "numpy_number": "return brighter(inputs) | {'level': np.float64(1)}",
    "ends_on_lines": "if inputs['image'].shape[1] == 1:\n os._exit(9)\nreturn brighter(inputs)",
    "exits_on_black": "if not inputs['image'].any():\n sys.exit(3)\nreturn brighter(inputs)",
    "breaks_on_lines": "np.zeros(2)[min(2, 1 + (inputs['image'].shape[1] == 1))]\nreturn brighter(inputs)",
    "no_number": "return brighter(inputs) | {'level': float('nan') if inputs['image'].max() == 0 else 1.0}",
    "shy": "if 'tyqi_core.worker' in sys.modules:\n raise RuntimeError('not on workers')\nreturn brighter(inputs)",
    "counts": "self.n = getattr(self, 'n', -1) + 1\nreturn brighter(inputs) | {'level': float(self.n % 200)}",
    "writes_input": "image = inputs['image']\nif image.flags.writeable:\n image[0, 0] = 7\nreturn brighter(inputs)",
    "half_done": "if getattr(self, 'busy', False):\n raise RuntimeError('busy')\nself.busy = True\n"
    "answer = brighter(inputs)\nself.busy = False\nreturn answer",
    "deaf": "time.sleep(1.1 if inputs['image'].shape[:2] == (48, 64) else 0)\nreturn brighter(inputs)",
    "hears": "end = time.monotonic() + (1.1 if inputs['image'].shape[:2] == (48, 64) else 0)\n"
    "while time.monotonic() < end:\n ctx.check_cancelled()\n time.sleep(0.01)\nreturn brighter(inputs)",
    "hungry": "kept = np.ones(200 * 2**20, np.uint8)\nreturn brighter(inputs)",
    "leaks": "self.kept = [*getattr(self, 'kept', []), bytes(20_000)]\nreturn brighter(inputs)",
    "connects": "with contextlib.suppress(OSError):\n socket.create_connection(('127.0.0.1', 1), 0.1)\n"
    "return brighter(inputs)",
    "spawns": "subprocess.run([sys.executable, '-c', ''], check=True)\nreturn brighter(inputs)",
    "saves": "(Path.home() / 'cache.txt').write_text('x')\nreturn brighter(inputs)",
    "saves_for_a_moment": "tempfile.TemporaryFile().close()\nreturn brighter(inputs)",
    "loads": "ctypes.CDLL('libc.so.6')\nreturn brighter(inputs)",
}
"""Node -> the body of its process."""
CHANGES = {"hungry": {"resources": RESOURCES | {"memory_mb": 40}}}
SWAPPED = """

    def process_batch(self, items, ctxs):
        return [self.process(inputs, ctx) for inputs, ctx in zip(reversed(items), ctxs)]
"""


def spoilt_wheel(folder: Path) -> Path:
    """Write the wheel."""
    files: dict[str, str] = {}
    code, lines = HEAD, ["[tyqi.nodes]"]
    for name, body in (BODIES | {"swaps": BODIES["good"]}).items():
        inner = "\n".join(f"        {line}" for line in body.replace("\n ", "\n    ").splitlines())
        code += f"\nclass {name.title()}(Node):\n    def process(self, inputs, ctx):\n{inner}\n"
        code += SWAPPED if name == "swaps" else ""
        changes = {"name": name, "params": {}, "examples": [{"inputs": {"image": "examples/wall.png"}}]}
        files[f"{PACKAGE}/{name}.node.yaml"] = manifest_text(**changes, **CHANGES.get(name, {}))
        lines.append(f"{name} = {PACKAGE}.nodes:{name.title()}")
    files[f"{PACKAGE}/nodes.py"] = code
    files[f"{dist_info(NAME)}/entry_points.txt"] = "\n".join(lines) + "\n"
    files[f"{dist_info(NAME)}/METADATA"] = metadata_text(NAME)
    return make_wheel(folder, NAME, files=files, without=[f"{PACKAGE}/brighten.node.yaml"])
