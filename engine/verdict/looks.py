"""How sure each look must be so that all declared looks together err no more often than one would.

A look is a decision on labels that were not judged before. Whoever looks until the answer pleases is wrong more often
than each look says; so the error is spent over the looks declared beforehand, little of it early (Lan and DeMets 1983,
Biometrika 70, 659–663, the spending function of the O'Brien–Fleming type):

    α(t) = 2 (1 − Φ(z_{1−α/2} / √t)),   t = look / declared looks.

The level of a look follows from what was spent before and how much of the labels it shares with earlier looks, by
recursive integration (Armitage, McPherson, Rowe 1969, JRSS A 132, 235–244). What is shared is told by the information
1/variance of each look: cov(Z_j, Z_k) = √(I_j / I_k). Where information is not known of every look, or does not grow, a
look may err by what is newly spent at it alone (Bonferroni), which holds whatever they share.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from scipy.special import ndtr, ndtri

from engine.records import F64

_POINTS = 1001
_LOWEST = -9.0  # standard errors, below which nothing is left of the density
_GROWS = 1.001  # information below this times the earlier one tells nothing new


def spent(alpha: float, share: float) -> float:
    """Return the error that is spent at a share of the declared looks, in (0, 1]."""
    return float(2.0 * ndtr(ndtri(alpha / 2.0) / np.sqrt(share)))


def look_level(level: float, looks: int, information: Sequence[float | None]) -> float:
    """Return the one-sided confidence that the last of some looks needs.

    Parameters
    ----------
    level : of the whole comparison. looks : declared. information : 1/variance of each look so far, the last one's
    included, None where it is not known.
    """
    alpha, look = 1.0 - level, len(information)
    if looks == 1:
        return level
    spends = [spent(alpha, k / looks) for k in range(1, look + 1)]
    new = np.diff([0.0, *spends])
    known = [x for x in information if x is not None and np.isfinite(x) and x > 0]
    grows = all(later >= _GROWS * earlier for earlier, later in pairwise(known))
    if len(known) < look or not grows:
        return 1.0 - float(new[-1])
    return float(ndtr(_bounds(new, known)[-1]))


def _bounds(new: F64, information: Sequence[float]) -> list[float]:
    """Return the critical value of each look, in standard errors."""
    bounds: list[float] = []
    grid = density = np.zeros(0)
    for k, error in enumerate(new):
        if k == 0:
            bounds.append(float(-ndtri(error)))
        else:
            step = np.sqrt(information[k] - information[k - 1])
            shift = grid * np.sqrt(information[k - 1])
            bounds.append(_crossing(float(error), grid, density, shift / step, np.sqrt(information[k]) / step))
        fresh = np.linspace(_LOWEST, bounds[-1], _POINTS)
        if k == 0:
            density = np.exp(-(fresh**2) / 2) / np.sqrt(2 * np.pi)
        else:
            scale = np.sqrt(information[k]) / step
            kernel = scale * np.exp(-((fresh[:, None] * scale - shift / step) ** 2) / 2) / np.sqrt(2 * np.pi)
            density = np.trapezoid(kernel * density, grid, axis=1)
        grid = fresh
    return bounds


def _crossing(error: float, grid: F64, density: F64, shift: F64, scale: float) -> float:
    """Return the value that a look exceeds with probability `error` when no earlier look did, by bisection."""
    low, high = _LOWEST, -_LOWEST
    for _ in range(80):
        middle = (low + high) / 2
        crosses = np.trapezoid(density * ndtr(shift - middle * scale), grid)
        low, high = (middle, high) if crosses > error else (low, middle)
    return (low + high) / 2
