"""Compiled sums by kind, compiled and as plain Python, against NumPy's."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from engine.estimate import condense_kernels as kernels
from engine.estimate.sum_kernels import power_sums

Kernel = Callable[..., Any]
ROWS, GROUPS, OUTCOMES, KINDS = 300, 7, 3, 6


def both(kernel: object) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("kernel", [kernel, kernel.py_func], ids=["compiled", "python"])


def rows(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return group, powers, outcome and label of some rows, a label unknown now and then."""
    rng = np.random.default_rng(seed)
    powers = np.exp(rng.normal(size=(ROWS, kernels.MOMENTS)))
    labels = rng.integers(-1, 2, ROWS).astype(np.int8)
    return rng.integers(0, GROUPS, ROWS), powers, rng.integers(0, OUTCOMES, ROWS).astype(np.int16), labels


def added(place: np.ndarray, outcome: np.ndarray, label: np.ndarray, value: np.ndarray, size: int) -> np.ndarray:
    """Return Σ value by place and kind, (size, KINDS)."""
    kind = 2 * outcome.astype(np.int64) + (label == 1)
    return np.bincount(place * KINDS + kind, value, size * KINDS).reshape(size, KINDS)


@both(kernels.moments_by_kind)
def test_moments_by_kind_are_bincounts(kernel: Kernel) -> None:
    group, power, outcome, label = rows(1)
    found = kernel(group, GROUPS, power, outcome, label, OUTCOMES)
    wanted = [added(group, outcome, label, power[:, p], GROUPS) for p in range(kernels.MOMENTS)]
    np.testing.assert_array_equal(found, np.stack(wanted, axis=2))


@both(kernels.weight_by_kind)
def test_weights_by_kind_are_bincounts(kernel: Kernel) -> None:
    group, power, outcome, label = rows(2)
    found = kernel(group, GROUPS, power[:, 0].copy(), outcome, label, OUTCOMES)
    np.testing.assert_array_equal(found, added(group, outcome, label, power[:, 0], GROUPS))


@both(kernels.spread_sums_of)
def test_sums_of_groups_are_handed_to_all_their_places(kernel: Kernel) -> None:
    rng = np.random.default_rng(3)
    sums, taken, given = rng.normal(size=(GROUPS, 5)), rng.integers(0, GROUPS, 40), rng.integers(0, 4, 40)
    wanted = np.stack([np.bincount(given, column[taken], 4) for column in sums.T], axis=1)
    np.testing.assert_array_equal(kernel(sums, taken, given, 4), wanted)


@both(kernels.sums_of_rows)
def test_sums_of_chosen_rows_are_bincounts(kernel: Kernel) -> None:
    _, power, outcome, label = rows(4)
    rng = np.random.default_rng(5)
    row, place = rng.integers(0, ROWS, 50), rng.integers(0, 4, 50)
    found = kernel(row, place, power, outcome, label, 4, OUTCOMES)
    for p in range(kernels.MOMENTS):
        np.testing.assert_array_equal(found[..., p], added(place, outcome[row], label[row], power[row, p], 4))


def pairs(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return sums by kind and pair, where the segments' pairs start, and values: 0 kinds, a segment without pairs."""
    rng = np.random.default_rng(seed)
    edge = np.cumsum([0, 3 * kernels.LANES + 5, 0, 1, kernels.LANES, 20])
    value = rng.normal(size=(len(edge) - 1, KINDS)) * (rng.random((len(edge) - 1, KINDS)) < 0.7)
    return np.exp(2 * rng.normal(size=(KINDS, edge[-1]))), edge, value


LEFT_OUT = [
    [kernels.NOBODY] * 5,
    [kernels.LANES + 2, kernels.NOBODY, kernels.ALL, 3 * kernels.LANES + 6, kernels.NOBODY],
]


def totals(sums: np.ndarray, edge: np.ndarray, value: np.ndarray, left_out: list[int]) -> np.ndarray:
    segment = np.repeat(np.arange(len(value)), np.diff(edge))
    total = (sums * value[segment].T).sum(0)
    total[np.isin(np.arange(edge[-1]), left_out) | (np.array(left_out)[segment] == kernels.ALL)] = 0
    return total


@both(kernels.totals_by_kind)
@pytest.mark.parametrize("left_out", LEFT_OUT)
def test_totals_by_kind_are_products_and_who_is_left_out_has_none(kernel: Kernel, left_out: list[int]) -> None:
    sums, edge, value = pairs(6)
    wanted = totals(sums, edge, value, left_out)
    np.testing.assert_allclose(kernel(sums, edge, value, np.array(left_out)), wanted, rtol=1e-12, atol=1e-12)


@both(kernels.kind_power_sums)
@pytest.mark.parametrize("left_out", LEFT_OUT)
def test_power_sums_by_kind_are_those_of_the_totals(kernel: Kernel, left_out: list[int]) -> None:
    sums, edge, value = pairs(7)
    powers, largest = kernel(sums, edge, value, np.array(left_out))
    wanted, at = power_sums(edge, totals(sums, edge, value, left_out))
    np.testing.assert_allclose(powers, wanted, rtol=1e-12)
    np.testing.assert_array_equal(largest, at)


def test_of_equal_totals_the_first_is_the_largest() -> None:
    edge = np.array([0, 2 * kernels.LANES + 9])
    sums = np.ones((1, edge[-1]))
    sums[0, [70, 5, 130]] = 4.0
    for found in (kernels.kind_power_sums, kernels.kind_power_sums.py_func):
        assert found(sums, edge, np.ones((1, 1)), np.array([kernels.NOBODY]))[1].tolist() == [5]


@both(kernels.kind_products)
def test_products_by_kind_are_sums_over_pairs(kernel: Kernel) -> None:
    sums, edge, _ = pairs(8)
    wanted = [sums[:, i:j] @ sums[:, i:j].T for i, j in pairwise(edge)]
    np.testing.assert_allclose(kernel(sums, edge), wanted, rtol=1e-12)


@both(kernels.segment_sums_of)
def test_sums_of_segments_are_taken_row_by_row(kernel: Kernel) -> None:
    rng = np.random.default_rng(9)
    edge, value = np.array([0, 4, 4, 10]), rng.normal(size=(3, 10))
    wanted = [[sum(line[i:j].tolist()) for i, j in pairwise(edge)] for line in value]
    assert kernel(edge, value).tolist() == wanted
