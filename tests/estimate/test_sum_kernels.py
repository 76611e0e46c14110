"""Compiled sums over entries, compiled and as plain Python, equal NumPy's to the last bit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from engine.estimate import sum_kernels as kernels

Kernel = Callable[..., np.ndarray]
SEGMENTS, STRATA = 4, 3  # segment 2 is empty


def both(kernel: object) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("kernel", [kernel, kernel.py_func], ids=["compiled", "python"])


def entries(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return edges, segments, weights, numerators and denominators, many of them 0."""
    rng = np.random.default_rng(seed)
    segment = np.sort(rng.choice([0, 1, 3], 200))
    b = np.exp(3 * rng.normal(size=200)) * (rng.random(200) < 0.6)
    a = b * rng.choice([0.0, 0.1, 0.7, 1.0], 200)
    return np.searchsorted(segment, np.arange(SEGMENTS + 1)), segment, 1 / rng.uniform(0.01, 1, 200), a, b


def by(code: np.ndarray, value: np.ndarray, size: int = SEGMENTS) -> np.ndarray:
    return np.bincount(code, value, size)


@both(kernels.segment_sums)
def test_sums_of_segments_are_bincounts(kernel: Kernel) -> None:
    edge, segment, weight, _, _ = entries(1)
    assert kernel(edge, weight).tolist() == by(segment, weight).tolist()


@both(kernels.ratio_sums)
@pytest.mark.parametrize("bounds", [(0.0, 1.0), (0.05, 0.9)])
def test_sums_of_a_ratio_are_bincounts(kernel: Kernel, bounds: tuple[float, float]) -> None:
    edge, segment, weight, a, b = entries(2)
    u, v = weight * a, weight * b
    part = np.clip((u - bounds[0] * v) / (bounds[1] - bounds[0]), 0.0, v)
    wanted = [u, v, (b > 0) * 1.0, v * v, part, part * v, v - part, (v - part) * v]
    found = kernel(edge, weight, a, b, *bounds)
    assert found.tolist() == [by(segment, value).tolist() for value in wanted]


@both(kernels.ratio_residuals)
def test_residuals_are_those_of_the_formula(kernel: Kernel) -> None:
    edge, segment, _, a, b = entries(3)
    estimate, whole = np.array([0.3, 0.0, 0.5, 1.0]), np.array([7.0, 2.0, 1.0, 0.3])
    found = kernel(edge, a, b, estimate, whole)
    np.testing.assert_array_equal(found, (a - estimate[segment] * b) / whole[segment])


@both(kernels.spread_sums)
def test_sums_of_a_spread_are_bincounts(kernel: Kernel) -> None:
    edge, segment, weight, a, _ = entries(4)
    stratum = np.random.default_rng(5).integers(0, STRATA, 200)
    key, srs, left = segment * STRATA + stratum, np.array([True, False, True]), np.array([0.9, 0.5, 0.0])
    u, spare = weight * a, 1 - 1 / weight
    by_key, parts = kernel(edge, key, weight, a, weight, srs, left)
    part = u * u * np.where(srs[stratum], left[stratum], spare)
    poisson = np.where(srs[stratum], 0.0, u * u * spare)
    assert by_key.tolist() == [by(key, value, SEGMENTS * STRATA).tolist() for value in (u, u * u, poisson)]
    assert parts.tolist() == [by(segment, part).tolist(), by(segment, part * part).tolist()]


@both(kernels.weighted_totals)
def test_totals_of_groups_are_bincounts(kernel: Kernel) -> None:
    _, _, weight, a, _ = entries(6)
    group = np.random.default_rng(7).integers(0, 9, 200)
    assert kernel(group, 9, weight, a).tolist() == by(group, weight * a, 9).tolist()


@both(kernels.power_sums)
def test_powers_of_totals_are_bincounts_and_the_greatest_square(kernel: Kernel) -> None:
    edge, segment, _, a, b = entries(8)
    total = a - b
    wanted = [by(segment, power) for power in (total, total**2, total**2 * total, (total**2) ** 2)]
    most = [(total[segment == g] ** 2).max(initial=0.0) for g in range(SEGMENTS)]
    powers, largest = kernel(edge, total)
    assert powers.tolist() == [*(value.tolist() for value in wanted), most]
    assert (total[largest] ** 2).tolist() == most
