"""The chapter of strategies: what a rule adds as a bar, and the funnel of a cascade."""

from __future__ import annotations

import pytest
from rendered import render_html

from engine.report.layout import build_page
from engine.report.page import Grid, Span

PAIRED = {"policy": "scam", "weighting": "creatives", "reading": "after_review", "inference": "history", "labels": 90}


def added(metric: str, value: float | None, low: float | None, high: float | None) -> dict:
    return PAIRED | {
        "strategy": "live", "baseline": "live without 0", "metric": metric,
        "estimate": value, "low": low, "high": high,
    }  # fmt: skip


def grids(run, title: str = "") -> list[Grid]:
    """Return the tables of the first strategy."""
    sections = {section.key: section for section in build_page(*run).sections}
    fold = sections["strategies"].blocks[0]
    return [block for block in fold.blocks if isinstance(block, Grid) and title in block.title]


def with_models(run, asked: dict[str, int | None]):
    summary, estimates, truth = run
    name = summary["strategies"][0]["name"]
    models = {model: {"contents": 31877, "asked": {name: count}} for model, count in asked.items()}
    return summary | {"models": models}, estimates, truth


def test_what_a_rule_adds_is_a_bar_from_zero_on_the_scale_of_the_longest(make):
    summary, estimates, truth = make()
    rules = summary["strategies"][0]["rules"]
    rules[0] |= {"fires": 9, "alone": 3, "adds": [added("leakage_rate", -0.02, -0.04, 0.01)]}
    rules[1] |= {"fires": 9, "alone": 3, "adds": [added("leakage_rate", 0.01, 0.0, 0.02)]}
    (grid,) = grids((summary, estimates, truth))
    column = grid.head.index("Adds to leakage_rate, after review")
    first, second, last = (row[column] for row in grid.groups[0].rows)
    assert first.span == Span(0.5, 0.25, 0.0, 0.625)
    assert second.span == Span(0.5, 0.625, 0.5, 0.75)
    assert (last.text, last.span) == ("—", None)
    assert render_html(summary, estimates, truth).count('<svg class="span"') == 2


def test_a_rule_whose_share_is_null_or_where_nothing_is_added_has_no_bar(make):
    summary, estimates, truth = make()
    rules = summary["strategies"][0]["rules"]
    rules[0] |= {"fires": 9, "alone": 3, "adds": [added("leakage_rate", None, None, None)]}
    rules[1] |= {"fires": 9, "alone": 3, "adds": [added("leakage_rate", 0.0, 0.0, 0.0)]}
    (grid,) = grids((summary, estimates, truth))
    assert all(cell.span is None for row in grid.groups[0].rows for cell in row)


def test_the_funnel_of_a_cascade_goes_from_all_contents_to_the_last_model(make):
    (grid,) = grids(with_models(make(), {"large": 3000, "small": 31877}), "funnel")
    assert [row[0].text for row in grid.groups[0].rows] == ["all contents", "small", "large"]
    assert [row[2].bar for row in grid.groups[0].rows] == [1.0, 1.0, 3000 / 31877]


@pytest.mark.parametrize("asked", [{"small": 31877}, {"small": 31877, "large": None}, {}])
def test_one_model_or_a_count_that_nobody_knows_makes_no_funnel(make, asked):
    assert grids(with_models(make(), asked), "funnel") == []
