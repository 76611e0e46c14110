"""Numbers and foreign text, written down."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.report import wording


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text", "plain text"),
        ("null\0byte", "null␀byte"),
        ("\x1b[31mred", "␛[31mred"),
        ("two\nlines\tand\rmore", "two lines and more"),
        ("\u202egnp.exe", "[U+202E]gnp.exe"),
        ("zero\u200bwidth", "zero[U+200B]width"),
        ("\x9b31m", "\ufffd31m"),
        ("half\ud800", "half\ufffd"),
        ("\ufdd0\uffff", "\ufffd\ufffd"),
        ("שלום world", "\u2068שלום\u2069 world"),
        ("a🏽‍🚀b", "a🏽‍🚀b"),
    ],
)
def test_text_that_could_command_reorder_or_break_becomes_visible(text: str, shown: str) -> None:
    assert wording.plain(text) == shown


@given(st.text(st.characters()))
@settings(derandomize=True, deadline=None)
def test_clean_text_always_encodes_and_holds_no_control_character(text: str) -> None:
    clean = wording.plain(text)
    clean.encode("utf-8")
    assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for char in clean)
    assert not any(0x202A <= ord(char) <= 0x202E for char in clean)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.1234, "12.3 %"),
        (0.0, "0 %"),
        (1.0, "100 %"),
        (0.0001, "< 0.1 %"),
        (0.9999, "> 99.9 %"),
        (None, "—"),
    ],
)
def test_a_share_that_is_not_0_or_100_percent_never_rounds_to_it(value: float | None, shown: str) -> None:
    assert wording.share(value) == shown


@pytest.mark.parametrize(
    ("width", "places"), [(30.0, 0), (6.0, 1), (0.8, 2), (0.04, 3), (1e-9, 5), (0.0, 2), (None, 2)]
)
def test_an_interval_decides_how_many_decimals_a_number_deserves(width: float | None, places: int) -> None:
    assert wording.decimals(width) == places


def test_a_negative_number_that_rounds_to_nothing_has_no_sign() -> None:
    assert wording.fixed(-0.004, 1, signed=True) == "0.0"
    assert wording.fixed(-1.24, 1) == "−1.2"
    assert wording.fixed(1.24, 1, signed=True) == "+1.2"


def test_a_long_name_is_cut_where_it_says_so() -> None:
    assert wording.clip("a" * 200, 10) == "aaaaaaaaa…"
    assert wording.clip("short", 10) == "short"


def test_midnight_is_a_date_and_any_other_moment_is_not() -> None:
    assert wording.day("2026-01-15T00:00:00Z") == "2026-01-15"
    assert wording.day("2026-01-15T06:30:00Z") == "2026-01-15 06:30:00Z"
    assert wording.day(None) == "—"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(1234567, "1,234,567"), (41.25, "41.2"), (87.0, "87"), (1204.4, "1,204"), (None, "—")],
)
def test_counts_stand_with_thousands_apart(value: float | None, shown: str) -> None:
    assert wording.count(value) == shown
