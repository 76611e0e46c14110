"""The worlds of `scripts/bench coverage`, sampled: do intervals contain the truth as often as they say?

Many cells are judged at once, so each may fall short of its bar by chance with a probability of ALARM / cells only
(Bonferroni), from the binomial.
"""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
from coverage_batches import ManyHistories, OneHistory, alone, key_of, look_at
from coverage_bench import Simulation, simulate, world_of
from coverage_cells import Cell, Sums, bars_of
from coverage_worlds import WORLDS, Look, Recipe, World
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from engine.estimate.estimates import estimate_all
from engine.estimate.interval import exact_bounds
from engine.estimate.sample import FUTURE, HISTORY

ALARM = 1e-3
LOW = 0.935  # of a cell without a warning
WHOLE = bool(os.environ.get("BACKTEST_ALL"))
REPETITIONS = 2000 if WHOLE else 60
SOME = [(world.name, question) for world in WORLDS for question in (HISTORY, FUTURE)]
SAMPLED = SOME if WHOLE else [("rare", HISTORY), ("silent", FUTURE), ("wrong_reviewers", HISTORY)]


@pytest.mark.parametrize(("name", "question"), SAMPLED)
def test_numbers_that_do_not_warn_hold_their_coverage(name, question):
    cells, _ = simulate(Simulation(name, question, REPETITIONS, seed=5, pooled=None if WHOLE else 400_000))
    silent = [cell for cell in cells if not cell.excused]
    assert len(silent) > 20
    least = stats.binom.ppf(ALARM / len(silent), REPETITIONS, LOW) / REPETITIONS
    assert [cell.name for cell in silent if cell.coverage < least] == []


@pytest.mark.parametrize("kind", [OneHistory, ManyHistories])
def test_a_repetition_in_a_batch_is_what_it_is_alone(kind):
    small = Recipe(advertisers=80, creatives=8.0)
    world = World("small", "", small.draw, Look((0.8,), (60, 60), answering=(0.8, 0.7)))
    drawn = kind(world, 3) if kind is OneHistory else kind(world, 3, 20_000)
    batch = drawn.batch([np.random.default_rng([3, r]) for r in range(4)])
    together = estimate_all(batch.question)
    for r in range(4):
        mine = estimate_all(alone(batch, r))
        assert len(mine) == len(together) / 4
        for one, row in zip(mine, together[r::4], strict=True):
            assert row._replace(segment=one.segment) == one


def test_a_world_without_a_difference_between_reviewers_says_what_is_true():
    world = replace(world_of("wrong_reviewers"), look=Look((), (500,)))
    history = world.draw(np.random.default_rng(1))
    drawn = look_at(history, world.look, np.random.default_rng(2))
    assert (drawn.said_n == history.y_N[drawn.at_n]).all()


def test_wrong_reviewers_show_as_bias_where_nobody_counts_their_errors():
    counted = world_of("wrong_reviewers")
    for world, biased in ((counted, False), (replace(counted, look=replace(counted.look, checked=(0, 0))), True)):
        drawn = OneHistory(world, 1)
        errors = []
        for first in range(0, 40, world.look.together):
            generators = [np.random.default_rng([1, first + r]) for r in range(world.look.together)]
            for row in estimate_all(drawn.batch(generators).question):
                key = key_of(row)
                if key == ("baseline", False, "creatives", "machine", "overkill_rate"):
                    assert ("+rogan_gladen" in row.estimator) != biased
                    errors.append(row.estimate - drawn.truth[key])
        assert (abs(np.mean(errors)) > 2 * np.std(errors)) == biased


def test_errors_are_counted_on_as_many_creatives_as_the_world_says():
    look = world_of("wrong_reviewers").look
    counts = [look.count_errors(np.random.default_rng(r))["p"] for r in range(200)]
    assert {(one.violating, one.compliant) for one in counts} == {look.checked}
    assert np.mean([one.sensitivity for one in counts]) == pytest.approx(look.sensitivity, abs=0.01)
    assert np.mean([one.specificity for one in counts]) == pytest.approx(look.specificity, abs=0.005)
    assert world_of("easy").look.count_errors(np.random.default_rng(1)) == {}


def test_every_number_of_a_history_has_that_history_as_its_truth():
    world = world_of("easy")
    first, again, other = (OneHistory(world, 1, number) for number in (0, 0, 1))
    assert (first.history.y_N == again.history.y_N).all()
    assert first.truth == again.truth
    key = ("baseline", False, "creatives", "machine", "leakage_rate")
    assert first.truth[key] != other.truth[key]


def test_how_coverage_differs_between_histories_leaves_chance_out():
    row = estimate_all(OneHistory(world_of("easy"), 1).batch([np.random.default_rng([1, 0])]).question)[0]
    generator = np.random.default_rng(2)
    for spread in (0.0, 0.1):
        sums = Sums()
        for _ in range(600):
            inside = generator.random(20) < 0.85 + spread * generator.choice([-1, 1])
            rows = [row._replace(low=0.0 if one else 0.9, estimate=0.95, high=1.0) for one in inside]
            sums.add(rows, np.ones(20), 0.5)
        assert sums.blocks == 600
        assert sums.differing == pytest.approx(spread, abs=0.025)


def test_the_truth_of_one_history_is_its_plain_count():
    drawn = OneHistory(world_of("easy"), 1)
    history = drawn.history
    approved = history.old_N < 0.9
    expected = (history.y_N * approved).sum() / history.y_N.sum()
    assert drawn.truth["baseline", False, "creatives", "machine", "leakage_rate"] == pytest.approx(expected)
    weighted = (history.y_N * approved * history.exposure_N).sum() / (history.y_N * history.exposure_N).sum()
    assert drawn.truth["baseline", False, "impressions", "machine", "leakage_rate"] == pytest.approx(weighted)


def test_the_exact_bounds_are_those_of_statsmodels():
    counts, size = np.array([0, 1, 3, 20, 50]), np.full(5, 50)
    low, high = exact_bounds(counts.astype(float), size.astype(float), 0.95)
    theirs = proportion_confint(counts, size, alpha=0.05, method="beta")
    np.testing.assert_allclose((low, high), theirs, rtol=1e-9, atol=1e-12)


def _cell(coverage: float, warned: float = 0.0, events: float = 50.0, exact: float = 1.0) -> Cell:
    key = ("baseline", False, "creatives", "machine", "leakage_rate")
    return Cell("w", HISTORY, key, 0.5, 10_000, coverage, 0.0, 0.1, 0.2, exact, 0.0, warned, events, 99.0, False)


def test_bars_excuse_warned_numbers_and_need_all_repetitions():
    cells = [_cell(0.94), _cell(0.8, warned=0.6, exact=1.2), _cell(0.99, events=5.0), _cell(0.96), _cell(0.95)]
    bars = {bar.name: bar for bar in bars_of(cells)}
    assert bars["coverage.worst_low"].value == 0.94
    assert bars["coverage.worst_high"].value == 0.96
    assert bars["coverage.warned_share"].value == pytest.approx(0.2)
    assert bars["coverage.warned_width"].value == 1.2
    assert all(bar.holds for bar in bars.values())
    fewer = [replace(cell, repetitions=9_000) for cell in cells]
    assert not any(bar.holds for bar in bars_of(fewer))
    assert not bars_of([_cell(0.93)])[0].holds


def test_a_null_repetition_makes_no_claim_and_counts_as_warned():
    drawn = OneHistory(world_of("easy"), 1)
    batch = drawn.batch([np.random.default_rng([1, 0])])
    row = estimate_all(batch.question)[0]
    sums = Sums()
    sums.add([row._replace(estimate=None, low=None, high=None)], np.ones(1), 0.5)
    assert (sums.repetitions, sums.inside, sums.null, sums.warned) == (1, 1, 1, 1)
