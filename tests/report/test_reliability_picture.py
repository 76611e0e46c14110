"""The reliability picture: what is drawn, for whom, and nothing where there is nothing."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from engine.report.page import Curve
from engine.report.reliability import draw_reliability

RAW = Curve("v1.scam", (0.1, 0.5, 0.9), (0.02, 0.2, 0.7), (0.01, 0.15, 0.6), (0.04, 0.26, 0.79))
MAPPED = Curve("v1.scam, calibrated", (0.03, 0.21, 0.68), RAW.share, RAW.low, RAW.high)
EMPTY = Curve("nobody looked", (), (), (), ())


def markers(drawing: str) -> int:
    return len(list(ElementTree.fromstring(drawing).iter("use")))


def test_every_bin_of_every_curve_is_drawn_under_its_name() -> None:
    one, two = (draw_reliability("r", "reliability", curves) for curves in ([RAW], [RAW, MAPPED]))
    said = {element.text for element in ElementTree.fromstring(two).iter("text")}
    assert {"v1.scam", "v1.scam, calibrated"} <= said
    assert markers(two) - markers(one) == len(MAPPED.score)
    assert "calibrated" not in one


def test_a_point_stands_where_its_bin_says() -> None:
    def placed(share: float) -> list[tuple[float, float]]:
        curve = Curve("a", (0.25,), (share,), (0.0,), (1.0,))
        uses = ElementTree.fromstring(draw_reliability("r", "", [curve])).iter("use")
        return [(float(use.attrib["x"]), float(use.attrib["y"])) for use in uses]

    (x_low, y_low), (x_high, y_high) = placed(0.25)[-1], placed(0.75)[-1]
    assert x_low == x_high
    assert y_low > y_high


@pytest.mark.parametrize("curves", [[], [EMPTY]])
def test_a_picture_of_nothing_is_empty(curves: list[Curve]) -> None:
    assert draw_reliability("r", "reliability", curves) == ""


def test_a_curve_without_bins_leaves_the_others_as_they_are() -> None:
    assert draw_reliability("r", "", [RAW, EMPTY]) == draw_reliability("r", "", [RAW])


def test_the_same_picture_gives_the_same_bytes_in_the_colours_of_the_page() -> None:
    drawing = draw_reliability("r", "reliability of v1", [RAW, MAPPED])
    assert drawing == draw_reliability("r", "reliability of v1", [RAW, MAPPED])
    assert 'aria-label="reliability of v1"' in drawing
    assert {"var(--c1)", "var(--c2)"} <= set(re.findall(r"var\(--c\d\)", drawing))
    assert set(re.findall(r"#[0-9a-f]{6}", drawing)) == set()


def test_a_hostile_name_is_text() -> None:
    name = "</text><script>x</script>"
    drawing = draw_reliability("r", name, [Curve(name, (0.5,), (0.5,), (0.4,), (0.6,))])
    assert name in {element.text for element in ElementTree.fromstring(drawing).iter("text")}
    assert "<script" not in drawing
