"""Reviewer error of the audit's own labels, taken out of every number that reads them.

Of a creative that violates a reviewer says so with probability se (sensitivity), of a compliant one that it complies
with sp (specificity), whatever else the creative is. Then E[y*|y] = (1 − sp) + J y with J = se + sp − 1, and

    y' = (y* − (1 − sp)) / J

stands for y without bias (Rogan and Gladen 1978, Am. J. Epidemiol. 107, 71–76). Every sum of section 3 is linear in y,
so each row counts (1 − y') times what it would count compliant and y' times what it would count violating.

A corrected ratio s = A / (A + C) (A its numerator, C the rest of its denominator) may have a denominator near 0, so its
limits are those s that D(s) = (1 − s) A − s C does not refuse, as of Fieller (1954, J. R. Stat. Soc. B 16, 175–185),
with unequal distances to either side (Zou and Donner 2008). Three things vary, each on its own:

- the audit's draw: variance of Σ u a' as the design has it, plus, where the draw is no draw with replacement, the
  reviewers' own chance Σ u Δ² (y' se (1 − se) + (1 − y') sp (1 − sp)) / J²; limits of a gamma distribution with this
  variance, whose mean is the apparent sum, for the upper one with one more creative of the largest weight (Fay and
  Feuer 1997, Stat. Med. 16, 791–801), so that few or no apparent events stay exact;
- se and sp, which were counted on creatives whose truth is known: exact binomial limits (Clopper and Pearson) through
  the slopes of D. To first order this is the interval of Lang and Reiczigel (2014, Prev. Vet. Med. 113, 13–22).

A number is null, with `least` and `most` for its limits, where the labels drown: where se + sp − 1 may be 0, where the
lower limit of the denominator is not above 0, or where no value is compatible with the labels. Assumed: reviewers
err alike on every creative of a policy, independently; creatives that count se and sp are apart from the audit's draw.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import gammaincinv, ndtri

from engine.estimate.advertisers import future_spread
from engine.estimate.interval import Intervals, exact_bounds, t_quantile
from engine.estimate.pair import correlation, mover
from engine.estimate.ratio import Judged, Ratio, carrier_warnings, cluster_warnings, ratio_of
from engine.estimate.sample import HISTORY, Sample
from engine.records import F64, ReviewerError

_STEPS = 60  # halvings of [0, 1]


def corrected_labels(error: ReviewerError, y_n: F64) -> F64:
    """Return y' of labels that are 0 or 1."""
    return (y_n - (1 - error.specificity)) / error.power


@dataclass(frozen=True)
class Corrected:
    """How the entries of a ratio depend on their labels: counted compliant, and what violating adds.

    label_m : y* of every entry. a_change_m, b_change_m : numerator and denominator if violating less those if not.
    """

    error: ReviewerError
    label_m: F64
    a_change_m: F64
    b_change_m: F64

    @property
    def share_m(self) -> F64:
        """y' of every entry."""
        return corrected_labels(self.error, self.label_m)

    def intervals(self, sample: Sample, ratio: Ratio, inference: str, confidence: float) -> Judged:
        """Return the limits of a corrected ratio."""
        low, high = ratio.bounds
        top = Total(self, ratio.a_m - low * ratio.b_m, self.a_change_m - low * self.b_change_m)
        rest = Total(self, high * ratio.b_m - ratio.a_m, high * self.b_change_m - self.a_change_m)
        sides = [total.spread(sample, inference, confidence) for total in (top, rest)]
        rho = correlation(sample, top.value_m, rest.value_m, inference)
        found = solve(sides[0], sides[1], rho, distances(self.error, confidence))
        if inference == HISTORY:
            warnings = carrier_warnings(sample, sample.history_spread(ratio.residual_m)[1], ratio.events)
        else:
            spread = future_spread(sample, ratio.residual_m)
            lonely = np.isnan(spread.variance)
            warnings = cluster_warnings(spread, ratio.events, ~lonely)
            found = Intervals(np.where(lonely, 0.0, found.low), np.where(lonely, 1.0, found.high), found.rule)
        if self.blind(confidence):
            found = Intervals(np.zeros(sample.segments), np.ones(sample.segments), found.rule)
        return Judged(Intervals(low + (high - low) * found.low, low + (high - low) * found.high, found.rule), warnings)

    def blind(self, confidence: float) -> bool:
        """Return whether reviewers may say no more than chance."""
        return self.error.power <= sum(distances(self.error, confidence)[0])

    def slopes(self, sample: Sample, ratio: Ratio) -> tuple[F64, F64]:
        """Return how a ratio moves with se and with sp."""
        whole = np.where(ratio.denominator > 0, ratio.denominator, 1.0)
        moved_m = self.a_change_m - np.nan_to_num(ratio.estimate)[sample.segment_m] * self.b_change_m
        by_se, by_sp = slopes_of(sample, self.error, self.share_m, moved_m)
        return by_se / whole, by_sp / whole

    def drowned(
        self, sample: Sample, ratio: Ratio, judged: Judged, inference: str, confidence: float
    ) -> list[str | None]:
        """Return, per segment, why reviewer error leaves no number, or None."""
        whole = Total(self, ratio.b_m, self.b_change_m).spread(sample, inference, confidence)
        down, up = distances(self.error, confidence)
        moved = [np.where(s > 0, s * low, s * high) for s, low, high in zip(whole.slopes, down, up, strict=True)]
        floor = whole.value - np.sqrt(whole.down**2 + sum(x**2 for x in moved))
        said = f"the audit's labels drown in reviewer error (sensitivity {self.error.sensitivity:.3g}, specificity "
        said += f"{self.error.specificity:.3g}): "
        out: list[str | None] = []
        for g in range(len(floor)):
            if self.blind(confidence):
                out.append(said + "they may say no more than chance")
            elif not floor[g] > 0:
                out.append(said + "the corrected denominator cannot be told from 0")
            elif judged.intervals.low[g] > judged.intervals.high[g]:
                out.append(said + "fewer are called violating than these reviewers would by mistake alone")
            else:
                out.append(None)
        return out

    def difference(
        self, sample: Sample, baseline: Ratio, candidate: Ratio, inference: str, confidence: float
    ) -> Judged:
        """Return the limits of a difference of two corrected ratios.

        Of one denominator, the difference is a ratio itself, between −1 and 1; else from the limits of either and their
        correlation.
        """
        if np.array_equal(candidate.b_m, baseline.b_m):
            a_m = candidate.a_m - baseline.a_m
            change_m = self.a_change_m - self_of(baseline).a_change_m
            alone = replace(
                candidate,
                estimate=candidate.estimate - baseline.estimate,
                a_m=a_m,
                residual_m=candidate.residual_m - baseline.residual_m,
                bounds=(-1.0, 1.0),
            )
            return replace(self, a_change_m=change_m).intervals(sample, alone, inference, confidence)
        sides = [self_of(ratio).intervals(sample, ratio, inference, confidence) for ratio in (candidate, baseline)]
        mine, theirs = (side.intervals for side in sides)
        parts = [_covariance_parts(sample, ratio, inference) for ratio in (candidate, baseline)]
        rho_draw = correlation(sample, candidate.residual_m, baseline.residual_m, inference)
        joint = rho_draw * np.sqrt(parts[0][0] * parts[1][0])
        for mine_slope, their_slope, variance in zip(parts[0][1], parts[1][1], variances(self.error), strict=True):
            joint = joint + mine_slope * their_slope * variance
        whole = [
            part[0] + sum(slope**2 * v for slope, v in zip(part[1], variances(self.error), strict=True))
            for part in parts
        ]
        scale = np.sqrt(whole[0] * whole[1])
        rho = np.clip(np.where(scale > 0, joint / np.where(scale > 0, scale, 1.0), 0.0), -1.0, 1.0)
        found = mover(np.nan_to_num(candidate.estimate), mine, np.nan_to_num(baseline.estimate), theirs, rho)
        nothing = (mine.low > mine.high) | (theirs.low > theirs.high)
        low, high = np.maximum(found.low, -1.0), np.minimum(found.high, 1.0)
        found = Intervals(np.where(nothing, -1.0, low), np.where(nothing, 1.0, high), found.rule)
        return Judged(found, sides[0].warnings)


@dataclass(frozen=True)
class Spread:
    """A corrected total of each segment, its distances to either limit by the draw, its slopes by se and sp."""

    value: F64
    down: F64
    up: F64
    slopes: tuple[F64, F64]


@dataclass(frozen=True)
class Total:
    """A corrected total: what each entry counts, and how that changes if its label says violating."""

    labels: Corrected
    value_m: F64
    change_m: F64

    def variance(self, sample: Sample, inference: str) -> tuple[F64, F64]:
        """Return the variance by the draw and by the reviewers' chance, and degrees of freedom."""
        if inference == HISTORY:
            drawn, df = sample.history_spread(self.value_m)
            chance_m = chance_of(self.labels.error, self.labels.share_m)
            return np.maximum(drawn + sample.sums(sample.weight_m * self.change_m**2 * chance_m), 0.0), df
        spread = future_spread(sample, self.value_m)
        return np.nan_to_num(spread.variance), np.maximum(1.0, spread.effective - 1.0)

    def spread(self, sample: Sample, inference: str, confidence: float) -> Spread:
        """Return the total with its distances: of the rarer label, which makes the longer tail."""
        error, u_m = self.labels.error, sample.weight_m * np.abs(self.change_m)
        variance, df = self.variance(sample, inference)
        said = [sample.sums(u_m * self.labels.label_m), sample.sums(u_m * (1 - self.labels.label_m))]
        rising = sample.sums(sample.weight_m * self.change_m) >= 0
        apparent = np.minimum(*said)
        upward = rising == (said[0] <= said[1])
        heaviest = np.zeros(sample.segments)
        np.maximum.at(heaviest, sample.segment_m, u_m)
        stretch = t_quantile(confidence, df) / ndtri((1 + confidence) / 2)
        below, above = gamma_distances(apparent, variance * error.power**2, heaviest, confidence)
        below, above = below * stretch / error.power, above * stretch / error.power
        slopes = slopes_of(sample, error, self.labels.share_m, self.change_m)
        return Spread(sample.sums(sample.weight_m * self.value_m), np.where(upward, below, above),
                      np.where(upward, above, below), slopes)  # fmt: skip


def distances(error: ReviewerError, confidence: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return how far (se, sp) may lie below and above what was counted (Clopper and Pearson)."""
    down, up = [], []
    for share, size in ((error.sensitivity, error.violating), (error.specificity, error.compliant)):
        if np.isinf(size):
            low, high = share, share
        else:
            low, high = (float(x[0]) for x in exact_bounds(np.array([share * size]), np.array([size]), confidence))
        down.append(share - low)
        up.append(high - share)
    return (down[0], down[1]), (up[0], up[1])


def variances(error: ReviewerError) -> tuple[float, float]:
    """Return the variances of se and sp, one success and one failure added to each (Lang and Reiczigel 2014)."""
    found = []
    for share, size in ((error.sensitivity, error.violating), (error.specificity, error.compliant)):
        more = size + 2
        shrunk = share if np.isinf(size) else (share * size + 1) / more
        found.append(shrunk * (1 - shrunk) / more)
    return found[0], found[1]


def added_variance(sample: Sample, error: ReviewerError, share_m: F64, change_m: F64, inference: str) -> F64:
    """Return what reviewers' chance and the doubt about se and sp add to the variance of a corrected total."""
    slopes = slopes_of(sample, error, share_m, change_m)
    doubt: F64 = sum(
        (slope**2 * v for slope, v in zip(slopes, variances(error), strict=True)), np.zeros(sample.segments)
    )
    if inference == HISTORY:
        doubt = doubt + sample.sums(sample.weight_m * change_m**2 * chance_of(error, share_m))
    return np.maximum(doubt, 0.0)


def chance_of(error: ReviewerError, share_m: F64) -> F64:
    """Return the variance of each y' for a given y, on average."""
    se, sp = error.sensitivity, error.specificity
    noise_m: F64 = (share_m * se * (1 - se) + (1 - share_m) * sp * (1 - sp)) / error.power**2
    return noise_m


def self_of(ratio: Ratio) -> Corrected:
    """Return how a corrected ratio depends on its labels."""
    assert isinstance(ratio.correction, Corrected)
    return ratio.correction


def corrected_ratio(
    sample: Sample, error: ReviewerError, y_n: F64, compliant: tuple[F64, F64], violating: tuple[F64, F64],
    bounds: tuple[float, float],
) -> Ratio:  # fmt: skip
    """Return the ratio of each segment with reviewer error taken out.

    Parameters
    ----------
    y_n : the labels, 0 or 1. compliant, violating : numerator and denominator of every row if it were so.
    """
    at_m, share_n = sample.at_m, corrected_labels(error, y_n)
    (a0, b0), (a1, b1) = compliant, violating
    a_n, b_n = a0 + share_n * (a1 - a0), b0 + share_n * (b1 - b0)
    ratio = ratio_of(sample, a_n[at_m], b_n[at_m], bounds)
    low, high = bounds
    correction = Corrected(error, y_n[at_m], (a1 - a0)[at_m], (b1 - b0)[at_m])
    u, v = sample.weight_m * (ratio.a_m - low * ratio.b_m), sample.weight_m * (high * ratio.b_m - ratio.a_m)
    events = np.minimum(_effective(sample, u), _effective(sample, v))
    touched_m = ((b0 != 0) | (b1 != 0))[at_m]
    return replace(
        ratio,
        estimate=np.clip(ratio.estimate, low, high),
        labels=sample.creatives.count(touched_m),
        events=events,
        correction=correction,
    )


def slopes_of(sample: Sample, error: ReviewerError, share_m: F64, change_m: F64) -> tuple[F64, F64]:
    """Return how a corrected total moves with se and with sp: dy'/dse = −y'/J, dy'/dsp = (1 − y')/J."""
    u_m = sample.weight_m * change_m / error.power
    return -sample.sums(u_m * share_m), sample.sums(u_m * (1 - share_m))


def gamma_distances(total: F64, variance: F64, heaviest: F64, confidence: float) -> tuple[F64, F64]:
    """Return the distances of a weighted count to its limits (Fay and Feuer 1997, eq. 2)."""
    tail = (1 - confidence) / 2

    def quantile(mean: F64, spread: F64, p: float) -> F64:
        known = (mean > 0) & (spread > 0)
        scale = np.where(known, spread, 1.0) / np.where(known, mean, 1.0)
        shape = np.where(known, mean, 1.0) / scale
        return np.where(known, scale * gammaincinv(shape, p), mean)

    low = quantile(total, variance, tail)
    high = quantile(total + heaviest, variance + heaviest**2, 1 - tail)
    certain = (variance <= 0) & (total > 0)  # everybody was drawn, and reviewers never err
    return total - low, np.where(certain, 0.0, high - total)


def solve(top: Spread, rest: Spread, rho: F64, distances: tuple[tuple[float, float], tuple[float, float]]) -> Intervals:
    """Return the least and greatest s in [0, 1] for which (1 − s) top − s rest may be 0; low > high where none is."""
    down, up = distances
    point = np.clip(top.value / np.where(top.value + rest.value > 0, top.value + rest.value, 1.0), 0.0, 1.0)

    side = np.array([[-1.0], [1.0]])  # both ends at once, shape (2, G)
    one, other = np.stack([top.down, top.up]), np.stack([rest.up, rest.down])

    def reach(s: F64) -> F64:
        x, z = (1 - s) * one, s * other
        square = x**2 + z**2 - 2 * rho * x * z
        for a, c, low, high in zip(top.slopes, rest.slopes, down, up, strict=True):
            slope = (1 - s) * a - s * c
            square = square + (slope * np.where((slope > 0) == (side > 0), high, low)) ** 2
        return side * ((1 - s) * top.value - s * rest.value) + np.sqrt(np.maximum(square, 0.0))

    near, end = np.stack([point, point]), np.stack([np.zeros_like(point), np.ones_like(point)])
    refused = (reach(near) < 0).any(0)
    open_end, far = reach(end) >= 0, end
    for _ in range(_STEPS):
        middle = (near + far) / 2
        kept = reach(middle) >= 0
        near, far = np.where(kept, middle, near), np.where(kept, far, middle)
    ends = np.where(open_end, end, near)
    none = top.value + rest.value <= 0
    low = np.where(none, 0.0, np.where(refused, 1.0, ends[0]))
    high = np.where(none, 1.0, np.where(refused, 0.0, ends[1]))
    return Intervals(low, high, np.full(point.shape, "fieller"))


def _covariance_parts(sample: Sample, ratio: Ratio, inference: str) -> tuple[F64, tuple[F64, F64]]:
    """Return the variance of a ratio by the draw, and its slopes by se and sp."""
    if inference == HISTORY:
        drawn = sample.history_spread(ratio.residual_m)[0]
    else:
        drawn = np.nan_to_num(future_spread(sample, ratio.residual_m).variance)
    return drawn, self_of(ratio).slopes(sample, ratio)


def _effective(sample: Sample, u_m: F64) -> F64:
    squares = sample.creatives.products(u_m, u_m)
    total = np.maximum(sample.sums(u_m), 0.0)
    return np.where(squares > 0, total**2 / np.where(squares > 0, squares, 1.0), 0.0)
