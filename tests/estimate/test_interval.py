"""Exact bounds where a good part of the creatives was drawn, against the hypergeometric distribution itself."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from engine.estimate.interval import (
    ENOUGH_EVENTS,
    SOME_EVENTS,
    Behind,
    exact_bounds,
    korn_graubard,
    logit_intervals,
    share_intervals,
)

CREATIVES, DRAWN = 400, 150
LEFT = 1 - DRAWN / CREATIVES


def bounds(left: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the bounds of 0 to 30 events among the drawn."""
    share = np.arange(31) / DRAWN
    size = np.full(31, float(DRAWN))
    behind = Behind(size, size, np.full(31, left))
    found = korn_graubard(share, share * (1 - share) * left / DRAWN, np.zeros(31), behind, 0.95)
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


def test_an_event_more_never_halves_an_interval():
    """A stratified audit whose variance is a quarter of a simple random one's: bounds narrow bit by bit."""
    events = np.linspace(SOME_EVENTS - 2, ENOUGH_EVENTS + 2, 400)
    one, share = np.ones(400), np.full(400, 0.05)
    variance = share * (1 - share) / (events / share) / 4
    found = share_intervals(share, variance, events, 1e6 * one, Behind(events / share, 1e6 * one, one), 0.95)
    width = (found.high - found.low) * np.sqrt(events)
    assert (found.rule[0], found.rule[-1]) == ("korn_graubard", "logit")
    assert (np.abs(np.diff(width)) < 0.02 * width[:-1]).all()
    assert width[-1] < 0.6 * width[0]
    few = events <= SOME_EVENTS
    low, high = exact_bounds(events[few], events[few] / share[few], 0.95)
    np.testing.assert_allclose((found.low[few], found.high[few]), (low, high), rtol=1e-9)


def test_bounds_half_way_between_are_those_of_jeffreys():
    events, size = np.array([1.0, 7.0, 30.0]), np.full(3, 60.0)
    low, high = exact_bounds(events, size, 0.95, 0.5)
    np.testing.assert_allclose(low, stats.beta.ppf(0.025, events + 0.5, size - events + 0.5))
    np.testing.assert_allclose(high, stats.beta.ppf(0.975, events + 0.5, size - events + 0.5))
    assert exact_bounds(np.zeros(1), size[:1], 0.95, 0.5)[0][0] == 0.0
    assert exact_bounds(size[:1], size[:1], 0.95, 0.5)[1][0] == 1.0


def test_binomial_shares_with_many_events_are_covered_neither_too_rarely_nor_too_often():
    size = 400
    for true in np.linspace(0.055, 0.09, 15):  # 22 to 36 events
        count = np.arange(1, size)
        share, units = count / size, np.full(size - 1, float(size))
        variance, events = share * (1 - share) / size, np.minimum(count, size - count).astype(np.float64)
        behind = Behind(units, units, np.ones(size - 1))
        found = share_intervals(share, variance, events, units - 1, behind, 0.95)
        chance = stats.binom.pmf(count, size, true)
        covered = chance[(found.low <= true) & (true <= found.high)].sum()
        assert 0.93 <= covered <= 0.975
    smooth = logit_intervals(share, variance, units - 1, 0.95)
    np.testing.assert_array_equal(found.low[40:360], smooth.low[40:360])
