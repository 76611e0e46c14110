"""How far skewness moves a bound that a symmetric interval puts too near.

The estimate and its estimated variance rise together where a few large parts carry the sum, so that the bound falls
short on the side of the long tail. Inverting the first term of the Edgeworth expansion of the studentised sum (Hall
1983, JRSS B 45, 21–25), with κ the skewness of the sum and ρ its correlation with the relative error of its variance,
moves a bound by

    √v (ρ/2 + (3ρ − κ)(z² − 1)/6),   z its normal quantile,

which for independent units, ρ = κ, is the known √v κ (2z² + 1)/6. What audits draw has κ and ρ of its own
(`Sample.history_cubes`); advertisers are units drawn with replacement. Whole clusters of an audit have no correction.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from engine.estimate.interval import Intervals, t_quantile
from engine.records import F64, Flags


def bound_shift(variance: F64, kappa: F64, rho: F64, confidence: float) -> F64:
    """Return how far the bounds of two-sided intervals have to move, shape (G,): up where positive.

    kappa, rho : third moment of the sum, and its covariance with the estimate of its variance.
    """
    z2 = float(ndtri((1 + confidence) / 2)) ** 2
    scale = np.where(variance > 0, np.maximum(variance, 1e-300), np.inf)
    shift = (rho / 2 + (3 * rho - kappa) * (z2 - 1) / 6) / scale
    most = np.sqrt(z2 * np.nan_to_num(variance))  # past its own quantile the expansion says nothing
    return np.clip(np.nan_to_num(shift), -most, most)


def moved(found: Intervals, shift: F64, carried: Flags) -> Intervals:
    """Return symmetric intervals with both bounds moved.

    carried : segments in which enough units carry the third moment. Of others it may have the wrong sign, where the
    sample lacks the long tail: there one bound is moved out, and none in.
    """
    low = found.low + np.where(carried, shift, np.minimum(shift, 0.0))
    return Intervals(low, found.high + np.where(carried, shift, np.maximum(shift, 0.0)), found.rule)


def reaching(
    found: Intervals, point: F64, variance: F64, df: F64, shift: F64, bounds: tuple[float, float], confidence: float
) -> Intervals:
    """Return logit intervals that reach at least as far, on the long tail's side, as symmetric ones that are moved.

    The logit scale moves bounds by what is right of equal weights. bounds : least and greatest value of the ratio.
    """
    half = t_quantile(confidence, df) * np.sqrt(np.maximum(variance, 0.0))
    shift = np.where(found.rule == "logit", shift, 0.0)
    down, up = np.minimum(shift, 0.0), np.maximum(shift, 0.0)
    low = np.fmin(found.low, np.maximum(point - half, found.low) + down)  # without a shift nothing moves
    high = np.fmax(found.high, np.minimum(point + half, found.high) + up)
    return Intervals(np.maximum(low, bounds[0]), np.minimum(high, bounds[1]), found.rule)
