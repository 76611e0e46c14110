"""Pictures: what is drawn, where names go, and what of matplotlib's SVG survives."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from engine.report.lookup import Key, Number
from engine.report.page import DotRow, Dots, Look, Shape, Spot, Tradeoff
from engine.report.placing import Box, around, place
from engine.report.plots import draw
from engine.report.svg import inline

KEY = Key("live", "scam", "leakage_rate", "creatives", "machine")
LOOK = Look(1, "square")
SOME = Number(KEY, estimate=0.2, low=0.1, high=0.3, truth=0.22)
NONE = Number(KEY, null_reason="nobody looked")
HOSTILE = '$\\frac{ </text><script>alert(1)</script> & "q" 漢字 العربية'


def texts(drawing: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(drawing).iter("text")]


def test_a_strategy_is_drawn_with_its_name_and_one_without_numbers_is_not() -> None:
    drawing = draw(Tradeoff("t", "", (Spot("seen", LOOK, SOME, SOME), Spot("unseen", LOOK, NONE, SOME))))
    assert "seen" in texts(drawing)
    assert "unseen" not in texts(drawing)


def test_a_picture_of_nothing_is_empty() -> None:
    assert draw(Tradeoff("t", "", (Spot("unseen", LOOK, NONE, SOME),))) == ""
    assert draw(Dots("d", "leakage", "", ("a",), (LOOK,), (DotRow("US", (NONE,)),))) == ""
    assert draw(Shape("s", "", "", (0.0, 1.0), (0.0,), (0.0,))) == ""


def test_a_number_without_an_interval_is_drawn_without_one() -> None:
    bare = Number(KEY, estimate=0.2)
    assert draw(Tradeoff("t", "", (Spot("bare", LOOK, bare, bare),)))


def test_a_segment_without_a_number_keeps_its_row_with_a_dash() -> None:
    rows = (DotRow("region"), DotRow("US", (SOME,)), DotRow("DE", (NONE,)))
    found = texts(draw(Dots("d", "leakage", "by segment", ("a",), (LOOK,), rows)))
    assert {"region", "US", "DE", "—"} <= set(found)


def test_names_are_text_in_a_drawing_whatever_they_hold() -> None:
    spots = (Spot(HOSTILE[:27], LOOK, SOME, SOME),)
    assert HOSTILE[:27] in texts(draw(Tradeoff("t", HOSTILE.translate({0x627: None}), spots)))


def test_the_same_picture_gives_the_same_bytes_and_no_two_share_an_id() -> None:
    def drawn(key: str) -> str:
        return draw(Tradeoff(key, "", (Spot("live", LOOK, SOME, SOME),)))

    def ids(text: str) -> set[str]:
        return set(re.findall(r' id="([^"]+)"', text))

    assert drawn("one") == drawn("one")
    assert ids(drawn("one"))
    assert not ids(drawn("one")) & ids(drawn("two"))


def test_a_drawing_takes_its_colours_from_the_page_and_has_no_style() -> None:
    drawing = draw(Tradeoff("t", "", (Spot("live", LOOK, SOME, SOME),)))
    assert "style" not in drawing
    assert set(re.findall(r"#[0-9a-f]{6}", drawing)) == set()
    assert "var(--c1)" in drawing
    assert "xmlns" not in drawing


def test_references_inside_a_drawing_still_point_at_something() -> None:
    drawing = draw(Tradeoff("t", "", (Spot("live", LOOK, SOME, SOME),)))
    pointed = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', drawing)
    assert pointed
    assert {a or b for a, b in pointed} <= set(re.findall(r' id="([^"]+)"', drawing))


def test_the_font_shorthand_of_older_matplotlib_keeps_its_size() -> None:
    drawing = '<svg viewBox="0 0 1 1"><text style="font: 700 12px Sans">a</text></svg>'
    assert 'font-size="12px"' in inline(drawing, "k", "label")


def test_a_name_goes_where_it_covers_least() -> None:
    frame = Box(0, 0, 200, 200)
    free = place([(100, 100)], [40], 10, [], frame)[0]
    assert free.left > 100
    assert free.bottom > 100
    blocked = place([(100, 100)], [40], 10, [Box(100, 100, 80, 40)], frame)[0]
    assert blocked.left + blocked.width < 100
    cornered = place([(190, 190)], [40], 10, [], frame)[0]
    assert cornered.left + cornered.width < 190
    assert cornered.bottom + cornered.height < 200


def test_names_of_spots_on_one_place_do_not_cover_each_other() -> None:
    boxes = place([(100, 100)] * 4, [40] * 4, 10, [around(100, 100, 9)], Box(0, 0, 200, 200))
    shared = [a.overlap(b) for i, a in enumerate(boxes) for b in boxes[:i]]
    assert shared == pytest.approx([0] * 6)
