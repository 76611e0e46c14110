"""Allocation and beliefs: sums, floors, and what the formulas promise, held against plain loops and redraws."""

from __future__ import annotations

import numpy as np
import pytest

from engine.labelling.allocation import EarlierAudit, allocate, expected_variance
from engine.labelling.belief import FOLDS, violating_chance
from engine.labelling.influence import Influence


def moves(seed: int, size: int = 3000) -> tuple[Influence, np.ndarray, np.ndarray]:
    """Return influences where a tenth swaps, with chance and the two values of every residual."""
    generator = np.random.default_rng(seed)
    chance = generator.beta(0.3, 2.0, size)
    swap = generator.choice([-1, 0, 1], size, p=[0.03, 0.9, 0.07]).astype(np.int8)
    value = np.where(swap == 0, 0.05, swap * 1.0) * np.exp(generator.normal(0, 0.5, size)) / size
    return Influence(chance * value, chance * value**2, swap), chance, value


@pytest.mark.parametrize("budget", [20, 21, 50, 333, 1500, 2999, 3000, 5000])
@pytest.mark.parametrize("floor", [0.01, 0.1, 1.0])
def test_takes_add_up_to_the_budget_and_nothing_has_probability_0(budget, floor):
    found = allocate(moves(1)[0], (), budget, floor)
    assert found.take_h.sum() == min(budget, 3000)
    assert (found.take_h >= np.minimum(4, found.size_h)).all()
    assert (found.take_h <= found.size_h).all()
    assert np.bincount(found.stratum_N).tolist() == found.size_h.tolist()
    assert found.chance_N.min() > 0


def test_the_floor_lies_on_all_creatives():
    found = allocate(moves(2)[0], (), 1000, 0.3)
    assert (found.chance_N >= 0.3 * 1000 / 3000 - 1e-12).all()


def test_the_swap_set_comes_first():
    one = moves(3)[0]
    found = allocate(one, (), 300, 0.1)
    swaps = one.swap_N != 0
    assert found.chance_N[swaps].mean() > 10 * found.chance_N[~swaps].mean()


def test_what_an_earlier_audit_knows_is_not_asked_again():
    one = moves(4)[0]
    known = np.where(one.swap_N == 1, 0.8, 0.01)
    code = (one.swap_N == 1).astype(np.int32)
    earlier = EarlierAudit(known, code, np.bincount(code), np.array([True, True]), 1.0)
    before, after = (allocate(one, audits, 300, 0.1).chance_N for audits in ((), (earlier,)))
    assert after[one.swap_N == 1].sum() < before[one.swap_N == 1].sum()
    assert after[one.swap_N == -1].sum() > before[one.swap_N == -1].sum()


@pytest.mark.parametrize("answered", [1.0, 0.8])
def test_the_expected_variance_is_that_of_redraws(answered):
    one, chance, value = moves(5, size=1200)
    found = allocate(one, (), 160, 0.1)
    generator = np.random.default_rng(6)
    sums = []
    for _ in range(400):
        e = value * (generator.random(len(value)) < chance)
        total = 0.0
        for h, (size, take) in enumerate(zip(found.size_h, found.take_h, strict=True)):
            back = max(1, round(answered * take))
            total += size * generator.choice(e[found.stratum_N == h], back, replace=False).mean()
        sums.append(total - e.sum())
    assert np.var(sums) == pytest.approx(expected_variance(one, (), found, answered), rel=0.3)


def test_a_plan_beside_an_earlier_audit_leaves_less_than_either():
    one = moves(7)[0]
    whole = np.zeros(3000, np.int32)
    earlier = (EarlierAudit(np.full(3000, 0.2), whole, np.array([3000]), np.array([True]), 1.0),)
    found = allocate(one, earlier, 300, 0.1)
    both = expected_variance(one, earlier, found, 1.0)
    assert both < expected_variance(one, earlier, None, 1.0)
    assert both < expected_variance(one, (), found, 1.0)


def test_a_small_swap_direction_joins_the_rest_instead_of_a_stratum_of_its_own():
    one = moves(8)[0]
    swap = np.zeros(3000, np.int8)
    swap[:2] = -1
    found = allocate(Influence(one.mean_N, one.square_N, swap), (), 100, 0.1)
    assert (found.size_h >= 4).all()
    assert set(found.swap_h.tolist()) == {0}


def test_beliefs_follow_the_labels_and_weights():
    generator = np.random.default_rng(9)
    score = generator.random(20_000)
    truth = 1 / (1 + np.exp(-(3 * np.log(score / (1 - score)) - 2)))
    y = (generator.random(20_000) < truth).astype(np.int8)
    pi = np.where(score > 0.5, 0.4, 0.05)
    at = np.flatnonzero(generator.random(20_000) < pi)
    fold = generator.integers(0, FOLDS, 20_000)
    found = violating_chance(score[None], at, y[at], 1 / pi[at], fold)
    assert np.abs(found - truth).mean() < 0.03
    assert found.mean() == pytest.approx(truth.mean(), rel=0.05)


def test_nobodys_probability_rests_on_a_label_of_its_own_fold():
    generator = np.random.default_rng(10)
    score, fold = generator.random((2, 500)), generator.integers(0, FOLDS, 500)
    at, y = np.arange(0, 500, 2), generator.integers(0, 2, 250).astype(np.int8)
    first = violating_chance(score, at, y, np.ones(250), fold)
    mine = fold[at] == 3
    second = violating_chance(score, at, np.where(mine, 1 - y, y).astype(np.int8), np.ones(250), fold)
    assert second[fold == 3].tobytes() == first[fold == 3].tobytes()
    assert np.abs(second[fold != 3] - first[fold != 3]).max() > 0.01


@pytest.mark.parametrize("y", [[], [1, 1]])
def test_without_labels_of_both_kinds_scores_are_taken_at_their_word(y):
    score = np.array([[0.2, 0.4, np.nan], [0.4, -1.0, np.nan]])
    found = violating_chance(score, np.arange(len(y)), np.array(y, np.int8), np.ones(len(y)), np.zeros(3, np.int64))
    assert found == pytest.approx([0.3, 0.4, 0.5])


def test_missing_scores_are_a_feature_of_their_own():
    generator = np.random.default_rng(11)
    score = generator.random((1, 4000))
    score[0, ::2] = np.nan
    y = (generator.random(4000) < np.where(np.isnan(score[0]), 0.6, 0.1)).astype(np.int8)
    found = violating_chance(score, np.arange(4000), y, np.ones(4000), np.arange(4000) % FOLDS)
    assert found[::2].mean() == pytest.approx(0.6, abs=0.04)
    assert found[1::2].mean() == pytest.approx(0.1, abs=0.03)
