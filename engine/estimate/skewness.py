"""How far skewness moves a one-sided bound that a symmetric interval puts too near.

The estimate and its estimated variance rise together where a few large parts carry the sum, so that the bound falls
short on the side of the long tail. Inverting the first term of the Edgeworth expansion of the studentised sum (Hall
1983, JRSS B 45, 21–25), with κ the skewness of the sum and ρ its correlation with the relative error of its variance,
moves a bound by

    √v (ρ/2 + (3ρ − κ)(z² − 1)/6),   z its normal quantile,

which for independent units, ρ = κ, is the known √v κ (2z² + 1)/6. Drawn without replacement at a share π (of a stratum,
or a unit's own), a unit's third power counts (1 − π)(1 − 2π) in κ and (1 − π)² in ρ.
Rates alone and joined bounds are corrected outwards alone. The two bounds of a paired difference move together, by one
amount, where enough rows carry the third moment (`pair`). Whole clusters of an audit have no correction.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from engine.estimate.sample import HISTORY, Sample
from engine.records import F64


def bound_shift(sample: Sample, residual_m: F64, inference: str, level: float) -> F64:
    """Return, in standard errors, how far one-sided bounds at `level` have to move, shape (G,): up where positive."""
    z2 = float(ndtri(level)) ** 2
    moments = _of_audit(sample, residual_m) if inference == HISTORY else _of_advertisers(sample, residual_m)
    variance, kappa, rho = moments
    scale = np.where(variance > 0, np.maximum(variance, 1e-300) ** 1.5, np.inf)
    shift = (rho / 2 + (3 * rho - kappa) * (z2 - 1) / 6) / scale
    return np.clip(shift, -np.sqrt(z2), np.sqrt(z2))  # past its own quantile the expansion says nothing


def _of_audit(sample: Sample, residual_m: F64) -> tuple[F64, F64, F64]:
    """Return variance, third moment and covariance with the variance's estimate, as the audits drew."""
    strata, u_m = sample.strata, sample.weight_m * sample.unexplained(residual_m)
    variance = sample.history_spread(residual_m)[0]
    none = np.zeros(sample.segments)
    if strata.clustered or sample.clustered:
        return variance, none, none
    shape, stratum_m = (sample.segments, len(strata.take_H)), sample.key_m % len(strata.take_H)
    share_H = strata.take_H / np.maximum(strata.population_H, 1)
    srs_m = strata.drawn_by("srs")[stratum_m]
    share_m = np.where(srs_m, share_H[stratum_m], 1 / sample.base_n[sample.at_m])
    first = np.bincount(sample.key_m, u_m, shape[0] * shape[1])
    mean = np.where(np.tile(strata.drawn_by("poisson"), shape[0]), 0.0, first)
    mean = mean / np.tile(np.maximum(strata.take_H, 1), shape[0])
    count = np.bincount(sample.key_m, minlength=shape[0] * shape[1])
    centred_m = (u_m - mean[sample.key_m]) ** 3
    rest = np.tile(strata.take_H, shape[0]) - count  # drawn outside the segment: values of 0
    outside = np.where(np.tile(strata.drawn_by("srs"), shape[0]), -rest * mean**3, 0.0)
    key_share = np.tile(share_H, shape[0])

    def total(weight_m: F64, weight_key: F64) -> F64:
        inside = np.bincount(sample.key_m, centred_m * weight_m, shape[0] * shape[1])
        return (inside + outside * weight_key).reshape(shape).sum(1)

    kappa = total((1 - share_m) * (1 - 2 * share_m), (1 - key_share) * (1 - 2 * key_share))
    return variance, kappa, total((1 - share_m) ** 2, (1 - key_share) ** 2)


def _of_advertisers(sample: Sample, residual_m: F64) -> tuple[F64, F64, F64]:
    """Return the same with advertisers as units drawn with replacement."""
    total_T = sample.cluster_totals(residual_m)
    spread = sample.cluster_spread(residual_m)
    mean = np.bincount(sample.cluster_segment_T, total_T, sample.segments) / np.maximum(spread.clusters, 1)
    cubes = (total_T - mean[sample.cluster_segment_T]) ** 3
    third = np.bincount(sample.cluster_segment_T, cubes, sample.segments).astype(np.float64)
    return np.nan_to_num(spread.variance), third, third
