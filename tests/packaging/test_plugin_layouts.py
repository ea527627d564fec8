"""Manifests are found, and nothing is imported, however a plugin was built and installed."""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
import venv
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
MANIFEST = """\
tyqi_node: 1
name: look
version: 1.0.0
title: {title}
description: A node whose code must not be imported.
category: utility
licence: Apache-2.0
author: The TYQ-i core developers
requires_tyqi: ">=0.1"
"""
PYPROJECT = """\
[build-system]
requires = ["{backend}"]
build-backend = "{module}"

[project]
name = "tyqi-node-{name}"
version = "1.0.0"

[project.entry-points."tyqi.nodes"]
look = "tyqi_node_{name}.inner.nodes:Look"

{table}
"""
SETUPTOOLS = '[tool.setuptools.package-data]\n"*" = ["*.yaml"]\n'
HATCHLING = '[tool.hatch.build.targets.wheel]\npackages = ["{folder}tyqi_node_{name}"]\n'
STRICT = ("--config-settings", "editable_mode=strict")
LIST = """
import json, sys
from tyqi_core.catalog import index
from tyqi_core.catalog.catalog import Catalog
index._COARSEST_CLOCK_NS = 0
nodes = {entry.id: [entry.manifest.title, str(entry.manifest.path)] if entry.manifest else entry.reason
         for entry in Catalog.load().entries()}
print(json.dumps([nodes, sorted(name for name in sys.modules if name.startswith("tyqi_node_"))]))
"""

# name: (backend, folder of the package, how pip is called)
LAYOUTS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "hatch_wheel": ("hatchling", "", ()),
    "hatch_editable": ("hatchling", "", ("-e",)),
    "hatch_editable_src": ("hatchling", "src/", ("-e",)),
    "setup_wheel": ("setuptools", "", ()),
    "setup_wheel_src": ("setuptools", "src/", ()),
    "setup_editable": ("setuptools", "", ("-e",)),
    "setup_editable_src": ("setuptools", "src/", ("-e",)),
    "setup_strict": ("setuptools", "", (*STRICT, "-e")),
    "setup_strict_src": ("setuptools", "src/", (*STRICT, "-e")),
}


def write_plugin(folder: Path, name: str, backend: str, package_folder: str) -> None:
    package = folder / package_folder / f"tyqi_node_{name}"
    inner = package / "inner"
    inner.mkdir(parents=True)
    for file in (package / "__init__.py", inner / "__init__.py", inner / "nodes.py"):
        file.write_text("raise SystemExit('a plugin was imported')\n", encoding="utf-8")
    (inner / "look.node.yaml").write_text(MANIFEST.format(title=name), encoding="utf-8")
    module = "hatchling.build" if backend == "hatchling" else "setuptools.build_meta"
    table = HATCHLING.format(folder=package_folder, name=name) if backend == "hatchling" else SETUPTOOLS
    text = PYPROJECT.format(backend=backend, module=module, name=name, table=table)
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")


class Environment:
    """A throwaway environment that sees the packages of this one, so that nothing is downloaded."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder / "env", with_pip=False, symlinks=os.name != "nt")
        scripts = folder / "env" / ("Scripts" if os.name == "nt" else "bin")
        self.python = scripts / ("python.exe" if os.name == "nt" else "python")
        site = self.run("-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
        Path(site, "parent.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
        self.cache = folder / "cache"

    def run(self, *arguments: str, **variables: str) -> str:
        done = subprocess.run(
            [self.python, *arguments], env={**os.environ, **variables}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def pip(self, *arguments: str) -> None:
        quiet = ("--disable-pip-version-check", "--quiet")
        self.run("-m", "pip", *arguments, *quiet)

    def install(self, *arguments: str) -> None:
        self.pip("install", "--no-index", "--no-deps", "--no-build-isolation", *arguments)

    def nodes(self) -> dict[str, Any]:
        """What the catalog lists of the plugins here; fails if one of their modules was imported."""
        answer = self.run("-P", "-c", LIST, PYTHONPATH=str(REPOSITORY), TYQI_CACHE=str(self.cache))
        listed, imported = json.loads(answer)
        assert imported == []
        return {name: found for name, found in listed.items() if name.partition(".")[0] in LAYOUTS}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    for name, (backend, package_folder, _) in LAYOUTS.items():
        (folder / name).mkdir()
        write_plugin(folder / name, name, backend, package_folder)
    return folder


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, sources: Path) -> Environment:
    environment = Environment(tmp_path_factory.mktemp("layouts"))
    for way in {how for _, _, how in LAYOUTS.values()}:
        options, each = [option for option in way if option != "-e"], [option for option in way if option == "-e"]
        names = [name for name, (_, _, how) in LAYOUTS.items() if how == way]
        environment.install(*options, *(part for name in names for part in (*each, str(sources / name))))
    return environment


def test_every_layout_is_found_and_none_is_imported(environment: Environment) -> None:
    nodes = environment.nodes()
    assert {name: found[0] for name, found in nodes.items()} == {f"{name}.look": name for name in LAYOUTS}


@pytest.mark.parametrize("name", [name for name, (_, _, how) in LAYOUTS.items() if "-e" in how])
def test_an_edited_manifest_of_an_editable_install_is_noticed(
    environment: Environment, sources: Path, name: str
) -> None:
    before = environment.nodes()[f"{name}.look"]
    (file,) = (sources / name).glob(f"{LAYOUTS[name][1]}tyqi_node_*/inner/look.node.yaml")
    file.write_text(MANIFEST.format(title=f"Edited {name}"), encoding="utf-8")
    assert environment.nodes()[f"{name}.look"] == [f"Edited {name}", before[1]]


def test_installing_upgrading_and_removing_are_noticed(environment: Environment, tmp_path: Path, sources: Path) -> None:
    environment.pip("uninstall", "--yes", "tyqi-node-hatch_wheel")
    assert "hatch_wheel.look" not in environment.nodes()
    environment.install(str(sources / "hatch_wheel"))
    assert environment.nodes()["hatch_wheel.look"][0] == "hatch_wheel"
    (manifest,) = (sources / "hatch_wheel").glob("tyqi_node_*/inner/look.node.yaml")
    manifest.write_text(MANIFEST.format(title="Upgraded"), encoding="utf-8")
    environment.install("--force-reinstall", str(sources / "hatch_wheel"))
    assert environment.nodes()["hatch_wheel.look"][0] == "Upgraded"
