"""The page of one node: everything that somebody who chooses wants to know, and nothing that runs."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from listings import IMAGE, catalogue, evidence, listing, release, shelf
from registry_sites import written

from tyqi_core.catalog.catalog import Catalog, LocalNode
from tyqi_core.catalog.manifest import Manifest
from tyqi_core.conformance.evidence import Result
from tyqi_core.node import Node
from tyqi_core.registry.node_page import node_page
from tyqi_core.registry.offers import offers
from tyqi_core.registry.wording import example_project
from tyqi_core.workflow.compiler import compile_text

HOSTILE = '"><script>document.title="owned"</script><img src=x onerror=document.title="owned">\u202e'


@pytest.fixture
def opened(page, home):
    page.goto(f"{home}nodes/crack.segment.html")
    return page


def table(page, title: str) -> list[list[str]]:
    """The rows of the table below a heading, its head first."""
    rows = page.get_by_role("region", name=title, exact=True).get_by_role("row").all()
    return [[cell.inner_text().strip() for cell in row.locator("th, td").all()] for row in rows]


@pytest.mark.needs_browser
def test_it_tells_what_the_node_does_takes_and_gives(opened):
    assert opened.get_by_role("heading", level=1).text_content() == "Crack segmentation by ridges"
    assert "a ridge filter of several scales" in opened.locator(".lead").text_content()
    assert table(opened, "Inputs") == [
        ["Port", "Type", "Needed", "Description"],
        ["image", "image (uint8, rgb)", "yes", "RGB picture of the surface"],
    ]
    assert table(opened, "Outputs")[1] == ["mask", "mask", "255 on the defect, 0 elsewhere"]


@pytest.mark.needs_browser
def test_parameters_have_type_range_default_and_unit(opened):
    head, width, model = table(opened, "Parameters")
    assert head == ["Parameter", "Type", "Allowed", "Default", "Unit", "Description"]
    assert width == ["max_width", "number", "1 to 64", "10", "px", "Widest crack to find"]
    assert model == ["model setup", "string", "–", '""', "–", "File of the model"]


@pytest.mark.needs_browser
def test_outcomes_of_a_condition_are_told(page, home):
    page.goto(f"{home}nodes/surface.triage.html")
    assert table(page, "Outcomes")[1:] == [
        ["crack", "a dark line"],
        ["spall", "an odd area"],
        ["clean", "neither of them"],
    ]


@pytest.mark.needs_browser
def test_versions_are_listed_with_tier_and_what_was_withdrawn_with_its_reason(opened):
    rows = table(opened, "Versions")[1:]
    assert [row[:2] for row in rows] == [["1.1.0", "2.0.0"], ["1.1.0", "1.0.0"], ["1.0.0", "1.0.0"]]
    assert [row[3] for row in rows] == ["silver", "silver", "bronze"]
    assert rows[2][5] == "yanked masks are shifted by one pixel"


@pytest.mark.needs_browser
def test_the_other_major_can_be_unfolded(opened):
    opened.get_by_text("Version 1 of this node").click()
    assert opened.get_by_text("Closing minus the picture, then a threshold.").is_visible()
    assert opened.get_by_text("crack.segment@1").is_visible()


@pytest.mark.needs_browser
def test_a_quarantined_node_says_why_and_has_no_install_line(page, home):
    page.goto(f"{home}nodes/rail.detect.html")
    assert "it sends pictures to a server" in page.get_by_role("note").text_content()
    assert page.get_by_text("tyqi install").count() == 0


@pytest.mark.needs_browser
def test_the_install_line_is_copied_and_may_name_this_very_registry(page, home):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{home}nodes/crack.segment.html")
    page.get_by_role("button", name="Copy").first.click()
    page.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == "tyqi install crack"
    page.get_by_text("naming this registry").click()
    assert page.get_by_text(f"tyqi install crack --registry {home}", exact=True).is_visible()
    assert page.get_by_text(f"pip install --index-url {home}simple/ tyqi-node-crack==1.1.0").is_visible()


@pytest.mark.needs_browser
def test_conformance_is_told_check_by_check_with_links(opened):
    part = opened.get_by_role("region", name="Conformance")
    assert part.locator(".outcomes").inner_text().split("\n") == [
        "1 failed",
        "1 warned",
        "1 passed",
        "1 not applicable",
    ]
    assert part.get_by_text("memory grows by 1.2 MB a call. Free what a call made.").is_visible()
    assert part.get_by_text("tyqi_node_crack/nodes.py:3: the import takes 2.4 s.").is_visible()
    assert part.get_by_role("link", name="R05").get_attribute("href").endswith("/docs/checks/R05.md")
    part.get_by_text("2 checks that passed or do not apply").click()
    assert part.get_by_role("link", name="M01").is_visible()


@pytest.mark.needs_browser
def test_a_type_leads_to_the_nodes_that_go_before_or_after(opened, listed):
    opened.get_by_role("region", name="Outputs").get_by_role("link", name="mask").click()
    opened.wait_for_url("**/index.html#input=mask")
    assert listed() == ["crack.width"]


@pytest.mark.needs_browser
def test_its_links_lead_to_files_of_the_release(opened, small_site):
    address = opened.get_by_role("link", name="evidence").first.get_attribute("href")
    assert (small_site / "nodes" / address).resolve().is_file()


@pytest.mark.needs_browser
def test_a_readme_is_shown_as_it_was_rendered_with_its_headings_below_the_pages_own(opened):
    readme = opened.get_by_role("region", name="README")
    assert readme.get_by_role("heading", name="Cracks", level=3).is_visible()
    assert readme.locator("b").text_content() == "found"


@pytest.mark.needs_browser
def test_hostile_words_stay_words_on_a_page(page, tmp_path):
    node = listing(
        title=HOSTILE,
        description=HOSTILE,
        author=HOSTILE,
        licence=HOSTILE,
        category=HOSTILE,
        tags=[HOSTILE],
        inputs={HOSTILE: {"type": HOSTILE, "description": HOSTILE, "default": HOSTILE}},
        outputs={"out": {**IMAGE, "description": f"{HOSTILE} ({HOSTILE})"}},
        params={HOSTILE: {"type": HOSTILE, "enum": [HOSTILE], "default": HOSTILE, "pattern": HOSTILE}},
        outcomes={HOSTILE: HOSTILE},
        requires_tyqi=HOSTILE,
    )
    made = release(node, yanked=HOSTILE, requires=[HOSTILE], requires_python=HOSTILE, urls={HOSTILE: HOSTILE})
    root = written(tmp_path, catalogue(made, title=HOSTILE))
    page.goto((root / "nodes" / "crack.segment.html").as_uri())
    assert page.locator("script").count() == 1
    assert page.locator("img").count() == 0
    harmless = HOSTILE.replace("\u202e", "\ufffd")
    assert page.get_by_role("heading", level=1).text_content() == harmless
    assert page.title() == f"{harmless} · crack.segment"


@pytest.mark.needs_browser
@pytest.mark.parametrize(
    "readme",
    [
        "<script>document.title='owned'</script>",
        "<img src=x onerror=\"document.title='owned'\">",
        "<svg onload=\"document.title='owned'\"></svg>",
        "<script src='data:text/javascript,document.title=%22owned%22'></script>",
        "<iframe srcdoc=\"<script>parent.document.title='owned'</script>\"></iframe>",
        "<iframe src=\"javascript:parent.document.title='owned'\"></iframe>",
        "<meta http-equiv=refresh content='0;url=data:text/html,owned'><base href='https://example.org/'>",
    ],
)
def test_a_readme_that_no_sanitiser_has_seen_still_runs_nothing(browser, tmp_path, readme):
    """The page's policy allows one script, by its hash; whatever else stands in the page is refused by the browser."""
    root = written(tmp_path, catalogue(release(listing(), readme=f"{readme}<p>the end</p>")))
    context = browser.new_context()
    tab = context.new_page()
    asked: list[str] = []
    tab.on("request", lambda sent: asked.append(sent.url))
    tab.goto((root / "nodes" / "crack.segment.html").as_uri(), wait_until="load")
    tab.get_by_role("button", name="Copy").first.wait_for()
    title, link = tab.title(), tab.evaluate("document.querySelector('.back a').href")
    context.close()
    assert title == "Crack segmentation · crack.segment"
    assert link == (root / "index.html").as_uri()
    assert [url for url in asked if url.startswith("http")] == []


def test_an_address_that_is_a_script_is_no_link():
    made = release(listing(), urls={"Source": "https://example.org/crack", "Trap": "javascript:alert(1)"})
    (offer,) = offers(catalogue(made))
    text = node_page(offer, "title", None)
    assert 'href="https://example.org/crack"' in text
    assert "javascript:" not in text


def test_evidence_of_another_wheel_is_not_shown_as_this_ones():
    made = release(listing())
    (offer,) = offers(catalogue(made))
    body = replace(evidence(made, [Result("M01", "bronze", "passed")]), sha256="0" * 64).to_json()
    text = node_page(offer, "title", body)
    assert "There is no evidence for this very wheel." in text
    assert "M01" not in text


def test_what_an_installation_would_take_is_what_the_page_shows():
    new, old = listing(version="1.2.0"), listing(version="1.1.0")
    releases = [
        release(new, version="3.0.0", quarantined="a virus"),
        release(new, version="2.1.0rc1"),
        release(new, version="2.0.0", yanked="broken"),
        release(old, version="1.0.0"),
    ]
    (offer,) = offers(catalogue(*releases))
    assert offer.current.release.version == "1.0.0"
    assert len(offer.editions) == 4


@pytest.mark.parametrize("offer", offers(shelf()), ids=lambda offer: offer.id)
def test_the_example_is_a_project_that_compiles(offer, tmp_path):
    shown = offer.current.listing
    plan = compile_text(example_project(shown, offer.current.major), "example.yaml", Catalog.of(local_node(shown)))
    assert plan.outputs.keys() == shown.outputs.keys()


def local_node(shown):
    """A node of this listing that could be installed here."""
    namespace, _, local_id = shown.id.partition(".")
    names = ("version", "title", "description", "category", "tags", "licence", "author", "requires_tyqi")
    body = {"tyqi_node": 1, "name": local_id, **{name: getattr(shown, name) for name in names}}
    body |= {name: getattr(shown, name) for name in ("inputs", "outputs", "params", "outcomes") if getattr(shown, name)}
    manifest = Manifest.parse(
        json.dumps(body),
        "x.node.yaml",
        namespace=namespace,
        local_id=local_id,
        entry_point="x:X",
        distribution=f"tyqi-node-{namespace}",
        distribution_version="1.0.0",
    )
    return LocalNode(manifest, Node)
