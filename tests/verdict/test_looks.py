"""Levels of looks against published bounds and against simulated random walks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtri

from engine.verdict.looks import look_level, spent

# Five equal looks, one-sided 0.025, spending function of the O'Brien-Fleming type: Lan and DeMets 1983; Reboussin et
# al. 2000, Controlled Clinical Trials 21, 190-207, and R's ldbounds.
PUBLISHED = [4.8769, 3.3569, 2.6803, 2.2898, 2.0310]


def test_equal_looks_have_the_published_bounds():
    found = [float(ndtri(look_level(0.975, 5, [float(i) for i in range(1, k + 1)]))) for k in range(1, 6)]
    assert found == pytest.approx(PUBLISHED, abs=2e-3)


def test_one_declared_look_needs_the_level_itself():
    assert look_level(0.95, 1, [12.0]) == 0.95
    assert look_level(0.95, 1, [None]) == 0.95


def test_all_error_is_spent_at_the_last_look():
    assert spent(0.05, 1.0) == pytest.approx(0.05)
    assert spent(0.05, 0.2) < spent(0.05, 0.4) < 0.01


@pytest.mark.parametrize("information", [[1, 2, 3, 4, 5], [1, 1.5, 5, 5.5, 9], [1, 10, 11, 12, 13]])
def test_a_walk_without_drift_ever_crosses_with_the_declared_error(information):
    count = 200_000
    generator = np.random.default_rng(5)
    steps = np.sqrt(np.diff([0.0, *information]))
    walk = np.cumsum(generator.normal(size=(count, 5)) * steps, axis=1) / np.sqrt(information)
    bounds = [float(ndtri(look_level(0.95, 5, [float(i) for i in information[: k + 1]]))) for k in range(5)]
    crossed = (walk > bounds).any(1).mean()
    assert crossed == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / count))


@pytest.mark.parametrize("information", [[1.0, None], [None, 2.0], [2.0, 2.0], [2.0, 1.0]])
def test_where_information_is_unknown_or_does_not_grow_a_look_has_what_is_newly_spent(information):
    new = spent(0.05, 2 / 3) - spent(0.05, 1 / 3)
    assert look_level(0.95, 3, information) == pytest.approx(1 - new)
