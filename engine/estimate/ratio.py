"""The Hájek ratio, its linearised residual, and the interval that each question deserves; all segments at once.

Point: Hájek (1971), Σ w̃ a / Σ w̃ b with design weights w̃ = 1/π. Variance: Taylor linearisation, residual
(a − R b) / Σ w̃ b (Särndal, Swensson, Wretman 1992, section 5.6).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isnan
from typing import Protocol

import numpy as np

from engine.estimate.advertisers import future_spread
from engine.estimate.interval import Behind, Intervals, kish, share_intervals
from engine.estimate.sample import HISTORY, ClusterSpread, Sample
from engine.estimate.skewness import bound_shift, reaching
from engine.estimate.sum_kernels import ratio_residuals
from engine.records import F64, Flags

FEW_CLUSTERS = 10.0
FEW_CARRIERS = 10.0
FEWER_CARRIERS, FEWER_CLUSTERS = 3.0, 4.0  # times fewer than events
LARGE_CLUSTER = 0.25
ONE_ADVERTISER = "one advertiser only: nothing to compare it with"


class Correction(Protocol):
    """Makes the intervals of a ratio whose labels reviewer error was taken out of (see `reviewer_error`)."""

    def intervals(self, sample: Sample, ratio: Ratio, inference: str, confidence: float) -> Judged:
        """Return the intervals of the ratio for one question."""
        ...

    def difference(
        self, sample: Sample, baseline: Ratio, candidate: Ratio, inference: str, confidence: float
    ) -> Judged:
        """Return the intervals of a difference of two such ratios."""
        ...


@dataclass(frozen=True)
class Ratio:
    """Σ w̃ a / Σ w̃ b of each segment (G); a, b and the residual stand per entry (m) of the sample.

    estimate is NaN where the denominator is empty. bounds : least and greatest value that it can take.
    size : effective size of the denominator (Kish). events : effective events, see `effective_events`.
    correction : how to take out reviewer error; the point has it out already.
    """

    estimate: F64
    denominator: F64
    a_m: F64
    b_m: F64
    residual_m: F64
    labels: F64
    size: F64
    events: F64
    bounds: tuple[float, float]
    correction: Correction | None = None

    @property
    def empty(self) -> Flags:
        if self.correction is not None:  # the corrected one may be 0 or less though there are labels
            return np.asarray(self.labels == 0)
        return np.asarray(~(self.denominator > 0.0))


@dataclass(frozen=True)
class Judged:
    """Intervals with what a reader must be told about each."""

    intervals: Intervals
    warnings: list[list[str]]


def hajek(sample: Sample, a_n: F64, b_n: F64, bounds: tuple[float, float] = (0.0, 1.0)) -> Ratio:
    """Return the ratio of each segment; a/b of every creative lies within `bounds`."""
    return ratio_of(sample, a_n[sample.at_m], b_n[sample.at_m], bounds)


def hajek_points(sample: Sample, a_n: F64, b_n: F64) -> F64:
    """Return the points alone, NaN where the denominator is empty."""
    a = sample.sums(sample.weight_m * a_n[sample.at_m])
    b = sample.sums(sample.weight_m * b_n[sample.at_m])
    return np.where(b > 0, a / np.where(b > 0, b, 1.0), np.nan)


def ratio_intervals(sample: Sample, ratio: Ratio, inference: str, confidence: float) -> Judged:
    """Return the intervals of a ratio for one question."""
    if ratio.correction is not None:
        return ratio.correction.intervals(sample, ratio, inference, confidence)
    if inference == HISTORY:
        variance, df = sample.history_spread(ratio.residual_m)
        found = _within(ratio, variance, df, drawn_units(sample, ratio), confidence)
        shift = bound_shift(variance, *sample.history_cubes(ratio.residual_m), confidence)
        found = reaching(found, ratio.estimate, variance, df, shift, ratio.bounds, confidence)
        return Judged(census_exact(sample, ratio.estimate, found), carrier_warnings(sample, df, ratio.events))
    spread = future_spread(sample, ratio.residual_m)
    size = unseen_size(sample, ratio, sample.cluster_squares(ratio.b_m))
    inside = (ratio.estimate > ratio.bounds[0]) & (ratio.estimate < ratio.bounds[1])
    df = np.maximum(1.0, np.where(inside, spread.effective, size) - 1.0)
    lonely, variance = np.isnan(spread.variance), np.nan_to_num(spread.variance)
    behind = Behind(unseen_future(sample, ratio, inside), spread.clusters, np.ones(sample.segments))
    found = _within(ratio, variance, df, behind, confidence)
    shift = bound_shift(variance, spread.third, spread.third, confidence)
    found = reaching(found, ratio.estimate, variance, df, shift, ratio.bounds, confidence)
    found = Intervals(
        np.where(lonely, 0.0, found.low), np.where(lonely, 1.0, found.high), np.where(lonely, "unbounded", found.rule)
    )
    warnings = cluster_warnings(spread, ratio.events, inside)
    large = too_large(spread, ratio.events, inside)
    if large.any():
        for g, left in zip(np.flatnonzero(large), _without(sample, ratio, spread, large, confidence), strict=True):
            warnings[g].append(f"without it {left}")
    return Judged(found, warnings)


def drawn_units(sample: Sample, ratio: Ratio) -> Behind:
    """Return what was drawn behind a ratio: its labels, or whole clusters.

    What drawing without replacement leaves is read where creatives were drawn most thinly: events that nobody saw may
    stand there. The more unequal the labels' weights, the less is taken off: most of it may be a few large creatives
    that nobody drew. Of several audits a weight tells at most how many draws a creative could expect, m: no draw at all
    has at most the chance exp(−m). Nothing is taken off where clusters were drawn.
    """
    size, count = unseen_size(sample, ratio, sample.drawn_squares(ratio.b_m)), sample.drawn_count(ratio.b_m)
    left = np.ones(sample.segments)
    if not sample.clustered and not sample.strata.clustered:
        drawn = 1.0 / np.maximum(sample.heaviest_G, 1.0)
        drawn = drawn if sample.creatives.alone else 1.0 - np.exp(-drawn)
        left -= np.minimum(size / np.maximum(count, 1.0), 1.0) * drawn
    return Behind(size, count, left)


def unseen_future(sample: Sample, ratio: Ratio, inside: Flags) -> F64:
    """Return the effective size that the exact bounds of `future` start from.

    Inside of the bounds the variance knows how creatives of an advertiser resemble each other: labels count. At a bound
    there is no variance, and the events that nobody saw may all be those of one advertiser: advertisers count.
    """
    labels = unseen_size(sample, ratio, sample.drawn_squares(ratio.b_m))
    return np.where(inside, labels, unseen_size(sample, ratio, sample.cluster_squares(ratio.b_m)))


def unseen_size(sample: Sample, ratio: Ratio, squares: F64) -> F64:
    """Return the effective size (Kish) of a denominator, or what one label more would leave of it, if that is less.

    squares : Σ of the squared denominators of what was drawn. The label has the largest weight of the segment's draws
    and the mean denominator: a thinly drawn stratum may hide one. Where weights are equal nothing changes.
    Source: Fay and Feuer 1997, Statistics in Medicine 16, 791–801: bounds for sums of unequally weighted counts.
    """
    counted = sample.counted(ratio.b_m > 0)
    mean = ratio.denominator / np.where(counted > 0, counted, 1.0)
    unseen = sample.heaviest_G * mean
    return np.minimum(kish(ratio.denominator, squares), kish(ratio.denominator + unseen, squares + unseen**2))


def census_exact(sample: Sample, estimate: F64, found: Intervals) -> Intervals:
    """Return the intervals with no width where the audit drew everybody: history holds nothing more."""
    if not sample.census_G.any():
        return found
    whole = sample.census_G
    return Intervals(
        np.where(whole, estimate, found.low),
        np.where(whole, estimate, found.high),
        np.where(whole, "census", found.rule),
    )


def carrier_warnings(sample: Sample, df: F64, events: F64) -> list[list[str]]:
    """Return what `history` must say where far fewer labels carry the variance than the events let expect.

    Their number is half the degrees of freedom, see Sample.history_spread. Exposure has a heavy tail there, or a
    stratum is drawn thinly: samples that lack the few creatives which matter look precise.
    """
    unit = "clusters" if sample.strata.clustered or sample.clustered else "labels"
    carriers = df / 2.0
    out: list[list[str]] = [[] for _ in df]
    for g in np.flatnonzero(carriers < np.minimum(FEW_CARRIERS, events / FEWER_CARRIERS)):
        out[g].append(f"only {carriers[g]:.1f} effective {unit} carry the variance of {events[g]:.0f} effective events")
    return out


def cluster_warnings(spread: ClusterSpread, events: F64, inside: Flags) -> list[list[str]]:
    """Return what `future` must say where too few or too large advertisers carry the variance of what is inside bounds.

    Few events are carried by few advertisers: exact bounds know that, so it takes fewer than a quarter of the events.
    """
    out: list[list[str]] = [[] for _ in events]
    lonely = np.isnan(spread.variance)
    for g in np.flatnonzero(lonely):
        out[g].append(ONE_ADVERTISER)
    for g in np.flatnonzero(inside & ~lonely & (spread.effective < np.minimum(FEW_CLUSTERS, events / FEWER_CLUSTERS))):
        out[g].append(f"only {spread.effective[g]:.1f} effective advertisers carry the variance")
    for g in np.flatnonzero(too_large(spread, events, inside)):
        out[g].append(f"one advertiser carries {spread.largest[g]:.0%} of the variance")
    return out


def too_large(spread: ClusterSpread, events: F64, inside: Flags) -> Flags:
    """Return the segments in which one advertiser carries more of the variance than the events let expect."""
    expected = FEWER_CLUSTERS / np.maximum(events, FEWER_CLUSTERS)
    return np.asarray(inside & ~np.isnan(spread.variance) & (spread.largest > np.maximum(LARGE_CLUSTER, expected)))


def effective_events(sample: Sample, u: F64, v: F64) -> F64:
    """Return (Σu)² / Σ u v of each segment, u ≤ v the weighted numerator and denominator.

    For numerators of 0 or 1 it is Kish's (Σu)² / Σu². A creative that counts only in part is that part of an event: a
    thousand reviews that each refuse 1 % are ten, not a thousand.
    """
    top = sample.sums(u)
    return kish(top, sample.creatives.products(u, v))


def ratio_of(sample: Sample, a_m: F64, b_m: F64, bounds: tuple[float, float]) -> Ratio:
    """Return the ratio of each segment from values per entry: what a row counts may differ between segments."""
    found = _sums(sample, a_m, b_m, bounds)
    whole = found.whole
    safe = np.where(whole > 0, whole, 1.0)
    estimate = np.where(whole > 0, found.top / safe, np.nan)
    return Ratio(
        estimate=estimate,
        denominator=whole,
        a_m=a_m,
        b_m=b_m,
        residual_m=ratio_residuals(sample.edge_G, a_m, b_m, np.nan_to_num(estimate), safe),
        labels=found.labels,
        size=kish(whole, found.squares),
        events=found.events,
        bounds=bounds,
    )


@dataclass(frozen=True)
class _Sums:
    """Σu, Σv, creatives with b > 0, Σv² and effective events of each segment; u, v the weighted parts of a ratio."""

    top: F64
    whole: F64
    labels: F64
    squares: F64
    events: F64


def _sums(sample: Sample, a_m: F64, b_m: F64, bounds: tuple[float, float]) -> _Sums:
    low, high = bounds
    if sample.creatives.alone:
        top, whole, labels, squares, *parts = sample.parts(a_m, b_m, low, high)
        inside, within, outside, beyond = parts
        return _Sums(top, whole, labels, squares, np.minimum(kish(inside, within), kish(outside, beyond)))
    u, v = sample.weight_m * a_m, sample.weight_m * b_m
    part = np.clip((u - low * v) / (high - low), 0.0, v)
    events = np.minimum(effective_events(sample, part, v), effective_events(sample, v - part, v))
    creatives = sample.creatives
    return _Sums(sample.sums(u), sample.sums(v), creatives.count(b_m > 0), creatives.products(v, v), events)


def _without(sample: Sample, ratio: Ratio, spread: ClusterSpread, large: Flags, confidence: float) -> list[str]:
    """Return what some segments would say without their largest advertiser."""
    less = sample.without(spread.biggest[large].tolist())
    rest = ratio_of(less.sample, ratio.a_m[less.at] * less.kept, ratio.b_m[less.at] * less.kept, ratio.bounds)
    left = future_spread(less.sample, rest.residual_m)
    df, variance = np.maximum(1.0, left.effective - 1.0), np.nan_to_num(left.variance)
    mine = replace(rest, estimate=rest.estimate[large], events=rest.events[large])
    behind = Behind(rest.size[large], left.clusters[large], np.ones(int(large.sum())))
    found = _within(mine, variance[large], df[large], behind, confidence)
    rows = zip(mine.estimate.tolist(), found.low.tolist(), found.high.tolist(), strict=True)
    return ["no number" if isnan(point) else f"{point:.4g} [{low:.4g}, {high:.4g}]" for point, low, high in rows]


def _within(ratio: Ratio, variance: F64, df: F64, behind: Behind, confidence: float) -> Intervals:
    """Return intervals of a ratio as the share of the way between its bounds; an empty ratio is never shown."""
    low, high = ratio.bounds
    share = np.clip((np.nan_to_num(ratio.estimate) - low) / (high - low), 0.0, 1.0)
    found = share_intervals(share, variance / (high - low) ** 2, ratio.events, df, behind, confidence)
    return Intervals(low + (high - low) * found.low, low + (high - low) * found.high, found.rule)
