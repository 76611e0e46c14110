"""What is known of all creatives, for `future`: how much advertisers like these might have differed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.estimate.advertisers import LARGE, MOST_DOUBT, between_advertisers, known_spread
from engine.estimate.sample import Sample, drawn_sample
from engine.records import Design, LabelledRows, Segments

SHARE = 0.3
ICC = 0.1


def whole(generator: np.random.Generator, size_A: np.ndarray, drawn: float) -> tuple[Sample, np.ndarray, float]:
    """Return an audit of creatives whose values advertisers share in part, their residuals, and the true error."""
    advertiser_N = np.repeat(np.arange(len(size_A)), size_A)
    tendency_A = generator.beta(SHARE * (1 / ICC - 1), (1 - SHARE) * (1 / ICC - 1), len(size_A))
    value_N = (generator.random(len(advertiser_N)) < tendency_A[advertiser_N]).astype(np.float64)
    size, take = len(value_N), round(drawn * len(value_N))
    at_n = np.sort(generator.choice(size, take, replace=False))
    none = np.zeros(take, np.int64)
    rows = LabelledRows(
        design=Design(("srs",), np.array([size]), np.array([take]), np.array([[take]])),
        pi_n=np.full(take, take / size),
        stratum_n=none.astype(np.int32),
        cell_n=none,
        advertiser_n=advertiser_N[at_n],
        y_nQ=np.zeros((take, 1), np.int8),
        naive_nQ=np.zeros((take, 1), np.int8),
        known_Wn=np.ones((3, take)),
        imputed_Wn=np.zeros((3, take)),
        outcome_Sn=np.zeros((1, take), np.int16),
        score_Kn=np.zeros((0, take)),
    )
    segments = Segments((), (), np.zeros((1, 0), np.int32), ("all",), ("all",), np.ones((1, 1), bool))
    sample = drawn_sample(rows, segments, np.array([float(size)]))
    return sample, (value_N[at_n] - value_N.mean()) / size, float(value_N.mean()) - SHARE


def simulated(size_A: np.ndarray, drawn: float, repetitions: int) -> tuple[float, np.ndarray, np.ndarray]:
    """Return the true variance of the mean, and what the plain spread and that of the known sum say of it."""
    generator, errors, plain, known = np.random.default_rng(7), [], [], []
    for _ in range(repetitions):
        sample, residual_m, error = whole(generator, size_A, drawn)
        errors.append(error)
        plain.append(between_advertisers(sample, residual_m).variance[0])
        known.append(known_spread(sample, residual_m, np.ones(len(residual_m))).variance[0])
    return float(np.var(errors)), np.array(plain), np.array(known)


def test_what_a_large_advertiser_might_have_done_is_learnt_from_the_others():
    size_A = np.array([400] + [12] * 150)
    true, plain, known = simulated(size_A, 0.4, 300)
    assert np.quantile(plain, 0.25) < 0.5 * true  # it happens to lie near the mean
    assert np.quantile(known, 0.25) > 0.75 * true
    assert (known >= plain * (1 - 1e-12)).all()


def test_without_a_large_advertiser_and_where_everybody_is_drawn_nothing_is_added():
    size_A = np.full(150, 12)
    true, plain, known = simulated(size_A, 1.0, 60)
    np.testing.assert_allclose(known, plain, rtol=1e-9)
    assert np.mean(known) == pytest.approx(true, rel=0.35)


def test_a_thin_audit_adds_a_part_of_its_own_doubt():
    size_A = np.full(150, 12)
    _, plain, known = simulated(size_A, 0.1, 60)
    assert (known > plain).any()
    assert (known <= (1 + MOST_DOUBT) * plain * (1 + 1e-9)).all()


def test_the_largest_is_replaced_by_size_alone():
    generator = np.random.default_rng(3)
    for largest, expected in ((10, False), (400, True)):
        size_A = np.array([largest] + [12] * 150)
        assert (largest**2 > LARGE * (size_A**2).sum()) == expected
        sample, residual_m, _ = whole(generator, size_A, 1.0)
        mine = np.isin(sample.cluster_m, np.flatnonzero(np.bincount(sample.cluster_m) == largest))
        quiet_m = np.where(mine, 0.0, residual_m) if expected else residual_m
        plain = between_advertisers(sample, quiet_m).variance[0]
        known = known_spread(sample, quiet_m, np.ones(len(quiet_m))).variance[0]
        assert (known > 2 * plain) == expected


def test_a_segment_of_one_advertiser_stays_unknown():
    sample, residual_m, _ = whole(np.random.default_rng(1), np.array([50]), 1.0)
    spread = known_spread(sample, residual_m, np.ones(len(residual_m)))
    assert np.isnan(spread.variance[0])
    clusters = replace(sample, clustered=True)
    assert np.isnan(known_spread(clusters, residual_m, np.ones(len(residual_m))).variance[0])
