"""The paired difference of two ratios over the same labels, all segments at once.

Both ratios are linearised jointly. The swap set is where numerators differ: below 30 effective events in it the
bounds are the exact ones of its two directions joined (Zou and Donner 2008), so that the width is 0 only if nothing
swaps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.estimate.advertisers import future_spread
from engine.estimate.interval import Behind, Intervals, enough, korn_graubard, symmetric
from engine.estimate.ratio import (
    Judged,
    Ratio,
    carrier_warnings,
    census_exact,
    cluster_warnings,
    drawn_units,
    effective_events,
    ratio_intervals,
)
from engine.estimate.sample import HISTORY, Sample
from engine.estimate.skewness import bound_shift, moved
from engine.records import F64, Flags

CARRIED = 10.0  # effective rows or advertisers from which on a third moment is believed


@dataclass(frozen=True)
class Difference:
    """candidate − baseline of each segment.

    gained_m, lost_m : the swap set's two directions, over the candidate's denominator.
    events : effective events of the swap set and, where the denominators differ, at most those of either ratio.
    """

    estimate: F64
    residual_m: F64
    gained_m: F64
    lost_m: F64
    labels: F64
    size: F64
    events: F64


def difference(sample: Sample, baseline: Ratio, candidate: Ratio) -> Difference:
    """Return the paired difference."""
    whole = np.where(candidate.denominator > 0, candidate.denominator, 1.0)[sample.segment_m]
    moved = (candidate.a_m - baseline.a_m) / whole
    residual = candidate.residual_m - baseline.residual_m
    u = sample.weight_m * np.abs(moved)
    swapped = effective_events(
        sample, u, sample.weight_m * np.maximum(np.abs(baseline.b_m), np.abs(candidate.b_m)) / whole
    )
    both = np.minimum(baseline.events, candidate.events)
    return Difference(
        estimate=candidate.estimate - baseline.estimate,
        residual_m=residual,
        gained_m=np.maximum(moved, 0.0),
        lost_m=np.maximum(-moved, 0.0),
        labels=candidate.labels,
        size=np.minimum(baseline.size, candidate.size),
        events=np.where(baseline.denominator == candidate.denominator, swapped, np.minimum(swapped, both)),
    )


def difference_intervals(
    sample: Sample, pair: Difference, baseline: Ratio, candidate: Ratio, inference: str, confidence: float
) -> Judged:
    """Return the intervals of a difference for one question.

    Enough effective events in the swap set (and, where the denominators differ, in both ratios): t, moved for skewness;
    a rate alone has the logit scale for that. Else exact bounds of the two swap directions; where the denominators
    differ, the two ratios' own bounds joined by their correlation.
    """
    if candidate.correction is not None:
        return candidate.correction.difference(sample, baseline, candidate, inference, confidence)
    variance, df, _, warnings = _variance(sample, pair.residual_m, inference, pair.events)
    smooth = symmetric(np.nan_to_num(pair.estimate), np.nan_to_num(variance), df, confidence)
    carried = (df / 2 if inference == HISTORY else df + 1) >= CARRIED
    smooth = moved(smooth, _shift(sample, pair.residual_m, variance, inference, confidence), carried)
    same = baseline.denominator == candidate.denominator
    plenty = enough(pair.events) & ~np.isnan(variance)
    found = smooth
    if (same & ~plenty).any():
        found = choose(same & ~plenty, _swap_bounds(sample, pair, candidate, inference, confidence), found)
    if (~same & ~plenty).any():
        joined = _mover(sample, baseline, candidate, inference, confidence)
        found = choose(~same & ~plenty, joined.intervals, found)
        for g in np.flatnonzero(~same & ~plenty):
            warnings[g] = list(dict.fromkeys(warnings[g] + joined.warnings[g]))
    found = Intervals(np.maximum(found.low, -1.0), np.minimum(found.high, 1.0), found.rule)
    return Judged(census_exact(sample, pair.estimate, found) if inference == HISTORY else found, warnings)


def _shift(sample: Sample, residual_m: F64, variance: F64, inference: str, confidence: float) -> F64:
    """Return how far skewness moves the bounds of a sum of weighted residuals, whose variance is known."""
    if inference == HISTORY:
        return bound_shift(variance, *sample.history_cubes(residual_m), confidence)
    third = sample.cluster_spread(residual_m).third
    return bound_shift(variance, third, third, confidence)


def _swap_bounds(sample: Sample, pair: Difference, candidate: Ratio, inference: str, confidence: float) -> Intervals:
    """Return bounds of gained − lost from exact bounds of each.

    Joined as if independent (`mover`), they err less often than either alone is allowed to: both are discrete. Only a
    correlation that widens them is taken from the few labels that swap.
    """
    whole = np.where(candidate.denominator > 0, candidate.denominator, 1.0)[sample.segment_m]
    size, left = pair.size, np.ones(sample.segments)
    if inference == HISTORY:
        drawn = drawn_units(sample, candidate)
        size, left = np.minimum(size, drawn.size), drawn.left
    shares, residuals, bounds = [], [], []
    for part_m in (pair.gained_m, pair.lost_m):
        share = np.clip(sample.sums(sample.weight_m * part_m), 0.0, 1.0)
        residual_m = part_m - share[sample.segment_m] * candidate.b_m / whole
        variance, _, units, _ = _variance(sample, residual_m, inference)
        found = korn_graubard(share, np.nan_to_num(variance), pair.events, Behind(size, units, left), confidence)
        lonely = np.isnan(variance)
        bounds.append(Intervals(np.where(lonely, 0.0, found.low), np.where(lonely, 1.0, found.high), found.rule))
        shares.append(share)
        residuals.append(residual_m)
    rho = np.minimum(correlation(sample, residuals[0], residuals[1], inference), 0.0)
    found = mover(shares[0], bounds[0], shares[1], bounds[1], rho)
    return Intervals(found.low, found.high, np.full(found.low.shape, "exact_swap"))


def _mover(sample: Sample, baseline: Ratio, candidate: Ratio, inference: str, confidence: float) -> Judged:
    """Return bounds of a difference from those of the two ratios, with what must be said of either."""
    mine = ratio_intervals(sample, candidate, inference, confidence)
    theirs = ratio_intervals(sample, baseline, inference, confidence)
    rho = correlation(sample, candidate.residual_m, baseline.residual_m, inference)
    point, other = np.nan_to_num(candidate.estimate), np.nan_to_num(baseline.estimate)
    found = mover(point, mine.intervals, other, theirs.intervals, rho)
    return Judged(found, [a + b for a, b in zip(mine.warnings, theirs.warnings, strict=True)])


def mover(candidate: F64, mine: Intervals, baseline: F64, theirs: Intervals, rho: F64) -> Intervals:
    """Recover the variance of a difference from the bounds of its parts (Zou and Donner 2008, Stat. Med. 27, 1693)."""
    c_low, c_high = candidate - mine.low, mine.high - candidate
    b_low, b_high = baseline - theirs.low, theirs.high - baseline
    down = np.sqrt(np.maximum(c_low**2 + b_high**2 - 2 * rho * c_low * b_high, 0.0))
    up = np.sqrt(np.maximum(c_high**2 + b_low**2 - 2 * rho * c_high * b_low, 0.0))
    point = candidate - baseline
    return Intervals(point - down, point + up, np.full(point.shape, "mover"))


def added(point: F64, one: Intervals, other: Intervals) -> Intervals:
    """Return bounds of a sum of two independent errors from those of each, ibid.; the rule is that of the first."""
    down = np.sqrt((point - one.low) ** 2 + (point - other.low) ** 2)
    up = np.sqrt((one.high - point) ** 2 + (other.high - point) ** 2)
    return Intervals(point - down, point + up, one.rule)


def correlation(sample: Sample, mine_m: F64, theirs_m: F64, inference: str) -> F64:
    """Return the correlation of two sums of weighted residuals, 0 where one of them does not vary."""
    parts = (mine_m, theirs_m, mine_m - theirs_m)
    v_mine, v_theirs, v_pair = (np.nan_to_num(_variance(sample, m, inference)[0]) for m in parts)
    scale = np.sqrt(v_mine * v_theirs)
    return np.clip(
        np.where(scale > 0, (v_mine + v_theirs - v_pair) / np.where(scale > 0, 2 * scale, 1.0), 0.0), -1.0, 1.0
    )


def choose(first: Flags, a: Intervals, b: Intervals) -> Intervals:
    """Return the first intervals in some segments, the others elsewhere."""
    return Intervals(np.where(first, a.low, b.low), np.where(first, a.high, b.high), np.where(first, a.rule, b.rule))


def _variance(
    sample: Sample, residual_m: F64, inference: str, events: F64 | None = None
) -> tuple[F64, F64, F64, list[list[str]]]:
    """Return variance, its degrees of freedom, the sampled units behind it, and warnings where events are given."""
    if inference == HISTORY:
        variance, df = sample.history_spread(residual_m)
        units = sample.drawn_count(np.ones(len(residual_m)))
        return variance, df, units, [] if events is None else carrier_warnings(sample, df, events)
    spread = future_spread(sample, residual_m)
    warnings = [] if events is None else cluster_warnings(spread, events, spread.variance > 0)
    return spread.variance, np.maximum(1.0, spread.effective - 1.0), spread.clusters, warnings
