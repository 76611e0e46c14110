"""Off-policy estimates: slow twins, exactness where nothing is random, and repetition in a world of known truth."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
from generators import examples
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import DataError
from engine.estimate.off_policy.estimates import Asked, off_policy_estimates
from engine.estimate.off_policy.estimators import ESTIMATORS, future_spread, history_spread
from engine.estimate.off_policy.logged import LoggedRows, Target, match
from engine.estimate.off_policy.outcome_model import predict_outcomes
from engine.records import Segments

APPROVE, REVIEW, REJECT = 0, 1, 2
ALL = Segments((), (), np.zeros((1, 0), np.int32), ("all",), ("all",), np.ones((1, 1), bool))


def rows_of(decision, propensity, outcome, advertiser=None, cell=None, **bounds):
    n = len(decision)
    advertiser = np.arange(n) if advertiser is None else np.asarray(advertiser)
    cell = np.zeros(n, np.int64) if cell is None else np.asarray(cell)
    return LoggedRows(
        advertiser,
        np.asarray(decision),
        cell,
        advertiser % 5,
        np.asarray(propensity, float),
        np.asarray(outcome, float),
        **bounds,
    )


def target_of(decision):
    decision = np.asarray(decision)
    return Target(decision, decision == REJECT)


def both(rows, target, **asked):
    found = off_policy_estimates(rows, {"s": target}, ALL, np.ones((1, len(rows)), bool), Asked("impressions", **asked))
    return {one.inference: one for one in found}


# --- Slow twins ------------------------------------------------------------------------------------------------------


def slow_predictions(rows, target):
    """Mean of the same decision and cell in other folds; of the decision; 0."""
    out = []
    for i in range(len(rows)):
        if target.zero_N[i]:
            out.append(0.0)
            continue
        others = [
            j
            for j in range(len(rows))
            if rows.fold_N[j] != rows.fold_N[i] and rows.decision_N[j] == target.decision_N[i]
        ]
        near = [j for j in others if rows.cell_N[j] == rows.cell_N[i]] or others
        out.append(sum(rows.outcome_N[j] for j in near) / len(near) if near else 0.0)
    return out


def slow_means(rows, target):
    """Return the three estimates with loops over creatives, None where undefined."""
    predicted = slow_predictions(rows, target)
    known = plain = weights = weighted = robust = 0.0
    drawn = 0
    for i in range(len(rows)):
        same, p, y = rows.decision_N[i] == target.decision_N[i], rows.propensity_N[i], rows.outcome_N[i]
        if target.zero_N[i]:
            continue
        if p == 1:
            known += y if same else 0.0
            continue
        drawn += 1
        robust += predicted[i]
        if same:
            plain += y / p
            weights += 1 / p
            weighted += y / p
            robust += (y - predicted[i]) / p
    n = len(rows)
    normalised = None if drawn and not weights else (known + (drawn * weighted / weights if drawn else 0.0)) / n
    return {"ips": (known + plain) / n, "snips": normalised, "doubly_robust": (known + robust) / n}


@st.composite
def logs(draw):
    n = draw(st.integers(1, 30))

    def column(values):
        return np.array(draw(st.lists(values, min_size=n, max_size=n)))

    decision, wanted = column(st.integers(0, 2)), column(st.integers(0, 2))
    propensity = column(st.sampled_from([0.05, 0.3, 0.5, 0.9, 1.0]))
    outcome = column(st.sampled_from([0.0, 1.0, 7.5, 1000.0]))
    rows = rows_of(decision, propensity, outcome, column(st.integers(0, 7)), column(st.integers(0, 2)))
    return rows, target_of(wanted)


@examples(150)
@given(logs())
def test_estimators_and_predictions_equal_their_slow_twins(log):
    rows, target = log
    predicted_N = predict_outcomes(rows, target)
    assert predicted_N == pytest.approx(slow_predictions(rows, target))
    for name, slow in slow_means(rows, target).items():
        mean = ESTIMATORS[name](rows, match(rows, target), predicted_N).mean
        assert np.isnan(mean) if slow is None else mean == pytest.approx(slow)


@examples(60)
@given(logs(), st.sampled_from(sorted(ESTIMATORS)))
def test_history_itself_with_propensities_of_one_is_the_plain_mean_byte_for_byte(log, estimator):
    logged, _ = log
    rows = replace(logged, propensity_N=np.ones(len(logged)))
    found = both(rows, Target(rows.decision_N, np.zeros(len(rows), bool)), estimator=estimator)["history"]
    mean = float(rows.outcome_N.sum()) / len(rows)
    assert (found.estimate, found.low, found.high, found.support) == (mean, mean, mean, 1.0)


def test_the_variance_of_history_is_unbiased_over_all_that_history_could_have_drawn():
    p, y = np.array([0.2, 0.5, 0.9]), np.array([10.0, 4.0, 7.0])
    target = target_of([APPROVE] * 3)
    mean = variance = second = 0.0
    for drawn in np.ndindex(2, 2, 2):
        took = np.array(drawn) == 1
        chance = float(np.prod(np.where(took, p, 1 - p)))
        rows = rows_of(np.where(took, APPROVE, REJECT), np.where(took, p, 1 - p), np.where(took, y, 0.0))
        matched = match(rows, target)
        linear = ESTIMATORS["ips"](rows, matched, np.zeros(3))
        mean, second = mean + chance * linear.mean, second + chance * linear.mean**2
        variance += chance * history_spread(rows, matched, linear).variance
    assert mean == pytest.approx(y.mean())
    assert variance == pytest.approx(second - mean**2)


def test_the_variance_of_the_future_is_that_between_advertisers():
    rows = rows_of([0, 0, 0, 0], [1.0] * 4, [1.0, 3.0, 5.0, 11.0], advertiser=[0, 0, 1, 2])
    linear = ESTIMATORS["ips"](rows, match(rows, target_of([0] * 4)), np.zeros(4))
    off = [1 + 3 - 2 * 5, 5 - 5, 11 - 5]
    assert future_spread(rows, linear).variance == pytest.approx(sum(z * z for z in off) / 16 * 3 / 2)


# --- Support, warnings, faults ---------------------------------------------------------------------------------------


def test_what_history_never_did_is_null_between_bounds_and_never_zero():
    rows = rows_of([APPROVE] * 8 + [REJECT] * 2, [1.0] * 10, [5.0] * 8 + [0.0] * 2, most=20.0)
    found = both(rows, target_of([APPROVE] * 10))["history"]
    assert found.estimate is None
    assert "20.0%" in found.null_reason
    assert (found.least, found.most) == (4.0, 8.0)
    unbounded = both(replace(rows, most=float("inf")), target_of([APPROVE] * 10))["history"]
    assert (unbounded.least, unbounded.most) == (4.0, None)


def test_refusing_what_history_approved_for_sure_is_known_to_deliver_nothing():
    rows = rows_of([APPROVE] * 4, [1.0] * 4, [1.0, 2.0, 3.0, 4.0])
    found = both(rows, target_of([APPROVE, APPROVE, REJECT, REJECT]))["history"]
    assert (found.estimate, found.low, found.high) == (0.75, 0.75, 0.75)


def test_a_decision_that_history_never_drew_is_null_with_the_count():
    rows = rows_of([APPROVE] * 40, [0.5] * 40, [1.0] * 40)
    found = both(rows, target_of([REVIEW] * 40))["future"]
    assert found.estimate is None
    assert "none of 40" in found.null_reason


def test_propensities_that_leave_creatives_out_are_found_by_their_sum():
    rows = rows_of([APPROVE, REVIEW] * 500, [0.5] * 1000, [1.0, 0.0] * 500)
    wanted = np.where(np.arange(1000) < 500, APPROVE, 7)  # half of the creatives could not have got decision 7
    assert both(rows, target_of([APPROVE] * 1000))["history"].null_reason is None
    assert "standard errors below" in both(rows, target_of(wanted))["history"].null_reason
    high = both(replace(rows, propensity_N=np.full(1000, 0.2)), target_of([APPROVE] * 1000))["history"]
    assert "standard errors above" in high.warning


def test_what_clipping_cuts_and_who_carries_the_weight_is_said():
    propensity = np.where(np.arange(100) == 0, 0.01, 0.9)
    rows = rows_of([APPROVE] * 90 + [REJECT] * 10, propensity, np.arange(100.0))
    target = target_of([APPROVE] * 100)
    assert "one creative has 50%" in both(rows, target)["history"].warning
    assert "clipping cut 4" in both(rows, target, clip=10.0)["history"].warning


def test_outcomes_that_do_not_vary_have_no_interval_of_history():
    rows = rows_of([APPROVE, REJECT] * 50, [0.5] * 100, [0.0] * 100)
    found = both(rows, target_of([APPROVE] * 100))["history"]
    assert (found.estimate, found.low, found.high) == (0.0, None, None)
    assert "no interval" in found.warning


@pytest.mark.parametrize("bad", [0.0, -0.1, 1.2, float("nan"), float("inf")])
def test_a_propensity_that_is_no_probability_is_a_fault_in_one_line(bad):
    with pytest.raises(DataError, match=r"^propensity of row 1 is .*\(0, 1\].*") as fault:
        rows_of([0, 0], [0.5, bad], [1.0, 1.0])
    assert len(fault.value.faults) == 1


@pytest.mark.parametrize("bad", [-1.0, float("nan"), 11.0])
def test_an_outcome_outside_its_range_is_a_fault_in_one_line(bad):
    with pytest.raises(DataError, match="outcome of row 0"):
        rows_of([0, 0], [0.5, 0.5], [bad, 1.0], most=10.0)


# --- Repetition ------------------------------------------------------------------------------------------------------


class World:
    """Creatives of advertisers; what each would bring if approved depends on its cell and its advertiser."""

    def __init__(self, generator, advertisers):
        size_A = generator.integers(1, 8, advertisers)
        self.advertiser_N = np.repeat(np.arange(advertisers), size_A)
        n = len(self.advertiser_N)
        self.cell_N = generator.integers(0, 4, n)
        level_N = np.exp(0.3 * generator.normal(size=advertisers))[self.advertiser_N]
        self.outcome_N = np.round(100 * (1 + 3 * self.cell_N) * level_N * generator.gamma(8, 1 / 8, n))
        self.risky_N = generator.random(n) < 0.5
        self.open_N = np.where(self.risky_N, 0.1 + 0.1 * self.cell_N, 1.0)  # chance of being approved
        self.wanted_N = np.where(self.risky_N & (self.cell_N == 3), REJECT, APPROVE)
        self.truth = float(np.where(self.wanted_N == APPROVE, self.outcome_N, 0.0).mean())

    def drawn(self, generator, useless=False):
        took_N = generator.random(len(self.open_N)) < self.open_N
        return rows_of(
            np.where(took_N, APPROVE, REJECT),
            np.where(took_N, self.open_N, 1 - self.open_N),
            np.where(took_N, self.outcome_N, 0.0),
            self.advertiser_N,
            self.cell_N * (not useless),
        )


def repeat(times, estimator, useless=False, redraw=False):
    """Return (bias in standard errors, coverage, mean width) over histories of one world, or over redrawn worlds."""
    generator = np.random.default_rng(20261123)
    world = World(generator, 300)
    truth = np.mean([World(generator, 300).truth for _ in range(2000)]) if redraw else world.truth
    found = []
    for _ in range(times):
        world = World(generator, 300) if redraw else world
        rows = world.drawn(generator, useless)
        found.append(both(rows, target_of(world.wanted_N), estimator=estimator)["future" if redraw else "history"])
    value = np.array([one.estimate for one in found], float)  # a null is NaN, and covers nothing
    low, high = np.array([one.low for one in found], float), np.array([one.high for one in found], float)
    bias = (np.nanmean(value) - truth) / (np.nanstd(value, ddof=1) / np.sqrt(times))
    return float(bias), float(np.mean((low <= truth) & (truth <= high))), float(np.nanmean(high - low))


TIMES = 4000 if os.environ.get("BACKTEST_ALL") else 300
ROOM = 4 * np.sqrt(0.95 * 0.05 / TIMES)


@pytest.mark.parametrize("redraw", [False, True])
@pytest.mark.parametrize("estimator", sorted(ESTIMATORS))
def test_intervals_cover_the_truth_over_repeated_histories(estimator, redraw):
    bias, coverage, _ = repeat(TIMES, estimator, redraw=redraw)
    assert abs(bias) < 4 + (estimator == "snips")
    assert 0.94 - ROOM < coverage < 0.965 + ROOM


def test_a_good_outcome_model_narrows_the_interval_and_a_useless_one_does_no_harm_to_its_truth():
    (_, _, plain), (_, _, good) = repeat(100, "ips"), repeat(100, "doubly_robust")
    bias, coverage, _ = repeat(TIMES, "doubly_robust", useless=True)
    assert good < 0.6 * plain
    assert abs(bias) < 4
    assert 0.94 - ROOM < coverage < 0.965 + ROOM
