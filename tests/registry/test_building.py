"""What is made of the releases: the index for pip, the catalogue, READMEs; and that only what changed is made."""

from __future__ import annotations

import hashlib
import json
import os
import re
import zipfile
from html.parser import HTMLParser

import pytest
from made_wheels import dist_info, make_wheel, metadata_text

from tests.registry.conftest import evidence_for
from tyqi_core.errors import RegistryError
from tyqi_core.registry.building import build
from tyqi_core.registry.folder import RegistryFolder
from tyqi_core.registry.publishing import publish, quarantine, yank
from tyqi_core.registry.reading import open_registry
from tyqi_core.registry.readme import rendered, sanitised

NAME = "tyqi-node-good"


class Anchors(HTMLParser):
    """The links of a page, as a browser or pip reads them: attributes and text."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.found: list[dict] = []
        self.feed(page.decode())

    def handle_starttag(self, tag, attrs):
        if tag == "a":
            self.found.append({**dict(attrs), "text": ""})

    def handle_data(self, data):
        if self.found and not self.found[-1]["text"]:
            self.found[-1]["text"] = data


class Elements(HTMLParser):
    """What a piece of HTML consists of."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str | None]] = set()
        self.feed(markup)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes.update(attrs)


def anchors(shelf, name=NAME):
    return Anchors((shelf / "simple" / name / "index.html").read_bytes()).found


def document(shelf, name=NAME):
    return json.loads((shelf / "simple" / name / "index.json").read_text())


def test_the_page_of_a_distribution_tells_pip_all_of_pep_503_and_658(put, shelf):
    release = put()
    (link,) = anchors(shelf)
    assert link["text"] == release.filename
    assert link["data-requires-python"] == ">=3.11"
    path, _, digest = link["href"].partition("#sha256=")
    wheel = (shelf / "simple" / NAME / path).resolve()
    assert digest == hashlib.sha256(wheel.read_bytes()).hexdigest() == release.sha256
    metadata = wheel.with_name(wheel.name + ".metadata").read_bytes()
    assert link["data-core-metadata"] == f"sha256={hashlib.sha256(metadata).hexdigest()}"
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read(f"{dist_info()}/METADATA") == metadata
    assert "data-yanked" not in link


def test_the_document_beside_it_tells_the_same_as_of_pep_691_and_700(put, shelf):
    release = put()
    body = document(shelf)
    assert body["meta"] == {"api-version": "1.1"}
    assert (body["name"], body["versions"]) == (NAME, ["1.0.0"])
    (file,) = body["files"]
    assert file["hashes"] == {"sha256": release.sha256}
    assert (file["size"], file["upload-time"], file["yanked"]) == (release.size, release.published, False)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", file["upload-time"])
    assert f"sha256={file['core-metadata']['sha256']}" == anchors(shelf)[0]["data-core-metadata"]


def test_the_root_lists_every_distribution(put, shelf):
    put("tyqi-node-first")
    put("tyqi-node-second")
    listed = [link["href"] for link in Anchors((shelf / "simple" / "index.html").read_bytes()).found]
    assert listed == ["tyqi-node-first/", "tyqi-node-second/"]
    root = json.loads((shelf / "simple" / "index.json").read_text())
    assert [project["name"] for project in root["projects"]] == ["tyqi-node-first", "tyqi-node-second"]


def test_a_yanked_release_stays_in_the_index_with_its_reason(put, shelf):
    put()
    yank(shelf, NAME, "1.0.0", 'wrong "unit" <b>')
    assert anchors(shelf)[0]["data-yanked"] == 'wrong "unit" <b>'
    assert document(shelf)["files"][0]["yanked"] == 'wrong "unit" <b>'


def test_a_quarantined_release_is_not_offered_but_nothing_is_deleted(put, shelf):
    release = put()
    put(NAME, "1.0.1")
    quarantine(shelf, NAME, "1.0.0", "sends pictures elsewhere")
    assert [link["text"] for link in anchors(shelf)] == ["tyqi_node_good-1.0.1-py3-none-any.whl"]
    assert document(shelf)["_quarantined"] == {"1.0.0": "sends pictures elsewhere"}
    assert (shelf / "packages" / NAME / "1.0.0" / release.filename).is_file()
    told = {one.version: one.quarantined for one in open_registry(str(shelf)).catalogue().releases}
    assert told == {"1.0.1": "", "1.0.0": "sends pictures elsewhere"}


def test_the_catalogue_lists_the_newest_release_first_with_all_of_its_nodes(put, shelf):
    put(NAME, "1.0.0")
    put(NAME, "1.10.0")
    put(NAME, "1.9.0")
    releases = open_registry(str(shelf)).catalogue().releases
    assert [one.version for one in releases] == ["1.10.0", "1.9.0", "1.0.0"]
    (node,) = releases[0].nodes
    assert (node.id, node.device, node.queue, node.category) == ("good.brighten", "cpu", "cpu.short", "preprocessing")
    assert node.inputs["image"]["type"] == "image"
    assert node.params["gain"]["default"] == 2
    assert releases[0].urls["Issues"].endswith("/issues")
    assert releases[0].requires == ["tyqi-core>=0.1,<1", "numpy>=1.26"]


def test_a_build_writes_nothing_where_nothing_has_changed(put, shelf):
    put()
    for path in shelf.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000)) if path.is_file() and "packages" not in path.parts else None
    build(shelf)
    fresh = [path for path in shelf.rglob("*.*") if path.is_file() and path.stat().st_mtime > 1_000_000_000]
    assert [path for path in fresh if "packages" not in path.parts] == []


def test_a_build_makes_again_what_was_lost_or_spoilt(put, shelf):
    put()
    kept = {path.relative_to(shelf): path.read_bytes() for path in shelf.rglob("*.*") if path.is_file()}
    (shelf / "catalogue.json").write_text("{")
    (shelf / "simple" / NAME / "index.html").unlink()
    (shelf / "packages" / NAME / "1.0.0" / "listing.json").write_text("[")
    next((shelf / "packages").rglob("*.metadata")).unlink()
    build(shelf)
    assert {path.relative_to(shelf): path.read_bytes() for path in shelf.rglob("*.*") if path.is_file()} == kept


def test_a_wheel_that_is_not_what_was_published_is_left_out_and_told(put, shelf):
    put("tyqi-node-first")
    release = put("tyqi-node-second")
    path = shelf / "packages" / release.name / release.version / release.filename
    path.write_bytes(path.read_bytes() + b"more")
    built = build(shelf)
    assert [one.name for one in built.catalogue.releases] == ["tyqi-node-first"]
    assert [problem.code for problem in built.problems] == ["DAMAGED"]
    assert not (shelf / "simple" / release.name).exists()


def test_a_library_that_carries_others_within_it_is_listed_with_its_own_metadata(put, shelf):
    put()
    inner = {"leaf/_vendor/inner-1.0.dist-info/METADATA": "Name: inner\nVersion: 1.0\n"}
    make_wheel(shelf / "libraries" / "leaf", "leaf", "1.5", inner)
    build(shelf)
    (link,) = anchors(shelf, "leaf")
    copy = next((shelf / "libraries" / "leaf").glob("*.metadata"))
    assert "Name: leaf" in copy.read_text()
    assert link["data-core-metadata"] == f"sha256={hashlib.sha256(copy.read_bytes()).hexdigest()}"


def test_what_is_no_registry_is_not_built(tmp_path):
    with pytest.raises(RegistryError, match="NO_REGISTRY"):
        build(tmp_path)
    (tmp_path / "registry.json").write_text('{"tyqi_registry": 99}')
    with pytest.raises(RegistryError, match="format 99"):
        build(tmp_path)


def test_a_title_given_in_the_description_is_the_catalogues(shelf, put):
    RegistryFolder.create(shelf, title="Nodes of the bridge team")
    put()
    assert open_registry(str(shelf)).catalogue().title == "Nodes of the bridge team"


HOSTILE = """\
# Größe <script>alert(1)</script>

<img src=x onerror=alert(1)> ![a chart](https://elsewhere.example/pixel.png) <style>body{display:none}</style>
[run](javascript:alert(1)) [page](https://example.org) <a href="data:text/html,x" onclick="x()">data</a>
<form action="/publish"><input name=key></form> <iframe src="//elsewhere.example"></iframe>
<div id="search" class=x>a</div>
<svg onload=alert(1)><a xlink:href="javascript:alert(1)">b</a></svg>

| a | b |
|---|---|
| 1 | 2 |
"""


def test_a_readme_is_shown_without_anything_that_runs_loads_or_imitates(tmp_path, shelf):
    text = metadata_text(readme=HOSTILE)
    path = make_wheel(tmp_path, files={f"{dist_info()}/METADATA": text})
    publish(shelf, path, evidence_for(path))
    (release,) = build(shelf).catalogue.releases
    shown = release.readme
    seen = Elements(shown)
    assert seen.tags <= {"h1", "p", "a", "div", "table", "thead", "tbody", "tr", "th", "td"}
    assert seen.attributes == {("href", "https://example.org"), ("rel", "noopener noreferrer nofollow")}
    assert "alert(1)</" not in shown
    assert "pixel.png" not in shown
    assert "<h1>Größe" in shown
    assert "a chart" in shown
    assert '<a href="https://example.org" rel="noopener noreferrer nofollow">page</a>' in shown
    assert "<td>2</td>" in shown


def test_a_readme_that_is_no_markdown_is_shown_as_it_is():
    assert rendered("Title\n=====\n<b>", "text/x-rst") == "<pre>Title\n=====\n&lt;b&gt;</pre>"
    assert rendered("  \n", "text/markdown") == ""


def test_links_of_a_readme_lead_to_web_pages_only():
    assert sanitised('<a href="../nodes/other.html">x</a>') == '<a rel="noopener noreferrer nofollow">x</a>'
