"""The paired difference of two ratios over the same labels, all segments at once.

Both ratios are linearised jointly. The swap set is where numerators differ: below 30 effective events in it the
bounds are the exact ones of its two directions, each at half the error (Bonferroni), so that the width is 0 only if
nothing swaps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.estimate.interval import ENOUGH_EVENTS, Intervals, kish, korn_graubard, symmetric, t_quantile
from engine.estimate.ratio import Judged, Ratio, census_exact, cluster_warnings
from engine.estimate.sample import HISTORY, Sample, cluster_spread
from engine.records import F64


@dataclass(frozen=True)
class Difference:
    """candidate − baseline of each segment.

    gained_m, lost_m : the swap set's two directions, over the candidate's denominator.
    rest_m : the part of the residual that comes from a denominator that differs; 0 where both are the same.
    """

    estimate: F64
    residual_m: F64
    gained_m: F64
    lost_m: F64
    rest_m: F64
    swap: F64
    labels: F64
    size: F64
    events: F64


def difference(sample: Sample, baseline: Ratio, candidate: Ratio) -> Difference:
    """Return the paired difference."""
    whole = np.where(candidate.denominator > 0, candidate.denominator, 1.0)[sample.segment_m]
    moved = (candidate.a_m - baseline.a_m) / whole
    swap = sample.sums(sample.weight_m * moved)
    residual = candidate.residual_m - baseline.residual_m
    u = sample.weight_m * np.abs(moved)
    return Difference(
        estimate=candidate.estimate - baseline.estimate,
        residual_m=residual,
        gained_m=np.maximum(moved, 0.0),
        lost_m=np.maximum(-moved, 0.0),
        rest_m=residual - (moved - swap[sample.segment_m] * candidate.b_m / whole),
        swap=swap,
        labels=candidate.labels,
        size=np.minimum(baseline.size, candidate.size),
        events=kish(sample.sums(u), sample.sums(u * u)),
    )


def difference_intervals(
    sample: Sample, pair: Difference, candidate: Ratio, inference: str, confidence: float
) -> Judged:
    """Return the intervals of a difference for one question."""
    variance, df, warnings = _variance(sample, pair.residual_m, pair, inference)
    smooth = symmetric(np.nan_to_num(pair.estimate), np.nan_to_num(variance), df, confidence)
    exact = _swap_bounds(sample, pair, candidate, inference, confidence)
    plenty = (pair.events >= ENOUGH_EVENTS) & ~np.isnan(variance)
    low = np.maximum(np.where(plenty, smooth.low, exact.low), -1.0)
    high = np.minimum(np.where(plenty, smooth.high, exact.high), 1.0)
    found = Intervals(low, high, np.where(plenty, smooth.rule, exact.rule))
    return Judged(census_exact(sample, pair.estimate, found) if inference == HISTORY else found, warnings)


def _swap_bounds(sample: Sample, pair: Difference, candidate: Ratio, inference: str, confidence: float) -> Intervals:
    narrow = (1 + confidence) / 2
    whole = np.where(candidate.denominator > 0, candidate.denominator, 1.0)[sample.segment_m]
    bounds = []
    for part_m in (pair.gained_m, pair.lost_m):
        share = np.clip(sample.sums(sample.weight_m * part_m), 0.0, 1.0)
        residual_m = part_m - share[sample.segment_m] * candidate.b_m / whole
        variance, df, _ = _variance(sample, residual_m, pair, inference)
        found = korn_graubard(share, np.nan_to_num(variance), pair.size, df, narrow)
        lonely = np.isnan(variance)
        bounds.append((np.where(lonely, 0.0, found.low), np.where(lonely, 1.0, found.high)))
    (gained_low, gained_high), (lost_low, lost_high) = bounds
    shift = np.nan_to_num(pair.estimate) - pair.swap  # what the change of the denominator adds
    rest, rest_df, _ = _variance(sample, pair.rest_m, pair, inference)
    margin = t_quantile(confidence, rest_df) * np.sqrt(np.nan_to_num(rest))
    low, high = gained_low - lost_high + shift - margin, gained_high - lost_low + shift + margin
    return Intervals(low, high, np.full(low.shape, "exact_swap"))


def _variance(sample: Sample, residual_m: F64, pair: Difference, inference: str) -> tuple[F64, F64, list[list[str]]]:
    if inference == HISTORY:
        return sample.history_variance(residual_m), np.maximum(1.0, pair.labels - 1.0), [[] for _ in pair.labels]
    spread = cluster_spread(sample, sample.cluster_totals(residual_m))
    lonely = np.isnan(spread.variance)
    warnings = cluster_warnings(spread.effective, spread.largest, spread.variance > 0, lonely)
    return spread.variance, np.maximum(1.0, spread.effective - 1.0), warnings
