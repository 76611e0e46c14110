"""Intervals for a share in [0, 1] and for the difference of two.

With enough events: on the logit scale, t quantile. With few or none: the exact binomial (Clopper–Pearson) bound at the
effective sample size (Korn and Graubard 1998, Survey Methodology 24, 193–201).
`scipy.special` only: `scipy.stats` costs a second to import.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf, isfinite, log, sqrt

from scipy.special import betaincinv, stdtrit

ENOUGH_EVENTS = 30.0
_MANY = 1e7  # degrees of freedom past which t is normal


@dataclass(frozen=True)
class Interval:
    """Bounds and the name of the rule that made them."""

    low: float
    high: float
    rule: str


def t_quantile(confidence: float, df: float) -> float:
    """Return the two-sided quantile of Student's t."""
    return float(stdtrit(min(max(df, 1.0), _MANY), (1 + confidence) / 2))


def share_interval(share: float, variance: float, events: float, size: float, df: float, confidence: float) -> Interval:
    """Return an interval for a share.

    Parameters
    ----------
    events : effective events, the smaller of numerator and complement. size : effective size of the denominator (Kish).
    df : degrees of freedom of the variance.
    """
    if 0.0 < share < 1.0 and events >= ENOUGH_EVENTS:
        return logit_interval(share, variance, df, confidence)
    return korn_graubard(share, variance, size, df, confidence)


def logit_interval(share: float, variance: float, df: float, confidence: float) -> Interval:
    """Return the interval that is symmetric for log(share / (1 − share))."""
    half = t_quantile(confidence, df) * sqrt(variance) / (share * (1 - share))
    middle = log(share / (1 - share))
    return Interval(_expit(middle - half), _expit(middle + half), "logit")


def korn_graubard(share: float, variance: float, size: float, df: float, confidence: float) -> Interval:
    """Return exact binomial bounds at the effective sample size share·(1 − share)/variance, at most `size`.

    The effective size shrinks by the squared ratio of t quantiles, so that a variance from few units widens the bounds.
    """
    n = size
    if 0.0 < share < 1.0 and variance > 0.0:
        n = min(n, share * (1 - share) / variance)
    n *= (t_quantile(confidence, max(size - 1, 1.0)) / t_quantile(confidence, df)) ** 2
    n = max(n, 1e-9)
    low, high = exact_bounds(share * n, n, confidence)
    return Interval(min(low, share), max(high, share), "korn_graubard")


def exact_bounds(events: float, size: float, confidence: float) -> tuple[float, float]:
    """Return Clopper–Pearson bounds; events and size need not be whole."""
    tail = (1 - confidence) / 2
    low = 0.0 if events <= 0 else float(betaincinv(events, size - events + 1, tail))
    high = 1.0 if events >= size else float(betaincinv(events + 1, size - events, 1 - tail))
    return low, high


def symmetric(estimate: float, variance: float, df: float, confidence: float) -> Interval:
    """Return estimate ± t · standard error."""
    half = t_quantile(confidence, df) * sqrt(variance)
    return Interval(estimate - half, estimate + half, "t")


def positive_interval(estimate: float, variance: float, df: float, confidence: float) -> Interval:
    """Return the interval that is symmetric for the logarithm of a positive total."""
    if estimate <= 0.0 or not isfinite(estimate):
        return Interval(estimate, estimate, "log") if variance == 0.0 else Interval(-inf, inf, "log")
    factor = exp(t_quantile(confidence, df) * sqrt(variance) / estimate)
    return Interval(estimate / factor, estimate * factor, "log")


def swap_interval(gained: Interval, lost: Interval) -> Interval:
    """Combine bounds of the two swap directions (each at half the error) into bounds of their difference."""
    return Interval(gained.low - lost.high, gained.high - lost.low, "exact_swap")


def _expit(x: float) -> float:
    return 1 / (1 + exp(-x)) if x >= 0 else exp(x) / (1 + exp(x))
