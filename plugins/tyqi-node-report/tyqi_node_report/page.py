"""The report of one inspected picture: one HTML file that needs nothing else, and the same figures as JSON.

The page loads no font, no script and no picture from anywhere: pictures are data URIs, drawings are inline SVG. All
text that comes from outside is escaped. It says no date and no path, so equal findings give equal bytes.
"""

from __future__ import annotations

import base64
import importlib.resources
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from tyqi_node_report import charts
from tyqi_node_report.figures import number, with_unit, words
from tyqi_node_report.overlay import AnomalyMap, Image, check_size, heated
from tyqi_node_report.severity import LABELS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PORTS = ("image", "annotated", "closeup", "measurements", "severity", "map", "detections")
"""The input ports of the node; each is a field of :class:`Findings`."""

_BINS = 32

_VERDICTS = (
    "No damage that calls for action.",
    "Slight damage. Note it and look again at the next inspection.",
    "Moderate damage. Have it looked at and follow how it develops.",
    "Serious damage. Plan a repair.",
    "Critical damage. Act now.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What is known of one picture; everything but the picture itself may be absent."""

    image: Image
    annotated: Image | None = None
    closeup: Image | None = None
    measurements: Mapping[str, Mapping[str, Any]] | None = None
    severity: Mapping[str, Any] | None = None
    map: AnomalyMap | None = None
    detections: Sequence[Mapping[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """How the page looks: headings, the anomaly level, the largest side of embedded pictures (px)."""

    title: str = "Surface inspection"
    subtitle: str = ""
    level: float = 1.0
    max_pixels: int = 1280


def report(findings: Findings, layout: Layout) -> dict[str, Any]:
    """The figures of the page as a JSON value; what is absent is None."""
    height, width = findings.image.shape[:2]
    measurements, severity = findings.measurements, findings.severity
    return {
        "title": layout.title,
        "image": {"width": width, "height": height},
        "severity": None if severity is None else dict(severity),
        "measurements": None if measurements is None else {name: dict(one) for name, one in measurements.items()},
        "anomaly": None if findings.map is None else anomaly_figures(findings.map, layout.level),
        "detections": None if findings.detections is None else [dict(one) for one in findings.detections],
    }


def anomaly_figures(anomaly: AnomalyMap, level: float) -> dict[str, Any]:
    """Highest and mean value, share of the surface at or above the level, place of the highest value, histogram."""
    peak = float(anomaly.max())
    top = max(2 * level, peak)
    counts, edges = np.histogram(anomaly, bins=_BINS, range=(0.0, top))
    y, x = np.unravel_index(int(np.argmax(anomaly)), anomaly.shape)
    return {
        "level": level,
        "max": round(peak, 6),
        "mean": round(float(anomaly.mean()), 6),
        "share_above_level": round(float((anomaly >= level).mean()), 6),
        "peak": [int(x), int(y)],
        "histogram": {"counts": counts.tolist(), "edges": [round(float(edge), 6) for edge in edges]},
    }


def render(findings: Findings, layout: Layout) -> str:
    """The whole page.

    Raises:
        ContractViolation: the anomaly map is of another size than the picture.
    """
    figures = report(findings, layout)
    style = (importlib.resources.files("tyqi_node_report") / "page.css").read_text(encoding="utf-8")
    sections = (
        _pictures(findings, layout),
        _damage(findings, figures),
        _anomaly(findings, figures["anomaly"], layout),
        _detections(figures["detections"]),
    )
    size = figures["image"]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(layout.title)}{_title_suffix(findings)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f"{_header(findings, layout)}\n<main>\n{_summary(findings, figures)}\n{''.join(sections)}</main>\n"
        f"<footer><p>Picture of {size['width']} &times; {size['height']} px. This page is complete in itself: it loads "
        "nothing from elsewhere.</p></footer>\n</body>\n</html>\n"
    )


def _title_suffix(findings: Findings) -> str:
    return "" if findings.severity is None else f": {escape(str(findings.severity['label']))}"


def _header(findings: Findings, layout: Layout) -> str:
    subtitle = f"<p class='subtitle'>{escape(layout.subtitle)}</p>" if layout.subtitle else ""
    return f"<header><div><h1>{escape(layout.title)}</h1>{subtitle}</div>{_badge(findings.severity)}</header>"


def _badge(severity: Mapping[str, Any] | None) -> str:
    if severity is None:
        return '<p class="badge none"><strong>not graded</strong></p>'
    level = _level(severity)
    dots = "".join(f'<i class="{"on" if index <= level else ""}"></i>' for index in range(len(LABELS)))
    return (
        f'<p class="badge l{level}"><span class="small">Severity {level} of {len(LABELS) - 1}</span>'
        f'<strong>{escape(str(severity["label"]))}</strong><span class="dots" aria-hidden="true">{dots}</span></p>'
    )


def _level(severity: Mapping[str, Any]) -> int:
    return min(len(LABELS) - 1, max(0, int(severity["level"])))


def _summary(findings: Findings, figures: Mapping[str, Any]) -> str:
    severity = findings.severity
    verdict = _verdict(findings)
    reasons = "".join(f"<li>{escape(str(reason))}</li>" for reason in (severity or {}).get("reasons", ()))
    tiles = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in _key_figures(figures)
    )
    return (
        f'<section class="summary" aria-labelledby="verdict"><div><h2 id="verdict">{verdict}</h2>'
        + (f"<ul>{reasons}</ul>" if reasons else "")
        + "</div>"
        + (f'<dl class="tiles">{tiles}</dl>' if tiles else "")
        + "</section>"
    )


def _verdict(findings: Findings) -> str:
    if findings.severity is None:
        return "This picture was not graded."
    level = _level(findings.severity)
    if level and not findings.measurements:  # graded by the anomaly score alone
        return "No defect was measured, but part of the surface is unusual. Have a look at it."
    return _VERDICTS[level]


def _key_figures(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The few figures that a reader looks for first."""
    measured = figures["measurements"] or {}
    found = [
        (words(name), with_unit(measured[name]["value"], measured[name]["unit"], name))
        for name in ("max_width", "length", "area_fraction", "area")
        if measured.get(name, {}).get("value") is not None
    ][:2]
    if figures["anomaly"] is not None:
        found.append(("Highest anomaly", number(figures["anomaly"]["max"])))
    if figures["detections"] is not None:
        found.append(("Detections", str(len(figures["detections"]))))
    return found


def _pictures(findings: Findings, layout: Layout) -> str:
    figures = [_figure(findings.image, "The picture as it came in", "Original", layout)]
    if findings.annotated is not None:
        alternative = "The same picture with what was found drawn on it"
        figures.insert(0, _figure(findings.annotated, alternative, "Annotated", layout, _legend(findings, layout)))
    return _section("pictures", "Pictures", f'<div class="pair">{"".join(figures)}</div>')


def _legend(findings: Findings, layout: Layout) -> str:
    """Keys for what is drawn, so only for what was found."""
    keys = []
    if findings.measurements:
        keys.append('<span class="key mask">outline: defect</span>')
    if findings.map is not None and findings.map.max() >= layout.level:
        keys.append('<span class="key heat">glow: unusual surface</span>')
    if findings.detections:
        keys.append('<span class="key box">box: detection and its score</span>')
    return " ".join(keys) or "Nothing was found that would have to be marked."


def _damage(findings: Findings, figures: Mapping[str, Any]) -> str:
    measured = figures["measurements"]
    if not measured:
        text = "No defect was measured on this picture, so there is nothing to list here."
        return _section("damage", "Measurements", f'<p class="empty">{text}</p>')
    bullets = "".join(_graded(one) for one in (findings.severity or {}).get("graded", ()) if one["steps"])
    table = _table(measured)
    if findings.closeup is None:
        return _section("damage", "Measurements", f'<div class="pair"><div>{table}</div><div>{bullets}</div></div>')
    close = _figure(findings.closeup, "The worst place of the defect, enlarged", "Close-up of the worst place")
    return _section("damage", "Measurements", f'<div class="pair"><div>{close}</div><div>{table}{bullets}</div></div>')


def _graded(one: Mapping[str, Any]) -> str:
    caption = escape(words(str(one["title"])))
    return f'<figure class="graded"><figcaption>{caption}</figcaption>{charts.bullet(one)}</figure>'


def _table(measured: Mapping[str, Mapping[str, Any]]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(words(name))}{_note(one)}</th><td>{escape(_value(name, one))}</td></tr>'
        for name, one in measured.items()
    )
    return _as_table(("Measure", "Value"), rows)


def _as_table(columns: Sequence[str], rows: str) -> str:
    head = "".join(f'<th scope="col">{column}</th>' for column in columns)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _note(one: Mapping[str, Any]) -> str:
    return f'<span class="note">{escape(str(one["note"]))}</span>' if one.get("note") else ""


def _value(name: str, one: Mapping[str, Any]) -> str:
    return "not available" if one["value"] is None else with_unit(one["value"], one["unit"], name)


def _anomaly(findings: Findings, figures: Mapping[str, Any] | None, layout: Layout) -> str:
    if findings.map is None or figures is None:
        return ""
    check_size(findings.image, findings.map, "anomaly map")
    grey = cv2.cvtColor(cv2.cvtColor(findings.image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB).astype(np.uint8)
    heat = heated(grey, findings.map, level=layout.level, alpha=0.8, floor=0.0)
    caption = f"How unusual each place is. {charts.colour_bar(layout.level)}"
    picture = _figure(heat, "Heat map of the anomaly score over the picture", "Heat map", layout, caption)
    plot = charts.histogram(figures["histogram"]["counts"], figures["histogram"]["edges"], layout.level)
    plotted = f"<figure><figcaption>Share of the surface by anomaly score (logarithmic)</figcaption>{plot}</figure>"
    told = f"<p>{_anomaly_words(figures, layout.level)}</p>"
    return _section("anomaly", "Anomaly", f'<div class="pair"><div>{picture}</div><div>{told}{plotted}</div></div>')


def _anomaly_words(figures: Mapping[str, Any], level: float) -> str:
    share = figures["share_above_level"]
    reach = (
        f"{number(100 * share)}% of the surface scores {number(level)} or more"
        if share
        else f"Nothing on this surface reaches {number(level)}"
    )
    return (
        f"{reach}, the level that clean surfaces rarely pass. "
        f"The highest score is {number(figures['max'])}, the mean {number(figures['mean'])}."
    )


def _detections(detections: Sequence[Mapping[str, Any]] | None) -> str:
    if detections is None:
        return ""
    if not detections:
        return _section("detections", "Detections", '<p class="empty">Nothing was detected.</p>')
    rows = "".join(_detection(one) for one in detections)
    table = _as_table(("What", "Score", "Corner x, y (px)", "Size (px)"), rows)
    return _section("detections", "Detections", table)


def _detection(one: Mapping[str, Any]) -> str:
    x0, y0, x1, y1 = one["box"]
    return (
        f'<tr><th scope="row">{escape(str(one["label"]))}</th>'
        f"<td>{charts.score_bar(one['score'])} {one['score']:.2f}</td><td>{number(x0)}, {number(y0)}</td>"
        f"<td>{number(x1 - x0)} &times; {number(y1 - y0)}</td></tr>"
    )


def _section(name: str, heading: str, body: str) -> str:
    return f'<section aria-labelledby="{name}"><h2 id="{name}">{heading}</h2>{body}</section>\n'


def _figure(picture: Image, alternative: str, title: str, layout: Layout | None = None, more: str = "") -> str:
    shown = _reduced(picture, (layout or Layout()).max_pixels)
    height, width = shown.shape[:2]
    caption = f"<figcaption><b>{escape(title)}</b> {more}</figcaption>"
    image = f'<img src="{_data_uri(shown)}" width="{width}" height="{height}" alt="{escape(alternative)}">'
    return f"<figure>{image}{caption}</figure>"


def _reduced(picture: Image, max_pixels: int) -> Image:
    factor = max_pixels / max(picture.shape[:2])
    if factor >= 1:
        return picture
    size = tuple(max(1, round(side * factor)) for side in picture.shape[1::-1])
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8)


def _data_uri(picture: Image) -> str:
    """The picture as a JPEG inside the page."""
    done, data = cv2.imencode(".jpg", np.ascontiguousarray(picture[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 90])
    if not done:
        raise ValueError(f"a picture of shape {picture.shape} cannot be encoded as JPEG")
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")
