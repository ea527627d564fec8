from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tyqi_core.catalog import index
from tyqi_core.catalog.discovered import Discovered
from tyqi_core.catalog.discovery import discover
from tyqi_core.catalog.environment import Environment
from tyqi_core.catalog.manifest import Manifest

_SCRIPT = Path(__file__).parents[3] / "benchmarks" / "generate_plugins.py"


def _generator() -> Any:
    spec = importlib.util.spec_from_file_location("generate_plugins", _SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


plugins = _generator()


def _manifest_text(name: str = "segment", version: str = "1.0.0", **changes: str) -> str:
    lines = plugins.MANIFEST.format(name=name, version=version).splitlines()
    for field, line in changes.items():
        at = next((at for at, old in enumerate(lines) if old.startswith(f"{field}:")), len(lines))
        lines[at : at + 1] = [line]
    return "\n".join(lines) + "\n"


def _parse(text: str | bytes, local_id: str = "segment", namespace: str = "crack") -> Manifest:
    return Manifest.parse(
        text,
        f"{local_id}.node.yaml",
        namespace=namespace,
        local_id=local_id,
        entry_point=f"tyqi_node_{namespace}.nodes:Generated",
        distribution=f"tyqi-node-{namespace}",
        distribution_version="1.0.0",
    )


@pytest.fixture(scope="session")
def without_plugins(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """This interpreter's search path with the plugins that are installed here taken out.

    A folder that holds some is replaced by one with links to everything else in it.
    """
    path = []
    for number, entry in enumerate(sys.path):
        folder = Path(entry or ".")
        if folder.is_dir() and any(folder.glob("tyqi_node_*.dist-info")):
            mirror = tmp_path_factory.mktemp(f"site-{number}")
            for item in folder.iterdir():
                if not item.name.lower().startswith(("tyqi_node_", "_tyqi_node_", "__editable__")):
                    (mirror / item.name).symlink_to(item)
            path.append(str(mirror))
        elif not any(folder.glob("tyqi_node_*/*.node.yaml")):
            path.append(entry)
    return path


@pytest.fixture(autouse=True)
def only_what_a_test_installs(without_plugins: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test starts as if no plugin was installed or imported, whatever the environment holds."""
    monkeypatch.setattr(sys, "path", list(without_plugins))
    for name in [name for name in sys.modules if name.startswith("tyqi_node_")]:
        monkeypatch.delitem(sys.modules, name)


@pytest.fixture(scope="session")
def manifest_text() -> Callable[..., str]:
    """A valid manifest's text; keyword arguments map a field to the whole text that replaces its first line."""
    return _manifest_text


@pytest.fixture(scope="session")
def parse() -> Callable[..., Manifest]:
    """``Manifest.parse`` of a text as the node ``crack.segment``, or others."""
    return _parse


@pytest.fixture(scope="session")
def install() -> Callable[..., Path]:
    """Writes an installed plugin into a folder, see ``benchmarks/generate_plugins.py``."""
    return plugins.install


@pytest.fixture
def found_in() -> Callable[..., dict[str, Discovered]]:
    """Discovery over some folders only: entry point (``namespace.local_id``) -> what was found."""

    def look(*sites: Path) -> dict[str, Discovered]:
        nodes: Sequence[Discovered] = discover(Environment.scan([str(site) for site in sites]))
        return {f"{node.origin.namespace}.{node.origin.local_id}": node for node in nodes}

    return look


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the search path, an empty cache, and an index that trusts files of this moment."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("TYQI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(index, "_COARSEST_CLOCK_NS", 0)
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        if name.startswith("tyqi_node_"):
            del sys.modules[name]
