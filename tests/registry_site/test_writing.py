"""Writing the site: what is unchanged stays, what is gone goes, and nothing lands outside the folder."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from listings import catalogue, evidence, listing, release, shelf
from registry_sites import written

from tyqi_core.errors import UsageError
from tyqi_core.registry.catalogue import Catalogue
from tyqi_core.registry.frame import asset
from tyqi_core.registry.layout import EVIDENCE, release_folder
from tyqi_core.registry.pages import write_site


def ages(root) -> dict[str, int]:
    return {path.relative_to(root).as_posix(): path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}


def test_a_second_time_nothing_is_written(tmp_path):
    before = ages(written(tmp_path, shelf(), with_evidence=True))
    write_site(tmp_path, shelf())
    assert ages(tmp_path) == before


def test_a_catalogue_that_was_read_back_makes_the_same_site(tmp_path):
    before = ages(written(tmp_path, shelf(), with_evidence=True))
    tuples = catalogue(
        *(replace(one, nodes=tuple(one.nodes), requires=tuple(one.requires)) for one in shelf().releases)
    )
    for same in (tuples, Catalogue.from_json(json.loads(json.dumps(shelf().to_json())))):
        write_site(tmp_path, same)
        assert ages(tmp_path) == before


def test_one_changed_node_changes_its_page_and_the_list_and_no_other(tmp_path):
    crack, rail = release(listing()), release(listing("rail.detect"))
    before = ages(written(tmp_path, catalogue(crack, rail)))
    write_site(tmp_path, catalogue(crack, release(listing("rail.detect", title="Another title"))))
    after = ages(tmp_path)
    assert {name for name in after if after[name] != before[name]} == {
        "index.html",
        "catalogue.js",
        "nodes/rail.detect.html",
    }


def test_evidence_that_comes_later_is_on_the_page(tmp_path):
    made = release(listing())
    page = written(tmp_path, catalogue(made)) / "nodes" / "crack.segment.html"
    assert "There is no evidence" in page.read_text(encoding="utf-8")
    folder = release_folder(tmp_path, made.name, made.version)
    folder.mkdir(parents=True)
    (folder / EVIDENCE).write_text(json.dumps(evidence(made).to_json()), encoding="utf-8")
    write_site(tmp_path, catalogue(made))
    assert "memory grows by 1.2 MB a call" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("damage", ["", "[]", "{", '{"tyqi_evidence": 99}', '{"tyqi_evidence": 1}'])
def test_damaged_evidence_is_none(tmp_path, damage):
    made = release(listing())
    folder = release_folder(tmp_path, made.name, made.version)
    folder.mkdir(parents=True)
    (folder / EVIDENCE).write_text(damage, encoding="utf-8")
    text = (written(tmp_path, catalogue(made)) / "nodes" / "crack.segment.html").read_text(encoding="utf-8")
    assert "There is no evidence for this very wheel." in text


def test_the_page_of_a_node_that_is_gone_goes_too(tmp_path):
    written(tmp_path, catalogue(release(listing()), release(listing("rail.detect"))))
    write_site(tmp_path, catalogue(release(listing())))
    assert [path.name for path in (tmp_path / "nodes").iterdir()] == ["crack.segment.html"]


@pytest.mark.parametrize(
    "name", ["../../evil.page", "a.b/../../c", "con:x.y", "Crack.Segment", "", "a.b\x00", "x" * 201 + ".y"]
)
def test_an_id_that_could_be_a_path_is_refused_before_anything_is_written(tmp_path, name):
    with pytest.raises(UsageError) as refused:
        write_site(tmp_path / "site", catalogue(release(listing()), release(listing(name), name="tyqi-node-x")))
    assert refused.value.code == "BAD_CATALOGUE"
    assert list(tmp_path.rglob("*.html")) == []


def test_pages_load_nothing_but_their_own_files(tmp_path):
    root = written(tmp_path, shelf())
    for path in root.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert "Content-Security-Policy" in text
        assert 'src="http' not in text
        assert text.count("<link") == 2
        assert 'rel="icon" href="data:,"' in text


PAIRS = [
    *((ink, ground) for ink in ("ink", "soft", "accent") for ground in ("ground", "sheet", "tint")),
    *((name, f"{name}-tint") for name in ("accent", "good", "bad", "warn", "gold", "silver", "bronze")),
    *(("ink", f"{name}-tint") for name in ("accent", "bad", "warn")),
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out_from_its_ground_as_wcag_asks(scheme):
    light, dark = re.findall(r":root \{(.*?)\}", asset("site/site.css"), re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", light if scheme == "light" else dark))
    ratios = {pair: contrast(colours[pair[0]], colours[pair[1]]) for pair in PAIRS}
    assert {pair: ratio for pair, ratio in ratios.items() if ratio < 4.5} == {}


def contrast(one: str, other: str) -> float:
    """The ratio of two colours' luminances, as WCAG 2 defines it."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
