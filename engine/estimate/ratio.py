"""The Hájek ratio, its linearised residual, and the interval that each question deserves.

Point: Hájek (1971), Σ w̃ a / Σ w̃ b with design weights w̃ = 1/π. Variance: Taylor linearisation, residual
(a − R b) / Σ w̃ b (Särndal, Swensson, Wretman 1992, section 5.6).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan

import numpy as np

from engine.estimate.interval import (
    ENOUGH_EVENTS,
    Interval,
    korn_graubard,
    share_interval,
    swap_interval,
    symmetric,
    t_quantile,
)
from engine.estimate.sample import HISTORY, Sample, cluster_spread
from engine.records import F64, I64

FEW_CLUSTERS = 10.0
LARGE_CLUSTER = 0.25


@dataclass(frozen=True)
class Ratio:
    """A ratio over the rows `at` of a sample. residual_n: its linearised residual, one per row of `at`."""

    estimate: float
    numerator_n: F64
    denominator_n: F64
    denominator: float
    residual_n: F64
    at: I64
    labels: int
    size: float
    events: float


@dataclass(frozen=True)
class Judged:
    """An interval with what a reader must be told about it."""

    interval: Interval
    warnings: tuple[str, ...]


def hajek(sample: Sample, numerator_n: F64, denominator_n: F64, at: I64) -> Ratio | None:
    """Return the ratio over rows `at`, or None where the denominator is empty."""
    a, b = numerator_n[at], denominator_n[at]
    weight = sample.weight_n[at]
    total = float(weight @ b)
    if not total > 0.0:
        return None
    ratio = float(weight @ a) / total
    events = min(kish(weight * a), kish(weight * (b - a)))
    return Ratio(ratio, a, b, total, (a - ratio * b) / total, at, int((b > 0).sum()), kish(weight * b), events)


def kish(u: F64) -> float:
    """Return the effective number (Σu)² / Σu² of weighted things, 0 where there are none."""
    squares = float(u @ u)
    return float(u.sum()) ** 2 / squares if squares > 0 else 0.0


def ratio_interval(sample: Sample, ratio: Ratio, inference: str, confidence: float) -> Judged:
    """Return the interval of a ratio for one question."""
    if inference == HISTORY:
        if sample.is_census(ratio.at):
            return Judged(Interval(ratio.estimate, ratio.estimate, "census"), ())
        variance = sample.history_variance(ratio.residual_n, ratio.at)
        df = max(1.0, ratio.labels - 1.0)
        return Judged(share_interval(ratio.estimate, variance, ratio.events, ratio.size, df, confidence), ())
    total_A = sample.cluster_totals(ratio.residual_n, ratio.at)
    size_A = sample.cluster_totals(ratio.denominator_n, ratio.at)
    spread = cluster_spread(total_A)
    df = max(1.0, spread.effective - 1.0)
    if isnan(spread.variance):
        return Judged(Interval(0.0, 1.0, "unbounded"), ("one advertiser only: nothing to compare it with",))
    inside = 0.0 < ratio.estimate < 1.0
    df = df if inside else max(1.0, kish(size_A) - 1.0)
    interval = share_interval(ratio.estimate, spread.variance, ratio.events, kish(size_A), df, confidence)
    return Judged(
        interval, _cluster_warnings(sample, ratio, spread.effective, spread.largest, confidence) if inside else ()
    )


def _cluster_warnings(
    sample: Sample, ratio: Ratio, effective: float, largest: float, confidence: float
) -> tuple[str, ...]:
    warnings = []
    if effective < FEW_CLUSTERS:
        warnings.append(f"only {effective:.1f} effective advertisers carry the variance")
    if largest > LARGE_CLUSTER:
        warnings.append(
            f"one advertiser carries {largest:.0%} of the variance; {_without_largest(sample, ratio, confidence)}"
        )
    return tuple(warnings)


def _without_largest(sample: Sample, ratio: Ratio, confidence: float) -> str:
    """Return the interval without the advertiser that carries most of the variance, in words."""
    total_A = sample.cluster_totals(ratio.residual_n, ratio.at)
    who = np.unique(sample.advertiser_n[ratio.at])[int(np.argmax(total_A**2))]
    keep = sample.advertiser_n[ratio.at] != who
    weight, a, b = sample.weight_n[ratio.at[keep]], ratio.numerator_n[keep], ratio.denominator_n[keep]
    total = float(weight @ b)
    if total <= 0:
        return "without it nothing is left"
    share = float(weight @ a) / total
    spread = cluster_spread(sample.cluster_totals((a - share * b) / total, ratio.at[keep]))
    events = min(kish(weight * a), kish(weight * (b - a)))
    rest = share_interval(
        share, np.nan_to_num(spread.variance), events, kish(weight * b), max(1.0, spread.effective - 1), confidence
    )
    return f"without it {share:.4g} [{rest.low:.4g}, {rest.high:.4g}]"


@dataclass(frozen=True)
class Difference:
    """candidate − baseline over the same rows, linearised jointly. events: effective events in the swap set."""

    estimate: float
    residual_n: F64
    at: I64
    labels: int
    size: float
    events: float
    gained_n: F64
    lost_n: F64
    rest_n: F64


def difference(sample: Sample, baseline: Ratio, candidate: Ratio) -> Difference:
    """Return the paired difference of two ratios over the same rows."""
    at, weight = baseline.at, sample.weight_n[baseline.at]
    moved = candidate.numerator_n - baseline.numerator_n
    gained, lost = np.maximum(moved, 0.0), np.maximum(-moved, 0.0)
    residual = candidate.residual_n - baseline.residual_n
    swapped = (moved / candidate.denominator) - float(
        weight @ moved
    ) / candidate.denominator**2 * candidate.denominator_n
    return Difference(
        estimate=candidate.estimate - baseline.estimate,
        residual_n=residual,
        at=at,
        labels=candidate.labels,
        size=min(baseline.size, candidate.size),
        events=kish(weight * np.abs(moved)),
        gained_n=gained,
        lost_n=lost,
        rest_n=residual - swapped,  # what the change of the denominator adds; 0 where both are the same
    )


def difference_interval(
    sample: Sample, pair: Difference, candidate: Ratio, inference: str, confidence: float
) -> Judged:
    """Return the interval of a difference: t where the swap set has enough events, else exact bounds of both directions."""
    if inference == HISTORY and sample.is_census(pair.at):
        return Judged(Interval(pair.estimate, pair.estimate, "census"), ())
    variance, df, warnings = _variance(sample, pair.residual_n, pair, inference)
    if pair.events >= ENOUGH_EVENTS and not isnan(variance):
        found = symmetric(pair.estimate, variance, df, confidence)
        return Judged(Interval(max(found.low, -1.0), min(found.high, 1.0), found.rule), warnings)
    narrow = (1 + confidence) / 2
    bounds = []
    for part_n in (pair.gained_n, pair.lost_n):
        share = min(1.0, float(sample.weight_n[pair.at] @ part_n) / candidate.denominator)
        residual_n = (part_n - share * candidate.denominator_n) / candidate.denominator
        part_variance, part_df, _ = _variance(sample, residual_n, pair, inference)
        if isnan(part_variance):
            return Judged(Interval(-1.0, 1.0, "unbounded"), ("one advertiser only: nothing to compare it with",))
        bounds.append(korn_graubard(share, part_variance, pair.size, part_df, narrow))
    swap = swap_interval(*bounds)
    shift = pair.estimate - (float(sample.weight_n[pair.at] @ (pair.gained_n - pair.lost_n)) / candidate.denominator)
    rest_variance, rest_df, _ = _variance(sample, pair.rest_n, pair, inference)
    margin = t_quantile(confidence, rest_df) * float(np.sqrt(rest_variance))
    return Judged(
        Interval(max(-1.0, swap.low + shift - margin), min(1.0, swap.high + shift + margin), swap.rule), warnings
    )


def _variance(
    sample: Sample, residual_n: F64, pair: Difference, inference: str
) -> tuple[float, float, tuple[str, ...]]:
    if inference == HISTORY:
        return sample.history_variance(residual_n, pair.at), max(1.0, pair.labels - 1.0), ()
    spread = cluster_spread(sample.cluster_totals(residual_n, pair.at))
    warnings = []
    if spread.effective < FEW_CLUSTERS:
        warnings.append(f"only {spread.effective:.1f} effective advertisers carry the variance")
    if spread.largest > LARGE_CLUSTER:
        warnings.append(f"one advertiser carries {spread.largest:.0%} of the variance")
    return spread.variance, max(1.0, spread.effective - 1.0), tuple(warnings)
