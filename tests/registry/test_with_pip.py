"""The real pip, in fresh environments, with nothing but the registry's folder."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import venv
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path

import pytest
from made_wheels import dist_info, make_wheel, metadata_text
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.registry.conftest import evidence_for, wheel_with
from tyqi_core.catalog.wheel import Wheel
from tyqi_core.errors import RegistryError
from tyqi_core.registry.mirroring import mirror, needed, nodes_of
from tyqi_core.registry.publishing import publish, quarantine, yank
from tyqi_core.registry.reading import open_registry
from tyqi_core.registry.verifying import verify

pytestmark = pytest.mark.slow
NAME = "tyqi-node-good"


class Environment:
    """A fresh virtual environment, and pip that works on it."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=False)
        self.python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"

    def pip(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Call pip; what this machine's configuration says of indexes does not count."""
        command = [sys.executable, "-m", "pip", "--isolated", "--python", str(self.python), *words]
        options = ["--disable-pip-version-check", "--no-input"]
        return subprocess.run([*command, *options], capture_output=True, text=True, check=False)

    def installed(self) -> set[str]:
        """What is installed, as ``name==version``."""
        return set(self.pip("list", "--format", "freeze").stdout.split())


@pytest.fixture
def environment(tmp_path):
    return Environment(tmp_path / "env")


@pytest.fixture
def index(put, shelf):
    """The index of a registry with a few releases, as pip is told of it."""
    for version in ("1.0.0", "1.0.1", "1.0.2"):
        put(NAME, version)
    yank(shelf, NAME, "1.0.2", "wrong unit")
    return ("--index-url", open_registry(str(shelf)).simple_url)


def test_pip_installs_the_newest_that_is_offered_and_reads_metadata_apart(index, environment):
    done = environment.pip("install", "-vv", "--no-deps", *index, NAME)
    assert done.returncode == 0, done.stderr
    assert environment.installed() == {f"{NAME}==1.0.1"}
    assert "tyqi_node_good-1.0.1-py3-none-any.whl.metadata" in done.stdout


def test_what_is_yanked_comes_only_if_asked_for_and_says_why(index, environment):
    done = environment.pip("install", "--no-deps", *index, f"{NAME}==1.0.2")
    assert done.returncode == 0, done.stderr
    assert "wrong unit" in done.stderr + done.stdout
    assert environment.installed() == {f"{NAME}==1.0.2"}


def test_what_is_quarantined_comes_not_at_all(index, environment, shelf):
    quarantine(shelf, NAME, "1.0.1", "sends pictures elsewhere")
    assert environment.pip("install", "--no-deps", *index, f"{NAME}==1.0.1").returncode == 1
    assert environment.pip("install", "--no-deps", *index, NAME).returncode == 0
    assert environment.installed() == {f"{NAME}==1.0.0"}


def test_a_wheel_that_was_exchanged_is_not_installed(index, environment, shelf):
    wheel = next((shelf / "packages" / NAME / "1.0.1").glob("*.whl"))
    make_wheel(shelf.parent / "evil", NAME, "1.0.1", {"tyqi_node_good/more.py": "x = 1\n"}).replace(wheel)
    done = environment.pip("install", "--no-deps", *index, NAME)
    assert done.returncode == 1
    assert "HASH" in done.stderr.upper()
    assert environment.installed() == set()


def test_what_asks_for_another_python_is_passed_over(index, environment, shelf, tmp_path):
    text = metadata_text(NAME, "1.0.3", headers={"Requires-Python": ">=4"})
    wheel = make_wheel(tmp_path / "next", NAME, "1.0.3", {f"{dist_info(NAME, '1.0.3')}/METADATA": text})
    publish(shelf, wheel, evidence_for(wheel))
    assert environment.pip("install", "--no-deps", *index, NAME).returncode == 0
    assert environment.installed() == {f"{NAME}==1.0.1"}


class Quiet(SimpleHTTPRequestHandler):
    """A static host."""

    def log_message(self, *_):
        """Say nothing."""


def test_any_static_host_serves_it(index, environment, shelf):
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(shelf))) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}/simple/"
        done = environment.pip("install", "--no-deps", "--index-url", address, NAME)
        server.shutdown()
    assert done.returncode == 0, done.stderr
    assert environment.installed() == {f"{NAME}==1.0.1"}


@pytest.fixture
def project(shelf, tmp_path, monkeypatch):
    """A project with a node that needs another node and a library; the library is where this machine's pip looks."""
    for name, requires in (
        (NAME, ["tyqi-node-base>=1", "leaf>=1; python_version>='3'"]),
        ("tyqi-node-base", ["leaf<2"]),
    ):
        wheel = wheel_with(tmp_path / "wheels", name, "1.0.0", requires=requires)
        publish(shelf, wheel, evidence_for(wheel))
    for name, version in (("leaf", "1.5"), ("leaf", "2.0"), ("tyqi-node-base", "9.9")):
        text = metadata_text(name, version, requires=[])
        make_wheel(tmp_path / "links", name, version, {f"{dist_info(name, version)}/METADATA": text})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "links"))
    path = tmp_path / "project.yaml"
    path.write_text("tyqi: 1\nproject: p\ntasks:\n  T1: {node: good.brighten}\n  T2: {node: good.brighten@1}\n")
    return path


def mirrored(shelf, folder, project):
    registry = open_registry(str(shelf))
    return mirror(registry, folder, needed(registry.catalogue(), nodes_of(project)))


def test_a_mirror_holds_all_that_a_project_needs_and_installs_without_network(project, shelf, tmp_path, environment):
    made = mirrored(shelf, tmp_path / "stick", project)
    assert sorted(release.name for release in made.releases) == ["tyqi-node-base", NAME]
    assert list(made.libraries) == ["leaf 1.5"]
    index = open_registry(str(tmp_path / "stick")).simple_url
    done = environment.pip("install", "--index-url", index, NAME)
    assert done.returncode == 0, done.stderr
    assert environment.installed() == {f"{NAME}==1.0.0", "tyqi-node-base==1.0.0", "leaf==1.5"}


def test_a_mirror_is_a_registry_that_verifies_and_can_be_brought_up_to_date(project, shelf, tmp_path):
    stick = tmp_path / "stick"
    mirrored(shelf, stick, project)
    assert verify(stick).problems == []
    there, here = open_registry(str(stick)).catalogue().releases, open_registry(str(shelf)).catalogue().releases
    assert there == here
    yank(shelf, NAME, "1.0.0", "wrong unit")
    wheel = wheel_with(tmp_path / "wheels", NAME, "1.0.1", requires=["tyqi-node-base>=1"])
    publish(shelf, wheel, evidence_for(wheel))
    mirrored(shelf, stick, project)
    told = {one.version: one.yanked for one in open_registry(str(stick)).catalogue().releases if one.name == NAME}
    assert told == {"1.0.1": "", "1.0.0": "wrong unit"}
    assert verify(stick).problems == []


def test_a_mirror_brings_the_core_that_runs_here_with_what_it_stands_on(project, shelf, tmp_path):
    wheel = wheel_with(tmp_path / "wheels", NAME, "1.0.1", requires=["tyqi-core>=0.1"])
    publish(shelf, wheel, evidence_for(wheel))
    needs = [Requirement(line) for line in metadata.requires("tyqi-core") or ()]
    named = [one.name for one in needs if one.marker is None or one.marker.evaluate({"extra": "images"})]
    for name, version in ((name, metadata.version(name)) for name in named):
        text = metadata_text(name, version, requires=[])
        make_wheel(tmp_path / "links", name, version, {f"{dist_info(name, version)}/METADATA": text})
    made = mirrored(shelf, tmp_path / "stick", project)
    brought = {library.partition(" ")[0] for library in made.libraries}
    assert brought == {"tyqi-core", *(canonicalize_name(name) for name in named)}
    (core,) = (tmp_path / "stick" / "libraries" / "tyqi-core").glob("*.whl")
    assert Wheel(core).version == metadata.version("tyqi-core")
    assert "tyqi_core/node.py" in Wheel(core).files


def test_a_library_that_nobody_has_ends_the_mirror_with_pips_reason(project, shelf, tmp_path):
    wheel = wheel_with(tmp_path / "wheels", NAME, "1.0.1", requires=["nowhere-to-be-found>=1"])
    publish(shelf, wheel, evidence_for(wheel))
    with pytest.raises(RegistryError, match="nowhere-to-be-found"):
        mirrored(shelf, tmp_path / "stick", project)
    assert not (tmp_path / "stick" / "packages").exists()


def test_a_node_that_the_registry_does_not_have_is_told(project, shelf, tmp_path):
    project.write_text("tyqi: 1\nproject: p\ntasks:\n  T1: {node: good.brigthen}\n")
    with pytest.raises(RegistryError, match=r"Did you mean 'good\.brighten'"):
        mirrored(shelf, tmp_path / "stick", project)
