"""Reliability: in bins of like scores, the mean score beside the violating share, and how far apart they lie.

Source: Guo, Pleiss, Sun, Weinberger (2017), "On calibration of modern neural networks", sections 2 and 3 (expected
calibration error); Kumar, Liang, Ma (2019), "Verified uncertainty calibration", sections 3.1 and 4 (binning hides
part of the error, and the plug-in of its square is biased upwards).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.errors import DataError
from engine.estimate.interval import Behind, Intervals, kish, share_intervals
from engine.records import F32, F64, I8, I64, LabelledRows


@dataclass(frozen=True)
class Reliability:
    """Bins (B) by rising score, and how far the scores are from calibrated.

    least_B, greatest_B : scores that the bin holds. score_B : its mean score. share_B : its violating share.
    labels_B, size_B : labels, and their effective number (Kish). weight_B : its part of the population, adds up to 1.
    error : expected |share − mean score| over bins; sampling noise alone makes it positive, the more the fewer labels.
    error_if_calibrated : what noise alone would make it, from the variance within bins (normal approximation).
    debiased : root of the expected (share − mean score)² less its sampling variance, 0 where noise explains it all.
    without_score : labels left out because their score is NaN.
    """

    least_B: F64
    greatest_B: F64
    score_B: F64
    share_B: F64
    interval_B: Intervals
    labels_B: I64
    size_B: F64
    weight_B: F64
    error: float
    error_if_calibrated: float
    debiased: float
    without_score: int


def reliability(score_n: F32 | F64, y_n: I8, weight_n: F64, bins: int = 10, confidence: float = 0.95) -> Reliability:
    """Compare scores with labels in at most `bins` bins of equal weight; equal scores share a bin.

    Design-weighted: shares are Hájek ratios with linearised variance, their intervals those of every other share.
    Assumes that labels are drawn independently: strata would narrow the intervals, advertisers with many like
    creatives would widen them. Bins hide differences that cancel within a bin, and labels on which a map was fitted
    flatter it: an isotonic map has no error on its own.

    Parameters
    ----------
    score_n : in [0, 1] or NaN. y_n : 1 violating, 0 compliant. weight_n : design weights 1/π, positive.

    Raises
    ------
    DataError : no label has a score.
    """
    seen = ~np.isnan(score_n)
    score, y, weight = score_n[seen].astype(np.float64), y_n[seen].astype(np.float64), weight_n[seen]
    if not len(score):
        raise DataError("reliability: no label has a score")
    bin_n = _bins(score, weight, bins)

    def sums(value_n: F64) -> F64:
        return np.asarray(np.bincount(bin_n, value_n), np.float64)

    labels_B, total_B = np.bincount(bin_n), sums(weight)
    weight_B = total_B / total_B.sum()
    score_B, share_B = sums(weight * score) / total_B, sums(weight * y) / total_B
    few = labels_B / np.maximum(labels_B - 1, 1)
    gap_n = weight / total_B[bin_n] * (y - score - (share_B - score_B)[bin_n])
    variance_B = few * sums(gap_n**2)
    square = float(weight_B @ ((share_B - score_B) ** 2 - variance_B))
    return Reliability(
        least_B=np.array([score[bin_n == b].min() for b in range(len(labels_B))]),
        greatest_B=np.array([score[bin_n == b].max() for b in range(len(labels_B))]),
        score_B=score_B,
        share_B=share_B,
        interval_B=_intervals(bin_n, y, weight, share_B, confidence),
        labels_B=labels_B.astype(np.int64),
        size_B=kish(total_B, sums(weight**2)),
        weight_B=weight_B,
        error=float(weight_B @ np.abs(share_B - score_B)),
        error_if_calibrated=float(weight_B @ np.sqrt(2 / np.pi * variance_B)),
        debiased=max(0.0, square) ** 0.5,
        without_score=int((~seen).sum()),
    )


def reliability_curves(
    rows: LabelledRows, columns: Sequence[tuple[str, str]], policies: Sequence[str], confidence: float
) -> list[dict[str, Any]]:
    """Return the reliability of score columns on the audit's concluded labels, as plain values.

    columns : (name, policy) of each row of rows.score_Kn; without labels a column has no curve.
    """
    out = []
    for k, (name, policy) in enumerate(columns):
        y_n = rows.y_nQ[:, policies.index(policy)]
        chosen = (rows.stratum_n >= 0) & (y_n >= 0) & ~np.isnan(rows.score_Kn[k])
        if not chosen.any():
            continue
        found = reliability(rows.score_Kn[k, chosen], y_n[chosen], 1 / rows.pi_n[chosen], confidence=confidence)
        bins = {
            "score": found.score_B,
            "share": found.share_B,
            "low": found.interval_B.low,
            "high": found.interval_B.high,
        }
        errors = {
            "error": found.error,
            "error_if_calibrated": found.error_if_calibrated,
            "debiased": found.debiased,
        }
        out.append(
            {"column": name, "policy": policy, "labels": int(chosen.sum())}
            | {key: [round(float(x), 9) for x in values] for key, values in bins.items()}
            | {key: round(float(value), 9) for key, value in errors.items()}
        )
    return out


def _bins(score_n: F64, weight_n: F64, bins: int) -> I64:
    """Number the bins: a score goes where the middle of its weight lies between the weighted quantiles."""
    _, at = np.unique(score_n, return_inverse=True)
    weight_K = np.bincount(at, weight_n)
    middle_K = np.cumsum(weight_K) - weight_K / 2
    number_K = np.floor(bins * middle_K / weight_K.sum()).astype(np.int64)
    return np.unique(number_K, return_inverse=True)[1][at].astype(np.int64)


def _intervals(bin_n: I64, y_n: F64, weight_n: F64, share_B: F64, confidence: float) -> Intervals:
    def sums(value_n: F64) -> F64:
        return np.asarray(np.bincount(bin_n, value_n), np.float64)

    def effective(part_n: F64) -> F64:
        return kish(sums(part_n), sums(part_n**2))

    labels_B = sums(np.ones_like(weight_n))
    square_n = (weight_n / sums(weight_n)[bin_n] * (y_n - share_B[bin_n])) ** 2
    variance_B = labels_B / np.maximum(labels_B - 1, 1) * sums(square_n)
    events_B = np.minimum(effective(weight_n * y_n), effective(weight_n * (1 - y_n)))
    df_B = np.maximum(1.0, effective(square_n) - 1.0)
    behind = Behind(effective(weight_n), labels_B, np.ones_like(labels_B))
    return share_intervals(share_B, variance_B, events_B, df_B, behind, confidence)
