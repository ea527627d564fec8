"""A batch as one HTML page: which way each item took, what came out, and where to read on.

The page needs no server and no network: style and script stand in it, pictures are data or files beside it. It can be
read without its script, which only filters. Everything that comes from outside is escaped, and a content policy that
names the script by its digest keeps anything else from running, should an escape ever be forgotten.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from tyqi_core.results.drawing import plan_svg
from tyqi_core.results.names import shown_name
from tyqi_core.results.svg import attribute, fitted
from tyqi_core.results.tally import Story
from tyqi_core.results.values import readable
from tyqi_core.workflow.plan import Plan

MANY = 60
"""With more items than this, pictures are loaded when they come near the screen."""

MAX_RULE_CELLS = 44
MAX_ROWS = 8
MAX_DETAIL_LETTERS = 4000

Words = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RunCard:
    """What the page tells about one item.

    Attributes:
        name: the item as its user calls it, usually a file name.
        run_id: the recorded run; ``""`` for an item that never became one.
        status: how the run ended: ``completed``, ``failed``, ``cancelled``.
        path: the decisions taken, ``("T1 crack", "T2a2 wide")``; items with equal paths are counted together.
        duration_s: seconds.
        files: title -> file, relative to the page.
        error: code, message, remedy, task and node of a failure.
        values: title -> small JSON value to be shown in the card.
        thumbnail: a ``data:image/...`` address, or the path of a picture relative to the page.
        story: task instance -> step, for the counts in the drawing.
    """

    name: str
    run_id: str = ""
    status: str = "completed"
    path: tuple[str, ...] = ()
    duration_s: float = 0.0
    files: Mapping[str, PurePath] = field(default_factory=dict)
    error: Mapping[str, Any] | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    thumbnail: str | None = None
    story: Story | None = None


def batch_page(
    cards: Sequence[RunCard],
    *,
    project: str,
    plan: Plan | None = None,
    subtitle: str = "",
    duration_s: float | None = None,
) -> str:
    """The page of a batch, ``index.html``.

    Args:
        cards: one for each item, in the order in which they are shown.
        project: the project's name, the page's title.
        plan: drawn with the number of items that went each way; left out when ``None``.
        subtitle: a line below the title, such as when and with what the batch was run.
        duration_s: seconds from the first start to the last end.
    """
    words = _words(plan)
    counts = Counter(card.path for card in cards).most_common()
    numbers = {path: number for number, (path, _) in enumerate(counts)}
    body = [
        _header(cards, project, subtitle, duration_s),
        "<main>",
        _ways(counts, len(cards), words),
        _drawing(cards, plan),
        _tools(cards),
        '<div class="cards">',
        *(_card(card, numbers[card.path], words, lazy=len(cards) > MANY) for card in cards),
        "</div>",
        f'<p class="nothing" id="nothing"{"" if not cards else " hidden"}>No item fits.</p>',
        "</main>",
        '<footer class="end">Written by TYQ-i core. Its links are relative: move the folder as a whole.</footer>',
    ]
    return _document(project, "\n".join(body))


def _document(title: str, body: str) -> str:
    style, script = _asset("page.css"), _asset("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; img-src 'self' file: data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n<link rel="icon" href="data:,">\n'
        f"<title>{attribute(shown_name(title))}</title>\n<style>{style}</style>\n</head>\n"
        f"<body>\n{body}\n<script>{script}</script>\n</body>\n</html>\n"
    )


@cache
def _asset(name: str) -> str:
    return (files("tyqi_core.results") / name).read_text(encoding="utf-8")


def _header(cards: Sequence[RunCard], project: str, subtitle: str, duration_s: float | None) -> str:
    statuses = Counter(card.status for card in cards)
    figures = [("", len(cards), "item" if len(cards) == 1 else "items")]
    figures += [(status, count, status) for status, count in statuses.most_common()]
    listed = "".join(
        f'<li class="{attribute(kind)}"><b>{count}</b><span>{attribute(word)}</span></li>'
        for kind, count, word in figures
    )
    if duration_s is not None:
        listed += f"<li><b>{_seconds(duration_s)}</b><span>in all</span></li>"
    line = f'<p class="sub">{attribute(subtitle)}</p>' if subtitle else ""
    return (
        f'<header class="top"><h1>{attribute(shown_name(project))}</h1>{line}<ul class="figures">{listed}</ul></header>'
    )


def _ways(counts: Sequence[tuple[tuple[str, ...], int]], total: int, words: Words) -> str:
    if not total:
        return ""
    rows = "".join(
        f'<li><button type="button" data-filter="way" data-value="{number}" aria-pressed="false" disabled>'
        f'{_way(path, words)}<span class="bar"><i style="width:{100 * count / total:.1f}%"></i></span>'
        f'<span class="number">{count}</span></button></li>'
        for number, (path, count) in enumerate(counts)
    )
    return f'<h2>Ways taken</h2><ul class="ways panel">{rows}</ul>'


def _words(plan: Plan | None) -> Words:
    """Decision -> what it says, for outcomes that are only the number of a rule: ``T2 when 1`` -> ``width > 4``."""
    tasks = plan.tasks.values() if plan else ()
    return {
        f"{task.id} {rule.outcome}": fitted((rule.expression or "otherwise").replace(f"{task.id}.", ""), MAX_RULE_CELLS)
        for task in tasks
        for rule in task.rules
    }


def _way(path: tuple[str, ...], words: Words) -> str:
    """Decisions as a row of steps; spans, because it also stands inside a button."""
    if not path:
        return '<span class="way"><span class="none">no decision</span></span>'
    steps = []
    for decision in path:
        task, _, outcome = decision.partition(" ")
        said = words.get(decision, outcome)
        steps.append(f'<span class="step">{attribute(task)} <b>{attribute(said)}</b></span>')
    arrow = '<span class="to" aria-hidden="true">→</span>'
    return f'<span class="way">{arrow.join(steps)}</span>'


def _drawing(cards: Sequence[RunCard], plan: Plan | None) -> str:
    if plan is None:
        return ""
    stories = [card.story for card in cards if card.story is not None]
    drawn = plan_svg(plan, stories=stories) if stories else plan_svg(plan)
    return (
        f'<h2>The project</h2><details class="panel" open><summary>How many items went each way</summary>'
        f'<div class="plan" tabindex="0" role="region" aria-label="Drawing of the project">{drawn}</div></details>'
    )


def _tools(cards: Sequence[RunCard]) -> str:
    statuses = Counter(card.status for card in cards)
    buttons = "".join(
        f'<button type="button" data-filter="status" data-value="{attribute(status)}" aria-pressed="false" disabled>'
        f"{attribute(status)} ({count})</button>"
        for status, count in statuses.most_common()
    )
    return (
        '<h2>Items</h2><div class="bar-of-tools" id="tools" role="search" hidden>'
        '<input id="search" type="search" placeholder="Name, run or error" aria-label="Show items with this text">'
        f'{buttons}<button type="button" id="reset" hidden>Show all</button>'
        '<output id="shown" aria-live="polite"></output></div>'
    )


def _card(card: RunCard, number: int, words: Words, *, lazy: bool) -> str:
    error = card.error or {}
    sought = " ".join([shown_name(card.name), card.run_id, str(error.get("code", "")), str(error.get("message", ""))])
    failed = " failed" if card.status == "failed" else ""
    way = "" if card.error and not card.path else _way(card.path, words)
    return (
        f'<article class="card{failed}" data-status="{attribute(card.status)}" data-way="{number}" '
        f'data-text="{attribute(sought.lower())}">{_thumbnail(card, lazy=lazy)}<div class="inside">'
        f'<div class="head"><h3>{attribute(shown_name(card.name))}</h3>'
        f'<span class="status {attribute(card.status)}">{attribute(card.status)}</span></div>'
        f"{way}{_error(card.error)}{_values(card.values)}{_files(card)}"
        f'<div class="foot"><span>{_seconds(card.duration_s) if card.run_id else "not run"}</span>'
        f'<span class="id" title="run id">{attribute(card.run_id)}</span></div></div></article>'
    )


def _thumbnail(card: RunCard, *, lazy: bool) -> str:
    if not card.thumbnail:
        return '<div class="thumb empty">no picture</div>'
    source = card.thumbnail if card.thumbnail.startswith("data:image/") else quote(card.thumbnail)
    late = ' loading="lazy"' if lazy else ""
    picture = f'<img src="{attribute(source)}" alt="{attribute(shown_name(card.name))}"{late}>'
    main = _main_file(card)
    return (
        f'<a class="thumb" href="{_address(card.files[main])}">{picture}</a>'
        if main
        else f'<div class="thumb">{picture}</div>'
    )


def _error(error: Mapping[str, Any] | None) -> str:
    if not error:
        return ""
    place = " ".join(str(error[key]) for key in ("task", "node") if error.get(key))
    lines = [f"<b>{attribute(str(error.get('code', 'ERROR')))}</b>" + (f" in {attribute(place)}" if place else "")]
    lines += [f"<span>{attribute(str(error[key]))}</span>" for key in ("message", "remedy") if error.get(key)]
    return f'<p class="error">{"".join(lines)}</p>'


def _values(values: Mapping[str, Any]) -> str:
    rows = readable(values)
    if not rows:
        return ""
    listed = "".join(f"<dt>{attribute(name)}</dt><dd>{attribute(text)}</dd>" for name, text in rows[:MAX_ROWS])
    more = ""
    if len(rows) > MAX_ROWS:
        whole = json.dumps(values, indent=2, ensure_ascii=False)
        cut = (
            whole if len(whole) <= MAX_DETAIL_LETTERS else whole[:MAX_DETAIL_LETTERS] + "\n… (the rest is in the files)"
        )
        lines = "\n".join(attribute(line) for line in cut.split("\n"))
        more = f'<details class="more"><summary>all {len(rows)} values</summary><pre>{lines}</pre></details>'
    return f'<dl class="values">{listed}</dl>{more}'


def _files(card: RunCard) -> str:
    main = _main_file(card)
    listed = "".join(
        f'<li{" class=main" if title == main else ""}><a href="{_address(path)}">{attribute(title)}</a></li>'
        for title, path in card.files.items()
    )
    return f'<ul class="files">{listed}</ul>' if listed else ""


def _main_file(card: RunCard) -> str | None:
    """The title of what a reader wants first: a page, else a picture."""
    for suffixes in ({".html"}, {".png", ".jpg", ".svg"}):
        for title, path in card.files.items():
            if path.suffix in suffixes:
                return title
    return None


def _address(path: PurePath) -> str:
    """A relative address; a colon is escaped, so no name can look like a scheme."""
    return attribute(quote(path.as_posix()))


def _seconds(value: float) -> str:
    if value < 1:
        return f"{value * 1000:.0f} ms"
    minutes, seconds = divmod(value, 60)
    return f"{minutes:.0f} min {seconds:.0f} s" if minutes else f"{value:.2g} s" if value < 10 else f"{value:.0f} s"  # noqa: PLR2004
