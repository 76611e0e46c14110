"""The difference estimator: what predictions say of all creatives, corrected by how far they are off on the sample.

With a, b numerator and denominator, â, b̂ what they would be if y were m(x), U all creatives that an audit could have
drawn (N of them) and w̃ the design weights of the sample:

    R = t_a / t_b,   t_a = λ Σ_U â + (N / Σ w̃) Σ w̃ (a − λ â),   t_b likewise

Särndal, Swensson, Wretman 1992, chapter 6 (the difference estimator, eq. 6.3.1, on the scale of Hájek 1971);
prediction-powered inference is the same (Angelopoulos et al. 2023, Science 382, 669-674). Whatever m is, R has no bias
but that of every ratio: m is cross-fitted, see `predictions`.

Variance: that of Σ w̃ e over the audits' design, e = ((a − λ â) − R (b − λ b̂) − its mean) N / (Σ w̃ t_b), the linearised
residual (ibid., section 5.6). λ in [0, 1] makes the estimated variance least (Angelopoulos, Duchi, Zrnic 2023,
arXiv:2311.01453, "PPI++"); λ = 0 is Hájek's ratio. A λ found on the sample flatters the residuals it was found on, so
each is divided by 1 − its leverage: the residual of a λ found without that row (Valliant 2002, Survey Methodology 28,
103-114). One λ per number and segment.

A good m leaves residuals to a few rows alone, and the sample may miss them: then the variance looks small, and the
interval covers less than it says. So λ is at most 0.8 of the best, which keeps a part of
Hájek's residuals, and it is lowered further until the variance rests on 60 effective rows; else the ratio is Hájek's.

For `history` alone: it knows all creatives of this history. `future` asks about creatives that nobody has seen yet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import numpy as np

from engine.estimate.metrics import Metric
from engine.estimate.pair import Difference
from engine.estimate.ratio import Ratio
from engine.estimate.sample import Sample
from engine.estimate.view import View
from engine.records import F64, WEIGHTINGS, Flags

ENOUGH_ROWS = 60.0  # effective rows that a variance must rest on
SHARES = (0.8, 0.7, 0.6, 0.5, 0.4, 0.3)  # of the best λ, tried in turn
_ROUNDING = 1e-12  # residuals below it, beside the largest of Hájek's, are none
_LEAST_LEFT = 0.1  # of a residual's own row, where one row alone decides λ

Plain = TypeVar("Plain", Ratio, Difference)


@dataclass(frozen=True)
class Predicted:
    """Numerator â and denominator b̂ of every entry of the sample, and their sums over all creatives by segment."""

    a_m: F64
    b_m: F64
    a_G: F64
    b_G: F64
    creatives_G: F64


@dataclass(frozen=True)
class _Guess:
    """What predictions say of one number. control_m : its predicted residual. at : λ by segment → point, residuals."""

    control_m: F64
    at: Callable[[F64], tuple[F64, F64]]
    bounds: tuple[float, float]


def predicted_parts(view: View, metric: Metric) -> Predicted | None:
    """Return what predictions say of a metric; None where there are none."""
    found = view.question.predictions
    predictor = found.predictors[view.policy] if found else None
    if found is None or predictor is None or not found.summed_S[view.strategy]:
        return None
    a0_O, b0_O, a1_O, b1_O = metric.per_outcome(view.given).T
    value_C = predictor.value_C
    sum_OCGW = found.sum_QSOCGW[view.policy, view.strategy, : len(a0_O)].astype(np.float64)
    sum_OCG = sum_OCGW[..., WEIGHTINGS.index(view.weighting)]
    plain_OG, guessed_OG = sum_OCG.sum(1), np.einsum("ocg,c->og", sum_OCG, value_C)
    chosen = view.sample.rows_n
    outcome_n = view.question.rows.outcome_Sn[view.strategy, chosen]
    m_n, w_n = value_C[found.code_Qn[view.policy, chosen]], view.exposure_n()
    return Predicted(
        a_m=(w_n * (a0_O + (a1_O - a0_O) * m_n[:, None])[np.arange(len(m_n)), outcome_n])[view.sample.at_m],
        b_m=(w_n * (b0_O + (b1_O - b0_O) * m_n[:, None])[np.arange(len(m_n)), outcome_n])[view.sample.at_m],
        a_G=a0_O @ plain_OG + (a1_O - a0_O) @ guessed_OG,
        b_G=b0_O @ plain_OG + (b1_O - b0_O) @ guessed_OG,
        creatives_G=sum_OCGW[..., 0].sum((0, 1)),
    )


@dataclass(frozen=True)
class Blend:
    """A ratio between Hájek's (λ = 0) and what leans on its predictions wholly (λ = 1)."""

    sample: Sample
    ratio: Ratio
    predicted: Predicted

    def at(self, lambda_G: F64) -> tuple[F64, F64]:
        """Return R and the linearised residuals for given λ; NaN where the denominator is not positive."""
        g, ratio, predicted = self.sample.segment_m, self.ratio, self.predicted
        weight_G, a_G, b_G, guess_a_G, guess_b_G = self._sums
        scale = _over(predicted.creatives_G, weight_G)
        top = lambda_G * predicted.a_G + scale * (a_G - lambda_G * guess_a_G)
        whole = lambda_G * predicted.b_G + scale * (b_G - lambda_G * guess_b_G)
        estimate = np.where(whole > 0, _over(top, whole), np.nan)
        point = np.nan_to_num(estimate)
        mean = _over(a_G - lambda_G * guess_a_G - point * (b_G - lambda_G * guess_b_G), weight_G)
        off_m = ratio.a_m - point[g] * ratio.b_m - lambda_G[g] * (predicted.a_m - point[g] * predicted.b_m)
        return estimate, (off_m - mean[g]) * _over(scale, whole)[g]

    @cached_property
    def control_m(self) -> F64:
        """The predicted linearised residual (â − R b̂) / Σ w̃ b of every entry, less its mean over the sample."""
        g, ratio, predicted = self.sample.segment_m, self.ratio, self.predicted
        weight_G, _, _, guess_a_G, guess_b_G = self._sums
        point, whole = np.nan_to_num(ratio.estimate), np.where(ratio.denominator > 0, ratio.denominator, 1.0)
        mean = _over(guess_a_G - point * guess_b_G, weight_G)
        return (predicted.a_m - point[g] * predicted.b_m - mean[g]) / whole[g]

    @cached_property
    def _sums(self) -> tuple[F64, ...]:
        """Σ w̃ of 1, a, b, â and b̂ by segment."""
        sample, ratio, predicted = self.sample, self.ratio, self.predicted
        parts = (np.ones_like(ratio.a_m), ratio.a_m, ratio.b_m, predicted.a_m, predicted.b_m)
        return tuple(sample.sums(sample.weight_m * part_m) for part_m in parts)


def assisted(
    sample: Sample, ratio: Ratio, predicted: Predicted, plenty_G: Flags, *, guarded: bool = True
) -> tuple[Ratio, Flags]:
    """Return the ratio with point and residual of the difference estimator, and the segments where they are.

    Elsewhere it stays Hájek's: in a census, where R would leave its bounds, and where too few rows carry the variance.

    Parameters
    ----------
    plenty_G : segments with events enough. guarded : ask for ENOUGH_ROWS.
    """
    if not plenty_G.any():
        return ratio, plenty_G
    blend = Blend(sample, ratio, predicted)
    guess = _Guess(blend.control_m, blend.at, ratio.bounds)
    return _trusted(sample, ratio, guess, plenty_G, guarded=guarded)


def assisted_pair(
    sample: Sample,
    pair: Difference,
    baseline: tuple[Ratio, Predicted],
    candidate: tuple[Ratio, Predicted],
    plenty_G: Flags,
    *,
    guarded: bool = True,
) -> tuple[Difference, Flags]:
    """Return the paired difference with point and residual of the difference estimator, and where they are.

    Both ratios are linearised jointly and share one λ, that of the difference. Parameters as in `assisted`.
    """
    if not plenty_G.any():
        return pair, plenty_G
    mine, theirs = Blend(sample, *candidate), Blend(sample, *baseline)

    def at(lambda_G: F64) -> tuple[F64, F64]:
        (point, residual_m), (point_b, residual_b) = mine.at(lambda_G), theirs.at(lambda_G)
        return point - point_b, residual_m - residual_b

    guess = _Guess(mine.control_m - theirs.control_m, at, (-1.0, 1.0))
    return _trusted(sample, pair, guess, plenty_G, guarded=guarded)


def _trusted(sample: Sample, plain: Plain, guess: _Guess, plenty_G: Flags, *, guarded: bool) -> tuple[Plain, Flags]:
    """Return a number at the largest λ whose variance can be trusted, and the segments that have one."""
    least_rows = ENOUGH_ROWS if guarded else 0.0
    lambda_G = tuned(sample, plain.residual_m, guess.control_m)
    open_G = plenty_G & ~sample.census_G & (lambda_G > 0)
    open_G &= carried(sample, plain.residual_m, plain.residual_m, least_rows)
    used_G = np.zeros_like(open_G)
    estimate, residual_m = plain.estimate, plain.residual_m
    for share in SHARES if guarded else (1.0,):
        if not open_G.any():
            break
        point, own_m = guess.at(share * lambda_G)
        own_m = left_out(sample, own_m, guess.control_m, share * lambda_G)
        found_G = open_G & (point > guess.bounds[0]) & (point < guess.bounds[1])
        found_G &= carried(sample, own_m, plain.residual_m, least_rows)
        estimate = np.where(found_G, point, estimate)
        residual_m = np.where(found_G[sample.segment_m], own_m, residual_m)
        used_G, open_G = used_G | found_G, open_G & ~found_G
    return replace(plain, estimate=estimate, residual_m=residual_m), used_G


def tuned(sample: Sample, residual_m: F64, control_m: F64) -> F64:
    """Return, per segment, the λ in [0, 1] that makes the variance of Σ w̃ (residual − λ control) least."""
    own, predicted, rest = (sample.history_spread(m)[0] for m in (residual_m, control_m, residual_m - control_m))
    return np.clip(_over(own + predicted - rest, 2 * predicted), 0.0, 1.0)


def left_out(sample: Sample, residual_m: F64, control_m: F64, lambda_G: F64) -> F64:
    """Return the residuals of a λ that was found without their own row; a λ at an end of [0, 1] is not fitted."""
    square_m = (sample.weight_m * control_m) ** 2
    share_m = square_m * _over(np.ones(sample.segments), sample.sums(square_m))[sample.segment_m]
    fitted_m = ((lambda_G > 0) & (lambda_G < 1))[sample.segment_m]
    return residual_m / np.where(fitted_m, np.maximum(1.0 - share_m, _LEAST_LEFT), 1.0)


def carried(sample: Sample, residual_m: F64, plain_m: F64, least_rows: float) -> Flags:
    """Return the segments where the residuals' variance rests on at least so many rows; plain_m are Hájek's residuals.

    Good predictions leave few rows with a residual. A variance that rests on a handful of them is small where the
    sample happens to miss some, and then so is the interval: it covers less than it says. Rows are counted as for
    degrees of freedom, (Σv)² / Σv² over their parts v of the variance. No variance at all rests on nothing.
    """
    rounding = _ROUNDING * np.abs(plain_m).max(initial=0.0)
    variance, df = sample.history_spread(np.where(np.abs(residual_m) > rounding, residual_m, 0.0))
    return np.asarray((variance > 0) & (df / 2 >= least_rows))


def _over(top: F64, whole: F64) -> F64:
    return np.where(whole > 0, top / np.where(whole > 0, whole, 1.0), 0.0)
