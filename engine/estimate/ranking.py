"""How well a score ranks violating above compliant creatives, and how two scores of the same creatives agree.

The area under the ROC curve is the share of (violating, compliant) pairs that the score puts in order, ties half, each
creative weighted by the design. It is linearised as a ratio of two totals over pairs (its influence on a creative is
the share of the other class that it is in order with, less the area, over the weight of its own class: Hanley and
Hajian-Tilaki 1997, Acad. Radiol. 4, 49–58, with the weights of the design), so the audits' own variance applies.
Average precision is a point without an interval.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.estimate.interval import logit_intervals, symmetric
from engine.estimate.sample import Sample
from engine.records import F64, Flags


@dataclass(frozen=True)
class Ranked:
    """An estimate with its bounds; low and high are None where it has no interval."""

    estimate: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class ScorePair:
    """Two scores on the same labels, each array over all creatives. shift, distance : mean of other − one, of |·|.

    correlation : of the two, None where one does not vary.
    """

    labels: int
    violating: int
    shift: float
    distance: float
    correlation: float | None
    area: tuple[Ranked, Ranked]
    area_gained: Ranked
    precision: tuple[float, float]


def compare_scores(sample: Sample, one_n: F64, other_n: F64, y_n: F64, confidence: float) -> ScorePair | None:
    """Return how two scores compare over all creatives (segment 0); None where a class has no creative with both.

    Parameters
    ----------
    one_n, other_n : scores of the sample's rows, NaN where missing. y_n : 1 violating, 0 compliant.
    """
    at_m = sample.at_m
    inside: Flags = (sample.segment_m == 0) & ~np.isnan(one_n[at_m]) & ~np.isnan(other_n[at_m])
    w = np.where(inside, sample.weight_m, 0.0)
    y, one, other = y_n[at_m], np.nan_to_num(one_n[at_m]), np.nan_to_num(other_n[at_m])
    bad, good = w * (y == 1), w * (y == 0)
    if not (bad.sum() > 0 and good.sum() > 0):
        return None
    found = [_area(score, bad, good) for score in (one, other)]
    areas = [_bounded(sample, value, influence, confidence) for value, influence in found]
    gained, residual = found[1][0] - found[0][0], found[1][1] - found[0][1]
    variance, df = sample.history_spread(residual)
    bounds = symmetric(np.array([gained]), variance[:1], df[:1], confidence)
    apart = other - one
    return ScorePair(
        labels=int(inside.sum()),
        violating=int((bad > 0).sum()),
        shift=float((w * apart).sum() / w.sum()),
        distance=float((w * np.abs(apart)).sum() / w.sum()),
        correlation=_correlation(one, other, w),
        area=(areas[0], areas[1]),
        area_gained=Ranked(gained, float(bounds.low[0]), float(bounds.high[0])),
        precision=(average_precision(one, bad, good), average_precision(other, bad, good)),
    )


def average_precision(score: F64, bad: F64, good: F64) -> float:
    """Return Σ over violating weight of the precision at its own score; equal scores stand together."""
    values, at = np.unique(-score, return_inverse=True)
    bad_v, good_v = np.bincount(at, bad, len(values)), np.bincount(at, good, len(values))
    kept = bad_v > 0
    found, shown = np.cumsum(bad_v)[kept], np.cumsum(bad_v + good_v)[kept]
    return float((bad_v[kept] * found / shown).sum() / bad.sum())


def _area(score: F64, bad: F64, good: F64) -> tuple[float, F64]:
    """Return the area, and each entry's influence on it."""
    values, at = np.unique(score, return_inverse=True)
    bad_v, good_v = (np.bincount(at, part, len(values)) for part in (bad, good))
    below = (np.cumsum(good_v) - good_v / 2)[at] / good.sum()  # of a violating one: compliant weight in order with it
    above = (bad.sum() - np.cumsum(bad_v) + bad_v / 2)[at] / bad.sum()
    area = float((bad * below).sum() / bad.sum())
    influence = np.where(bad > 0, (below - area) / bad.sum(), 0.0)
    return area, np.where(good > 0, (above - area) / good.sum(), influence)


def _bounded(sample: Sample, value: float, influence_m: F64, confidence: float) -> Ranked:
    variance, df = sample.history_spread(influence_m)
    found = logit_intervals(np.array([value]), variance[:1], df[:1], confidence)
    return Ranked(value, float(found.low[0]), float(found.high[0]))


def _correlation(one: F64, other: F64, w: F64) -> float | None:
    a, b = (x - (w * x).sum() / w.sum() for x in (one, other))
    scale = float(np.sqrt((w * a * a).sum() * (w * b * b).sum()))
    return float((w * a * b).sum() / scale) if scale > 0 else None
