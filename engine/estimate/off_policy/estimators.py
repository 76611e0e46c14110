"""Mean outcome per creative under a strategy, from decisions that history drew with known propensities.

Each estimator is a sum over creatives of a known part and of weight · residual. Its variance is that of history's draws
(`history`) or that between advertisers (`future`), which holds the former as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engine.estimate.off_policy.logged import LoggedRows, Match
from engine.records import F64


@dataclass(frozen=True)
class Linear:
    """An estimator as a sum over creatives.

    mean : the estimate, NaN where it is undefined. part_N : what each creative adds to N · mean, linearised.
    residual_N : of drawn creatives, what weight multiplies. scale : of all weights.
    """

    mean: float
    part_N: F64
    residual_N: F64
    scale: float = 1.0


def ips(rows: LoggedRows, match: Match, predicted_N: F64) -> Linear:  # noqa: ARG001
    """Return Σ weight · outcome / N. Source: Horvitz and Thompson 1952."""
    part_N = match.value_N + match.weight_N * rows.outcome_N
    return Linear(_mean(part_N), part_N, rows.outcome_N)


def snips(rows: LoggedRows, match: Match, predicted_N: F64) -> Linear:  # noqa: ARG001
    """Return the self-normalised estimate: the weighted mean stands for all creatives that history randomised.

    Undefined where history randomised and never drew the strategy's decision. Biased by O(1/n).
    Source: Hájek 1971; Swaminathan and Joachims 2015.
    """
    weight, drawn = float(match.weight_N.sum()), int(match.drawn_N.sum())
    if drawn and not weight:
        nothing = np.full(len(rows), np.nan)
        return Linear(np.nan, nothing, nothing)
    middle = float((match.weight_N * rows.outcome_N).sum()) / weight if drawn else 0.0
    scale = drawn / weight if drawn else 1.0
    residual_N = rows.outcome_N - middle
    part_N = match.value_N + np.where(match.drawn_N, middle, 0.0) + scale * match.weight_N * residual_N
    return Linear(_mean(part_N), part_N, residual_N, scale)


def doubly_robust(rows: LoggedRows, match: Match, predicted_N: F64) -> Linear:
    """Return predictions of all drawn creatives, corrected by weight · their error where it was seen.

    Source: Dudík, Langford, Li 2011; Robins, Rotnitzky, Zhao 1994.
    """
    residual_N = rows.outcome_N - predicted_N
    part_N = match.value_N + np.where(match.drawn_N, predicted_N, 0.0) + match.weight_N * residual_N
    return Linear(_mean(part_N), part_N, residual_N)


Estimator = Callable[[LoggedRows, Match, F64], Linear]
ESTIMATORS: dict[str, Estimator] = {"ips": ips, "snips": snips, "doubly_robust": doubly_robust}


@dataclass(frozen=True)
class Spread:
    """The variance of a mean, its degrees of freedom (Satterthwaite 1946), and the largest unit's share of it."""

    variance: float
    df: float
    largest: float


def history_spread(rows: LoggedRows, match: Match, linear: Linear) -> Spread:
    """Return the variance over history's draws, creative by creative (Poisson), unbiased for fixed residuals.

    Σ weight² (1 − propensity) residual² over the creatives whose decision was drawn as the strategy's.
    """
    variance_N = (linear.scale * match.weight_N * linear.residual_N) ** 2 * (1 - rows.propensity_N)
    return _spread(variance_N / max(len(rows), 1) ** 2)


def future_spread(rows: LoggedRows, linear: Linear) -> Spread:
    """Return the variance between advertisers, drawn with replacement, of the mean as a ratio to creatives.

    Source: ultimate clusters, Särndal, Swensson, Wretman 1992.
    """
    advertiser_n = np.unique(rows.advertiser_N, return_inverse=True)[1]
    sum_A = np.bincount(advertiser_n, linear.part_N - linear.mean)
    return _spread(sum_A**2 / max(len(rows), 1) ** 2 * (len(sum_A) / max(len(sum_A) - 1, 1)))


def _spread(variance_U: F64) -> Spread:
    total, squares = float(variance_U.sum()), float((variance_U**2).sum())
    if not total > 0.0 or not squares > 0.0:
        return Spread(0.0 if total == 0.0 else total, 0.0, 0.0)
    return Spread(total, total**2 / squares, float(variance_U.max()) / total)


def _mean(part_N: F64) -> float:
    return float(part_N.sum()) / len(part_N) if len(part_N) else np.nan
