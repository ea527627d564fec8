"""The list in a real browser: found by typing, narrowed by filters, walked by keys, and quiet about it."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from listings import catalogue, listing, release
from registry_sites import written

pytestmark = pytest.mark.needs_browser
CRACK, WIDTH, TRIAGE, ANOMALY, TILES, RAIL = (
    "crack.segment",
    "crack.width",
    "surface.triage",
    "anomaly.patches",
    "image.tiles",
    "rail.detect",
)
EVERYTHING = {CRACK, WIDTH, TRIAGE, ANOMALY, TILES, RAIL}


def tick(page, facet: str, value: str) -> None:
    page.get_by_role("group", name=facet).locator(f'[value="{value}"]').check()


def test_at_first_everything_is_there_and_what_is_withdrawn_comes_last(page, home, listed):
    page.goto(f"{home}index.html")
    assert set(listed()) == EVERYTHING
    assert listed()[-1] == RAIL
    assert page.locator("#count").text_content() == "6 nodes"
    assert page.get_by_text("quarantined").get_attribute("title") == "it sends pictures to a server"


def test_typing_finds_what_is_meant_and_the_best_first(page, home, listed):
    page.goto(f"{home}index.html")
    page.get_by_label("Search nodes").press_sequentially("crack")
    assert listed() == [CRACK, WIDTH, TRIAGE]
    assert page.locator("#count").text_content() == "3 of 6 nodes"
    page.get_by_label("Search nodes").press_sequentially(" wid")
    assert listed() == [WIDTH]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("RIDGE", [CRACK]),
        ("surface.triage", [TRIAGE]),
        ("spall", [TRIAGE]),
        ("memory bank", [ANOMALY]),
        ("LGPL", [RAIL]),
        ("bridge works tiles", [TILES]),
        ("image > anomaly_map", [ANOMALY]),
        ("image -> anomaly map", [ANOMALY]),
        ("mask >", [WIDTH]),
        ("> list of image", [TILES]),
    ],
)
def test_words_tags_outcomes_authors_and_types_are_found(page, small_site, listed, words, found):
    page.goto((small_site / "index.html").as_uri())
    page.get_by_label("Search nodes").fill(words)
    assert listed() == found


@pytest.mark.parametrize(
    ("facet", "value", "found"),
    [
        ("Category", "measurement", {WIDTH}),
        ("Input type", "mask", {WIDTH}),
        ("Output type", "list of image", {TILES}),
        ("Output type", "anomaly_map", {ANOMALY}),
        ("Device", "gpu", {ANOMALY}),
        ("Device", "any", {RAIL}),
        ("Tier", "gold", {ANOMALY, TILES}),
        ("Licence", "MIT", {ANOMALY, TRIAGE}),
        ("Tag", "foreach", {TILES}),
    ],
)
def test_each_filter_shows_what_it_says_and_its_count(page, small_site, listed, facet, value, found):
    page.goto((small_site / "index.html").as_uri())
    option = page.get_by_role("group", name=facet).locator(f'label:has([value="{value}"])')
    assert option.locator(".number").text_content() == str(len(found))
    option.get_by_role("checkbox").check()
    assert set(listed()) == found


def test_values_of_one_filter_add_up_and_filters_narrow_each_other(page, home, listed):
    page.goto(f"{home}index.html")
    tick(page, "Licence", "MIT")
    tick(page, "Licence", "LGPL-3.0-only")
    assert set(listed()) == {ANOMALY, TRIAGE, RAIL}
    tick(page, "Category", "classification")
    assert listed() == [TRIAGE]
    page.get_by_role("button", name="Remove filter Licence: MIT").click()
    assert listed() == []
    page.get_by_role("button", name="Clear all").click()
    assert set(listed()) == EVERYTHING


def test_a_view_is_in_its_address_and_comes_back_from_it(page, browser, home, listed):
    page.goto(f"{home}index.html")
    page.get_by_label("Search nodes").fill("image")
    tick(page, "Tier", "gold")
    tick(page, "Category", "anomaly")
    shared = page.url
    assert "q=image" in shared
    assert "tier=gold" in shared
    page.goto("about:blank")
    page.goto(shared)
    assert listed() == [ANOMALY]
    assert page.get_by_label("Search nodes").input_value() == "image"
    assert page.get_by_role("checkbox", name="gold").is_checked()


def test_the_way_back_from_a_node_leads_to_the_same_view(page, home, listed):
    page.goto(f"{home}index.html")
    tick(page, "Category", "measurement")
    page.get_by_role("link", name="Crack width").click()
    page.wait_for_url("**/nodes/crack.width.html")
    page.go_back()
    page.wait_for_url("**/index.html#category=measurement")
    assert listed() == [WIDTH]


def test_the_keyboard_alone_searches_moves_and_opens(page, home):
    focused = "document.activeElement.textContent"
    page.goto(f"{home}index.html")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "search"
    page.keyboard.type("crack")
    page.keyboard.press("ArrowDown")
    assert page.evaluate(focused) == "Crack segmentation by ridges"
    page.keyboard.press("ArrowDown")
    assert page.evaluate(focused) == "Crack width"
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement.id") == "search"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/nodes/crack.width.html")
    page.keyboard.press("/")
    page.wait_for_url("**/index.html*")
    assert page.evaluate("document.activeElement.id") == "search"


def test_enter_in_the_search_opens_the_first_and_escape_empties_it(page, home, listed):
    page.goto(f"{home}index.html")
    page.keyboard.press("/")
    page.keyboard.type("tiles")
    page.keyboard.press("Escape")
    assert set(listed()) == EVERYTHING
    page.keyboard.type("tiles")
    page.keyboard.press("Enter")
    page.wait_for_url("**/nodes/image.tiles.html")


def test_a_slash_may_be_typed_into_the_search(page, home):
    page.goto(f"{home}index.html")
    page.get_by_label("Search nodes").press_sequentially("a/b")
    assert page.get_by_label("Search nodes").input_value() == "a/b"


def test_filters_are_reached_and_set_by_keys(page, home, listed):
    page.goto(f"{home}index.html#category=anomaly")
    page.get_by_label("anomaly", exact=False).first.focus()
    page.keyboard.press("Space")
    assert set(listed()) == EVERYTHING


def test_a_misspelt_word_is_answered_with_the_nearest_one(page, home, listed):
    page.goto(f"{home}index.html")
    page.get_by_label("Search nodes").fill("fastner")
    assert listed() == []
    assert page.locator("#nothing").text_content() == "Nothing fits. Did you mean “fastener”?"


def test_how_many_fit_is_said_aloud(page, home):
    page.goto(f"{home}index.html")
    assert page.locator("#count").get_attribute("aria-live") == "polite"


def test_a_thousand_nodes_are_drawn_as_far_as_one_looks_and_found_all(page, large_site, listed):
    page.goto((large_site / "index.html").as_uri())
    assert page.locator("#count").text_content() == "1,000 nodes"
    assert len(listed()) < 300
    page.get_by_label("Search nodes").fill("number 999")
    assert re.fullmatch(r"\w+_0999\.\w+", listed()[0])
    page.get_by_label("Search nodes").fill("")
    for _ in range(20):
        page.keyboard.press("End")
        page.mouse.wheel(0, 20_000)
    page.wait_for_function("document.querySelectorAll('#results > li').length > 300")


def test_arrows_go_on_beyond_what_was_drawn_at_first(page, large_site, listed):
    page.goto((large_site / "index.html").as_uri())
    page.keyboard.press("/")
    for _ in range(70):
        page.keyboard.press("ArrowDown")
    place = "[...document.querySelectorAll('#results h2 a')].indexOf(document.activeElement)"
    assert page.evaluate(place) == 69


def test_a_search_among_a_thousand_keeps_up_with_typing(page, large_site):
    page.goto((large_site / "index.html").as_uri())
    page.get_by_label("Search nodes").press_sequentially("marks cracks in pictures number 1")
    assert "of 1,000 nodes" in page.locator("#count").text_content()
    assert unquote(page.url).endswith("#q=marks+cracks+in+pictures+number+1")


def test_many_tags_are_folded_and_unfolded(page, large_site):
    page.goto((large_site / "index.html").as_uri())
    tags = page.get_by_role("group", name="Tag")
    assert tags.locator("li:visible").count() == 10
    tags.get_by_role("button", name="All").click()
    assert tags.locator("li:visible").count() > 50
    assert tags.get_by_role("button", name="Fewer").get_attribute("aria-expanded") == "true"


@pytest.mark.parametrize("width", [360, 800, 1400])
def test_nothing_sticks_out_sideways(page, small_site, width):
    page.set_viewport_size({"width": width, "height": 800})
    for name in ("index.html", "nodes/crack.segment.html"):
        page.goto((small_site / name).as_uri())
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_without_scripts_there_is_a_plain_list_and_no_dead_control(browser, small_site):
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto((small_site / "index.html").as_uri())
    found = tab.get_by_role("link").all_text_contents(), tab.locator("input:visible, button:visible").count()
    context.close()
    assert {"Crack width", "Surface triage", "Rail fasteners"} <= set(found[0])
    assert found[1] == 0


def test_an_empty_registry_says_so(page, tmp_path):
    page.goto((written(tmp_path, catalogue()) / "index.html").as_uri())
    assert page.get_by_text("Nothing is published here yet.").is_visible()


def test_hostile_words_stay_words_in_the_list(page, tmp_path):
    hostile = '"><img src=x onerror=document.title="owned"></script><script>document.title="owned"</script>'
    node = listing(title=hostile, description=hostile, tags=[hostile], author=hostile, licence=hostile, version="1.0.0")
    root = written(tmp_path, catalogue(release(node, yanked=hostile), title=hostile))
    page.goto((root / "index.html").as_uri())
    assert page.get_by_role("link", name=hostile).first.is_visible()
    page.get_by_role("group", name="Tag").get_by_role("checkbox").check()
    assert page.locator("img, script:not([src])").count() == 0
    assert page.title() == hostile
