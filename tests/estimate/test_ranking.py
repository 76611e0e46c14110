"""Areas and precision against plain loops over pairs; intervals over redrawn audits."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
from estimate.worlds import audit_rows, census_rows, make_world, question, replayed, strategies

from engine.estimate.known import creatives_of
from engine.estimate.ranking import ScorePair, average_precision, compare_scores
from engine.estimate.sample import Sample, answered_sample
from engine.records import Design, LabelledRows, Segments


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


def audited(seed: int, rates: tuple[float, ...]) -> tuple[Sample, LabelledRows]:
    """Return an audit of a small world, and its rows."""
    world, table = make_world(seed, size=2000), strategies()
    result = replayed(world, table)
    rows = audit_rows(world, result.outcome_Sn, rates, 1)
    asked = question(world, rows, result, table)
    return answered_sample(rows, 0, asked.segments, creatives_of(asked.totals, asked.segments)), rows


def test_equal_scores_have_equal_areas_and_no_gain():
    sample, rows = audited(62, (0.2, 0.3, 0.5))
    score_n = rows.score_Kn[0]
    pair = compare_scores(sample, score_n, score_n, rows.y_nQ[:, 0].astype(float), 0.95)
    assert pair is not None
    assert (pair.area_gained.estimate, pair.area_gained.low) == (0.0, None)
    assert pair.area_gained.null_reason == "both scores order every labelled pair alike"
    assert (pair.shift, pair.correlation) == (0.0, pytest.approx(1.0))
    nobody = replace(rows, y_nQ=np.zeros_like(rows.y_nQ))
    assert compare_scores(sample, score_n, score_n, nobody.y_nQ[:, 0].astype(float), 0.95) is None


def few(seed: int, violating: int, size: int = 4000) -> tuple[ScorePair, float]:
    """Return an audit in which about so many violate, drawn at unequal rates, and the area that a census finds."""
    rng = np.random.default_rng([violating, size])
    y = (np.arange(size) < size // 20).astype(float)
    scores = [y * 1.2 + rng.normal(size=size), y * 0.9 + rng.normal(size=size)]
    rank_N = np.argsort(np.argsort(scores[0])) + 1.0
    truth = (rank_N[y == 1].sum() - y.sum() * (y.sum() + 1) / 2) / (y.sum() * (size - y.sum()))
    stratum_N = (rng.random(size) < 0.3).astype(np.int64)
    population = np.bincount(stratum_N)
    take = np.rint(np.array([0.7, 1.3]) * violating * 20 / size * population).astype(np.int64)
    draw = np.random.default_rng([seed, violating])
    at = np.concatenate([draw.choice(np.flatnonzero(stratum_N == h), take[h], replace=False) for h in (0, 1)])
    label_n, stratum_n = y[at].astype(np.int8)[:, None], stratum_N[at].astype(np.int32)
    zero_n, ones = np.zeros(len(at), np.int64), np.ones((3, len(at)))
    rows = LabelledRows(
        Design(("srs", "srs"), population, take, take[:, None]), (take / population)[stratum_n], stratum_n, zero_n,
        zero_n, label_n, label_n, ones, 0 * ones, zero_n[None].astype(np.int16), np.array(scores)[:, at],
    )  # fmt: skip
    whole = Segments((), (), np.zeros((1, 0), np.int32), ("all",), ("all",), np.ones((1, 1), bool))
    sample = answered_sample(rows, 0, whole, np.array([float(size)]))
    pair = compare_scores(sample, rows.score_Kn[0], rows.score_Kn[1], label_n[:, 0].astype(float), 0.95)
    assert pair is not None
    return pair, float(truth)


def test_areas_of_few_violating_creatives_cover_or_say_that_they_cannot():
    count = 400
    pairs = [few(seed, 45) for seed in range(count)]
    shown = [(pair.area[0], truth) for pair, truth in pairs if pair.area[0].low is not None]
    assert len(shown) > 0.9 * count
    covered = np.mean([area.low <= truth <= area.high for area, truth in shown])
    assert covered >= 0.95 - 4 * sqrt(0.05 * 0.95 / len(shown))
    for pair, _ in (few(seed, 10) for seed in range(20)):
        for area in (*pair.area, pair.area_gained):
            assert area.low is area.high is None
            assert "effective creatives: too few" in area.null_reason


def test_a_score_that_puts_every_pair_in_order_has_no_interval():
    sample, rows = audited(63, (0.4, 0.4, 0.5))
    y_n = rows.y_nQ[:, 0].astype(float)
    pair = compare_scores(sample, rows.score_Kn[0], y_n, y_n, 0.95)
    assert pair is not None
    assert (pair.area[1].estimate, pair.area[1].low) == (pytest.approx(1.0), None)
    assert pair.area[1].null_reason == "every pair is ordered alike: its variance is not known"
    assert pair.area_gained.low is not None
    erring = compare_scores(sample, rows.score_Kn[0], y_n, y_n, 0.95, "of labels that err")
    assert [area.null_reason for area in (*erring.area, erring.area_gained)] == ["of labels that err"] * 3


def test_the_precision_of_a_perfect_score_is_one():
    y = np.array([1.0, 1.0, 0.0, 0.0])
    assert average_precision(np.array([0.9, 0.8, 0.2, 0.1]), y, 1 - y) == 1.0
    assert average_precision(np.full(4, 0.5), y, 1 - y) == 0.5
