import base64
import json
import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from tyqi_core.errors import ContractViolation
from tyqi_node_report.page import Findings, Layout, render, report

SHAPES = {"rect", "path", "line", "text", "stop"}
VOID = {"meta", "img", "br", "link", "input", "hr"}
EVIL = "<script>alert('x')</script>&\"'"


class Reader(HTMLParser):
    """Reads a page: its elements and attributes, its visible text, and whether every element is closed."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.open, self.text = [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]

    @property
    def words(self):
        return " ".join("".join(self.text).split())


def picture(level=120):
    return np.full((60, 80, 3), level, np.uint8)


def an_anomaly(peak=1.5):
    anomaly = np.full((60, 80), 0.2, np.float32)
    anomaly[30:36, 40:50] = peak
    return anomaly


SEVERITY = {
    "level": 3,
    "label": "serious",
    "reasons": ["Largest crack width 6.8 px reaches the step to serious (5 px)"],
    "graded": [
        {
            "figure": "max_width",
            "title": "largest crack width",
            "value": 6.8,
            "unit": "px",
            "steps": [1, 3, 5, 8],
            "level": 3,
        }
    ],
}
MEASUREMENTS = {
    "max_width": {"value": 6.83, "unit": "px"},
    "area": {"value": 15891, "unit": "px2", "note": "specks dropped"},
    "area_fraction": {"value": 0.0606, "unit": "1"},
    "orientation": {"value": None, "unit": "deg"},
}
DETECTIONS = [{"box": [10, 20, 30, 45], "score": 0.71, "label": "dark blob"}]


def everything(**changes):
    full = {
        "image": picture(),
        "annotated": picture(60),
        "closeup": picture(200),
        "measurements": MEASUREMENTS,
        "severity": SEVERITY,
        "map": an_anomaly(),
        "detections": DETECTIONS,
    }
    return Findings(**(full | changes))


def read(findings, **layout):
    return Reader(render(findings, Layout(**layout)))


def test_every_element_is_closed_and_the_page_declares_language_encoding_and_title():
    page = read(everything(), title="North face")
    assert page.open == []
    assert page.all("html") == [{"lang": "en"}]
    assert {"charset": "utf-8"} in page.all("meta")
    assert "North face: serious" in page.words


@pytest.mark.parametrize("findings", [everything(), Findings(image=picture())])
def test_the_page_loads_nothing_from_elsewhere_and_has_no_script(findings):
    text = render(findings, Layout())
    page = Reader(text)
    assert {attrs["src"].split(",")[0] for attrs in page.all("img")} == {"data:image/jpeg;base64"}
    assert not {"script", "link", "iframe", "object", "base"} & {tag for tag, _ in page.elements}
    assert not re.search(r"https?://|@import|url\((?!#)", text)
    assert not any(name.startswith("on") for _, attrs in page.elements for name in attrs)


def test_what_was_found_is_told():
    words = read(everything(), subtitle="Panel 3").words
    for told in (
        "Panel 3",
        "Severity 3 of 4",
        "serious",
        "reaches the step to serious",
        "6.83 px",
        "15,891 px²",
        "specks dropped",
        "6.06%",
        "not available",
        "The highest score is 1.5",
        "1.25% of the surface scores 1 or more",
        "dark blob",
        "20 \u00d7 25",
    ):
        assert told in words, told


def test_a_clean_picture_has_a_page_that_says_so():
    sound = {"level": 0, "label": "sound", "reasons": ["No damage was measured"]}
    clean = Findings(image=picture(), annotated=picture(), severity=sound, map=an_anomaly(0.4), detections=[])
    words = read(clean).words
    assert "No damage that calls for action." in words
    assert "No defect was measured on this picture" in words
    assert "Nothing on this surface reaches 1" in words
    assert "Nothing was detected." in words
    assert "outline: defect" not in words


def test_an_unusual_surface_without_a_measured_defect_is_not_called_damage():
    odd = {"level": 1, "label": "slight", "reasons": ["Anomaly score 1.5 reaches the step to slight (1)"]}
    words = read(Findings(image=picture(), severity=odd, map=an_anomaly(1.5))).words
    assert "No defect was measured, but part of the surface is unusual." in words
    assert "Slight damage" not in words


def test_with_the_picture_alone_the_page_still_stands():
    page = read(Findings(image=picture()))
    assert "not graded" in page.words
    assert len(page.all("img")) == 1
    assert "Anomaly" not in page.words
    assert "Detections" not in page.words


def test_text_from_outside_is_escaped_everywhere():
    findings = everything(
        measurements={EVIL: {"value": 1.0, "unit": EVIL, "note": EVIL}},
        severity={
            "level": 1,
            "label": EVIL,
            "reasons": [EVIL],
            "graded": [{"figure": EVIL, "title": EVIL, "value": 1, "unit": EVIL, "steps": [1], "level": 1}],
        },
        detections=[{"box": [0, 0, 5, 5], "score": 0.5, "label": EVIL}],
    )
    page = read(findings, title=EVIL, subtitle=EVIL)
    assert page.all("script") == []
    assert page.open == []
    assert page.words.count("<script>alert('x')</script>&\"'") >= 9


def test_every_picture_and_drawing_has_a_text_alternative_and_headings_do_not_jump():
    page = read(everything())
    assert all(attrs["alt"].strip() for attrs in page.all("img"))
    assert all(attrs["aria-label"].strip() and attrs["role"] == "img" for attrs in page.all("svg"))
    headings = [tag for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == "h1"
    assert headings.count("h1") == 1
    assert set(headings[1:]) == {"h2"}
    identities = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(identities) == len(set(identities))
    assert all(attrs["aria-labelledby"] in identities for attrs in page.all("section"))


def test_pictures_in_the_page_are_the_pictures_given_in_their_colours():
    red = picture()
    red[:] = (200, 30, 40)
    first = read(Findings(image=red)).all("img")[0]
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(first["src"].split(",")[1]), np.uint8), cv2.IMREAD_COLOR)
    assert decoded.shape == (60, 80, 3)
    assert abs(decoded[30, 40, ::-1].astype(int) - [200, 30, 40]).max() < 6
    assert (first["width"], first["height"]) == ("80", "60")


def test_large_pictures_are_reduced():
    wide = np.zeros((100, 1000, 3), np.uint8)
    first = read(Findings(image=wide), max_pixels=250).all("img")[0]
    assert (first["width"], first["height"]) == ("250", "25")


def test_equal_findings_give_equal_bytes():
    assert render(everything(), Layout()) == render(everything(), Layout())


def test_the_report_holds_the_figures_of_the_page_and_is_plain_json():
    figures = report(everything(), Layout(title="North face"))
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures
    assert figures["title"] == "North face"
    assert figures["image"] == {"width": 80, "height": 60}
    assert figures["severity"] == SEVERITY
    assert figures["measurements"] == MEASUREMENTS
    assert figures["detections"] == DETECTIONS
    assert figures["anomaly"]["max"] == 1.5
    assert figures["anomaly"]["share_above_level"] == 0.0125
    assert figures["anomaly"]["peak"] == [40, 30]
    assert sum(figures["anomaly"]["histogram"]["counts"]) == 60 * 80


def test_the_report_of_a_picture_alone_says_null():
    figures = report(Findings(image=picture()), Layout())
    assert [figures[name] for name in ("severity", "measurements", "anomaly", "detections")] == [None] * 4


@pytest.mark.parametrize("peak", [0.0, 0.2, 1e-6, 5e4])
def test_flat_and_extreme_anomaly_maps_are_drawn(peak):
    page = read(Findings(image=picture(), map=np.full((60, 80), peak, np.float32)))
    drawn = [value for tag, attrs in page.elements if tag in SHAPES for value in attrs.values()]
    assert len(drawn) > 50
    assert not any(re.search("nan|inf", text) for text in [page.words.lower().replace("inspection", ""), *drawn])


def test_a_map_of_another_size_is_refused():
    with pytest.raises(ContractViolation, match="anomaly map is 10 x 10 px, the picture 80 x 60 px"):
        render(Findings(image=picture(), map=np.zeros((10, 10), np.float32)), Layout())
