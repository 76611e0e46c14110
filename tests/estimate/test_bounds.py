"""Bounds beyond what audits could draw, against every choice of the labels there and against redrawn audits."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from estimate.worlds import audit_rows, census_rows, make_world, question, replayed, strategies
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.estimate.bounds import Outside
from engine.estimate.chosen import chosen_numbers
from engine.estimate.estimates import estimate_all
from engine.estimate.metrics import Number
from engine.estimate.question import Prices
from engine.estimate.truth import true_values
from engine.records import Estimate

LEAKAGE = Number("leakage_rate", "creatives")
LABELLED = (
    "leakage_rate",
    "leakage_prevalence",
    "overkill_rate",
    "overkill_share",
    "delay_compliant",
    "review_precision",
    "reject_rate",
    "cost",
)
PRICES = Prices(leaked=2.0, overkilled=0.5, per_review=0.9, scoring_S=(0.0, 0.0, 0.0), weighting="spend")


def by_key(estimates: list[Estimate]) -> dict[tuple[str, ...], Estimate]:
    return {
        (e.strategy, e.baseline or "", e.segment, e.weighting, e.reading, e.metric, e.inference): e for e in estimates
    }


def slow_extreme(top: float, whole: float, exposure: list[float], counts: list, sign: int) -> float:
    """Return the extreme ratio by trying every choice of every group."""
    found = []
    for picks in itertools.product(*(range(len(choices)) for choices in counts)):
        a = top + sum(e * c[p][0] for e, c, p in zip(exposure, counts, picks, strict=True))
        b = whole + sum(e * c[p][1] for e, c, p in zip(exposure, counts, picks, strict=True))
        found.append(a / b)
    return max(found) if sign > 0 else min(found)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(
    share=st.floats(0, 1),
    whole=st.floats(0.1, 100),
    groups=st.lists(
        st.tuples(st.floats(0, 100), st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=3)),
        min_size=1,
        max_size=4,
    ),
    sign=st.sampled_from([-1, 1]),
)
def test_the_extreme_ratio_is_that_of_the_best_of_all_choices(share, whole, groups, sign):
    exposure = [group[0] for group in groups]
    counts = [[(a * b, b) for a, b in group[1]] for group in groups]
    outside = Outside(np.array(exposure)[:, None], np.array(counts))
    value, _ = outside.extreme(np.array([share]), np.array([whole]), sign)
    assert value[0] == pytest.approx(slow_extreme(share * whole, whole, exposure, counts, sign), rel=1e-9, abs=1e-12)


@pytest.fixture(scope="module")
def half_framed():
    """A census of two regions of three, and the world that it could not see."""
    world, table = make_world(15, size=1500), strategies()
    inside = world.region_N != 2
    found = replayed(world, table, inside)
    seen = np.flatnonzero(inside)
    rows = census_rows(world.take(seen), found.outcome_Sn[:, seen])
    asked = question(world, rows, found, table, prices=PRICES)
    return world, table, inside, found, by_key(estimate_all(asked))


@pytest.mark.parametrize("labels", ["violating", "compliant", "random", "lenient", "harsh"])
def test_bounds_contain_the_truth_whatever_the_labels_outside_are(half_framed, labels):
    world, table, inside, found, numbers = half_framed
    y = world.y_N.copy()
    outside, reject = ~inside, world.score_N >= 0.55
    chosen = {
        "violating": np.ones(len(world)),
        "compliant": np.zeros(len(world)),
        "random": np.random.default_rng(3).integers(0, 2, len(world)),
        "lenient": reject,
        "harsh": ~reject,
    }[labels]
    y[outside] = chosen[outside]
    world = replace(world, y_N=y.astype(np.int8))
    asked = question(world, census_rows(world, found.outcome_Sn), found, table, prices=PRICES)
    checked = 0
    for truth in true_values(asked):
        row = by_key([truth])
        number = numbers[next(iter(row))]
        if truth.estimate is None or number.least is None or number.most is None:
            continue
        checked += 1
        slack = 1e-9 * max(1.0, abs(truth.estimate))
        assert number.least - slack <= truth.estimate <= number.most + slack, next(iter(row))
    assert checked > 150


def test_bounds_are_attained_by_labels_that_the_formula_likes_least(half_framed):
    world, _, inside, _, numbers = half_framed
    key = ("lenient", "", "all", "creatives", "machine", "leakage_rate", "history")
    delivered = world.score_N < np.float32(0.6)
    for side, chosen in (("most", delivered), ("least", ~delivered)):
        y = np.where(inside, world.y_N, chosen).astype(float)
        assert getattr(numbers[key], side) == pytest.approx((y * delivered).sum() / y.sum(), rel=1e-9)


def test_every_number_that_rests_on_labels_has_bounds_only_where_something_could_not_be_drawn(half_framed):
    *_, numbers = half_framed
    for key, row in numbers.items():
        if row.estimate is None or row.metric not in LABELLED or row.support is None:
            continue
        if row.support < 1.0:
            assert row.least is not None, key
            assert row.most is not None, key
            assert row.metric == "cost" or row.least <= row.low <= row.high <= row.most, key
            assert row.metric == "cost" or -1.0 <= row.least <= row.most <= 1.0
        else:
            assert row.least is None, key
            assert row.most is None, key
    assert any(row.metric == "reject_rate" and row.least is not None for row in numbers.values())
    assert any(row.metric == "cost" and row.baseline and row.least is not None for row in numbers.values())


def test_equal_strategies_differ_by_nothing_whatever_the_labels_are():
    world, table = make_world(15, size=1500), strategies()
    inside = world.region_N != 2
    found = replayed(world, table, inside)
    rows = audit_rows(world.take(np.flatnonzero(inside)), found.outcome_Sn[:, inside], (0.2, 0.4, 0.6), 4)
    asked = replace(question(world, rows, found, table), pair=(0, 0))
    swap_OQCW = np.zeros_like(found.totals.swap_OQCW)
    sums = found.totals.sum_SOFCW[0].sum(1)
    swap_OQCW[np.arange(len(sums)), np.arange(len(sums))] = sums
    asked = replace(asked, totals=replace(found.totals, swap_OQCW=swap_OQCW))
    numbers = by_key(estimate_all(asked))
    row = numbers["lenient", "lenient", "all", "creatives", "machine", "leakage_rate", "history"]
    assert (row.estimate, row.least, row.most) == (0.0, 0.0, 0.0)


def test_over_redrawn_audits_bounds_hold_as_often_as_they_say():
    world, table = make_world(18, size=3000), strategies()
    inside = world.region_N != 2
    y = np.where(inside, world.y_N, world.score_N < np.float32(0.6)).astype(np.int8)  # the worst for leakage
    found = replayed(world, table, inside)
    seen, held = np.flatnonzero(inside), 0
    delivered = world.score_N < np.float32(0.6)
    truth = (y * delivered).sum() / y.sum()
    for seed in range(120):
        rows = audit_rows(world.take(seen), found.outcome_Sn[:, seen], (0.05, 0.1, 0.2), seed)
        asked = question(world, rows, found, table)
        row = next(chosen_numbers(asked, [LEAKAGE], "p", "machine"))[LEAKAGE]
        held += row.least <= truth <= row.most
    assert held >= 110  # 114 expected; fewer than 110 in 4 % of all seeds, and this one is fixed
