"""Weights calibrated to counts: against a slow twin, over redrawn audits, and where they change nothing."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
from estimate import oracles
from estimate.drawn import draw, engine_rows, population, segments
from estimate.worlds import (
    World,
    assert_same_to_rounding,
    audit_rows,
    census_rows,
    make_world,
    question,
    replayed,
    strategies,
)

from engine.estimate.contrast import contrasted
from engine.estimate.delivery import MACHINE
from engine.estimate.estimates import estimate_all
from engine.estimate.evidence import Contrast
from engine.estimate.label_rates import label_rates
from engine.estimate.metrics import RATES, Number
from engine.estimate.policy import policies
from engine.estimate.post_strata import post_stratified
from engine.estimate.sample import answered_sample
from engine.records import ReviewerError

PREVALENCE = next(metric for metric in RATES if metric.name == "leakage_prevalence")
RATES_H = (0.06, 0.09, 0.12)
REPETITIONS = 300


def told_apart(seed: int = 31, size: int = 4000) -> World:
    """Return a world in which most violating creatives come from one region."""
    world = make_world(seed, size, useful=0.4, share=0.3)
    moved = np.random.default_rng(seed).random(size) < 0.85
    return replace(world, region_N=np.where(moved, 2 * world.y_N, world.region_N).astype(np.int64))


@pytest.mark.parametrize("least", [1, 9, 14, 30, 60, 1000])
@pytest.mark.parametrize("design", ["srs", "stratified", "poisson", "pps", "cluster", "two_audits"])
def test_calibrated_weights_and_residuals_are_those_of_the_slow_twin(design, least):
    people = population()
    drawing = draw(people, design, np.random.default_rng(8))
    category_N = np.where(people.size_N > 11, 4, people.decision_N)  # 3 is never seen, 4 is rare
    framed_GK = np.stack(
        [np.bincount(category_N[part], minlength=5) for part in (people.inside_N >= 0, people.inside_N > 0)]
    )
    framed_GK[:, 3] = 7  # nobody of it was drawn
    plain = answered_sample(engine_rows(people, drawing), 0, segments(), framed_GK.sum(1).astype(float))
    category_m = category_N[plain.rows_n[plain.at_m]]
    sample = post_stratified(plain, category_m, framed_GK.astype(float), least)
    value_m = people.b_N[sample.rows_n[sample.at_m]]
    for g in range(2):
        mine = plain.segment_m == g
        columns = (plain.weight_m[mine].tolist(), value_m[mine].tolist(), category_m[mine].tolist())
        weight, rest = oracles.calibrated(*columns, framed_GK[g].tolist(), least)
        np.testing.assert_allclose(sample.weight_m[mine], weight, rtol=1e-12)
        np.testing.assert_allclose(sample.unexplained(value_m)[mine], rest, rtol=1e-9, atol=1e-9)
        assert sample.calibrated_G[g] == (weight != columns[0])
        if sample.calibrated_G[g]:
            np.testing.assert_allclose(sum(weight), framed_GK[g].sum())


def test_what_categories_explain_does_not_vary():
    people = population()
    plain = answered_sample(
        engine_rows(people, draw(people, "stratified", np.random.default_rng(8))), 0, segments(), np.ones(2)
    )
    category_m = people.decision_N[plain.rows_n[plain.at_m]]
    framed_GK = np.stack([np.bincount(people.decision_N[part]) for part in (people.inside_N >= 0, people.inside_N > 0)])
    sample = post_stratified(plain, category_m, framed_GK.astype(float), 1)
    by_category_m = np.array([3.0, -1.0, 40.0])[category_m]
    assert (plain.history_spread(by_category_m)[0] > 100).all()
    np.testing.assert_allclose(sample.history_spread(by_category_m)[0], 0.0, atol=1e-9)
    exact = framed_GK @ np.array([3.0, -1.0, 40.0])
    np.testing.assert_allclose(sample.sums(sample.weight_m * by_category_m), exact)


def test_intervals_of_calibrated_rates_cover_and_are_narrower_where_categories_predict():
    world, table = told_apart(), strategies()
    found = replayed(world, table)
    rows = census_rows(world, found.outcome_Sn)
    (truth, *_) = label_rates(
        policies(question(world, rows, found, table))[0].view(0, MACHINE, "creatives"), [PREVALENCE]
    )
    inside, width, point = np.zeros(2), np.zeros(2), np.zeros((2, REPETITIONS))
    for seed in range(REPETITIONS):
        rows = audit_rows(world, found.outcome_Sn, RATES_H, seed)
        for k, post_strata in enumerate(((), ("region",))):
            asked = question(world, rows, found, table, post_strata=post_strata, inferences=("history",))
            view = policies(asked)[0].view(0, MACHINE, "creatives")
            row = next(iter(label_rates(view, [PREVALENCE])))
            inside[k] += row.low <= truth.estimate <= row.high
            width[k] += row.high - row.low
            point[k, seed] = row.estimate
    share = inside / REPETITIONS
    assert (np.abs(share - 0.95) <= 4 * sqrt(0.05 * 0.95 / REPETITIONS)).all(), share
    assert width[1] < 0.8 * width[0]
    assert point[1].std() < 0.8 * point[0].std()
    assert abs(point[1].mean() - truth.estimate) < 4 * point[1].std() / sqrt(REPETITIONS)


def test_only_rates_of_this_history_change_and_they_say_so():
    world, table = told_apart(), strategies()
    found = replayed(world, table)
    rows = audit_rows(world, found.outcome_Sn, RATES_H, 3)
    plain = estimate_all(question(world, rows, found, table))
    named = {metric.name for metric in RATES}
    moved = {"": 0, "paired": 0}
    for one, other in zip(
        plain, estimate_all(question(world, rows, found, table, post_strata=("region",))), strict=True
    ):
        if other.metric in named and other.inference == "history" and other.segment == "all" and other.estimator:
            assert "+post_strata/" in other.estimator
            assert other.labels == one.labels
            moved["paired" if other.baseline else ""] += other.estimate != one.estimate
        else:  # a region is one category: nothing to calibrate
            assert_same_to_rounding(other, one)
    assert moved[""] > 20
    assert moved["paired"] > 20


def test_labels_corrected_for_reviewer_error_keep_their_weights():
    world, table = told_apart(), strategies()
    found = replayed(world, table)
    rows = audit_rows(world, found.outcome_Sn, RATES_H, 3)
    few = {"inferences": ("history",), "weightings": ("creatives",), "reviewer_error": {"p": ReviewerError(0.95, 0.97)}}
    plain = estimate_all(question(world, rows, found, table, **few))
    assert estimate_all(question(world, rows, found, table, **few, post_strata=("region",))) == plain


@pytest.mark.parametrize("factor", [0.0, 0.8, 1.0])
def test_gates_are_judged_on_calibrated_weights(factor):
    world, table = told_apart(), strategies()
    found = replayed(world, table)
    rows = audit_rows(world, found.outcome_Sn, RATES_H, 3)
    asked = question(world, rows, found, table, post_strata=("region",))
    wanted = Contrast(Number("leakage_prevalence", "creatives"), "p", MACHINE, "history", factor)
    judged = contrasted(asked, wanted, 0.95)[0]
    level = {row.strategy: row for row in estimate_all(asked) if _is_prevalence(row) and not row.baseline}
    assert judged.estimate == pytest.approx(level["strict"].estimate - factor * level["lenient"].estimate)
    plain = contrasted(replace(asked, post_strata=()), wanted, 0.95)[0]
    assert judged.high - judged.low != plain.high - plain.low


def _is_prevalence(row) -> bool:
    place = (row.metric, row.segment, row.inference, row.weighting, row.reading)
    return place == ("leakage_prevalence", "all", "history", "creatives", MACHINE)
