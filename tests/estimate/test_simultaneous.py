"""Intervals of many numbers at once: error parts beside the variance of every design, the bootstrap's slow twin."""

from __future__ import annotations

import numpy as np
import pytest
from estimate import oracles
from estimate.drawn import DESIGNS, draw, engine_rows, population, segments
from scipy import stats

from engine.estimate.ratio import Ratio, hajek
from engine.estimate.sample import Sample, answered_sample
from engine.estimate.simultaneous import error_parts, greatest_deviations, joint_confidence
from engine.records import Segments


def alone(segment: int) -> Segments:
    found = segments()
    one = slice(segment, segment + 1)
    return Segments(
        found.attributes, found.levels, found.cell_level_CK, found.by[one], found.name[one], found.member_GC[one]
    )


def judged(design: str, segment: int, *, silent: float = 0.0) -> tuple[Sample, Ratio]:
    people, generator = population(), np.random.default_rng([3, DESIGNS.index(design)])
    drawing = draw(people, design, generator)
    answered_d = generator.random(len(drawing.creative_d)) >= silent
    rows = engine_rows(people, drawing, answered_d=answered_d)
    sample = answered_sample(rows, 0, alone(segment), np.full(1, 1e6))
    return sample, hajek(sample, people.a_N[sample.rows_n], people.b_N[sample.rows_n])


@pytest.mark.parametrize("silent", [0.0, 0.3])
@pytest.mark.parametrize("segment", [0, 1])
@pytest.mark.parametrize("design", DESIGNS)
def test_squares_of_error_parts_add_up_to_the_variance_of_every_design(design, segment, silent):
    sample, ratio = judged(design, segment, silent=silent)
    parts = error_parts(sample, ratio.residual_m)
    variance, _ = sample.history_spread(ratio.residual_m)
    assert variance[0] > 0
    assert parts @ parts == pytest.approx(variance[0], rel=1e-10)


@pytest.mark.parametrize("design", DESIGNS)
def test_products_of_error_parts_add_up_to_the_covariance(design):
    sample, ratio = judged(design, 1)
    other = np.abs(ratio.residual_m)
    one, two = error_parts(sample, ratio.residual_m), error_parts(sample, other)
    together, apart = (sample.history_spread(ratio.residual_m + sign * other)[0][0] for sign in (1, -1))
    assert one @ two == pytest.approx((together - apart) / 4, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("shape", [(6, 40), (6, 4)])
def test_the_greatest_deviation_is_distributed_as_the_slow_twin_says(shape):
    generator = np.random.default_rng(5)
    part_MT = generator.standard_normal(shape) * np.exp(generator.standard_normal(shape)) + generator.standard_normal(
        shape[1]
    )
    fast = greatest_deviations(part_MT, 20_000, np.random.default_rng(1))
    slow = oracles.greatest_deviations(part_MT.tolist(), np.random.default_rng(2).standard_normal((2000, shape[1])))
    assert stats.ks_2samp(fast, slow).pvalue > 1e-3


def test_one_number_is_given_the_confidence_that_is_asked_for():
    parts = np.random.default_rng(1).standard_normal(50)
    assert joint_confidence([parts], 0.95, 7) == pytest.approx(0.95, abs=0.01)
    assert joint_confidence([parts, parts, -parts], 0.95, 7) == pytest.approx(0.95, abs=0.01)
    assert joint_confidence([], 0.95, 7) == 0.95


@pytest.mark.parametrize("parts", [list(np.eye(20)), [None] * 20, [np.zeros(9)] * 20], ids=["known", "unknown", "zero"])
def test_unrelated_numbers_are_given_what_independence_gives(parts):
    assert joint_confidence(parts, 0.9, 7, draws=100_000) == pytest.approx(0.9 ** (1 / 20), abs=4e-4)
