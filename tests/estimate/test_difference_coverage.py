"""Redrawn audits of one history: the difference estimator beside Hájek's on the same draws.

Bounds come from the binomial: what two intervals of one draw do differs in few draws, so the difference of two
coverages has the standard error of a paired count; z = 4 keeps false alarms below one in ten thousand a check.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
from estimate.worlds import World, audit_rows, census_rows, make_world, predictions, question, replayed, strategies

from engine.estimate.known import creatives_of, sum_segments
from engine.estimate.label_rates import label_rates, paired_rates
from engine.estimate.metrics import RATES
from engine.estimate.question import Question
from engine.estimate.sample import answered_sample
from engine.estimate.view import View
from engine.expression import Atom
from engine.records import Decision, Estimate
from engine.strategy import Rule, Strategy, StrategyTable, build_table

Z = 4.0
LESS = 0.005  # coverage that may be lost
WIDER = 1.02


@dataclass
class Cell:
    """What one number did over all draws. inside, width, point : (draws, 2), Hájek's and the difference estimator's."""

    truth: float
    inside: list[tuple[bool, bool]]
    width: list[tuple[float, float]]
    point: list[tuple[float, float]]
    events: list[float]
    used: list[bool]


def key_of(row: Estimate) -> tuple[str | None, ...]:
    return row.strategy, row.baseline, row.segment, row.weighting, row.reading, row.metric


def rates(asked: Question, weightings: tuple[str, ...] = ("creatives",)) -> Iterator[Estimate]:
    """Yield rates that labels are needed for, of the machine alone, and those of the pair."""
    creatives_G = creatives_of(asked.totals, asked.segments)
    known, sample = (
        sum_segments(asked.totals, asked.segments),
        answered_sample(asked.rows, 0, asked.segments, creatives_G),
    )
    for weighting in weightings:
        views = [View(asked, known, sample, s, 0, "machine", weighting) for s in range(len(asked.table.names))]
        for view in views:
            yield from label_rates(view, RATES)
        if asked.pair:
            yield from paired_rates(views[1], views[0], RATES)


def redraw(
    world: World, table: StrategyTable, share_H: tuple[float, ...], draws: int
) -> dict[tuple[str | None, ...], Cell]:
    """Draw the audit again and again; return the cells with 30 effective events on average."""
    found = replayed(world, table)
    everybody = question(world, census_rows(world, found.outcome_Sn), found, table, inferences=("history",))
    truth = {key_of(row): row.estimate for row in rates(everybody)}
    cells: dict[tuple[str | None, ...], Cell] = {}
    for seed in range(draws):
        rows = audit_rows(world, found.outcome_Sn, share_H, seed)
        asked = question(world, rows, found, table, inferences=("history",))
        leaning = replace(asked, predictions=predictions(world, rows, found))
        for plain, best in zip(rates(asked), rates(leaning), strict=True):
            if plain.low is None or best.low is None or str(plain.estimator).endswith("no_swap"):
                continue
            key = key_of(plain)
            cell = cells.setdefault(key, Cell(truth[key], [], [], [], [], []))
            both = (plain, best)
            cell.inside.append(tuple(row.low <= cell.truth <= row.high for row in both))
            cell.width.append(tuple(row.high - row.low for row in both))
            cell.point.append(tuple(row.estimate for row in both))
            cell.events.append(plain.effective_events)
            cell.used.append(best.estimator.startswith("difference"))
    return {key: cell for key, cell in cells.items() if np.mean(cell.events) >= 30 and any(cell.used)}


def judge(cells: dict[tuple[str | None, ...], Cell]) -> None:
    """Assert what is promised of every cell, and of all together.

    Where Hájek's interval covers more than it says, falling to what both say is no loss.
    """
    lost = []
    for key, cell in cells.items():
        inside, width = np.array(cell.inside, float), np.array(cell.width)
        assert width[:, 1].mean() <= WIDER * width[:, 0].mean(), key
        change = inside[:, 1] - inside[:, 0]
        spread = max(change.std(), 1 / np.sqrt(len(change))) / np.sqrt(len(change))
        kept = inside[:, 1].mean() >= 0.95 - LESS - Z * np.sqrt(0.05 * 0.95 / len(change))
        assert kept or change.mean() >= -LESS - Z * spread, key
        lost.append(change.mean())
        if all(cell.used):
            off = np.array(cell.point)[:, 1] - cell.truth
            assert abs(off.mean()) <= Z * off.std(ddof=1) / np.sqrt(len(off)), key
    assert np.mean(lost) >= -LESS - Z * 0.2 / np.sqrt(len(change)), "all cells together"


def plainly_drawn(world: World) -> World:
    return replace(world, stratum_N=np.zeros(len(world), np.int64))


def auc(world: World) -> float:
    rank = np.empty(len(world))
    rank[np.argsort(world.score_N)] = np.arange(1, len(world) + 1)
    bad = world.y_N == 1
    return float((rank[bad].sum() - bad.sum() * (bad.sum() + 1) / 2) / (bad.sum() * (~bad).sum()))


def half_leaking() -> StrategyTable:
    """Two strategies; the first leaks about half of what violates."""
    last = Rule(Atom("m.p", ">=", 0.0), Decision.APPROVE, policy="p")
    return build_table(
        [Strategy(f"{t:g}", (Rule(Atom("m.p", ">=", t), Decision.REJECT, policy="p"),), last) for t in (0.85, 0.75)]
    )


@pytest.mark.parametrize("draws", [8, pytest.param(400, marks=pytest.mark.slow)])
def test_good_scores_and_a_simple_random_audit_make_leakage_a_quarter_narrower(draws):
    world, table = plainly_drawn(make_world(31, 10_000, 2_000, 0.15, 2.8)), half_leaking()
    assert auc(world) >= 0.95
    found = replayed(world, table)
    width, inside = [], []
    truth = next(rates(question(world, census_rows(world, found.outcome_Sn), found, table, inferences=("history",))))
    for seed in range(draws):
        rows = audit_rows(world, found.outcome_Sn, (0.2,), seed)
        asked = replace(question(world, rows, found, table, inferences=("history",)), pair=None)
        plain = next(rates(asked))
        best = next(rates(replace(asked, predictions=predictions(world, rows, found))))
        assert best.metric == "leakage_rate"
        assert best.estimator == "difference/logit"
        width.append((plain.high - plain.low, best.high - best.low))
        inside.append((plain.low <= truth.estimate <= plain.high, best.low <= truth.estimate <= best.high))
    plain_width, best_width = np.mean(width, axis=0)
    assert best_width <= 0.75 * plain_width
    assert np.mean(inside, axis=0)[1] >= 0.95 - Z * np.sqrt(0.05 * 0.95 / draws)


@pytest.mark.parametrize("draws", [25, pytest.param(600, marks=pytest.mark.slow)])
@pytest.mark.parametrize("useful", [0.0, 1.0, 2.6])
def test_a_simple_random_audit_loses_no_coverage_whatever_scores_are_worth(useful, draws):
    world = plainly_drawn(make_world(5, 6_000, 300, 0.15, useful))
    judge(redraw(world, strategies(), (0.15,), draws))


@pytest.mark.parametrize("draws", [25, pytest.param(600, marks=pytest.mark.slow)])
def test_strata_drawn_by_the_score_lose_no_coverage(draws):
    cells = redraw(make_world(21), strategies(), (0.12, 0.3, 0.7), draws)
    assert len(cells) > 10
    judge(cells)
