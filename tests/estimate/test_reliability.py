"""Reliability: bins against plain loops, intervals that cover, an error that tells noise from distortion."""

from __future__ import annotations

from math import nan, pi, sqrt

import numpy as np
import pytest
from estimate import oracles
from generators import examples
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import DataError
from engine.estimate.reliability import Reliability, reliability


def slow_bins(score: list[float], weight: list[float], bins: int) -> list[list[int]]:
    """Return the rows of each bin: a score goes by the middle of its weight."""
    found: dict[int, list[int]] = {}
    below = 0.0
    for value in sorted(set(score)):
        at = [i for i, s in enumerate(score) if s == value]
        own = sum(weight[i] for i in at)
        found.setdefault(int(bins * (below + own / 2) / sum(weight)), []).extend(at)
        below += own
    return [found[number] for number in sorted(found)]


def slow_reliability(score: list[float], y: list[int], weight: list[float], bins: int) -> dict[str, list[float]]:
    """Return each bin's figures, then those of the whole, by plain loops."""
    rows = slow_bins(score, weight, bins)
    out: dict[str, list[float]] = {
        name: [] for name in ("least", "greatest", "score", "share", "low", "high", "labels", "size", "weight")
    }
    error = noise = square = 0.0
    for at in rows:
        w, s, v = [weight[i] for i in at], [score[i] for i in at], [y[i] for i in at]
        total, n = sum(w), len(at)
        mean = sum(a * b for a, b in zip(w, s, strict=True)) / total
        share = sum(a * b for a, b in zip(w, v, strict=True)) / total
        factor, part = n / max(n - 1, 1), total / sum(weight)
        squares = [(a / total * (b - share)) ** 2 for a, b in zip(w, v, strict=True)]
        events = min(
            oracles.kish([a * b for a, b in zip(w, v, strict=True)]),
            oracles.kish([a * (1 - b) for a, b in zip(w, v, strict=True)]),
        )
        df = max(1.0, oracles.kish(squares) - 1)
        low, high = oracles.interval(share, factor * sum(squares), events, oracles.kish(w), df, float(n), 1.0, 0.95)
        figures = (min(s), max(s), mean, share, low, high, n, oracles.kish(w), part)
        for name, figure in zip(out, figures, strict=True):
            out[name].append(figure)
        gaps = [(a / total * (b - c - share + mean)) ** 2 for a, b, c in zip(w, v, s, strict=True)]
        error += part * abs(share - mean)
        noise += part * sqrt(2 / pi * factor * sum(gaps))
        square += part * ((share - mean) ** 2 - factor * sum(gaps))
    return out | {"whole": [error, noise, sqrt(max(0.0, square))]}


@examples(60)
@given(seed=st.integers(0, 10**6), count=st.sampled_from([1, 2, 7, 60, 400]), digits=st.sampled_from([0, 1, 9]))
def test_bins_are_those_of_plain_loops(seed: int, count: int, digits: int) -> None:
    generator = np.random.default_rng(seed)
    score = np.round(generator.beta(0.5, 1.0, count), digits)
    y = (generator.random(count) < score).astype(np.int8)
    weight = 2.0 ** generator.integers(0, 5, count)  # sums are exact: both sides cut bins at the same places
    slow = slow_reliability(score.tolist(), y.tolist(), weight.tolist(), 10)
    found = reliability(score, y, weight)
    columns = (
        found.least_B, found.greatest_B, found.score_B, found.share_B, found.interval_B.low, found.interval_B.high,
        found.labels_B, found.size_B, found.weight_B,
    )  # fmt: skip
    for name, column in zip(slow, columns, strict=False):
        assert column == pytest.approx(slow[name], rel=1e-9, abs=1e-12), name
    assert [found.error, found.error_if_calibrated] == pytest.approx(slow["whole"][:2], rel=1e-9, abs=1e-12)
    assert found.debiased**2 == pytest.approx(slow["whole"][2] ** 2, rel=1e-9, abs=1e-12)


def test_equal_scores_share_a_bin_and_bins_do_not_overlap() -> None:
    score = np.repeat([0.1, 0.2, 0.9], [500, 3, 7])
    found = reliability(score, np.zeros(510, np.int8), np.ones(510))
    assert found.least_B.tolist() == [0.1, 0.2]
    assert found.greatest_B.tolist() == [0.1, 0.9]
    assert found.labels_B.tolist() == [500, 10]


def test_labels_without_a_score_are_left_out_and_counted() -> None:
    score, y, weight = np.array([0.2, nan, 0.4]), np.array([0, 1, 1], np.int8), np.ones(3)
    found = reliability(score, y, weight)
    assert found.without_score == 1
    assert found.labels_B.sum() == 2
    with pytest.raises(DataError, match="no label has a score"):
        reliability(score[1:2], y[1:2], weight[1:2])


# --- Worlds with known truth -----------------------------------------------------------------------------------------

REPETITIONS = 150


def sample(seed: int, power: float, size: int = 6000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Label rising scores more often, violating creatives 2.5 times as often; P(violating) = score ** power."""
    generator = np.random.default_rng(seed)
    score = generator.beta(0.8, 1.6, size)
    y = (generator.random(size) < score**power).astype(np.int8)
    chance = (0.1 + 0.3 * score) * np.where(y == 1, 1.0, 0.4)
    drawn = generator.random(size) < chance
    return score[drawn], y[drawn], 1 / chance[drawn]


@pytest.fixture(scope="module")
def calibrated() -> list[Reliability]:
    return [reliability(*sample(seed, 1.0)) for seed in range(REPETITIONS)]


def test_intervals_of_bins_cover_the_violating_share(calibrated: list[Reliability]) -> None:
    """A calibrated bin's violating share is the mean score of the population within the scores that it holds."""
    every = np.sort(np.random.default_rng(1).beta(0.8, 1.6, 400_000))
    below = np.concatenate([[0.0], np.cumsum(every)])
    covered = []
    for found in calibrated:
        first, last = np.searchsorted(every, found.least_B, "left"), np.searchsorted(every, found.greatest_B, "right")
        true = (below[last] - below[first]) / (last - first)
        covered += ((found.interval_B.low <= true) & (true <= found.interval_B.high)).tolist()
    assert len(covered) == 10 * REPETITIONS
    bound = 4 * sqrt(0.95 * 0.05 / len(covered))
    assert 0.95 - bound <= np.mean(covered) <= 0.97 + bound


def test_a_calibrated_score_looks_distorted_where_weights_are_ignored(calibrated: list[Reliability]) -> None:
    samples = [sample(seed, 1.0) for seed in range(REPETITIONS)]
    counted = np.mean([reliability(score, y, np.ones(len(y))).error for score, y, _ in samples])
    assert counted > 3 * np.mean([found.error for found in calibrated])


def test_the_error_of_a_calibrated_score_is_what_noise_makes_it(calibrated: list[Reliability]) -> None:
    gap = [found.error - found.error_if_calibrated for found in calibrated]
    assert abs(np.mean(gap)) <= 4 * np.std(gap, ddof=1) / sqrt(REPETITIONS) + 0.05 * np.mean(
        [found.error for found in calibrated]
    )


def test_the_debiased_error_is_near_the_truth_and_the_plain_one_above_it() -> None:
    score = np.sort(np.random.default_rng(0).beta(0.8, 1.6, 200_000))
    bins = np.array_split(score, 10)
    true = sqrt(np.mean([(np.mean(s**1.5) - np.mean(s)) ** 2 for s in bins]))
    found = [reliability(*sample(seed, 1.5, 2000)) for seed in range(REPETITIONS)]
    square = [f.debiased**2 for f in found]
    plain = [float(f.weight_B @ (f.share_B - f.score_B) ** 2) for f in found]
    error = np.std(square, ddof=1) / sqrt(REPETITIONS)
    assert abs(np.mean(square) - true**2) <= 4 * error
    assert np.mean(plain) - true**2 > 4 * error
