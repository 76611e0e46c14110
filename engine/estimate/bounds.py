"""Bounds of a number that hold whatever the labels are that no audit could have drawn.

A rate is (A + Σ e a) / (B + Σ e b): A and B are estimated where some audit could draw, e is the exposure that lies
outside of every frame, by outcome, which is known exactly. Each of its creatives may violate or not; the least and the
greatest ratio over all of these choices are the worst-case bounds of Manski (1989, J. Hum. Resour. 24, 343–360), found
by Dinkelbach's iteration (1967, Manag. Sci. 13, 492–498): every choice maximises a − λ b for the ratio λ so far.

Bounds are estimates themselves. `least` is the lower limit of the lower one and `most` the upper limit of the upper
one, so that both hold at once, for the whole set, with the confidence of the number's own interval (Horowitz and Manski
2000, J. Am. Stat. Assoc. 95, 77–84). The interval of Imbens and Manski (2004), which covers each single value alone, is
narrower and is not used: its quantile rests on the normal approximation that few events do not allow. Limits follow
from those of A/B; what B varies is added as for a sum (Zou and Donner 2008). What lies outside stays this history's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.estimate.advertisers import future_spread
from engine.estimate.block import Block
from engine.estimate.interval import Intervals, t_quantile
from engine.estimate.known import outside_exposure
from engine.estimate.metrics import Metric
from engine.estimate.pair import Difference, correlation
from engine.estimate.ratio import Ratio, ratio_intervals
from engine.estimate.sample import HISTORY, Sample
from engine.estimate.view import View
from engine.records import F64, WEIGHTINGS, WEIGHTS

_STEPS = 100  # Dinkelbach's iteration ends by itself after a few


@dataclass(frozen=True)
class Outside:
    """Exposure that no audit could have drawn, in K groups; each of a group's creatives counts as one of C choices.

    exposure_KG : float64. counts_KCX : numerator and denominator of exposure 1.
    """

    exposure_KG: F64
    counts_KCX: F64

    @property
    def whole_G(self) -> F64:
        """All of it, by segment."""
        return self.exposure_KG.sum(0)

    def extreme(self, ratio: F64, denominator: F64, sign: int) -> tuple[F64, F64]:
        """Return the greatest (sign 1) or least (−1) ratio of each segment and its denominator.

        ratio, denominator : of what could be drawn.
        """
        value, whole = ratio, denominator
        segments = np.arange(len(ratio))
        for _ in range(_STEPS):
            gain_KCG = self.counts_KCX[:, :, :1] - self.counts_KCX[:, :, 1:] * value
            pick_KG = (sign * gain_KCG).argmax(1)
            chosen_KGX = self.counts_KCX[np.arange(len(pick_KG))[:, None], pick_KG]
            top, added = (self.exposure_KG[:, segments, None] * chosen_KGX).sum(0).T
            whole = denominator + added
            found = (ratio * denominator + top) / np.where(whole > 0, whole, np.nan)
            if np.array_equal(found, value, equal_nan=True):
                break
            value = found
        return value, whole


@dataclass(frozen=True)
class Inside:
    """A ratio or a difference of two over what could be drawn: point, limits, denominator, entries of the sample."""

    estimate: F64
    limits: Intervals
    denominator: F64
    residual_m: F64
    b_m: F64


def outside_of(view: View, counts_OX: F64) -> Outside | None:
    """Return the exposure of a strategy's outcomes that no audit could have drawn, None where there is none.

    counts_OX : numerator and denominator for y = 0, then for y = 1, shape (O, 4). Where a run scores a sample nobody
    knows the outcomes of that exposure, so that it may count as any of them.
    """
    counts_OYX = counts_OX.reshape(len(counts_OX), 2, 2)
    exposure_OG = view.exposure_OG - view.framed_OG
    if view.question.scored is not None:
        exposure_GW = outside_exposure(view.question.totals, view.question.segments)
        exposure_OG, counts_OYX = exposure_GW[None, :, WEIGHTINGS.index(view.weighting)], counts_OYX.reshape(1, -1, 2)
    return Outside(exposure_OG, counts_OYX) if (exposure_OG > 0).any() else None


def outside_pair(candidate: View, baseline: View, metric: Metric) -> Outside | None:
    """Return the same for a difference of two rates that share their denominator.

    How much of the exposure outside has one pair of outcomes is known within limits: at most what all creatives have,
    and what of either outcome lies outside; at least what the frame cannot hold.
    """
    totals, segments = candidate.question.totals, candidate.question.segments
    at = WEIGHTS.index(candidate.weighting)
    filled = [at] if candidate.weighting == "creatives" else [at, at + 1]
    swap_OQG = (totals.swap_OQCW[..., filled].sum(-1) @ segments.member_GC.T.astype(np.int64)).astype(np.float64)
    theirs, mine = (side.exposure_OG - side.framed_OG for side in (baseline, candidate))
    swap_OQG = swap_OQG[: len(theirs), : len(mine)]
    most = np.minimum(swap_OQG, np.minimum(theirs[:, None], mine[None]))
    least = np.maximum(swap_OQG - np.minimum(baseline.framed_OG[:, None], candidate.framed_OG[None]), 0.0)
    counts_b, counts_c = (metric.per_outcome(side.given).reshape(-1, 2, 2) for side in (baseline, candidate))
    counts_OQYX = np.stack(
        np.broadcast_arrays(counts_c[None, :, :, 0] - counts_b[:, None, :, 0], counts_c[None, :, :, 1]), axis=-1
    )
    pairs = np.flatnonzero((most > 0).any(2))
    if not len(pairs):
        return None
    least, most = (x.reshape(-1, x.shape[2])[pairs] for x in (np.minimum(least, most), most))
    sure = counts_OQYX.reshape(-1, 2, 2)[pairs]
    none = np.zeros_like(sure[:, :1])
    return Outside(
        np.concatenate([least, most - least]),
        np.concatenate([np.concatenate([sure, sure[:, :1]], 1), np.concatenate([sure, none], 1)]),
    )


def limits_of(sample: Sample, inside: Inside, outside: Outside, inference: str, confidence: float) -> tuple[F64, F64]:
    """Return `least` and `most` of each segment, NaN where all of its exposure could have been drawn."""
    whole, found = inside.denominator, []
    spread, df = _spread(sample, inside.b_m, inference)
    reach = t_quantile(confidence, df) * np.sqrt(spread)
    rho = correlation(sample, inside.residual_m, inside.b_m, inference)
    for sign, limit in ((-1, inside.limits.low), (1, inside.limits.high)):
        bound, bottom = outside.extreme(inside.estimate, whole, sign)
        share = np.abs(bound - outside.extreme(limit, whole, sign)[0])
        size = reach * np.abs(inside.estimate - bound) / np.where(bottom > 0, bottom, np.nan)
        away = np.sqrt(np.maximum(share**2 + size**2 - 2 * sign * rho * share * size, 0.0))
        found.append(np.where(outside.whole_G > 0, bound + sign * away, np.nan))
    return np.minimum(found[0], inside.limits.low), np.maximum(found[1], inside.limits.high)


def rate_limits(view: View, metric: Metric, ratio: Ratio, limits: Intervals, inference: str) -> tuple[F64, F64] | None:
    """Return `least` and `most` of a rate; None where every creative could have been drawn."""
    outside = outside_of(view, metric.per_outcome(view.given))
    if outside is None:
        return None
    least, most = ratio_limits(view, ratio, limits, outside, inference)
    low, high = metric.bounds(view.given, view.occurs_O)
    return np.maximum(least, low), np.minimum(most, high)


def ratio_limits(view: View, ratio: Ratio, limits: Intervals, outside: Outside, inference: str) -> tuple[F64, F64]:
    """Return `least` and `most` of any ratio over the view's sample."""
    inside = Inside(ratio.estimate, limits, ratio.denominator, ratio.residual_m, ratio.b_m)
    return limits_of(view.sample, inside, outside, inference, view.question.confidence)


def difference_limits(
    sides: tuple[View, View], ratios: tuple[Ratio, Ratio], pair: Difference, limits: Intervals, metric: Metric,
    inference: str,
) -> tuple[F64, F64] | None:  # fmt: skip
    """Return `least` and `most` of candidate − baseline (in this order); None where all could have been drawn.

    Where denominators differ, or where nobody counted who swaps, the bounds are those of either side apart: they hold,
    but no labels may attain both.
    """
    candidate, baseline = sides
    counts = [metric.per_outcome(side.given) for side in sides]
    outsides = [outside_of(side, count) for side, count in zip(sides, counts, strict=True)]
    if not any(outsides):
        return None
    question = candidate.question
    shared = all((count[:, 1::2] == counts[0][0, 1::2]).all() for count in counts)
    if shared and question.scored is None and question.pair == (baseline.strategy, candidate.strategy):
        outside = outside_pair(candidate, baseline, metric)
        inside = Inside(pair.estimate, limits, ratios[0].denominator, pair.residual_m, ratios[0].b_m)
        if outside is None:
            return None
        least, most = limits_of(candidate.sample, inside, outside, inference, question.confidence)
        return np.maximum(least, -1.0), np.minimum(most, 1.0)
    found = []
    for side, ratio in zip(sides, ratios, strict=True):
        alone = ratio_intervals(side.sample, ratio, inference, question.confidence).intervals
        bounds = rate_limits(side, metric, ratio, alone, inference)
        least, most = bounds if bounds is not None else (alone.low, alone.high)
        found.append((np.where(np.isnan(least), alone.low, least), np.where(np.isnan(most), alone.high, most)))
    (least_c, most_c), (least_b, most_b) = found
    whole = np.max([outside.whole_G for outside in outsides if outside], axis=0)
    return np.where(whole > 0, least_c - most_b, np.nan), np.where(whole > 0, most_c - least_b, np.nan)


def apart(sides: Sequence[Block]) -> tuple[F64, F64] | None:
    """Return the bounds of the first number less the second, from those of either; None where neither has any."""
    if all(side.least is None for side in sides):
        return None
    lower, upper, bounded = [], [], np.zeros(len(sides[0].null), bool)
    for side in sides:
        assert side.intervals is not None
        none = np.full(len(side.null), np.nan)
        least, most = (none if limit is None else limit for limit in (side.least, side.most))
        lower.append(np.where(np.isnan(least), side.intervals.low, least))
        upper.append(np.where(np.isnan(most), side.intervals.high, most))
        bounded |= ~np.isnan(least)
    return np.where(bounded, lower[0] - upper[1], np.nan), np.where(bounded, upper[0] - lower[1], np.nan)


def _spread(sample: Sample, value_m: F64, inference: str) -> tuple[F64, F64]:
    if inference == HISTORY:
        return sample.history_spread(value_m)
    spread = future_spread(sample, value_m)
    return np.nan_to_num(spread.variance), np.maximum(1.0, spread.effective - 1.0)
