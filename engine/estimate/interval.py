"""Intervals for shares in [0, 1] and for differences of two, many at once (arrays of one shape).

With enough events: on the logit scale, t quantile. With few or none: the exact binomial (Clopper–Pearson) bound at the
effective sample size (Korn and Graubard 1998, Survey Methodology 24, 193–201). Where a share f of the creatives was
drawn, the hypergeometric bound lies at 1 − f/2 of the binomial one's distance from the share (Wise 1954, Biometrika 41,
317–329: his binomial stands for N − (n − 1)/2 creatives less half of the events).
`scipy.special` only: `scipy.stats` costs a second to import.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, expit, logit, stdtrit

from engine.records import F64, Flags

SOME_EVENTS, ENOUGH_EVENTS = 20.0, 30.0  # between them, exact bounds turn into normal ones
_JEFFREYS = 0.5
_MANY = 1e7  # degrees of freedom past which t is normal


@dataclass(frozen=True)
class Intervals:
    """Bounds, and the name of the rule that made each."""

    low: F64
    high: F64
    rule: NDArray[np.str_]


def enough(events: F64) -> Flags:
    """Return whether effective events are as many as normal approximations need; how sums are rounded never decides."""
    return np.asarray(events >= ENOUGH_EVENTS * (1 - 1e-9))


def t_quantile(confidence: float, df: ArrayLike) -> F64:
    """Return the two-sided quantile of Student's t."""
    return np.asarray(stdtrit(np.clip(df, 1.0, _MANY), (1 + confidence) / 2))


@dataclass(frozen=True)
class Behind:
    """What stands behind the exact bounds of shares.

    size : effective size of the denominator (Kish). units : sampled units, which give degrees of freedom.
    left : share of the variance that drawing without replacement leaves, in [0, 1]; 1 with replacement.
    """

    size: F64
    units: F64
    left: F64


def share_intervals(share: F64, variance: F64, events: F64, df: F64, behind: Behind, confidence: float) -> Intervals:
    """Return intervals for shares.

    Parameters
    ----------
    events : effective events, the smaller of numerator and complement. df : degrees of freedom of the variance.
    """
    inside = (share > 0.0) & (share < 1.0)
    plenty = inside & enough(events)
    few = ~plenty
    low, high = np.empty(share.shape), np.empty(share.shape)
    some = Behind(behind.size[few], behind.units[few], behind.left[few])
    exact = korn_graubard(share[few], variance[few], events[few], some, confidence)
    smooth = logit_intervals(share[plenty], variance[plenty], df[plenty], confidence)
    low[few], high[few], low[plenty], high[plenty] = exact.low, exact.high, smooth.low, smooth.high
    return Intervals(low, high, np.where(plenty, "logit", "korn_graubard"))


def logit_intervals(share: F64, variance: F64, df: F64, confidence: float) -> Intervals:
    """Return the intervals that are symmetric for log(share / (1 − share)); a share of 0 or 1 keeps no width."""
    inside = (share > 0.0) & (share < 1.0)
    safe = np.where(inside, share, 0.5)
    half = t_quantile(confidence, df) * np.sqrt(variance) / (safe * (1 - safe))
    low, high = expit(logit(safe) - half), expit(logit(safe) + half)
    return Intervals(np.where(inside, low, share), np.where(inside, high, share), np.full(share.shape, "logit"))


def korn_graubard(share: F64, variance: F64, events: F64, behind: Behind, confidence: float) -> Intervals:
    """Return exact binomial bounds at the effective sample size share·(1 − share)·left/variance, at most `size`.

    It shrinks by the squared ratio of t quantiles, with units − 1 degrees of freedom: few units widen the bounds.
    From SOME_EVENTS to ENOUGH_EVENTS, where the variance alone is believed, it may exceed `size` more and more, and the
    bounds go over to Jeffreys': one event more would else make a stratified audit's interval half as wide.
    """
    informative = (share > 0.0) & (share < 1.0) & (variance > 0.0)
    size, spread = behind.size, share * (1 - share) * behind.left
    believed = spread / np.where(informative, variance, 1.0)
    trust = np.clip((events - SOME_EVENTS) / (ENOUGH_EVENTS - SOME_EVENTS), 0.0, 1.0)
    more = np.maximum(believed / np.maximum(size, 1e-9), 1.0) ** trust
    n = np.where(informative, np.minimum(believed, size * more), size)
    shrink = (t_quantile(confidence, np.maximum(size - 1, 1.0)) / t_quantile(confidence, behind.units - 1)) ** 2
    n = np.where(informative, n * np.minimum(shrink, 1.0), n)
    low, high = exact_bounds(share * np.maximum(n, 1e-9), np.maximum(n, 1e-9), confidence, trust * _JEFFREYS)
    reach = (1 + behind.left) / 2
    down, up = reach * np.maximum(share - low, 0.0), reach * np.maximum(high - share, 0.0)
    return Intervals(share - down, share + up, np.full(share.shape, "korn_graubard"))


def exact_bounds(events: F64, size: F64, confidence: float, mid: F64 | float = 0.0) -> tuple[F64, F64]:
    """Return Clopper–Pearson bounds; events and size need not be whole.

    mid : how far in between these bounds and each other, 0.5 Jeffreys' (Brown, Cai and DasGupta 2001, Statistical
    Science 16, 101–133): those miss as often as they may on average, not at worst.
    """
    tail = (1 - confidence) / 2
    none, every = events <= 0, events >= size
    low = betaincinv(np.where(none, 1.0, events + mid), np.where(none, 1.0, size - events + 1 - mid), tail)
    high = betaincinv(np.where(every, 1.0, events + 1 - mid), np.where(every, 1.0, size - events + mid), 1 - tail)
    return np.where(none, 0.0, low), np.where(every, 1.0, high)


def symmetric(estimate: F64, variance: F64, df: F64, confidence: float) -> Intervals:
    """Return estimate ± t · standard error."""
    half = t_quantile(confidence, df) * np.sqrt(variance)
    return Intervals(estimate - half, estimate + half, np.full(estimate.shape, "t"))


def positive_intervals(estimate: F64, variance: F64, df: F64, confidence: float) -> Intervals:
    """Return the intervals that are symmetric for the logarithm of positive totals; others are symmetric themselves."""
    positive = estimate > 0.0
    safe = np.where(positive, estimate, 1.0)
    factor = np.exp(np.minimum(t_quantile(confidence, df) * np.sqrt(variance) / safe, 700.0))
    plain = symmetric(estimate, variance, df, confidence)
    return Intervals(
        np.where(positive, safe / factor, plain.low),
        np.where(positive, safe * factor, plain.high),
        np.where(positive, "log", "t"),
    )


def kish(total: F64, squares: F64) -> F64:
    """Return the effective number (Σu)² / Σu² of weighted things, 0 where there are none."""
    return np.where(squares > 0, total**2 / np.where(squares > 0, squares, 1.0), 0.0)
