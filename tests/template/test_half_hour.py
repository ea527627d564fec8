"""The whole way of a partner and of who uses what he made: new-node, tox, build, publish; then pip, nodes, run."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from wheelhouse import write_wheelhouse

from tests.template.conftest import run
from tyqi_core.conformance.core_wheel import write_core_wheel

pytestmark = pytest.mark.slow
PLAIN = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_COMPILE": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """pip's settings under which it finds what is installed here, but not tyqi-core, and asks no network."""
    folder = write_wheelhouse(tmp_path_factory.mktemp("wheels"), "tyqi-core[author,images]", "hatchling")
    next(folder.glob("tyqi_core-*.whl")).unlink()
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder), **PLAIN}


@pytest.fixture(scope="module")
def elsewhere(offline: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of another environment, which holds tyqi-core and no node."""
    folder = tmp_path_factory.mktemp("elsewhere")
    assert run(sys.executable, "-m", "venv", folder / "env", cwd=folder).code == 0
    programs = folder / "env" / ("Scripts" if os.name == "nt" else "bin")
    core = f"tyqi-core[images] @ {write_core_wheel(folder).as_uri()}"
    installed = run(programs / "python", "-m", "pip", "install", "-q", core, cwd=folder, **offline)
    assert installed.code == 0, installed.err
    return programs


def test_from_nothing_to_a_node_that_somebody_else_runs(offline, elsewhere, tmp_path):
    python, shelf = Path(sys.executable), tmp_path / "shelf"

    def tyqi(*arguments: str | Path, programs: Path | None = None, cwd: Path = tmp_path) -> str:
        program = [programs / "tyqi"] if programs else [python, "-m", "tyqi_core.cli"]
        answer = run(*program, *arguments, cwd=cwd, TYQI_CACHE=str(tmp_path / "cache"), **offline)
        assert answer.code == 0, answer.out + answer.err
        return answer.out

    (tmp_path / "partner").mkdir()
    tyqi("new-node", "--no-input", "--out", tmp_path / "partner")
    (package,) = (tmp_path / "partner").iterdir()
    tox = run(python, "-m", "tox", "--colored", "no", cwd=package, **offline)
    assert tox.code == 0, tox.out[-4000:] + tox.err[-2000:]
    assert "py: OK" in tox.out
    assert "conform: OK" in tox.out
    assert re.search(r"\b[1-9]\d* passed", tox.out)
    assert re.search(r"tyqi-node-first-look 0\.1\.0: (bronze|silver|gold) ", tox.out)
    built = run(python, "-m", "build", "--wheel", cwd=package, **offline)
    assert built.code == 0, built.out + built.err
    (wheel,) = (package / "dist").glob("*.whl")
    tyqi("registry", "publish", wheel, "--registry", shelf)

    index = (shelf / "simple").as_uri()
    pip = run(
        elsewhere / "python",
        "-m",
        "pip",
        "install",
        "--index-url",
        index,
        "tyqi-node-first-look",
        cwd=tmp_path,
        **PLAIN,
    )
    assert pip.code == 0, pip.err
    listed = json.loads(tyqi("nodes", "--json", programs=elsewhere))
    assert "first_look.normalise" in json.dumps(listed)
    example = package / "tyqi_node_first_look" / "examples"
    told = json.loads(
        tyqi(
            *("run", example / "project.yaml", "--input", f"image={example / 'surface.png'}"),
            *("--out", tmp_path / "results", "--json"),
            programs=elsewhere,
        )
    )
    assert "completed" in json.dumps(told)
    assert list((tmp_path / "results").rglob("*.png"))
