"""How much each creative's label can move a paired difference, before anybody has seen it.

With R the ratios, b their denominators' sums and p the probability that a creative violates, the linearised residual
of the difference (Särndal, Swensson, Wretman 1992, section 5.6)

    e(y) = (a₁(y) − R₁ b₁(y)) / B₁ − (a₀(y) − R₀ b₀(y)) / B₀,       1 the candidate, 0 the baseline,

takes one of two values. Its mean and mean square under p say what a draw of any design would vary by.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.estimate.delivery import Delivery
from engine.estimate.metrics import Metric, terms
from engine.records import F64, I8, I16


@dataclass(frozen=True)
class Influence:
    """mean_N, square_N : E e and E e². swap_N : 1 where the candidate counts a creative more, −1 less, 0 alike."""

    mean_N: F64
    square_N: F64
    swap_N: I8

    @property
    def size_N(self) -> F64:
        """What an optimal probability of inclusion is proportional to, √E e²."""
        return np.sqrt(self.square_N)


@dataclass(frozen=True)
class Side:
    """One of the two strategies: what its outcomes do, and the outcome of every creative."""

    given: Delivery
    outcome_N: I16


def influence(metric: Metric, baseline: Side, candidate: Side, chance_N: F64, exposure_N: F64) -> Influence:
    """Return what every label would do to the difference of a metric.

    Parameters
    ----------
    chance_N : that it violates, in (0, 1). exposure_N : ≥ 0.
    """
    size = len(chance_N)
    residual_YN, numerator_YN = np.zeros((2, size)), np.zeros((2, size))
    for sign, side in ((1.0, candidate), (-1.0, baseline)):
        parts = [metric.parts(terms(side.given, side.outcome_N, np.full(size, y, np.int8), exposure_N)) for y in (0, 1)]
        top, whole = (float(((1 - chance_N) * parts[0][i] + chance_N * parts[1][i]).sum()) for i in (0, 1))
        for y in (0, 1):
            numerator_YN[y] += sign * parts[y][0]
            if whole > 0:
                residual_YN[y] += sign * (parts[y][0] - top / whole * parts[y][1]) / whole
    mean_N = (1 - chance_N) * residual_YN[0] + chance_N * residual_YN[1]
    square_N = (1 - chance_N) * residual_YN[0] ** 2 + chance_N * residual_YN[1] ** 2
    return Influence(mean_N, square_N, np.sign(numerator_YN[0] + numerator_YN[1]).astype(np.int8))
