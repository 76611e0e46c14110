"""Known exposure that no drawn creative stands for: intervals reach to whatever it is, and only then say so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from estimate.worlds import World, audit_rows, make_world, question, replayed, segments, strategies

from engine.estimate.contrast import contrasted
from engine.estimate.estimates import estimate_all
from engine.estimate.evidence import Contrast
from engine.estimate.metrics import Number
from engine.estimate.question import Question
from engine.estimate.sample import answered_sample
from engine.estimate.shortfall import shortfall
from engine.records import WEIGHTS, Estimate

RATES = (0.1, 0.3, 0.4)
REVIEWED = (0.62, 0.68)  # scores that `lenient` sends to review and `strict` too
SWAPPED = (0.52, 0.58)  # scores that `lenient` approves and `strict` sends to review


def with_giant(violates: int, between: tuple[float, float] = REVIEWED) -> tuple[World, int]:
    """Return a world in which one creative has as many impressions as all others together, and its place.

    between : what its score lies between.
    """
    world = make_world(3)
    giant = int(np.flatnonzero((world.score_N > between[0]) & (world.score_N < between[1]))[0])
    exposure_WN, y_N = world.exposure_WN.copy(), world.y_N.copy()
    exposure_WN[1, giant], y_N[giant] = exposure_WN[1].sum(), violates
    return replace(world, exposure_WN=exposure_WN, y_N=y_N), giant


Rows = dict[tuple[str, ...], Estimate]


def asked_by(world: World, giant: int, *, drawn: bool) -> tuple[Question, Question]:
    """Return a question by an audit that drew the giant, or did not, and one by an audit of everybody."""
    table = strategies()
    found = replayed(world, table)
    for seed in range(100):
        rows = audit_rows(world, found.outcome_Sn, RATES, seed)
        if (world.exposure_WN[1, giant] in rows.known_Wn[1]) == drawn:
            break
    everybody = audit_rows(world, found.outcome_Sn, (1.0,) * 3, 0)
    return question(world, rows, found, table), question(world, everybody, found, table)


def judged(world: World, giant: int, *, drawn: bool) -> tuple[Rows, dict[tuple[str, ...], float | None]]:
    """Return the numbers of history and the truth."""
    asked, whole = asked_by(world, giant, drawn=drawn)
    truth = {key(row): row.estimate for row in estimate_all(whole) if row.inference == "history"}
    return {key(row): row for row in estimate_all(asked) if row.inference == "history"}, truth


def key(row: Estimate) -> tuple[str, ...]:
    return row.strategy, row.baseline or "", row.segment, row.weighting, row.reading, row.metric


@pytest.mark.parametrize("violates", [0, 1])
def test_an_interval_holds_whatever_the_label_is_of_a_giant_that_was_not_drawn(violates):
    found, truth = judged(*with_giant(violates), drawn=False)
    for metric in ("review_precision", "delay_compliant", "leakage_rate"):
        row = found["lenient", "", "all", "impressions", "machine", metric]
        assert row.estimator.endswith("+unseen")
        assert "no drawn creative stands for 5" in row.warning  # half of all, give or take
        assert row.low <= truth[key(row)] <= row.high
    precision = found["lenient", "", "all", "impressions", "machine", "review_precision"]
    assert precision.low < 0.2
    assert precision.high > 0.8
    refused = found["lenient", "", "all", "impressions", "after_review", "reject_rate"]
    assert refused.estimator == "known_total+hajek/logit+unseen"
    assert refused.low <= truth[key(refused)] <= refused.high


def test_the_difference_of_two_strategies_that_treat_it_otherwise_reaches_too():
    found, truth = judged(*with_giant(1), drawn=False)
    paired = [row for row in found.values() if row.baseline and row.weighting == "impressions" and row.segment == "all"]
    reaching = [row for row in paired if str(row.estimator).endswith("+unseen")]
    assert reaching
    assert all(row.low <= truth[key(row)] <= row.high for row in reaching)


@pytest.mark.parametrize("violates", [0, 1])
@pytest.mark.parametrize("factor", [0.0, 0.9, 1.0])
@pytest.mark.parametrize("between", [REVIEWED, SWAPPED])
def test_the_bounds_of_a_gate_hold_whatever_the_giant_is(violates, factor, between):
    asked, whole = asked_by(*with_giant(violates, between), drawn=False)
    for metric in ("leakage_rate", "review_precision", "delay_compliant", "reject_rate"):
        reading = "after_review" if metric == "reject_rate" else "machine"
        wanted = Contrast(Number(metric, "impressions"), "p", reading, "history", factor)
        found, true = contrasted(asked, wanted, 0.95)[0], contrasted(whole, wanted, 0.95)[0].estimate
        assert found.low <= true <= found.high


def test_what_counts_creatives_and_what_was_drawn_is_left_as_it_is():
    for drawn in (False, True):
        found, _ = judged(*with_giant(1), drawn=drawn)
        left = [row for row in found.values() if row.weighting == "creatives" or drawn]
        assert left
        assert not [row for row in left if str(row.estimator).endswith("+unseen")]


def test_chance_alone_is_no_shortfall():
    world, table = make_world(5), strategies()
    found = replayed(world, table)
    creatives_G = np.array([len(world), *np.bincount(world.region_N)], float)
    known_KG = found.totals.sum_SOFCW[0, :, 1, :, WEIGHTS.index("impressions")] @ segments().member_GC.T.astype(float)
    flagged = asked = 0
    for seed in range(400):
        rows = audit_rows(world, found.outcome_Sn, RATES, seed)
        sample = answered_sample(rows, 0, segments(), creatives_G)
        kind_m = rows.outcome_Sn[0, sample.rows_n][sample.at_m].astype(np.int64)
        short_KG = shortfall(sample, kind_m, rows.known_Wn[1, sample.rows_n][sample.at_m], known_KG)
        flagged, asked = flagged + int((short_KG > 0).sum()), asked + short_KG.size
    assert flagged / asked < 0.01
