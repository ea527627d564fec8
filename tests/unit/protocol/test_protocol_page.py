"""``docs/protocol.md`` says what the code does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tyqi_core.protocol import images, json_values, patterns, subset
from tyqi_core.protocol.checks import MAX_VALUE_BYTES
from tyqi_core.protocol.message import KINDS
from tyqi_core.protocol.validation import compiled
from tyqi_core.resources import data_folder

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "protocol.md").read_text(encoding="utf-8")


def test_the_subset_table_lists_exactly_the_keywords_that_are_allowed() -> None:
    table = PAGE.partition("| keyword | allowed | because |")[2].partition("\n\n")[0]
    cells = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    assert set(re.findall(r"`([^`]+)`", " ".join(cells))) == {*subset.KEYWORDS, "$schema", "$id"}


def test_the_list_of_messages_is_the_closed_list() -> None:
    assert set(re.findall(r"`tyqi\.((?:run|task)\.[a-z]+)`", PAGE)) == set(KINDS)


def test_the_message_on_the_page_is_valid() -> None:
    schema = json.loads((data_folder("schemas") / "tp-message.schema.json").read_text(encoding="utf-8"))
    (example,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert compiled(schema).problems(json.loads(example)) == []


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        (json_values.MAX_DEPTH, "{} levels"),
        (json_values.MAX_ECHO_BYTES, "at most {} bytes of a value"),
        (json_values.MAX_DOCUMENT_BYTES >> 20, "{} MiB, unless its reader allows more"),
        (MAX_VALUE_BYTES >> 30, "at most {} GiB"),
        (subset.MAX_ENUM, "1 to {} different values"),
        (subset.MAX_ALTERNATIVES, "1 to {} schemas"),
        (subset.MAX_SCHEMA_BYTES >> 10, "at most {} KiB"),
        (subset.MAX_EXPANDED, "at most {:,} sub-schemas"),
        (patterns.MAX_PATTERN_LENGTH, "at most {} characters"),
        (patterns.MAX_UNBOUNDED, "At most {} unbounded repeats"),
        (images.ImageLimits().max_pixels // 1_000_000, "more than {} million pixels"),
        (images.ImageLimits().max_side, "or {:,} a side"),
    ],
)
def test_each_limit_on_the_page_is_the_one_in_force(limit: int, words: str) -> None:
    assert words.format(limit) in " ".join(PAGE.split())


def test_the_codes_on_the_page_are_those_that_the_code_raises() -> None:
    sources = "".join((Path(module.__file__ or "").read_text(encoding="utf-8")) for module in (images, json_values))
    raised = set(re.findall(r"code=\"([A-Z_]+)\"", sources)) | {"JSON_SURROGATE"}
    assert set(re.findall(r"`((?:JSON|IMAGE|EMPTY|NOT|TYPE|TOO)_[A-Z_]+)`", PAGE)) == raised - {"PILLOW_MISSING"}
