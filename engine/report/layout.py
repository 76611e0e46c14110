"""A run's files → the page, in the order a reader needs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from engine.report import (
    chapters,
    examples_chapter,
    findings_chapter,
    first_screen,
    frontier,
    gates,
    ledger,
    score_chapters,
    search_chapter,
    series_chapter,
    strategies_chapter,
    versus_chapter,
    waiting_chapter,
    wording,
)
from engine.report.page import Page
from engine.report.run_summary import read_summary


def build_page(
    summary: Mapping[str, Any], estimates: pa.Table, truth: pa.Table | None, search: pa.Table | None = None
) -> Page:
    """Lay out the page.

    Parameters
    ----------
    summary : what summary.json holds.
    estimates : schema.ESTIMATES.
    truth : columns strategy, baseline, policy, segment_by, segment, weighting, reading, metric, truth;
        None where no simulation knows it.
    search : schema.SEARCH; None where the run has no sweep, or where nothing is drawn.
    """
    run = read_summary(summary)
    sections = (
        gates.verdict_section(run.verdict),
        chapters.comparison(run),
        versus_chapter.versus(run),
        findings_chapter.findings(run),
        frontier.frontier(run, search),
        search_chapter.search(run),
        examples_chapter.examples(run),
        chapters.segments(run, estimates, truth),
        series_chapter.over_time(run),
        waiting_chapter.waiting(run),
        chapters.every_metric(run),
        ledger.naive(run),
        score_chapters.scores(run),
        score_chapters.reliability(run),
        strategies_chapter.strategies(run),
        ledger.reading(run),
        ledger.labels(run),
        ledger.formulas(run),
        ledger.assumptions(run),
    )
    return Page(
        run=wording.clip(run.name, 120),
        imprint=first_screen.imprint(run),
        question=first_screen.question(run),
        answers=first_screen.answers(run),
        headline=first_screen.headline(run),
        picture=first_screen.picture(run),
        unknowns=first_screen.unknowns(run),
        sections=tuple(section for section in sections if section is not None),
    )
