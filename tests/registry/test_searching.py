"""Finding nodes: by words, by what they are, by types, and what can follow what."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tyqi_core.errors import RegistryError, UsageError
from tyqi_core.protocol.ports import PortType
from tyqi_core.registry.catalogue import Catalogue, Listing, Release
from tyqi_core.registry.searching import Finder, Query, offering, outputs_of, releases_named, search, type_named

IMAGE, GREY = {"type": "image"}, {"type": "image", "colour": ["grey"]}
SCORE = {"type": "json", "schema": {"type": "number", "minimum": 0, "maximum": 1}}
LARGER = {"type": "json", "schema": {"type": "number", "minimum": 0, "maximum": 2}}


def node(id_: str, inputs=None, outputs=None, **changes) -> Listing:
    body = {
        "version": "1.0.0",
        "title": f"Title of {id_}",
        "description": "It does something.",
        "category": "segmentation",
        "tags": [],
        "licence": "Apache-2.0",
        "author": "Somebody",
        "device": "cpu",
        "queue": "cpu.short",
        "params": {},
    }
    return Listing(id=id_, inputs=inputs or {}, outputs=outputs or {}, **{**body, **changes})


def release(name: str, *nodes: Listing, version: str = "1.0.0", **changes) -> Release:
    body = {"tier": "bronze", "capabilities": [], "requires": [], "requires_python": "", "size": 1}
    whole = {**body, "filename": f"{name}.whl", "sha256": "0", "published": "2026-01-01T00:00:00+00:00", **changes}
    return Release(name=name, version=version, nodes=nodes, **whole)


CATALOGUE = Catalogue(
    "Shelf",
    [
        release(
            "tyqi-node-anomaly",
            node("anomaly.map", {"image": IMAGE}, {"map": {"type": "anomaly_map"}}, category="anomaly", device="any"),
            node("anomaly.deep", {"image": IMAGE}, {"map": {"type": "anomaly_map"}}, category="anomaly", device="gpu"),
            node("anomaly.grade", {"score": SCORE}, {"grade": {"type": "json"}}, category="anomaly"),
            tier="gold",
        ),
        release(
            "tyqi-node-crack",
            node("crack.segment", {"image": IMAGE}, {"mask": {"type": "mask"}}, tags=["concrete", "Crack"]),
            node("crack.segment", {"image": IMAGE}, {"mask": {"type": "mask"}}, version="2.0.0"),
            node("crack.width", {"mask": {"type": "mask"}, "hint": {**IMAGE, "required": False}}, {"score": LARGER}),
        ),
        release(
            "tyqi-node-thin", node("thin.lines", {"picture": GREY}, {"picture": GREY}, description="Thins a crack.")
        ),
        release(
            "tyqi-node-stitch",
            node("stitch.join", {"strips": {**IMAGE, "list": True}}, {"image": IMAGE}, licence="MIT"),
            node("stitch.mark", {"image": IMAGE, "mask": {"type": "mask"}}, {"image": IMAGE}),
            node("stitch.draw", {}, {"image": IMAGE}),
            tier="silver",
        ),
    ],
)


def ids(**query) -> list[str]:
    return [hit.node.id for hit in search(CATALOGUE, Query(**query))]


def test_what_turns_an_image_into_an_anomaly_map_on_a_cpu():
    asked = {"inputs": [type_named("image")], "outputs": [type_named("anomaly_map")]}
    assert ids(**asked, device="cpu") == ["anomaly.map"]
    assert ids(**asked, device="gpu") == ["anomaly.deep", "anomaly.map"]


def test_words_are_all_found_and_where_they_stand_tells_the_order():
    assert ids(words=["CRACK"]) == ["crack.segment", "crack.segment", "crack.width", "thin.lines"]
    assert ids(words=["crack", "thins"]) == ["thin.lines"]
    assert ids(words=["crack", "nothing"]) == []


def test_of_two_majors_the_newer_one_comes_first():
    found = search(CATALOGUE, Query(category="segmentation", outputs=[type_named("mask")]))
    assert [(hit.node.id, hit.node.version) for hit in found] == [
        ("crack.segment", "2.0.0"),
        ("crack.segment", "1.0.0"),
    ]


def test_filters_hold_together():
    assert ids(category="anomaly", tier="gold", device="cpu") == ["anomaly.grade", "anomaly.map"]
    assert ids(tag="crack") == ["crack.segment"]
    assert ids(licence="mit") == ["stitch.join"]
    assert set(ids(tier="silver")) == {"anomaly.map", "anomaly.deep", "anomaly.grade"} | {
        "stitch.join",
        "stitch.mark",
        "stitch.draw",
    }
    assert ids(inputs=[type_named("list of image")]) == ["stitch.join"]


def test_a_type_is_found_by_its_name_whatever_else_a_port_demands_of_it():
    assert "thin.lines" in ids(inputs=[type_named("image")])


def test_what_can_follow_a_node_is_bound_by_proof():
    mask = [PortType("mask")]
    assert ids(after=mask) == ["crack.width", "thin.lines"]  # a mask is a grey image, no RGB one
    assert "stitch.mark" not in ids(after=mask)
    assert "stitch.mark" in ids(after=[*mask, PortType("image")])
    assert "stitch.draw" not in ids(after=[*mask, PortType("image")])  # needs nothing, so it follows nothing


def test_a_value_that_may_be_too_large_does_not_follow():
    width = offering(CATALOGUE, "crack.width").node
    assert "anomaly.grade" not in ids(after=outputs_of(width))
    assert ids(after=[PortType.parse(SCORE)]) == ["anomaly.grade"]


def test_only_the_newest_release_that_is_offered_is_searched():
    old = release("tyqi-node-x", node("x.old"), version="1.9.0")
    new = release("tyqi-node-x", node("x.new"), version="1.10.0")
    preview = release("tyqi-node-x", node("x.preview"), version="2.0.0rc1")

    def found(*releases):
        return [hit.node.id for hit in search(Catalogue("", releases), Query())]

    assert found(preview, new, old) == ["x.new"]
    assert found(preview) == ["x.preview"]
    assert found(replace(new, yanked="bad"), old) == ["x.old"]
    assert found(replace(new, quarantined="bad"), replace(old, yanked="bad")) == []


def test_packages_are_named_in_full_or_in_short():
    for name in ("tyqi-node-crack", "crack", "crack.segment", "crack.segment@1", "Tyqi_Node_Crack"):
        assert {one.name for one in releases_named(CATALOGUE, name)} == {"tyqi-node-crack"}
    with pytest.raises(RegistryError, match="Did you mean 'tyqi-node-crack'"):
        releases_named(CATALOGUE, "crakc")


def test_nodes_are_found_by_their_major():
    assert offering(CATALOGUE, "crack.segment").node.version == "2.0.0"
    assert offering(CATALOGUE, "crack.segment@1").node.version == "1.0.0"
    with pytest.raises(RegistryError, match="UNKNOWN_NODE"):
        offering(CATALOGUE, "crack.segment@3")
    withdrawn = Catalogue("", [release("tyqi-node-x", node("x.y"), quarantined="sends pictures away")])
    with pytest.raises(RegistryError, match="sends pictures away"):
        offering(withdrawn, "x.y")


def test_a_type_that_is_none_is_told_the_nearest():
    with pytest.raises(UsageError, match="'anomaly_map'"):
        type_named("anomalymap")


def test_ports_of_a_form_that_is_not_known_here_are_still_found_by_type():
    strange = Catalogue("", [release("tyqi-node-x", node("x.y", {"image": {"type": "image", "depth": 3}}))])
    assert len(search(strange, Query(inputs=[PortType("image")]))) == 1


def test_a_search_of_a_thousand_nodes_proves_each_pair_of_types_once(monkeypatch):
    asked = []
    accepts = PortType.accepts
    monkeypatch.setattr(PortType, "accepts", lambda wanted, given: asked.append(wanted) or accepts(wanted, given))
    nodes = [one for release in CATALOGUE.releases for one in release.nodes]
    many = [release(f"tyqi-node-n{at}", nodes[at % len(nodes)]) for at in range(1000)]
    found = Finder(Catalogue("", many)).find(Query(after=[PortType("mask")]))
    assert len(found) == sum(
        hit.node.id in {"crack.width", "thin.lines"} for hit in search(Catalogue("", many), Query())
    )
    assert len(asked) == len(set(asked))
