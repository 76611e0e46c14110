"""Reviewer error taken out of numbers: slow twins, limits, and worlds whose reviewers err by known rates."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
from estimate import oracles
from estimate.worlds import audit_rows, census_rows, make_world, question, replayed, strategies
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.estimate.chosen import chosen_numbers
from engine.estimate.estimates import estimate_all
from engine.estimate.metrics import Number
from engine.estimate.question import Prices
from engine.estimate.reviewer_error import Spread, corrected_labels, distances, gamma_distances, solve, variances
from engine.estimate.truth import true_values
from engine.records import Decision, Estimate, ReviewerError

HUMAN = (0.9, 0.95, 0.1)
METRICS = ("leakage_rate", "leakage_prevalence", "overkill_rate", "overkill_share", "review_precision")


def by_key(estimates: list[Estimate]) -> dict[tuple[str, ...], Estimate]:
    return {
        (e.strategy, e.baseline or "", e.segment, e.weighting, e.reading, e.metric, e.inference): e for e in estimates
    }


def erring(y: np.ndarray, error: ReviewerError, generator: np.random.Generator) -> np.ndarray:
    """Return what reviewers who err so say."""
    return np.where(y == 1, generator.random(y.shape) < error.sensitivity,
                    generator.random(y.shape) > error.specificity).astype(np.int8)  # fmt: skip


@pytest.fixture(scope="module")
def world():
    return make_world(5, size=3000), strategies()


def test_labels_that_are_right_for_sure_change_nothing_at_all(world):
    world, table = world
    found = replayed(world, table)
    asked = question(world, audit_rows(world, found.outcome_Sn, (0.15, 0.4, 0.8), 11), found, table)
    assert estimate_all(replace(asked, reviewer_error={"p": ReviewerError(1.0, 1.0)})) == estimate_all(asked)


@settings(derandomize=True, deadline=None)
@given(se=st.floats(0.6, 1), sp=st.floats(0.6, 1))
def test_a_corrected_label_is_on_average_the_truth(se, sp):
    zero, one = corrected_labels(ReviewerError(se, sp), np.array([0.0, 1.0]))
    assert se * one + (1 - se) * zero == pytest.approx(1.0, abs=1e-9)
    assert (1 - sp) * one + sp * zero == pytest.approx(0.0, abs=1e-9)


def slow_point(table, rows, strategy, metric, reading, error):
    """Return the corrected ratio by plain loops."""
    top = bottom = 0.0
    for i in range(len(rows.pi_n)):
        rule = table.rules[strategy][rows.outcome_Sn[strategy, i]]
        said = (int(rows.y_nQ[i, 0]) - (1 - error.specificity)) / (error.sensitivity + error.specificity - 1)
        for y, share in ((0, 1 - said), (1, said)):
            w = float(rows.known_Wn[1, i])
            a, h, r = oracles.shares(rule.decision.name, rule.share, y, reading, False, HUMAN)
            part = oracles.parts(metric, w, y, a, h, r, int(rule.decision is Decision.REVIEW))
            top += share * part[0] / float(rows.pi_n[i])
            bottom += share * part[1] / float(rows.pi_n[i])
    return top / bottom


@pytest.mark.parametrize("reading", ["machine", "after_review"])
def test_points_are_those_of_plain_loops_and_move_with_the_rates_as_the_slopes_say(world, reading):
    from engine.estimate.known import creatives_of, sum_segments
    from engine.estimate.metrics import RATES
    from engine.estimate.sample import answered_sample
    from engine.estimate.view import View

    world, table = world
    found = replayed(world, table)
    rows = audit_rows(world, found.outcome_Sn, (0.15, 0.4, 0.8), 11)
    error, tiny = ReviewerError(0.92, 0.97), 1e-6
    asked = replace(question(world, rows, found, table), reviewer_error={"p": error})
    creatives_G = creatives_of(asked.totals, asked.segments)
    sample = answered_sample(rows, 0, asked.segments, creatives_G)
    for s in range(3):
        view = View(asked, sum_segments(asked.totals, asked.segments), sample, s, 0, reading, "impressions")
        for metric in (m for m in RATES if m.name in METRICS):
            ratio = view.ratio(metric, view.terms())
            if ratio.empty[0]:
                continue
            low, high = ratio.bounds
            expected = slow_point(table, rows, s, metric.name, reading, error)
            assert ratio.estimate[0] == pytest.approx(np.clip(expected, low, high), rel=1e-9, abs=1e-12)
            if low < expected < high:
                slopes = ratio.correction.slopes(sample, ratio)
                moved = (replace(error, sensitivity=error.sensitivity + tiny),
                         replace(error, specificity=error.specificity + tiny))  # fmt: skip
                for slope, other in zip(slopes, moved, strict=True):
                    gone = (slow_point(table, rows, s, metric.name, reading, other) - expected) / tiny
                    assert slope[0] == pytest.approx(gone, rel=1e-3, abs=1e-6)


def test_no_apparent_event_has_the_exact_upper_limit_of_a_count():
    down, up = gamma_distances(np.zeros(1), np.zeros(1), np.array([2.0]), 0.95)
    assert down[0] == 0
    assert up[0] == pytest.approx(2 * 3.688879, rel=1e-6)  # −ln 0.025, each of weight 2
    down, up = gamma_distances(np.array([4.0]), np.array([4.0]), np.ones(1), 0.95)
    assert (4 - down[0], 4 + up[0]) == (pytest.approx(1.0899, rel=1e-4), pytest.approx(10.2416, rel=1e-4))  # Garwood


def test_rates_that_were_counted_vary_and_rates_that_are_known_do_not():
    assert variances(ReviewerError(0.9, 0.98)) == (0.0, 0.0)
    assert distances(ReviewerError(0.9, 0.98), 0.95) == ((0.0, 0.0), (0.0, 0.0))
    counted = ReviewerError(1.0, 0.98, 50, 300)
    assert variances(counted)[0] == pytest.approx(51 / 52 * (1 / 52) / 52)
    down, up = distances(counted, 0.95)
    assert down[0] == pytest.approx(1 - 0.025 ** (1 / 50))
    assert up[0] == 0
    assert 0 < up[1] < down[1]  # of a share near 1


@settings(derandomize=True, deadline=None, max_examples=100)
@given(
    values=st.tuples(st.floats(-5, 50), st.floats(-5, 50)),
    widths=st.tuples(*[st.floats(0.1, 20)] * 4),
    slopes=st.tuples(*[st.floats(-30, 30)] * 4),
    rho=st.floats(-0.9, 0.9),
)
def test_limits_are_the_ends_of_what_the_test_does_not_refuse(values, widths, slopes, rho):
    def spread(i):
        return Spread(*(np.array([x]) for x in (values[i], widths[2 * i], widths[2 * i + 1])),
                      tuple(np.array([x]) for x in slopes[2 * i : 2 * i + 2]))  # fmt: skip

    top, rest = spread(0), spread(1)
    found = solve(top, rest, np.array([rho]), ((0.05, 0.02), (0.03, 0.01)))
    if values[0] + values[1] <= 0:
        assert (found.low[0], found.high[0]) == (0.0, 1.0)
        return
    kept = []
    for s in np.linspace(0, 1, 2001):
        d = (1 - s) * values[0] - s * values[1]
        slope = [(1 - s) * a - s * c for a, c in zip(slopes[:2], slopes[2:], strict=True)]
        reach = []
        for sign, one, other in ((1, widths[1], widths[2]), (-1, widths[0], widths[3])):
            x, z = (1 - s) * one, s * other
            more = [m * (h if (m > 0) == (sign > 0) else low)
                    for m, low, h in zip(slope, (0.05, 0.02), (0.03, 0.01), strict=True)]  # fmt: skip
            reach.append(d + sign * np.sqrt(max(x * x + z * z - 2 * rho * x * z + sum(m * m for m in more), 0)))
        if reach[0] >= 0 >= reach[1]:
            kept.append(s)
    if not kept:
        assert found.low[0] >= found.high[0] - 1e-3
    elif found.low[0] <= found.high[0]:
        assert found.low[0] == pytest.approx(min(kept), abs=1.1e-3)
        assert found.high[0] == pytest.approx(max(kept), abs=1.1e-3)


def test_labels_that_drown_make_null_with_limits_and_a_reason(world):
    world, table = world
    found = replayed(world, table)
    rows = audit_rows(world, found.outcome_Sn, (0.05, 0.1, 0.1), 2)
    asked = question(world, rows, found, table, inferences=("history",))
    key = ("lenient", "", "all", "creatives", "machine", "leakage_rate", "history")
    for error, said in (
        (ReviewerError(0.5, 0.6, 20, 20), "no more than chance"),
        (ReviewerError(0.9, 0.86, 100, 40), "cannot be told from 0"),
    ):
        row = by_key(estimate_all(replace(asked, reviewer_error={"p": error})))[key]
        assert row.estimate is None
        assert row.low is None
        assert said in str(row.null_reason)
        assert 0.0 <= row.least < row.most <= 1.0


def test_a_policy_whose_reviewers_nobody_measured_has_no_number(world):
    world, table = world
    found = replayed(world, table)
    rows = audit_rows(world, found.outcome_Sn, (0.15, 0.4, 0.8), 11)
    asked = question(world, rows, found, table, reviewer_error={"q": ReviewerError(0.9, 0.98)})
    for row in estimate_all(asked):
        if row.metric in METRICS:
            assert "does not say how often reviewers err on p" in str(row.null_reason)


def test_a_census_by_erring_reviewers_is_not_exact(world):
    world, table = world
    found = replayed(world, table)
    rows = census_rows(world, found.outcome_Sn)
    error = ReviewerError(0.9, 0.98)
    rows = replace(rows, y_nQ=erring(rows.y_nQ, error, np.random.default_rng(1)))
    prices = Prices(2.0, 0.5, 0.9, (0.0, 0.0, 0.0), "creatives")
    numbers = by_key(estimate_all(question(world, rows, found, table, reviewer_error={"p": error}, prices=prices)))
    row = numbers["lenient", "", "all", "creatives", "machine", "leakage_rate", "history"]
    assert row.estimator == "hajek+rogan_gladen/fieller"
    assert row.low < row.estimate < row.high
    row = numbers["lenient", "", "all", "creatives", "machine", "cost", "history"]
    assert row.low < row.estimate < row.high
    row = numbers["lenient", "", "all", "creatives", "after_review", "reject_rate", "history"]
    assert row.estimator == "known_total+hajek+rogan_gladen/fieller"
    assert row.low < row.estimate < row.high


def covered(world, table, rates, counted, repetitions) -> dict[str, list[int]]:
    """Return, by metric, how often the limits hold and of how many, a null number's bounds included."""
    found, generator = replayed(world, table), np.random.default_rng(1)
    census = question(world, census_rows(world, found.outcome_Sn), found, table)
    true_ones = by_key(true_values(census))
    truth = {
        metric: true_ones["lenient", "", "all", "creatives", "machine", metric, "history"].estimate
        for metric in METRICS
    }
    numbers = [Number(metric, "creatives") for metric in METRICS]
    held = {metric: [0, 0] for metric in METRICS}
    true = ReviewerError(0.9, 0.98)
    for seed in range(repetitions):
        rows = audit_rows(world, found.outcome_Sn, rates, seed)
        rows = replace(rows, y_nQ=erring(rows.y_nQ, true, generator))
        error = true
        if counted:
            error = ReviewerError(generator.binomial(100, 0.9) / 100, generator.binomial(200, 0.98) / 200, 100, 200)
        asked = question(world, rows, found, table, reviewer_error={"p": error})
        for number, row in next(chosen_numbers(asked, numbers, "p", "machine")).items():
            low, high = (row.low, row.high) if row.estimate is not None else (row.least, row.most)
            held[number.metric][0] += low <= truth[number.metric] <= high
            held[number.metric][1] += 1
    return held


@pytest.mark.parametrize("counted", [False, True], ids=["rates_known", "rates_counted_on_300"])
@pytest.mark.parametrize("prevalence", [0.01, 0.05])
def test_limits_hold_as_often_as_they_say_where_reviewers_err(prevalence, counted):
    repetitions = 300 if os.environ.get("BACKTEST_ALL") else 20
    world = make_world(3, size=10000, advertisers=1500, share=prevalence)
    for metric, (held, of) in covered(world, strategies(), (0.1, 0.2, 0.5), counted, repetitions).items():
        # of limits that hold in .95, fewer than 15 of 20 come about in one of 3,000 seeds, and these are fixed
        assert held >= (0.93 * of if of >= 300 else 15), metric
