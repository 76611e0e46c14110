"""Exact bounds where a good part of the creatives was drawn, against the hypergeometric distribution itself."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from engine.estimate.interval import Behind, korn_graubard

CREATIVES, DRAWN = 400, 150
LEFT = 1 - DRAWN / CREATIVES


def bounds(left: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the bounds of 0 to 30 events among the drawn."""
    share = np.arange(31) / DRAWN
    size = np.full(31, float(DRAWN))
    found = korn_graubard(share, share * (1 - share) * left / DRAWN, Behind(size, size, np.full(31, left)), 0.95)
    return found.low * CREATIVES, found.high * CREATIVES


def exact(events: int) -> tuple[int, int]:
    """Return the least and the most creatives that a tail of .025 does not reject."""
    every = np.arange(events, CREATIVES - DRAWN + events + 1)
    fewer = stats.hypergeom.cdf(events, CREATIVES, every, DRAWN)
    more = stats.hypergeom.sf(events - 1, CREATIVES, every, DRAWN)
    kept = every[(fewer > 0.025) & (more > 0.025)]
    return int(kept.min()), int(kept.max())


@pytest.mark.parametrize("events", [0, 1, 3, 10, 20, 30])
def test_bounds_without_replacement_are_within_a_creative_and_a_half_of_the_hypergeometric_ones(events):
    low, high = (found[events] for found in bounds(LEFT))
    least, most = exact(events)
    assert abs(low - least) <= 1.5
    assert abs(high - most) <= 1.5


def test_they_cover_every_number_of_creatives_and_are_narrower_than_binomial_ones():
    low, high = bounds(LEFT)
    for true in range(1, 41):  # more than 30 events are not to be expected of them
        chance = stats.hypergeom.pmf(np.arange(31), CREATIVES, true, DRAWN)
        assert chance[(low <= true + 1e-9) & (true <= high + 1e-9)].sum() >= 0.95
    wide_low, wide_high = bounds(1.0)
    assert (high - low < 0.9 * (wide_high - wide_low)).all()
