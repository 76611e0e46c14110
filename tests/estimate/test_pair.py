"""Bounds of a paired difference of which few creatives swap: every outcome of two small counts is gone through."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from engine.estimate.interval import Intervals, exact_bounds
from engine.estimate.pair import mover

LABELS = 100_000  # of which a few swap: the two directions are all but independent
SWAPS = np.arange(100)


def _joined(confidence: float) -> Intervals:
    """Return bounds of gained − lost for every pair of counts, labels of difference, (gained · lost,)."""
    low, high = (LABELS * x for x in exact_bounds(SWAPS.astype(float), np.full(len(SWAPS), float(LABELS)), confidence))
    gained, lost = (x.ravel() for x in np.meshgrid(SWAPS, SWAPS, indexing="ij"))
    mine, theirs = (Intervals(low[of], high[of], np.full(len(of), "")) for of in (gained, lost))
    return mover(gained.astype(float), mine, lost.astype(float), theirs, np.zeros(len(gained)))


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.98])
def test_exact_bounds_of_two_directions_joined_err_no_more_often_than_allowed(confidence):
    found, allowed = _joined(confidence), (1 - confidence) / 2
    worst = 0.0
    for gained in (0, 0.3, 1, 2, 3, 4, 6.3, 10, 16, 25, 40):
        for lost in (0, 0.3, 1, 2, 3, 4, 6.3, 10, 16, 25, 40):
            chances = (binom.pmf(SWAPS, LABELS, mean / LABELS) for mean in (gained, lost))
            chance = np.outer(*chances).ravel()
            true = gained - lost
            worst = max(worst, chance[found.high < true].sum(), chance[found.low > true].sum())
    assert 0.8 * allowed < worst <= allowed


def test_of_directions_that_swap_alike_they_are_far_narrower_than_each_at_half_the_error():
    found, half = _joined(0.95), exact_bounds(np.array([10.0]), np.array([float(LABELS)]), 0.975)
    at = 10 * len(SWAPS) + 10
    both = 2 * LABELS * (half[1] - half[0])[0]
    assert (found.high - found.low)[at] < 0.7 * both
