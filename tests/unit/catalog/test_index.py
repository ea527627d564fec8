from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tyqi_core.catalog import index
from tyqi_core.catalog.cache import cache_folder, read_cache, write_cache
from tyqi_core.catalog.index import load_nodes

Install = Callable[..., Path]
Text = Callable[..., str]
REPOSITORY = Path(__file__).parents[3]

WARM = """
import sys
from tyqi_core.catalog import index
from tyqi_core.catalog.catalog import Catalog
index._COARSEST_CLOCK_NS = 0
entries = [entry for entry in Catalog.load().entries() if entry.id.startswith("crack.")]
assert all(entry.manifest for entry in entries)
heavy = ("jsonschema", "jsonschema_rs", "numpy", "networkx", "packaging", "yaml", "importlib.metadata", "pluggy")
print(len(entries), *[name for name in heavy if name in sys.modules])
"""


def titles() -> dict[str, str]:
    """What is loaded of our generated plugins: id -> title, or the codes of what is wrong."""
    nodes = [node for node in load_nodes() if node.origin.entry_point.startswith("tyqi_node_")]
    return {
        node.origin.id: node.manifest.title if node.manifest else " ".join(problem.code for problem in node.problems)
        for node in nodes
        if node.origin.namespace in ("crack", "spall")
    }


def index_files() -> list[Path]:
    return sorted(cache_folder().glob("catalog-*.json"))


@pytest.fixture
def crack(site: Path, install: Install, manifest_text: Text) -> Path:
    """An installed plugin, with an index that knows it."""
    package = install(site, "crack", {"segment": manifest_text(title="title: One")})
    assert titles() == {"crack.segment": "One"}
    assert index_files()
    return package


@pytest.fixture
def editable(site: Path, tmp_path: Path, install: Install, manifest_text: Text) -> Path:
    """A plugin whose package lies outside the site and is not in its file list."""
    package = install(site, "crack", {"segment": manifest_text(title="title: One")}, listed=False)
    source = tmp_path / "source"
    source.mkdir()
    shutil.move(str(package), source)
    sys.path.append(str(source))
    assert titles() == {"crack.segment": "One"}
    return source / package.name


def test_a_loaded_index_equals_what_was_discovered(crack: Path) -> None:
    fresh, kept = load_nodes(cache=False), load_nodes()
    assert [(node.origin, node.path, node.manifest, node.problems) for node in kept] == [
        (node.origin, node.path, node.manifest, node.problems) for node in fresh
    ]


def test_a_warm_start_imports_neither_plugins_nor_validators(crack: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(crack.parent)])}
    runs = [
        subprocess.run(
            [sys.executable, "-P", "-c", WARM],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            cwd=REPOSITORY,
        ).stdout.split()
        for _ in range(2)
    ]
    assert "yaml" in runs[0]
    assert runs[1] == ["1"]


def test_an_installation_is_noticed(crack: Path, install: Install, manifest_text: Text) -> None:
    install(crack.parent, "spall", {"segment": manifest_text(title="title: Other")})
    assert titles() == {"crack.segment": "One", "spall.segment": "Other"}


def test_a_removal_is_noticed(crack: Path) -> None:
    shutil.rmtree(crack)
    shutil.rmtree(crack.parent / "tyqi_node_crack-1.0.0.dist-info")
    assert titles() == {}


def test_an_upgrade_is_noticed(crack: Path, install: Install, manifest_text: Text) -> None:
    shutil.rmtree(crack.parent / "tyqi_node_crack-1.0.0.dist-info")
    install(crack.parent, "crack", {"segment": manifest_text(title="title: Two")}, version="1.0.1")
    assert titles() == {"crack.segment": "Two"}


def test_a_reinstallation_of_the_same_version_is_noticed(crack: Path, install: Install, manifest_text: Text) -> None:
    shutil.rmtree(crack.parent / "tyqi_node_crack-1.0.0.dist-info")
    install(crack.parent, "crack", {"segment": manifest_text(title="title: Two")})
    assert titles() == {"crack.segment": "Two"}


def test_an_edited_manifest_is_noticed(editable: Path, manifest_text: Text) -> None:
    file = editable / "segment.node.yaml"
    file.write_text(manifest_text(title="title: Edited"), encoding="utf-8")
    assert titles() == {"crack.segment": "Edited"}
    file.write_text("no: manifest\n", encoding="utf-8")
    assert "MANIFEST_SCHEMA" in titles()["crack.segment"]
    file.unlink()
    assert titles() == {"crack.segment": "NO_MANIFEST"}
    file.write_text(manifest_text(title="title: Back"), encoding="utf-8")
    assert titles() == {"crack.segment": "Back"}


def test_an_edit_that_keeps_size_and_modification_time_is_noticed(editable: Path, manifest_text: Text) -> None:
    file = editable / "segment.node.yaml"
    before = file.stat()
    replacement = editable / "new"
    replacement.write_text(manifest_text(title="title: Two"), encoding="utf-8")
    os.utime(replacement, ns=(before.st_atime_ns, before.st_mtime_ns))
    replacement.replace(file)
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert titles() == {"crack.segment": "Two"}


def test_a_rewritten_list_of_entry_points_is_noticed(crack: Path, manifest_text: Text) -> None:
    (crack / "width.node.yaml").write_text(manifest_text("width", title="title: Width"), encoding="utf-8")
    with (crack.parent / "tyqi_node_crack-1.0.0.dist-info" / "entry_points.txt").open("a", encoding="utf-8") as stream:
        stream.write("width = tyqi_node_crack.nodes:Generated\n")
    assert titles() == {"crack.segment": "One", "crack.width": "Width"}


def test_a_new_version_of_an_editable_installation_is_noticed(
    site: Path, install: Install, manifest_text: Text
) -> None:
    install(site, "crack", {"segment": manifest_text()})
    info = (site / "tyqi_node_crack-1.0.0.dist-info").rename(site / "tyqi_node_crack.egg-info")
    about = (info / "METADATA").rename(info / "PKG-INFO")
    assert [node.origin.distribution_version for node in load_nodes()] == ["1.0.0"]
    with about.open("r+", encoding="utf-8") as stream:  # as setuptools writes it: in place
        stream.write(about.read_text(encoding="utf-8").replace("1.0.0", "1.0.1"))
    assert [node.origin.distribution_version for node in load_nodes()] == ["1.0.1"]


def test_a_folder_that_now_comes_first_on_the_path_is_noticed(
    editable: Path, site: Path, install: Install, manifest_text: Text
) -> None:
    package = install(site / "other", "crack", {"segment": manifest_text(title="title: Shadow")})
    shutil.move(str(package), site)  # on the path before the editable's source
    assert titles() == {"crack.segment": "Shadow"}


def test_a_folder_added_to_the_path_is_noticed(
    crack: Path, tmp_path: Path, install: Install, manifest_text: Text, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = tmp_path / "added"
    install(added, "spall", {"segment": manifest_text(title="title: Added")})
    monkeypatch.setattr(sys, "path", [*sys.path, str(added)])  # what a .pth file does when Python starts
    assert titles() == {"crack.segment": "One", "spall.segment": "Added"}


def test_what_changed_within_the_clocks_resolution_is_not_kept(
    site: Path, install: Install, manifest_text: Text, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "_COARSEST_CLOCK_NS", 10**12)
    install(site, "crack", {"segment": manifest_text()})
    assert titles()
    assert index_files() == []


def test_without_cache_nothing_is_written(site: Path) -> None:
    load_nodes(cache=False)
    assert index_files() == []


@pytest.mark.parametrize("content", [b"", b"{", b"\xff" * 100, b"abc\n{}", None])
def test_a_damaged_index_is_ignored_and_replaced(crack: Path, content: bytes | None) -> None:
    (file,) = index_files()
    whole = file.read_bytes()
    file.write_bytes(whole[:-5] if content is None else content)
    assert titles() == {"crack.segment": "One"}
    assert file.read_bytes() == whole


@pytest.mark.parametrize("content", [{}, [], None, {"format": 99}, {"format": 1, "environment": "x"}])
def test_an_index_of_another_shape_is_ignored(crack: Path, content: object) -> None:
    (file,) = index_files()
    assert write_cache(file.name, content)
    assert titles() == {"crack.segment": "One"}


def test_a_cache_that_cannot_be_written_is_no_error(
    site: Path, tmp_path: Path, install: Install, manifest_text: Text, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    monkeypatch.setenv("TYQI_CACHE", str(tmp_path / "file" / "cache"))
    install(site, "crack", {"segment": manifest_text(title="title: One")})
    assert titles() == {"crack.segment": "One"}
    assert not write_cache("x.json", 1)
    assert read_cache("x.json") is None


def test_old_indexes_of_other_search_paths_are_removed(
    crack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = list(sys.path)
    for number in range(12):
        monkeypatch.setattr(sys, "path", [*path, str(tmp_path / str(number))])
        load_nodes()
    assert len(index_files()) == 8


def test_nothing_temporary_stays_behind(crack: Path) -> None:
    assert [file.name for file in cache_folder().iterdir()] == [file.name for file in index_files()]
