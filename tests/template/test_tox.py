"""Straight after generation, with no edit, an author's own tools pass: real tox and pip, in fresh environments."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from wheelhouse import write_wheelhouse

from tests.template.conftest import Answer, run

pytestmark = pytest.mark.slow

pytest.importorskip("tyqi_core.conformance.pytest_plugin", reason="the kit's plugins are what a package's tests call")


@pytest.fixture(scope="module")
def package(bake: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package of which every answer is the default."""
    return bake(tmp_path_factory.mktemp("author"))


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """pip's settings under which it finds what is installed here, but not tyqi-core, and asks no network."""
    folder = write_wheelhouse(tmp_path_factory.mktemp("wheels"), "tyqi-core[author,images]", "hatchling")
    next(folder.glob("tyqi_core-*.whl")).unlink()
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder), "PIP_CONFIG_FILE": "/dev/null", "PIP_NO_COMPILE": "1"}


@pytest.fixture(scope="module")
def tox(package: Path, offline: Mapping[str, str]) -> Answer:
    """How tox ended. It finds the tyqi-core of this checkout although no index has it."""
    return run(sys.executable, "-m", "tox", "--colored", "no", cwd=package, **offline)


def test_tox_passes_with_its_tests_and_its_conformance(tox):
    assert tox.code == 0, tox.out[-4000:] + tox.err[-2000:]
    assert "py: OK" in tox.out
    assert "conform: OK" in tox.out
    assert re.search(r"\b[1-9]\d* passed", tox.out)


def test_the_package_reaches_bronze_at_least(tox, package, offline):
    checked = run(sys.executable, "-m", "tyqi_core.cli", "conform", package, "--json", cwd=package, **offline)
    evidence = json.loads(checked.out)
    assert [one["check"] for one in evidence["results"] if one["outcome"] == "failed"] == []
    assert evidence["tier"] in ("bronze", "silver", "gold")
