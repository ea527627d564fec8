"""The ``tyqi`` program as a user calls it: a process, its exit code, its two streams."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

PROJECT = """\
tyqi: 1
project: cracks
inputs: {image: {type: image}}
params: {long: {type: number, default: 20}}
tasks:
  T1: {node: crack.segment@2, inputs: {image: $input.image}}
  T2: {node: crack.skeleton, predecessor: [T1]}
  T3:
    node: crack.width
    inputs: {mask: T1.mask, skeleton: T2.skeleton}
    condition: true
    branches: [{when: T3.measurements.length.value > $param.long, to: T4}, {default: null}]
  T4: {node: report.closeup, subchain: true, inputs: {image: $input.image, mask: T3.mask}}
  T5: {node: report.severity, inputs: {measurements: T3.measurements}}
outputs: {severity: T5.severity, mask: T3.mask, measurements: T3.measurements}
"""


@dataclass(frozen=True)
class Answer:
    """How a command ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Standard output, which must hold one JSON document and nothing else."""
        return json.loads(self.out)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder with a project in it; commands run there."""
    (tmp_path / "project.yaml").write_text(PROJECT, encoding="utf-8")
    return tmp_path


@pytest.fixture
def tyqi(folder: Path) -> Callable[..., Answer]:
    """Call ``tyqi`` in ``folder``."""

    def call(*words: str | Path, **environ: str) -> Answer:
        command = [sys.executable, "-m", "tyqi_core.cli", *map(str, words)]
        done = subprocess.run(
            command, cwd=folder, env={**os.environ, **environ}, capture_output=True, text=True, timeout=120, check=False
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    return call


def picture(path: Path, *, crack: bool = True, size: int = 96) -> Path:
    """A plain picture with, or without, a dark line through it."""
    rng = np.random.default_rng(7)
    pixels = rng.normal(170, 4, (size, size, 3)).clip(0, 255)
    if crack:
        for column in range(10, size - 10):
            row = size // 2 + int(6 * np.sin(column / 9))
            pixels[row - 1 : row + 2, column] = 40
    Image.fromarray(pixels.astype(np.uint8)).save(path, "PNG")
    return path
