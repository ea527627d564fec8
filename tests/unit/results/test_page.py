"""The page of a batch: complete without its script, filtered with it, and deaf to hostile text."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import PurePath

import numpy as np
import pytest

from tyqi_core.results.names import shown_name
from tyqi_core.results.page import RunCard, batch_page
from tyqi_core.results.png import png
from tyqi_core.results.values import readable

HOSTILE = '"><script>document.title="owned"</script><img src=x onerror=document.title="owned">\u202e'


class Page(HTMLParser):
    """The text that a reader sees, and the addresses that the page names."""

    def __init__(self, text):
        super().__init__()
        self.addresses, self.words, self._skipped = [], [], 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self._skipped += tag in {"style", "script"}
        self.addresses += [value for name, value in attrs if name in {"href", "src"}]

    def handle_endtag(self, tag):
        self._skipped -= tag in {"style", "script"}

    def handle_data(self, data):
        if not self._skipped:
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture
def cards(crack_story, build):
    ways = [("T1 crack", "T2a2 wide"), ("T1 spall",), ("T1 clean",)]
    made = [
        RunCard(
            name=f"wall_{number:02d}.png",
            run_id=f"run-{number:02d}",
            path=ways[number % 3],
            duration_s=0.25,
            files={"page.html": PurePath(f"wall_{number:02d}/page.html"), "map.png": PurePath("map.png")},
            values={"severity": {"level": number % 5, "reasons": ["crack wider than 3 mm"]}},
            story=crack_story if number % 3 == 0 else {"T1": build.Step(outcome=ways[number % 3][0].split()[1])},
        )
        for number in range(7)
    ]
    error = {"code": "IMAGE_CORRUPT", "message": "the file ends early", "remedy": "Copy it again.", "task": "T1"}
    return [*made, RunCard(name="broken.jpg", status="failed", error=error)]


@pytest.fixture
def opened(page, cards, facade, tmp_path):
    """The page in a browser, with one real picture beside it."""
    (tmp_path / "thumb.png").write_bytes(png(np.full((30, 40, 3), 128, np.uint8)))
    pictured = [RunCard(name="pictured.png", run_id="p", thumbnail="thumb.png", path=("T1 clean",)), *cards]
    path = tmp_path / "index.html"
    path.write_text(batch_page(pictured, project=facade.project, plan=facade, duration_s=75), encoding="utf-8")
    page.goto(path.as_uri())
    return page


def shown(tab) -> list[str]:
    return tab.locator(".card:visible h3").all_text_contents()


def test_each_item_stands_there_with_its_way_its_values_and_its_files(facade, cards):
    page = Page(batch_page(cards, project=facade.project, plan=facade))
    for card in cards:
        assert card.name in page.text
        assert {path.as_posix() for path in card.files.values()} <= set(page.addresses)
    assert "T1 crack → T2a2 wide" in page.text
    assert "level 4" in page.text
    assert "crack wider than 3 mm" in page.text


def test_a_failed_item_is_told_with_code_place_message_and_remedy(facade, cards):
    text = Page(batch_page(cards, project=facade.project, plan=facade)).text
    assert "IMAGE_CORRUPT in T1 the file ends early Copy it again." in text


def test_the_header_counts_items_and_statuses(facade, cards):
    text = Page(batch_page(cards, project=facade.project, plan=facade, subtitle="22 November", duration_s=75)).text
    assert "facade-inspection 22 November 8 items 7 completed 1 failed 1 min 15 s in all" in text


def test_ways_are_counted_the_most_frequent_first(facade, cards):
    rows = re.findall(r'<span class="number">(\d+)</span>', batch_page(cards, project=facade.project, plan=facade))
    assert rows == ["3", "2", "2", "1"]


def test_a_decision_by_expression_is_told_by_its_expression(facade):
    cards = [RunCard("a", path=("T1 crack", "T2a2 T2a3")), RunCard("b", path=("T1 crack", "T2a2 default"))]
    text = Page(batch_page(cards, project="facade", plan=facade)).text
    assert "T1 crack → T2a2 measurements.max_width.value > 3.5" in text
    assert "T1 crack → T2a2 otherwise" in text


def test_the_drawing_counts_the_items_on_the_branches(cards, facade):
    text = Page(batch_page(cards, project=facade.project, plan=facade)).text
    assert "crack ×3" in text
    assert "spall ×2" in text
    assert "clean ×2" in text


def test_the_page_asks_for_nothing_outside(cards, facade):
    page = Page(batch_page(cards, project=facade.project, plan=facade))
    assert [address for address in page.addresses if "//" in address] == []


def test_a_name_that_looks_like_a_script_address_becomes_a_file_name(facade):
    page = Page(
        batch_page([RunCard("a", files={"x": PurePath("javascript:alert(1)")})], project=facade.project, plan=facade)
    )
    assert "javascript%3Aalert%281%29" in page.addresses


@pytest.mark.parametrize("thumbnail", ["data:image/png;base64,AAAA" + HOSTILE, HOSTILE])
def test_the_address_of_a_picture_cannot_end_its_attribute(facade, thumbnail):
    text = batch_page([RunCard("a", thumbnail=thumbnail)], project=facade.project, plan=facade)
    assert text.count("<script>") == 1
    assert text.count("<img") == 1


def test_many_values_are_folded_away_and_long_ones_cut(facade):
    values = {f"v{number}": "word " * 100 for number in range(40)}
    text = batch_page([RunCard("a", values=values)], project=facade.project, plan=facade)
    assert "all 40 values" in text
    assert "the rest is in the files" in text
    assert len(text) < 60_000


def test_a_batch_of_nothing_is_a_page_too(facade):
    assert "0 items" in Page(batch_page([], project=facade.project, plan=facade)).text


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        ({"a": {"value": 3.14159, "unit": "mm"}}, [("a", "3.142 mm")]),
        ({"a": {"value": None, "unit": "mm"}}, [("a", "none mm")]),
        ({"a": {"b": True, "c": {"d": None}}}, [("b", "yes"), ("c d", "none")]),
        ({"a": {"b": 1}, "c": 2}, [("a b", "1"), ("c", "2")]),
        (
            {"width": 9, "more": [{}], "severity": {"level": 3}},
            [("severity level", "3"), ("width", "9"), ("more", "1 entries")],
        ),
        ({"a": [1, 2.5, "x"]}, [("a", "1, 2.5, x")]),
        ({"a": []}, [("a", "none")]),
        ({"a": [{"b": 1}] * 3}, [("a", "3 entries")]),
    ],
)
def test_values_become_lines_that_people_read(value, lines):
    assert readable(value) == lines


@pytest.mark.needs_browser
def test_pictures_are_loaded_and_everything_is_shown_at_first(opened, cards):
    assert len(shown(opened)) == len(cards) + 1
    assert opened.evaluate("document.querySelector('.card img').naturalWidth") == 40
    assert opened.locator("#shown").text_content() == "9 of 9 shown"
    assert opened.locator("#nothing").is_hidden()


@pytest.mark.needs_browser
def test_a_way_filters_the_items_and_lets_them_go_again(opened):
    way = opened.get_by_role("button", name="T2a2 wide")
    way.click()
    assert shown(opened) == ["wall_00.png", "wall_03.png", "wall_06.png"]
    assert way.get_attribute("aria-pressed") == "true"
    way.click()
    assert len(shown(opened)) == 9


@pytest.mark.needs_browser
def test_status_and_text_filter_together(opened):
    opened.get_by_role("button", name="failed (1)").click()
    assert shown(opened) == ["broken.jpg"]
    opened.get_by_label("Show items with this text").fill("image_CORRUPT")
    assert shown(opened) == ["broken.jpg"]
    opened.get_by_label("Show items with this text").fill("wall")
    assert shown(opened) == []
    assert opened.get_by_text("No item fits.").is_visible()
    opened.get_by_role("button", name="Show all").click()
    assert len(shown(opened)) == 9


@pytest.mark.needs_browser
def test_the_filters_work_from_the_keyboard_alone(opened):
    opened.keyboard.press("Tab")
    assert opened.evaluate("document.activeElement.dataset.filter") == "way"
    opened.keyboard.press("Space")
    assert len(shown(opened)) == 3
    opened.keyboard.press("Enter")
    assert len(shown(opened)) == 9


@pytest.mark.needs_browser
def test_without_script_every_item_is_there_and_no_dead_control(facade, browser, cards, tmp_path):
    path = tmp_path / "index.html"
    path.write_text(batch_page(cards, project=facade.project, plan=facade), encoding="utf-8")
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(path.as_uri())
    visible = tab.locator(".card:visible").count(), tab.locator("#tools").is_visible()
    context.close()
    assert visible == (len(cards), False)


@pytest.mark.needs_browser
def test_hostile_text_stays_text_everywhere(page, build, tmp_path):
    card = RunCard(
        name=HOSTILE,
        run_id=HOSTILE,
        status=HOSTILE,
        path=(f"{HOSTILE} {HOSTILE}",),
        files={HOSTILE: PurePath(HOSTILE)},
        error={"code": HOSTILE, "message": HOSTILE, "remedy": HOSTILE, "task": HOSTILE},
        values={HOSTILE: {HOSTILE: [HOSTILE]}},
    )
    plan = build.plan(build.task("T1", node=HOSTILE), project=HOSTILE)
    path = tmp_path / "index.html"
    path.write_text(batch_page([card], project=plan.project, plan=plan, subtitle=HOSTILE), encoding="utf-8")
    page.goto(path.as_uri())
    assert page.title() == shown_name(HOSTILE)
    assert page.locator("script").count() == 1
    assert page.locator("img").count() == 0
    assert "<script>" in page.locator("h3").text_content()


@pytest.mark.needs_browser
@pytest.mark.parametrize("width", [360, 1400])
def test_nothing_sticks_out_sideways(opened, width):
    opened.set_viewport_size({"width": width, "height": 800})
    assert opened.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
