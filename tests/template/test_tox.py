"""Straight after generation, with no edit, an author's own tools pass: real tox and pip, in fresh environments."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.template.conftest import ROOT, run

pytestmark = pytest.mark.slow

pytest.importorskip("tyqi_core.conformance.pytest_plugin", reason="the kit's plugins are what a package's tests call")


@pytest.fixture(scope="module")
def package(bake: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package of which every answer is the default."""
    return bake(tmp_path_factory.mktemp("author"))


def test_tox_passes_and_its_wheel_reaches_bronze(package, core_dist):
    links = f"{core_dist} {os.environ.get('PIP_FIND_LINKS', '')}"  # tyqi-core of this very checkout is on no index
    pinned = str(ROOT / "constraints.txt")
    tox = run(sys.executable, "-m", "tox", cwd=package, PIP_FIND_LINKS=links, PIP_CONSTRAINT=pinned)
    assert tox.code == 0, tox.out[-4000:] + tox.err[-2000:]
    assert "py: OK" in tox.out
    assert "conform: OK" in tox.out
    checked = run(sys.executable, "-m", "tyqi_core.cli", "conform", package, "--json", cwd=package)
    evidence = json.loads(checked.out)
    failed = [one["check"] for one in evidence["results"] if one["outcome"] == "failed"]
    assert (failed, evidence["tier"] != "none") == ([], True)
