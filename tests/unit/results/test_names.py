"""Names from outside become safe folder names, and stay readable for people."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tyqi_core.results.names import safe_name, safe_names, shown_name

FIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,60}")
HOSTILE = [
    "../../etc/passwd",
    "C:\\x",
    "a\0b.png",
    "line\nbreak.png",
    "gnp.\u202eexe",
    "x" * 4096,
    "🧱.png",
    "",
    ".",
    "..",
    ".png",
    "con.png",
    "LPT1",
    "-rf",
    " ",
    "\udcff.png",
]


@pytest.mark.parametrize("name", ["wall", "wall_03", "IMG-0001", "7"])
def test_a_plain_name_stays_as_it_is_without_its_suffix(name):
    assert safe_name(f"{name}.png") == name


@given(st.text(st.characters(codec=None)))
def test_any_text_gives_a_name_that_every_file_system_takes(text):
    assert FIT.fullmatch(safe_name(text))


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_are_replaced_by_generated_ones(text):
    name = safe_name(text)
    assert FIT.fullmatch(name)
    assert re.search(r"-[0-9a-f]{8}$", name)
    assert name == safe_name(text)


@given(st.lists(st.text(st.characters(codec=None), max_size=6)))
@example(["a.png", "a.jpg", "A.png", "a.png", "a", "a-2"])
def test_the_names_of_a_batch_differ_even_where_case_does_not_count(originals):
    names = safe_names(originals)
    assert len({name.lower() for name in names}) == len(originals)
    assert all(FIT.fullmatch(name) for name in names)


def test_two_pictures_that_differ_in_their_suffix_alone_keep_apart():
    one, other, third = safe_names(["a.png", "a.jpg", "b.png"])
    assert third == "b"
    assert one != other
    assert one.startswith("a-")
    assert other.startswith("a-")


@given(st.text(st.characters(codec=None)))
def test_what_is_shown_is_short_and_holds_nothing_invisible(text):
    shown = shown_name(text)
    assert 0 < len(shown.encode()) <= 255
    assert shown.isprintable()


@pytest.mark.parametrize(
    ("original", "shown"),
    [
        ("Straße 7 – Nord.jpg", "Straße 7 – Nord.jpg"),
        ("a\nb", "a\\nb"),
        ("gnp.\u202eexe", "gnp.\\u202eexe"),
        ("nul\0", "nul\\x00"),
        ("", "(no name)"),
    ],
)
def test_what_cannot_be_seen_is_spelt_out(original, shown):
    assert shown_name(original) == shown


def test_a_long_name_is_cut_between_letters():
    shown = shown_name("ü" * 4096)
    assert shown == "ü" * 126 + "…"
