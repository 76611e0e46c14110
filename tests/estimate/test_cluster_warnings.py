"""Warnings of `future`: how few advertisers, or how large a one, it takes."""

from __future__ import annotations

import numpy as np
import pytest

from engine.estimate.ratio import ONE_ADVERTISER, cluster_warnings
from engine.estimate.sample import ClusterSpread


def warned(effective: float, largest: float, events: float, variance: float = 1.0, *, inside: bool = True) -> list[str]:
    one = np.ones(1)
    spread = ClusterSpread(variance * one, one, 40 * one, effective * one, largest * one, np.zeros(1, np.int64))
    return cluster_warnings(spread, np.array([events]), np.array([inside]))[0]


@pytest.mark.parametrize(
    ("effective", "events", "few"),
    [(9.9, 40.0, True), (10.0, 40.0, False), (9.9, 1e9, True), (4.9, 20.0, True), (5.1, 20.0, False), (1.9, 8.0, True)],
)
def test_few_advertisers_warn_below_ten_and_below_a_quarter_of_the_events(effective, events, few):
    assert any("effective advertisers" in text for text in warned(effective, 0.1, events)) == few


@pytest.mark.parametrize(
    ("largest", "events", "large"),
    [
        (0.26, 16.0, True),
        (0.24, 1e9, False),
        (0.49, 8.0, False),
        (0.51, 8.0, True),
        (1.0, 4.0, False),
        (1.0, 5.0, True),
    ],
)
def test_a_large_advertiser_warns_above_a_quarter_or_four_of_as_many_parts_as_events(largest, events, large):
    assert any("one advertiser carries" in text for text in warned(30.0, largest, events)) == large


def test_one_advertiser_alone_warns_and_what_lies_at_a_bound_does_not():
    assert warned(1.0, 1.0, 50.0, float("nan")) == [ONE_ADVERTISER]
    assert warned(2.0, 0.9, 50.0, inside=False) == []
