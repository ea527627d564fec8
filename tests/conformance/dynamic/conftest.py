"""Environments that several tests look at."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from made_wheels import make_wheel
from spoilt_nodes import spoilt_wheel

from tyqi_core.conformance.environment import Installed, installed

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """The good wheel of made_wheels, installed."""
    with installed(make_wheel(tmp_path_factory.mktemp("good"))) as place:
        yield place


@pytest.fixture(scope="session")
def spoilt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """The wheel of many spoilt nodes, installed."""
    with installed(spoilt_wheel(tmp_path_factory.mktemp("spoilt"))) as place:
        yield place


@pytest.fixture(scope="session")
def crack_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A first-party plugin, built as its release would be."""
    folder = tmp_path_factory.mktemp("crack")
    plugin = ROOT / "plugins" / "tyqi-node-crack"
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(plugin)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return next(folder.glob("*.whl"))
