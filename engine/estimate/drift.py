"""Whether scores, and the share that violates, change over time: beyond what the choice of advertisers makes.

Population stability index (PSI): Σ (p − q) ln(p/q) over the deciles of the first pieces, q their shares and p a later
piece's. By convention below .1 is called stable and from .25 on shifted (Siddiqi 2006, Credit Risk Scorecards): these
limits know nothing of sample size, though without any drift PSI is about (1/n + 1/m) χ² (Yurdakul 2018, Statistical
properties of the population stability index). Creatives of one advertiser resemble each other, so n and m are not
their number: noise is read from random groups of advertisers (Wolter 2007, Introduction to Variance Estimation,
chapter 2) by a wild bootstrap, whose greatest of all pieces and columns gives the threshold (Westfall and Young 1993).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc, ndtri

from engine.records import F64, I64, Estimate, Flags

STABLE, SHIFTED = 0.1, 0.25  # the convention for PSI
LEVEL = 0.025  # chance that scores, and that label rates, are said to drift where nothing does
_DECILES = 10
_DRAWS = 999
_ENOUGH = 10.0  # effective violating labels of a piece whose share is tested


@dataclass(frozen=True)
class ScoreDrift:
    """One column, a value for each piece after the reference.

    distance : Kolmogorov–Smirnov, the greatest distance of the distribution functions (over 256 bins).
    threshold : what PSI exceeds in some piece and column by chance with probability LEVEL.
    """

    psi_T: F64
    threshold_T: F64
    distance_T: F64

    @property
    def drifts_T(self) -> Flags:
        """Whether PSI is beyond noise and beyond what is called stable."""
        return np.asarray((self.psi_T > self.threshold_T) & (self.psi_T >= STABLE))


def score_drift(counts: Mapping[str, I64], reference: int) -> dict[str, ScoreDrift]:
    """Return how each column moves away from its first pieces.

    Parameters
    ----------
    counts : column → int64, shape (R, T, B): creatives by random group of advertisers, piece and bin.
    reference : how many of the first pieces the later ones are held against.
    """
    shares = {name: _shares(count_RTB, reference) for name, count_RTB in counts.items()}
    if not shares:
        return {}
    noise = {name: _noise(found) for name, found in shares.items()}
    scale = {name: np.maximum(noise_DT.mean(0), 1e-300) for name, noise_DT in noise.items()}
    most_D = np.max([(noise[name] / scale[name]).max(1) for name in noise], axis=0)
    limit = float(np.quantile(most_D, 1 - LEVEL, method="higher"))
    return {name: ScoreDrift(found.psi_T, limit * scale[name], found.distance_T) for name, found in shares.items()}


@dataclass(frozen=True)
class _Shares:
    """base_M : shares of the reference. residual_RTM : each group's part in the difference of shares, Σ over R is 0."""

    psi_T: F64
    distance_T: F64
    base_M: F64
    residual_RTM: F64


def _shares(count_RTB: I64, reference: int) -> _Shares:
    first_RB, later_RTB = count_RTB[:, :reference].sum(1), count_RTB[:, reference:]
    first_B, later_TB = first_RB.sum(0), later_RTB.sum(0)
    below_B, below_TB = (np.cumsum(n, -1) / np.maximum(n.sum(-1, keepdims=True), 1) for n in (first_B, later_TB))
    edges = np.unique(np.searchsorted(below_B, np.arange(1, _DECILES) / _DECILES))
    starts = np.concatenate([[0], edges[edges < len(first_B) - 1] + 1])
    first_RM, later_RTM = (np.add.reduceat(n, starts, axis=-1).astype(np.float64) for n in (first_RB, later_RTB))
    base_M, share_TM = _smoothed(first_RM.sum(0)), _smoothed(later_RTM.sum(0))
    residual_RTM = _residuals(later_RTM) - _residuals(first_RM)[:, None]
    empty_T = later_TB.sum(-1) == 0
    psi_T = np.where(empty_T, 0.0, ((share_TM - base_M) * np.log(share_TM / base_M)).sum(-1))
    distance_T = np.where(empty_T, 0.0, np.abs(below_TB - below_B).max(-1))
    return _Shares(psi_T, distance_T, base_M, residual_RTM)


def _smoothed(count: F64) -> F64:
    """Return shares in which no bin is empty: half a creative is added to each."""
    return np.asarray((count + 0.5) / (count + 0.5).sum(-1, keepdims=True))


def _residuals(count: F64) -> F64:
    """Return the linearised part of each group (first axis) in the shares of bins (last axis)."""
    whole = np.maximum(count.sum((0, -1)), 1.0)[..., None]
    return np.asarray((count - count.sum(0) / whole * count.sum(-1, keepdims=True)) / whole)


def _noise(found: _Shares) -> F64:
    """Return PSI as the groups' signs thrown at random make it, shape (draws, T); the same draws for every column."""
    groups = len(found.residual_RTM)
    sign_DR = np.random.default_rng(0).choice([-1.0, 1.0], (_DRAWS, groups)) * np.sqrt(groups / (groups - 1))
    moved_DTM = np.tensordot(sign_DR, found.residual_RTM, 1)
    return np.asarray((moved_DTM**2 / found.base_M).sum(-1))


@dataclass(frozen=True)
class LabelDrift:
    """Whether the violating share differs between pieces. p : of Cochran's Q (1954), None where nothing can be tested.

    piece : the one farthest from the others, where it is said to drift.
    """

    p: float | None
    piece: int | None


def label_drift(violating: Sequence[Estimate], confidence: float) -> LabelDrift:
    """Return whether violating shares of pieces differ by more than their intervals allow.

    Held against each other are the log-odds of pieces with enough effective events, with the spread that their
    intervals (of the question `future`: other advertisers) have.
    """
    tested = [(t, row) for t, row in enumerate(violating) if _testable(row)]
    if len(tested) < 2:
        return LabelDrift(None, None)
    points = np.array([[row.estimate, row.low, row.high] for _, row in tested], np.float64)
    log_odds = np.log(points / (1 - points))
    spread = (log_odds[:, 2] - log_odds[:, 1]) / (2 * ndtri((1 + confidence) / 2))
    share = 1 / spread**2 / (1 / spread**2).sum()
    off = (log_odds[:, 0] - (share * log_odds[:, 0]).sum()) / spread
    p = float(chdtrc(len(tested) - 1, (off**2).sum()))
    from_others = np.abs(off) / np.sqrt(1 - share)
    return LabelDrift(p, tested[int(np.argmax(from_others))][0] if p < LEVEL else None)


def _testable(row: Estimate) -> bool:
    if row.estimate is None or row.low is None or row.high is None or row.effective_events < _ENOUGH:
        return False
    return 0 < row.low < row.high < 1
