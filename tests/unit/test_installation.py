"""Installing, as far as it needs no environment: what names mean, which release is chosen, what fits what."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tyqi_core.catalog.local_state import HOST_PREFIX, LocalState, read_state, state_file, write_state
from tyqi_core.errors import UsageError
from tyqi_core.installation.asking import asked_for
from tyqi_core.installation.isolated import Isolated, digest_of, environments
from tyqi_core.installation.pip import Resolved
from tyqi_core.installation.present import Package, misfits, needed_by, with_changes
from tyqi_core.installation.releases import choose, install_line, needs_of
from tyqi_core.registry.catalogue import Catalogue, Listing, Release


def node(id_: str, version: str) -> Listing:
    return Listing(id_, version, "T", "D", "utility", [], "MIT", "A", "cpu", "cpu.short", {}, {}, {})


def release(word: str, version: str, *, python: str = ">=3.11", requires=(), nodes=(), **state: str) -> Release:
    name = f"tyqi-node-{word}"
    named = (name, version, f"{word}-{version}.whl", "0" * 64, 1, "2026-11-01T00:00:00Z", python)
    return Release(*named, list(requires), "bronze", [], list(nodes), **state)


def chosen(asked: str, *releases: Release) -> str:
    return choose(Catalogue("", releases), asked_for(asked)).version


def refused(asked: str, *releases: Release) -> UsageError:
    with pytest.raises(UsageError) as caught:
        chosen(asked, *releases)
    return caught.value


@pytest.mark.parametrize(
    ("word", "distribution"),
    [
        ("crack", "tyqi-node-crack"),
        ("crack.segment", "tyqi-node-crack"),
        ("rail_track", "tyqi-node-rail-track"),
        ("Tyqi_Node_Rail.Track>=1", "tyqi-node-rail-track"),
    ],
)
def test_a_plugin_may_be_named_in_many_ways(word, distribution):
    assert asked_for(word).distribution == distribution


@pytest.mark.parametrize("word", ["", "a b", "crack[x]", "crack @ https://example.org/x", "../crack", "-r file"])
def test_what_is_no_name_is_refused(word):
    with pytest.raises(UsageError) as caught:
        asked_for(word)
    assert caught.value.code == "BAD_NAME"


def test_the_newest_version_counts_and_a_pre_release_only_where_there_is_no_other():
    assert (
        chosen("crack", release("crack", "1.9.0"), release("crack", "1.10.0"), release("crack", "2.0.0rc1")) == "1.10.0"
    )
    assert chosen("crack<1.10", release("crack", "1.10.0"), release("crack", "1.9.0")) == "1.9.0"
    assert chosen("crack", release("crack", "2.0.0rc1")) == "2.0.0rc1"


def test_a_release_for_another_python_is_not_chosen_and_told_if_there_is_no_other():
    other = release("crack", "2.0.0", python=">=4")
    assert chosen("crack", other, release("crack", "1.0.0")) == "1.0.0"
    assert f"it needs Python >=4, this is {sys.version.split()[0]}" in refused("crack", other).message


def test_a_range_is_no_permission_for_a_yanked_version_and_a_version_is_none_for_a_quarantined_one():
    yanked, bad = release("crack", "1.1.0", yanked="unit"), release("crack", "1.2.0", quarantined="leak")
    error = refused("crack>1", yanked, bad)
    assert error.code == "YANKED"
    assert "1.1.0 is yanked: unit" in error.message
    assert "1.2.0 is quarantined: leak" in error.message
    assert refused("crack==1.1.*", yanked).code == "YANKED"
    assert chosen("crack==1.1.0", yanked) == "1.1.0"
    assert refused("crack==1.2.0", bad).code == "QUARANTINED"


def test_what_a_plugin_needs_of_the_registry_comes_along_unless_it_is_there():
    catalogue = Catalogue("", [release("base", "2.0.0", requires=["tyqi-node-deep"]), release("deep", "1.0.0")])
    needs = ["tyqi-node-base>=1", "numpy", "tyqi-node-deep; python_version < '3'"]
    assert [one.name for one in needs_of(catalogue, needs, {})] == ["tyqi-node-base", "tyqi-node-deep"]
    assert needs_of(catalogue, needs, {"tyqi-node-base": "1.5"}) == []


def test_the_line_to_type_names_a_version_only_where_the_newest_would_not_do():
    two = release("crack", "2.0.0", nodes=[node("crack.segment", "2.0.0")])
    one = release("crack", "1.0.0", nodes=[node("crack.segment", "1.0.0")])
    catalogue = Catalogue("", [two, one])
    about = "   (tyqi-node-crack {}, tier bronze)"
    assert install_line(catalogue, "crack.segment", installed=False) == "tyqi install crack" + about.format("2.0.0")
    assert install_line(catalogue, "crack.segment", installed=True) == "tyqi upgrade crack" + about.format("2.0.0")
    assert install_line(catalogue, "crack.segment@1", installed=False) == "tyqi install crack==1.0.0" + about.format(
        "1.0.0"
    )
    assert install_line(catalogue, "crack.width", installed=False) is None


def test_a_change_that_leaves_a_requirement_unfulfilled_is_seen_before_it_is_made():
    packages = {"a": Package("a", "1", ("lib<2", "absent; python_version < '3'")), "lib": Package("lib", "1")}
    assert misfits(packages) == []
    after = with_changes(packages, [Resolved("lib", "2", "", "", (), False)])
    assert list(map(str, misfits(after))) == ["a 1 needs lib<2, here is 2"]
    assert needed_by(packages, "lib") == ["a"]


def test_the_digest_of_a_lock_knows_no_order():
    assert digest_of(["b==1 --hash=sha256:0", "a==1 --hash=sha256:1"]) == digest_of(
        ["a==1 --hash=sha256:1", "b==1 --hash=sha256:0"]
    )
    assert digest_of(["a==1 --hash=sha256:1"]) != digest_of(["a==1 --hash=sha256:2"])


def test_an_environment_that_is_half_made_or_damaged_is_none(tmp_path):
    for name, text in (("new", None), ("damaged", "{"), ("other", '{"lock": []}')):
        folder = tmp_path / "envs" / name
        folder.mkdir(parents=True)
        if text is not None:
            (folder / "environment.json").write_text(text, encoding="utf-8")
    assert environments(tmp_path) == []


def test_the_queue_of_an_environment_begins_with_its_digest():
    one = Isolated(Path("/state/envs/0123456789abcdef"), "tyqi-node-crack", "1", (), {}, "/")
    assert (one.queue, one.name) == ("env.01234567", "crack")


def test_of_an_environment_where_nothing_is_switched_off_no_file_is_left(tmp_path, monkeypatch):
    monkeypatch.setenv(HOST_PREFIX, str(tmp_path))
    write_state(LocalState(("crack",), {"tyqi-node-crack": ("lib",)}))
    assert read_state() == LocalState(("crack",), {"tyqi-node-crack": ("lib",)})
    state_file().write_text("damaged", encoding="utf-8")
    assert read_state() == LocalState()
    write_state(LocalState())
    assert list(tmp_path.iterdir()) == []
