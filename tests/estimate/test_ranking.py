"""Areas and precision against plain loops over pairs; intervals over redrawn audits."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
from estimate.worlds import audit_rows, census_rows, make_world, question, replayed, strategies

from engine.estimate.known import creatives_of
from engine.estimate.ranking import ScorePair, average_precision, compare_scores
from engine.estimate.sample import answered_sample


def slow_area(score: list[float], y: list[int], w: list[float]) -> float:
    """Every pair of a violating and a compliant creative; equal scores are half in order."""
    right = whole = 0.0
    for a, bad, weight in zip(score, y, w, strict=True):
        for b, other, weight_b in zip(score, y, w, strict=True):
            if bad == 1 and other == 0:
                whole += weight * weight_b
                right += weight * weight_b * (1.0 if a > b else 0.5 if a == b else 0.0)
    return right / whole


def slow_precision(score: list[float], y: list[int], w: list[float]) -> float:
    total, bad = 0.0, sum(weight for weight, value in zip(w, y, strict=True) if value == 1)
    for a, value, weight in zip(score, y, w, strict=True):
        if value == 1:
            above = [(v, u) for b, v, u in zip(score, y, w, strict=True) if b >= a]
            total += weight * sum(u for v, u in above if v == 1) / sum(u for _, u in above)
    return total / bad


def found(seed: int, rates: tuple[float, ...] | None = (0.05, 0.1, 0.2)) -> tuple[ScorePair, list[list[float]]]:
    """Compare a blurred score with the world's own on one audit; None labels everybody."""
    world, table = make_world(61, size=3000), strategies()
    blurred_N = np.round(np.random.default_rng(3).normal(world.score_N, 0.15), 1)  # with ties
    result = replayed(world, table)
    if rates is None:
        rows, at = census_rows(world, result.outcome_Sn), np.arange(len(world))
    else:
        rows = audit_rows(world, result.outcome_Sn, rates, seed)
        at = np.array([np.flatnonzero(world.score_N == np.float32(s))[0] for s in rows.score_Kn[0]])
    asked = question(world, rows, result, table)
    sample = answered_sample(rows, 0, asked.segments, creatives_of(asked.totals, asked.segments))
    y_n = rows.y_nQ[:, 0].astype(float)
    pair = compare_scores(sample, blurred_N[at], rows.score_Kn[0], y_n, 0.95)
    assert pair is not None
    return pair, [list(blurred_N[at]), list(rows.score_Kn[0]), list(y_n), list(1 / rows.pi_n)]


def test_areas_and_precision_equal_loops_over_pairs():
    pair, (one, other, y, w) = found(1)
    for score, area, precision in zip((one, other), pair.area, pair.precision, strict=True):
        assert area.estimate == pytest.approx(slow_area(score, y, w))
        assert precision == pytest.approx(slow_precision(score, y, w))
    assert pair.area_gained.estimate == pytest.approx(pair.area[1].estimate - pair.area[0].estimate)
    apart = [b - a for a, b in zip(one, other, strict=True)]
    assert pair.shift == pytest.approx(np.average(apart, weights=w))
    assert pair.distance == pytest.approx(np.average(np.abs(apart), weights=w))


def test_a_census_knows_the_areas_and_audits_cover_them():
    truth = found(0, None)[0]
    hits = {"one": 0, "other": 0, "gained": 0}
    count = 60
    for seed in range(count):
        pair = found(seed, (0.15, 0.3, 0.6))[0]
        for name, mine, theirs in (
            ("one", pair.area[0], truth.area[0]),
            ("other", pair.area[1], truth.area[1]),
            ("gained", pair.area_gained, truth.area_gained),
        ):
            hits[name] += mine.low <= theirs.estimate <= mine.high
    assert min(hits.values()) / count >= 0.95 - 4 * sqrt(0.05 * 0.95 / count)


def test_equal_scores_have_equal_areas_and_no_gain():
    world, table = make_world(62, size=2000), strategies()
    result = replayed(world, table)
    rows = audit_rows(world, result.outcome_Sn, (0.2, 0.3, 0.5), 1)
    asked = question(world, rows, result, table)
    sample = answered_sample(rows, 0, asked.segments, creatives_of(asked.totals, asked.segments))
    score_n = rows.score_Kn[0]
    pair = compare_scores(sample, score_n, score_n, rows.y_nQ[:, 0].astype(float), 0.95)
    assert pair is not None
    assert (pair.area_gained.estimate, pair.area_gained.low, pair.area_gained.high) == (0.0, 0.0, 0.0)
    assert (pair.shift, pair.correlation) == (0.0, pytest.approx(1.0))
    nobody = replace(rows, y_nQ=np.zeros_like(rows.y_nQ))
    assert compare_scores(sample, score_n, score_n, nobody.y_nQ[:, 0].astype(float), 0.95) is None


def test_the_precision_of_a_perfect_score_is_one():
    y = np.array([1.0, 1.0, 0.0, 0.0])
    assert average_precision(np.array([0.9, 0.8, 0.2, 0.1]), y, 1 - y) == 1.0
    assert average_precision(np.full(4, 0.5), y, 1 - y) == 0.5
