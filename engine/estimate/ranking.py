"""How well a score ranks violating above compliant creatives, and how two scores of the same creatives agree.

The area under the ROC curve is the share of (violating, compliant) pairs that the score puts in order, ties half, each
creative weighted by the design. It is linearised as a ratio of two totals over pairs (its influence on a creative is
the share of the other class that it is in order with, less the area, over the weight of its own class: Hanley and
Hajian-Tilaki 1997, Acad. Radiol. 4, 49–58, with the weights of the design), so the audits' own variance applies.
Of few creatives of a class, or where the score puts every pair in order, that says nothing, and no interval is given.
Average precision is a point without an interval.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engine.estimate.interval import Intervals, enough, logit_intervals, symmetric
from engine.estimate.sample import Sample
from engine.records import F64, Flags

_NOTHING = 1e-9  # what rounding leaves of an area of 0 or 1


@dataclass(frozen=True)
class Ranked:
    """An estimate with its bounds; low and high are None where it has no interval, for the reason given."""

    estimate: float
    low: float | None = None
    high: float | None = None
    null_reason: str | None = None


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


def compare_scores(
    sample: Sample, one_n: F64, other_n: F64, y_n: F64, confidence: float, doubt: str | None = None
) -> ScorePair | None:
    """Return how two scores compare over all creatives (segment 0); None where a class has no creative with both.

    Parameters
    ----------
    one_n, other_n : scores of the sample's rows, NaN where missing. y_n : 1 violating, 0 compliant.
    doubt : why areas are of the labels as they stand and not of the truth, so that no interval can be given.
    """
    at_m = sample.at_m
    inside: Flags = (sample.segment_m == 0) & ~np.isnan(one_n[at_m]) & ~np.isnan(other_n[at_m])
    w = np.where(inside, sample.weight_m, 0.0)
    y, one, other = y_n[at_m], np.nan_to_num(one_n[at_m]), np.nan_to_num(other_n[at_m])
    bad, good = w * (y == 1), w * (y == 0)
    if not (bad.sum() > 0 and good.sum() > 0):
        return None
    classes = _Classes(sample, bad, good, confidence, doubt)
    found = [_area(score, bad, good) for score in (one, other)]
    apart = other - one
    return ScorePair(
        labels=int(inside.sum()),
        violating=int((bad > 0).sum()),
        shift=float((w * apart).sum() / w.sum()),
        distance=float((w * np.abs(apart)).sum() / w.sum()),
        correlation=_correlation(one, other, w),
        area=(classes.ranked(*found[0]), classes.ranked(*found[1])),
        area_gained=classes.gained(found[1][0] - found[0][0], found[1][1] - found[0][1]),
        precision=(average_precision(one, bad, good), average_precision(other, bad, good)),
    )


@dataclass(frozen=True)
class _Classes:
    """Weights of the violating and of the compliant entries, and how sure an area over their pairs can be."""

    sample: Sample
    bad_m: F64
    good_m: F64
    confidence: float
    doubt: str | None

    @property
    def rarer(self) -> float:
        """The effective number of creatives (Kish) of the class that has fewer."""
        return min(float(part.sum() ** 2 / (part**2).sum()) for part in (self.bad_m, self.good_m))

    @property
    def lost(self) -> str | None:
        """Why no area has an interval."""
        if self.doubt is None and not enough(np.array([self.rarer]))[0]:
            return f"the rarer class has {self.rarer:.0f} effective creatives: too few to say how near"
        return self.doubt

    def ranked(self, area: float, influence_m: F64) -> Ranked:
        """Return an area in [0, 1]."""
        extreme = min(area, 1.0 - area) <= _NOTHING
        lost = self.lost or ("every pair is ordered alike: its variance is not known" if extreme else None)
        return Ranked(area, null_reason=lost) if lost else self._bounded(logit_intervals, area, influence_m)

    def gained(self, gained: float, influence_m: F64) -> Ranked:
        """Return the difference of two areas."""
        lost = self.lost or (None if influence_m.any() else "both scores order every labelled pair alike")
        return Ranked(gained, null_reason=lost) if lost else self._bounded(symmetric, gained, influence_m)

    def _bounded(self, bounds: Callable[[F64, F64, F64, float], Intervals], value: float, influence_m: F64) -> Ranked:
        variance, df = self.sample.history_spread(influence_m)
        least = np.minimum(df[:1], self.rarer - 1)
        found = bounds(np.array([value]), variance[:1], least, self.confidence)
        return Ranked(value, float(found.low[0]), float(found.high[0]))


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


def _correlation(one: F64, other: F64, w: F64) -> float | None:
    a, b = (x - (w * x).sum() / w.sum() for x in (one, other))
    scale = float(np.sqrt((w * a * a).sum() * (w * b * b).sum()))
    return float((w * a * b).sum() / scale) if scale > 0 else None
