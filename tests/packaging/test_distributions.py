"""What people install: the wheel and the source archive, built as a release would be."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def dist(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


@pytest.fixture(scope="module")
def wheel(dist) -> Path:
    (path,) = dist.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def wheel_names(wheel) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_the_wheel_holds_the_types_marker_and_the_licence(wheel_names):
    assert "tyqi_core/py.typed" in wheel_names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in wheel_names)


def test_the_wheel_holds_every_schema_and_every_template_of_the_repository(wheel_names):
    for folder in ("schemas", "templates"):
        files = [path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob("*") if path.is_file()]
        wanted = [f"tyqi_core/_data/{name}" for name in files if "__pycache__" not in name]
        assert wanted
        assert set(wanted) <= set(wheel_names)


def test_the_wheel_holds_the_styles_and_scripts_that_pages_are_made_with(wheel_names):
    wanted = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tyqi_core").rglob("*.[cj]*s")}
    assert {"tyqi_core/registry/site/site.css", "tyqi_core/registry/site/list.js"} <= wanted
    assert wanted <= set(wheel_names)


def test_the_wheel_holds_nothing_but_the_package(wheel_names):
    assert {name.split("/")[0] for name in wheel_names if ".dist-info/" not in name} == {"tyqi_core"}


def test_the_source_archive_builds_and_tests_itself(dist):
    (path,) = dist.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.split("/", 1)[-1] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "constraints.txt", "tests/conftest.py"} <= names
    assert not any(name.startswith((".venv/", "out/")) for name in names)


def test_an_installed_core_finds_its_schemas_without_the_repository(wheel, tmp_path):
    shutil.unpack_archive(wheel, tmp_path, "zip")
    question = "from tyqi_core.resources import data_folder; print(data_folder('schemas'))"
    command = [sys.executable, "-c", question]
    asked = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(asked.stdout.strip()) == tmp_path / "tyqi_core" / "_data" / "schemas"
