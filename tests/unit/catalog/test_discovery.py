from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tyqi_core.catalog.discovered import Discovered
from tyqi_core.catalog.discovery import namespace_of

Install = Callable[..., Path]
Text = Callable[..., str]
FoundIn = Callable[..., dict[str, Discovered]]


def codes(node: Discovered) -> list[str]:
    return [problem.code for problem in node.problems]


@pytest.mark.parametrize(
    ("distribution", "namespace"),
    [
        ("tyqi-node-crack", "crack"),
        ("tyqi_node_rail_track", "rail_track"),
        ("Tyqi.Node-Rail--Track", "rail_track"),
        ("acme-vision", "acme_vision"),
        ("tyqi-nodes", "tyqi_nodes"),
    ],
)
def test_the_namespace_is_the_distributions_name_normalised(distribution: str, namespace: str) -> None:
    assert namespace_of(distribution) == namespace


@pytest.mark.parametrize("listed", [True, False])
def test_a_manifest_is_found_without_importing_the_plugin(
    install: Install, manifest_text: Text, found_in: FoundIn, tmp_path: Path, listed: bool
) -> None:
    package = install(tmp_path, "crack", {"segment": manifest_text()}, module="raise SystemExit(3)\n", listed=listed)
    (package / "__init__.py").write_text("raise SystemExit(3)\n", encoding="utf-8")
    node = found_in(tmp_path)["crack.segment"]
    assert node.problems == ()
    assert node.manifest
    assert (node.manifest.id, node.path) == ("crack.segment", package / "segment.node.yaml")
    assert not [name for name in sys.modules if name.startswith("tyqi_node_crack")]


def test_the_manifest_may_stand_inside_the_package_that_the_entry_point_names(
    install: Install, manifest_text: Text, found_in: FoundIn, tmp_path: Path
) -> None:
    package = install(tmp_path, "crack", {"segment": manifest_text()}, listed=False)
    (package / "nodes").mkdir()
    (package / "nodes" / "__init__.py").touch()
    (package / "segment.node.yaml").rename(package / "nodes" / "segment.node.yaml")
    assert found_in(tmp_path)["crack.segment"].path == package / "nodes" / "segment.node.yaml"


def test_a_module_without_a_package_has_its_manifest_beside_it(
    install: Install, manifest_text: Text, found_in: FoundIn, tmp_path: Path
) -> None:
    package = install(tmp_path, "crack", {"segment": manifest_text()}, listed=False)
    (package / "segment.node.yaml").rename(tmp_path / "segment.node.yaml")
    (tmp_path / "crack_nodes.py").write_text("raise SystemExit\n", encoding="utf-8")
    entry_points = tmp_path / "tyqi_node_crack-1.0.0.dist-info" / "entry_points.txt"
    entry_points.write_text("[tyqi.nodes]\nsegment = crack_nodes:Segment\n", encoding="utf-8")
    assert found_in(tmp_path)["crack.segment"].manifest


def test_two_majors_of_one_node_live_in_one_distribution(
    install: Install, manifest_text: Text, found_in: FoundIn, tmp_path: Path
) -> None:
    manifests = {"segment": manifest_text(), "segment.v2": manifest_text(version="2.0.0")}
    install(tmp_path, "crack", manifests)
    nodes = found_in(tmp_path)
    assert [node.manifest and node.manifest.reference for node in nodes.values()] == [
        "crack.segment@1",
        "crack.segment@2",
    ]


def test_one_major_announced_twice_by_one_distribution_is_broken(
    install: Install, manifest_text: Text, found_in: FoundIn, tmp_path: Path
) -> None:
    manifests = {"segment": manifest_text(version="2.0.0"), "segment.v2": manifest_text(version="2.1.0")}
    install(tmp_path, "crack", manifests)
    assert [codes(node) for node in found_in(tmp_path).values()] == [["DUPLICATE_ID"], ["DUPLICATE_ID"]]


def test_a_namespace_belongs_to_its_own_distribution_and_a_rival_is_told(
    install: Install, manifest_text: Text, tmp_path: Path
) -> None:
    from tyqi_core.catalog.catalog import Catalog
    from tyqi_core.catalog.discovery import discover
    from tyqi_core.catalog.environment import Environment

    install(tmp_path, "crack", {"segment": manifest_text()})
    install(tmp_path, "rival", {"segment": manifest_text(version="7.0.0")}, distribution="crack")
    nodes = discover(Environment.scan([str(tmp_path)]))
    found = {node.origin.distribution: codes(node) for node in nodes}
    assert found == {"tyqi-node-crack": [], "crack": ["DUPLICATE_ID"]}
    (told,) = [node.problems[0].message for node in nodes if node.problems]
    assert "tyqi-node-crack 1.0.0" in told
    assert Catalog(nodes).find("crack.segment").distribution == "tyqi-node-crack"


def test_of_a_distribution_in_two_folders_the_first_counts_as_for_import(
    install: Install, manifest_text: Text, found_in: FoundIn, tmp_path: Path
) -> None:
    install(tmp_path / "a", "crack", {"segment": manifest_text()})
    install(tmp_path / "b", "crack", {"segment": manifest_text(version="2.0.0")}, version="2.0.0")
    node = found_in(tmp_path / "b", tmp_path / "a")["crack.segment"]
    assert node.manifest
    assert (node.manifest.version, node.problems) == ("2.0.0", ())


def test_a_distribution_twice_in_one_folder_is_a_damaged_installation(
    install: Install, manifest_text: Text, found_in: FoundIn, tmp_path: Path
) -> None:
    install(tmp_path, "crack", {"segment": manifest_text()}, version="1.0.0")
    install(tmp_path, "crack", {"segment": manifest_text()}, version="1.1.0")
    assert codes(found_in(tmp_path)["crack.segment"]) == ["DUPLICATE_DISTRIBUTION"]


def test_what_pip_left_behind_of_an_interrupted_removal_does_not_count(
    install: Install, manifest_text: Text, found_in: FoundIn, tmp_path: Path
) -> None:
    install(tmp_path, "crack", {"segment": manifest_text()}, version="1.0.0")
    (tmp_path / "tyqi_node_crack-1.0.0.dist-info").rename(tmp_path / "~yqi_node_crack-1.0.0.dist-info")
    assert found_in(tmp_path) == {}


def test_every_broken_plugin_is_listed_with_its_reason_and_the_others_work(
    install: Install, manifest_text: Text, found_in: FoundIn, tmp_path: Path
) -> None:
    bomb = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    zoo = {
        "yaml": ("tyqi_node: 1\n\tname: x\n", "YAML_TAB"),
        "bomb": (bomb, "YAML_ALIAS"),
        "tag": ("!!python/object/apply:os.system [exit 1]\n", "YAML_TAG"),
        "empty": ("", "YAML_EMPTY"),
        "large": ("a: " + "b" * 1_000_001, "YAML_TOO_LARGE"),
        "deep": ("[" * 20_000, "YAML_TOO_DEEP"),
        "old": (manifest_text(requires_tyqi='requires_tyqi: "<0.0.1"'), "INCOMPATIBLE_CORE"),
        "name": (manifest_text(name="other"), "NAME_MISMATCH"),
        "shape": ("5\n", "MANIFEST_SCHEMA"),
    }
    for namespace, (text, _) in zoo.items():
        install(tmp_path, namespace, {"segment": text})
    install(tmp_path, "gone", {"segment": "x"})
    (tmp_path / "tyqi_node_gone" / "segment.node.yaml").unlink()
    install(tmp_path, "folder", {"segment": "x"})
    (tmp_path / "tyqi_node_folder" / "segment.node.yaml").unlink()
    (tmp_path / "tyqi_node_folder" / "segment.node.yaml").mkdir()
    install(tmp_path, "unlisted", {"segment": "x"}, listed=False)
    (tmp_path / "tyqi_node_unlisted" / "segment.node.yaml").unlink()
    install(tmp_path, "healthy", {"segment": manifest_text()})
    expected = {f"{namespace}.segment": code for namespace, (_, code) in zoo.items()} | {
        "gone.segment": "FILE_NOT_FOUND",
        "folder.segment": "NOT_A_FILE",
        "unlisted.segment": "NO_MANIFEST",
    }
    found = found_in(tmp_path)
    assert {name: codes(node)[0] for name, node in found.items() if node.problems} == expected
    assert found["healthy.segment"].manifest


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("segment = tyqi_node_crack.nodes", "BAD_ENTRY_POINT"),
        ("segment", "BAD_ENTRY_POINT"),
        ("segment = ../evil:Class", "BAD_ENTRY_POINT"),
        ("../../segment = tyqi_node_crack.nodes:Generated", "BAD_NAME"),
        ("Segment = tyqi_node_crack.nodes:Generated", "BAD_NAME"),
        ("segment = no_such_package_anywhere.nodes:Generated", "NO_MANIFEST"),
    ],
)
def test_a_wrong_entry_point_is_a_broken_node(
    install: Install, found_in: FoundIn, tmp_path: Path, line: str, code: str
) -> None:
    install(tmp_path, "crack", {"segment": "never: read\n"})
    entry_points = tmp_path / "tyqi_node_crack-1.0.0.dist-info" / "entry_points.txt"
    entry_points.write_text(f"[console_scripts]\nx = y:z\n[tyqi.nodes]\n# words\n{line}\n", encoding="utf-8")
    assert [codes(node) for node in found_in(tmp_path).values()] == [[code]]


def test_metadata_that_cannot_be_read_hides_one_distribution_only(
    install: Install, manifest_text: Text, found_in: FoundIn, tmp_path: Path
) -> None:
    install(tmp_path, "crack", {"segment": manifest_text()})
    install(tmp_path, "odd", {"segment": manifest_text()})
    (tmp_path / "tyqi_node_odd-1.0.0.dist-info" / "METADATA").unlink()
    install(tmp_path, "raw", {"segment": manifest_text()})
    (tmp_path / "tyqi_node_raw-1.0.0.dist-info" / "entry_points.txt").write_bytes(b"[tyqi.nodes]\nsegment = \xff\xfe\n")
    found = found_in(tmp_path)
    assert found["crack.segment"].manifest
    assert found["odd.segment"].origin.distribution == "tyqi_node_odd"
