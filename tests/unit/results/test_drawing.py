"""Drawings of plans and of runs, looked at in a browser where looks matter."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from tyqi_core.results.drawing import plan_mermaid, plan_svg
from tyqi_core.results.mermaid import quoted
from tyqi_core.results.scene import MAX_TASKS
from tyqi_core.results.svg import attribute, cells, fitted

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = '</text><script>alert("x")</script>&amp;\u202e\n漢字'


def texts(drawing) -> list[str]:
    return [element.text or "" for element in ET.fromstring(drawing).iter(f"{SVG}text")]  # noqa: S314  # our own text


def boxes(drawing) -> dict[str, str]:
    """Task id -> the classes of its box."""
    found = {}
    for group in ET.fromstring(drawing).iter(f"{SVG}g"):  # noqa: S314  # our own text
        if group.get("class") == "task":
            (name,) = (text.text for text in group.iter(f"{SVG}text") if text.get("class") == "name")
            shape = next(child for child in group if child.tag in {f"{SVG}rect", f"{SVG}polygon"})
            found[name] = shape.get("class")
    return found


def test_every_task_of_every_scope_has_its_box(facade):
    assert boxes(plan_svg(facade)).keys() == facade.tasks.keys()


def test_branches_and_loops_are_labelled(facade):
    labels = set(texts(plan_svg(facade)))
    expected = {
        "crack",
        "spall",
        "clean",
        "T2a2.measurements.max_width.value > 3.5",
        "otherwise",
        "on error",
        "no error",
    }
    assert expected | {"each tile of tiles", "takes image", "gives page, report, annotated"} <= labels


def test_a_story_marks_what_was_reached_and_how_it_ended(facade, crack_story):
    marked = boxes(plan_svg(facade, crack_story))
    assert marked["T2a3"] == "box completed"
    assert marked["T2b"] == "box idle"
    assert marked["T7"] == "box failed"
    assert marked["T8"] == "box skipped"
    assert marked["T9"] == "box idle"


def test_a_story_says_it_in_words_too(facade, crack_story):
    said = texts(plan_svg(facade, crack_story))
    assert {
        "failed, 12 ms",
        "skipped",
        "not reached",
        "completed, 8.3 ms",
        "3 completed",
        "each tile of tiles  ×3",
    } <= set(said)


def test_many_stories_are_counted_on_the_branches(facade, build, crack_story):
    clean = {"T1": build.Step(outcome="clean")}
    said = texts(plan_svg(facade, stories=[crack_story, clean, clean]))
    assert {"crack  ×1", "spall  ×0", "clean  ×2"} <= set(said)


def test_a_task_that_only_reads_stands_beside_the_branch(build):
    plan = build.plan(
        build.task("A", branches={"yes": "B", "no": None}, beside=("C",)),
        build.task("B", "B"),
        build.task("C"),
        build.task("D", after=["A"]),
    )
    drawing = ET.fromstring(plan_svg(plan))  # noqa: S314  # our own text
    assert len([path for path in drawing.iter(f"{SVG}path") if path.get("class") == "tip"]) == 7


def test_a_shared_sub_chain_is_drawn_for_each_use(build):
    plan = build.plan(
        build.task("A", branches={"x": "S"}), build.task("B", after=["A"], branches={"y": "S"}), build.task("S", "S")
    )
    story = {"A": build.Step(outcome="x"), "A/S": build.Step("failed"), "B": build.Step(outcome="y")}
    assert plan_svg(plan).count(">S<") == 2
    assert plan_svg(plan, story).count("box failed") == 1


def test_sub_chains_that_multiply_stop_being_drawn_and_say_so(build):
    levels = [
        part
        for level in range(14)
        for part in (
            build.task(f"S{level}", f"S{level}", branches={"l": f"S{level + 1}"}),
            build.task(f"R{level}", f"S{level}", [f"S{level}"], branches={"r": f"S{level + 1}"}),
        )
    ]
    plan = build.plan(build.task("A", branches={"go": "S0"}), *levels, build.task("S14", "S14"))
    drawing = plan_svg(plan)
    assert drawing.count('class="task"') <= MAX_TASKS + 2
    assert "not drawn here" in drawing


def test_sub_chains_nested_beyond_all_measure_are_named_not_drawn(build):
    levels = [build.task(f"S{level}", f"S{level}", branches={"on": f"S{level + 1}"}) for level in range(300)]
    plan = build.plan(build.task("A", branches={"on": "S0"}), *levels, build.task("S300", "S300"))
    assert "S40: not drawn here" in plan_svg(plan)
    assert "not drawn here" in plan_mermaid(plan)


def test_foreign_names_stay_text(build):
    plan = build.plan(build.task("T1", node=HOSTILE, branches={HOSTILE: None}), project=HOSTILE)
    drawing = plan_svg(plan)
    assert "<script" not in drawing
    assert "\u202e" not in drawing
    assert ET.fromstring(drawing) is not None  # noqa: S314  # our own text


def test_spaces_and_joined_letters_of_other_scripts_stay_as_they_are():
    assert attribute("3\u00a0mm \u06cc\u200c\u06a9\n<") == "3\u00a0mm \u06cc\u200c\u06a9 &lt;"


def test_the_same_plan_gives_the_same_drawing(facade, crack_story):
    assert plan_svg(facade, crack_story) == plan_svg(facade, crack_story)


@pytest.mark.parametrize("text", ["short", "a" * 100, "漢字" * 30, "🧱" * 30, ""])
def test_text_is_cut_to_its_room(text):
    assert cells(fitted(text, 20)) <= 20
    assert fitted(text, 20) == text or fitted(text, 20).endswith("…")


OUTSIDE = """() => [...document.querySelectorAll('svg g')].flatMap(group => {
  const shape = [...group.children].find(child => ['rect', 'polygon'].includes(child.tagName));
  if (!shape) return [];
  const box = shape.getBBox();
  return [...group.children].filter(child => child.tagName === 'text').filter(child => {
    const text = child.getBBox();
    return text.x < box.x || text.x + text.width > box.x + box.width
      || text.y < box.y || text.y + text.height > box.y + box.height;
  }).map(child => child.textContent);
})"""


@pytest.mark.needs_browser
def test_no_text_leaves_its_box(page, facade, crack_story, build, tmp_path):
    wide = build.plan(
        build.task("W" * 60, node="crack." + "w" * 60, branches={"W" * 80: "H", "漢字" * 40: None}),
        build.task("H", "H"),
    )
    for number, drawing in enumerate([plan_svg(facade), plan_svg(facade, crack_story), plan_svg(wide)]):
        path = tmp_path / f"{number}.svg"
        path.write_text(drawing, encoding="utf-8")
        page.goto(path.as_uri())
        assert page.locator("text").count() > 5
        assert page.evaluate(OUTSIDE) == []


@pytest.mark.needs_browser
@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_a_drawing_follows_the_readers_light_or_dark(browser, facade, tmp_path, scheme, dark):
    path = tmp_path / "plan.svg"
    path.write_text(plan_svg(facade), encoding="utf-8")
    context = browser.new_context(color_scheme=scheme)
    tab = context.new_page()
    tab.goto(path.as_uri())
    red = tab.evaluate("parseInt(getComputedStyle(document.querySelector('.ground')).fill.slice(4))")
    context.close()
    assert (red < 64) is dark


def test_mermaid_text_holds_every_task_and_marks_what_was_not_reached(facade, crack_story):
    text = plan_mermaid(facade, crack_story)
    for task in facade.tasks.values():
        assert f'"{task.id}: {task.node.id} - ' in text
    assert text.startswith("flowchart TD\n")
    assert text.count("subgraph") == text.count("  end\n") == 6


def test_mermaid_arrows_lead_to_the_head_also_where_the_file_names_it_last(build):
    plan = build.plan(build.task("A", branches={"x": "H"}), build.task("B", "H", ["H"]), build.task("H", "H"))
    lines = plan_mermaid(plan).splitlines()
    (head,) = (line.split("[")[0].strip() for line in lines if '"H: demo.h"' in line)
    assert f'  n0 -->|"x"| {head}' in lines


def test_mermaid_labels_hold_no_character_that_could_be_syntax():
    label = quoted('"]); click x "javascript:alert(1)" %%{init}%% <b>\nend')
    assert label.count('"') == 2
    assert not set(label[1:-1]) & set('"[](){}<>|%\n\\`')
