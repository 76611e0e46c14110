"""The chapter of segments that differ: worse first, narrower ones folded away, and what was not tested."""

from __future__ import annotations

from typing import Any

import pytest
from rendered import render_html, render_markdown

from engine.report.findings_chapter import findings
from engine.report.page import Fold, Grid, Text
from engine.report.run_summary import read_summary


def one(segment: str, estimate: float, inside: str | None = None) -> dict[str, Any]:
    return {"policy": "scam", "metric": "leakage_rate", "segment_by": "region", "segment": segment,
            "estimate": estimate, "low": estimate - 0.01, "high": estimate + 0.01, "adjusted": 0.01, "events": 41.2,
            "labels": 300, "creatives": 1234, "inside": inside}  # fmt: skip


def with_findings(run: Any, *named: dict[str, Any], tested: int = 12) -> dict[str, Any]:
    return run[0] | {"findings": {"named": list(named), "tested": tested, "few": 7, "still": 2, "rate": 0.05}}


def test_worse_segments_stand_before_better_ones_and_narrower_ones_are_folded(run):
    summary = with_findings(run, one("GB", -0.04), one("US", 0.05), one("US × games", 0.06, "region US"))
    section = findings(read_summary(summary))
    assert section is not None
    text, grid, fold = section.blocks
    assert isinstance(text, Text)
    assert "12 differences were tested" in text.text
    assert "7 more had too few" in text.text
    assert isinstance(grid, Grid)
    assert [group.title for group in grid.groups] == ["Worse", "Better"]
    assert [cell.text for cell in grid.groups[0].rows[0]][::2] == ["region: US", "+5.0 pp", "41.2"]
    assert isinstance(fold, Fold)
    assert fold.title.startswith("1 narrower")


@pytest.mark.parametrize(("tested", "words"), [(12, "No segment is named."), (0, "enough swapped labels")])
def test_without_a_named_segment_the_chapter_says_why(run, tested, words):
    section = findings(read_summary(with_findings(run, tested=tested)))
    assert section is not None
    assert words in section.blocks[1].text


def test_a_run_without_findings_has_no_such_chapter(run):
    assert findings(read_summary(run[0])) is None


def test_both_pages_show_the_chapter_and_escape_its_names(run):
    summary = with_findings(run, one("<b>US</b>", 0.05))
    html, text = (render(summary, *run[1:]) for render in (render_html, render_markdown))
    assert "Where it differs" in html
    assert "<b>US" not in html
    assert "Where it differs" in text
    assert "<b>US" not in text
