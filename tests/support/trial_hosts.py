"""A host environment, a registry's folder and packages for tests of installing: real pip, no network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sysconfig
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from made_wheels import dist_info, make_wheel, manifest_text, metadata_path, metadata_text, package_of

from tyqi_core.catalog.wheel import Wheel
from tyqi_core.registry.catalogue import Catalogue, Listing, Release
from tyqi_core.registry.layout import CATALOGUE, DESCRIPTION, LIBRARIES, SIMPLE, STATE, release_folder

REPOSITORY = Path(__file__).parents[2]
NUMBER: Mapping[str, Any] = {"type": "json", "schema": {"type": "number"}, "description": "A number (1)"}
SOURCE = """\
from tyqi_core import Node


class Tell(Node):
    def process(self, inputs, ctx):
        return {"y": inputs["x"] + ctx.params["plus"]}
"""
WITH_LIBRARY = """\
import conflictlib

from tyqi_core import Node


class Tell(Node):
    def process(self, inputs, ctx):
        return {"y": 10 * inputs["x"] + conflictlib.VERSION}
"""
PARAMS: Mapping[str, Any] = {"plus": {"type": "number", "default": 1, "description": "What is added (1)"}}


def plugin(
    folder: Path,
    word: str,
    version: str = "1.0.0",
    *,
    requires: Sequence[str] = (),
    source: str = SOURCE,
    files: Mapping[str, str] | None = None,
    **manifest: Any,
) -> Path:
    """A wheel ``tyqi-node-WORD`` with the node ``WORD.tell``."""
    name = f"tyqi-node-{word}"
    package = package_of(name)
    changes = {"name": "tell", "title": f"Tells {word}", "examples": None, "params": PARAMS, "version": version}
    ports = {"inputs": {"x": NUMBER}, "outputs": {"y": NUMBER}}
    members = {
        f"{package}/nodes.py": source,
        f"{package}/tell.node.yaml": manifest_text(**(changes | ports | manifest)),
        f"{dist_info(name, version)}/entry_points.txt": f"[tyqi.nodes]\ntell = {package}.nodes:Tell\n",
        metadata_path(name, version): metadata_text(name, version, requires=["tyqi-core>=0.1,<1", *requires]),
        **(files or {}),
    }
    absent = [f"{package}/brighten.node.yaml", f"{package}/examples/wall.png"]
    return make_wheel(folder, name, version, members, absent)


def library(folder: Path, name: str, version: str, **files: str) -> Path:
    """A wheel of a library that tells its version."""
    members = {
        f"{name}/__init__.py": f"VERSION = {version}\n",
        metadata_path(name, version): metadata_text(name, version, requires=[]),
        **files,
    }
    absent = [f"{name}/{file}" for file in ("nodes.py", "brighten.node.yaml", "examples/wall.png")]
    return make_wheel(folder, name, version, members, [*absent, f"{dist_info(name, version)}/entry_points.txt"])


class RegistryOfTests:
    """A registry's folder whose catalogue is written here."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.scratch = root.parent / "built"
        self._releases: list[Release] = []

    def add(self, word: str, version: str = "1.0.0", *, state: Mapping[str, str] | None = None, **parts: Any) -> Path:
        """Publish a plugin; ``state`` yanks or quarantines it."""
        wheel = Wheel(plugin(self.scratch, word, version, **parts))
        folder = release_folder(self.root, wheel.name, version)
        folder.mkdir(parents=True)
        shutil.copy(wheel.path, folder)
        self._releases.append(_release(wheel, state or {}))
        self._write()
        return folder / wheel.path.name

    def keep_library(self, wheel: Path) -> None:
        """Make it a mirror, which holds libraries too, and an index for pip of everything in it."""
        folder = self.root / LIBRARIES / wheel.name.partition("-")[0]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(wheel, folder)
        for file in self.root.glob("*/*/**/*.whl"):
            page = self.root / SIMPLE / Wheel(file).name / "index.html"
            page.parent.mkdir(parents=True, exist_ok=True)
            link = f'<a href="{file.as_uri()}#sha256={Wheel(file).sha256}">{file.name}</a>'
            page.write_text(f"<!DOCTYPE html><html><body>{link}</body></html>", encoding="utf-8")

    def change(self, word: str, version: str, **state: str) -> None:
        """Yank or quarantine a release."""
        named = f"tyqi-node-{word}", version
        self._releases = [replace(one, **state) if (one.name, one.version) == named else one for one in self._releases]
        (release_folder(self.root, *named) / STATE).write_text(json.dumps(state), encoding="utf-8")
        self._write()

    def _write(self) -> None:
        self._releases.sort(key=lambda one: (one.name, [-int(part) for part in one.version.split(".")]))
        body = Catalogue("Tests", self._releases).to_json()
        (self.root / DESCRIPTION).write_text('{"tyqi_registry": 1, "title": "Tests"}', encoding="utf-8")
        (self.root / CATALOGUE).write_text(json.dumps(body), encoding="utf-8")


def _release(wheel: Wheel, state: Mapping[str, str]) -> Release:
    (manifest,) = wheel.manifests
    body = manifest.body
    texts = (manifest.id, manifest.version, manifest.title, manifest.description, manifest.category)
    more = (manifest.tags, manifest.licence, manifest.author, "cpu", manifest.queue)
    node = Listing(*texts, *more, body["inputs"], body["outputs"], body["params"])
    requires = wheel.metadata.get_all("Requires-Dist") or []
    size = wheel.path.stat().st_size
    named = (wheel.name, wheel.version, wheel.path.name, wheel.sha256, size, "2026-11-01T00:00:00Z", ">=3.11")
    return Release(*named, requires, "silver", body.get("capabilities", []), [node], **state)


@dataclass(frozen=True)
class Answer:
    """How a command ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


class Host:
    """An environment with tyqi-core, as a user has one; it sees the packages of this one, so nothing is downloaded."""

    def __init__(self, folder: Path, registry: Path, libraries: Path) -> None:
        self.folder = folder
        venv.create(folder / "env", with_pip=False, symlinks=True)
        self.python = folder / "env" / "bin" / "python"
        self.environ = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("TYQI_", "PIP_"))},
            "PYTHONPATH": str(REPOSITORY),
            "TYQI_CACHE": str(folder / "cache"),
            "TYQI_STATE": str(folder / "state"),
            "TYQI_REGISTRY": str(registry),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(libraries),
            "PIP_CONFIG_FILE": os.devnull,
        }
        self.site = Path(self.run("-c", "import sysconfig; print(sysconfig.get_path('purelib'))").out.strip())
        (self.site / "parent.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")

    def run(self, *words: str, **environ: str) -> Answer:
        """Its interpreter."""
        done = subprocess.run(
            [self.python, *words],
            cwd=self.folder,
            env=self.environ | environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def tyqi(self, *words: str, code: int | None = 0, **environ: str) -> Answer:
        """The command line; it must end with ``code``, if that is not ``None``."""
        answer = self.run("-P", "-m", "tyqi_core.cli", *words, **environ)
        assert code in {None, answer.code}, answer.out + answer.err
        return answer

    def state_of(self, node: str) -> str:
        """What ``tyqi nodes`` says of a node; empty if it is not listed."""
        nodes = self.tyqi("nodes", "--json").json()["nodes"]
        return next((one["state"] for one in nodes if one["id"] == node), "")

    def files(self) -> set[str]:
        """Everything in the environment, but for what Python compiles by the way."""
        paths = ((self.folder / "env").rglob("*"), (self.folder / "state").rglob("*"))
        found = {str(path.relative_to(self.folder)) for each in paths for path in each}
        return {path for path in found if "__pycache__" not in path}
