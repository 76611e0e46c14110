"""Calibration: one map from a score to the share of violating creatives among those with such a score.

Fitted by weighted maximum likelihood on labels that were known before the period, with design weights 1/π: the map is
that of the population, however unequally the audit looked. It assumes that labels are missing at random given π.

- `temperature`: expit(slope · logit score) (Guo, Pleiss, Sun, Weinberger 2017, "On calibration of modern neural
  networks", section 4.2; slope = 1/T).
- `platt`: expit(slope · logit score + intercept) (Platt 1999, "Probabilistic outputs for support vector machines").
  The mean of the map over the labels is their weighted violating share.
- `isotonic`: the non-decreasing map of least squares (Zadrozny, Elkan 2002, "Transforming classifier scores into
  accurate multiclass probability estimates"), straight between the ends of its steps.

Platt smooths his targets so that separable labels keep a finite slope; under unequal weights that would move the
violating share. Here a prior does it, that of a slope near 1: normal with standard deviation SLOPE_SPREAD, worth
(slope − 1)² / (2 · SLOPE_SPREAD²) against a likelihood whose weights add up to their effective number (Kish).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
from blake3 import blake3
from scipy.special import expit

from engine.errors import DataError
from engine.estimate.interval import kish
from engine.records import F32, F64, I8

Method = Literal["temperature", "platt", "isotonic"]
FEWEST_LABELS: dict[Method, int] = {"temperature": 30, "platt": 30, "isotonic": 200}
SLOPE_SPREAD = 3.0
EDGE = 2.0**-24  # a score nearer than this to 0 or 1 (where float32 ends) is that far from it on the logit scale
_MOST_STEPS, _FARTHEST, _NEAR, _FLATTEST = 200, 8.0, 1e-24, 1e-12
_RULE = b"calibration 1\0"  # part of every fingerprint: raise it when the same parameters come to mean another map

Scores = TypeVar("Scores", F32, F64)


@dataclass(frozen=True)
class CalibrationMap:
    """A map of scores, non-decreasing, from [0, 1] into [0, 1].

    parameters : (slope,) of temperature, (slope, intercept) of platt; of isotonic K scores, then the K shares there.
    labels : how many it was fitted on. without_score : how many more had no score (NaN).

    Raises
    ------
    DataError : the method is unknown, or its parameters make no such map.
    """

    method: str
    parameters: tuple[float, ...]
    labels: int
    without_score: int

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) for value in self.parameters) or not self._is_map():
            raise DataError(f"calibration: {self.method!r} with {len(self.parameters)} parameters is no rising map")

    def _is_map(self) -> bool:
        match self.method:
            case "temperature":
                return len(self.parameters) == 1 and self.parameters[0] > 0
            case "platt":
                return len(self.parameters) == 2 and self.parameters[0] > 0
            case "isotonic":
                score_K, share_K = self._knots()
                even = len(score_K) == len(share_K) > 0 and share_K[0] >= 0.0 and share_K[-1] <= 1.0
                return even and bool((np.diff(score_K) > 0).all() and (np.diff(share_K) >= 0).all())
        return False

    def apply(self, score_N: Scores) -> Scores:
        """Return the mapped scores, computed in float64 and rounded once.

        NaN and what lies outside [0, 1] stay what they are, for the rules on faulty scores to find. Rising float32
        scores give non-decreasing ones; rising float64 scores may fall by a rounding error of the logarithm.
        """
        wide_N = score_N.astype(np.float64)
        inside = (wide_N >= 0.0) & (wide_N <= 1.0)
        if self.method == "isotonic":
            wide_N[inside] = _between(wide_N[inside], *self._knots())
        else:
            slope, intercept = (*self.parameters, 0.0)[:2]
            wide_N[inside] = expit(slope * _log_odds(wide_N[inside]) + intercept)
        return wide_N.astype(score_N.dtype)

    def fingerprint(self) -> str:
        """Return 32 hex digits that name the map: method and parameters, nothing else."""
        values = [value + 0.0 for value in self.parameters]  # −0 is 0
        packed = struct.pack(f"<{len(values)}d", *values)
        return blake3(_RULE + self.method.encode() + b"\0" + packed).hexdigest(16)

    def as_plain(self) -> dict[str, Any]:
        """Return what JSON can hold without loss."""
        counts = {"labels": self.labels, "without_score": self.without_score}
        return {"method": self.method, "parameters": list(self.parameters), **counts}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> CalibrationMap:
        """Return the map that `as_plain` wrote.

        Raises
        ------
        DataError : something is missing or makes no map.
        """
        try:
            parameters = tuple(float(value) for value in plain["parameters"])
            return cls(str(plain["method"]), parameters, int(plain["labels"]), int(plain["without_score"]))
        except (KeyError, TypeError, ValueError) as fault:
            raise DataError(f"calibration: not a stored map ({type(fault).__name__}: {fault})") from None

    def _knots(self) -> tuple[F64, F64]:
        values, half = np.asarray(self.parameters, np.float64), len(self.parameters) // 2
        return values[:half], values[half:]


def fit_calibration(method: Method, score_n: F32 | F64, y_n: I8, weight_n: F64) -> CalibrationMap:
    """Fit a map on labels.

    Parameters
    ----------
    method : temperature, platt or isotonic.
    score_n : in [0, 1]; labels whose score is NaN are left out and counted.
    y_n : 1 violating, 0 compliant. weight_n : design weights 1/π.

    Raises
    ------
    DataError : a score outside [0, 1], a label that is neither, a weight that is not positive, fewer labels than
        FEWEST_LABELS, one class only, or a score that falls where the violating share rises.
    """
    seen = ~np.isnan(score_n)
    score, y, weight = score_n[seen].astype(np.float64), y_n[seen].astype(np.float64), weight_n[seen]
    _check(method, score, y, weight)
    if method == "isotonic":
        parameters = _fit_isotonic(score, y, weight)
    else:
        parameters = _fit_logistic(_log_odds(score), y, weight, shifted=method == "platt")
        if not parameters[0] > 0:
            raise DataError(
                "calibration: the violating share does not rise with the score; "
                "no map of this kind mends that (does `outputs` name the right label of the model?)"
            )
    return CalibrationMap(method, parameters, len(score), int((~seen).sum()))


def _check(method: Method, score: F64, y: F64, weight: F64) -> None:
    if ((score < 0.0) | (score > 1.0)).any():
        raise DataError("calibration: a labelled creative has a score outside [0, 1]")
    if not np.isin(y, (0, 1)).all():
        raise DataError("calibration: a label is neither VIOLATING (1) nor COMPLIANT (0)")
    if not (np.isfinite(weight) & (weight > 0.0)).all():
        raise DataError("calibration: a design weight is not a positive number")
    if len(y) < FEWEST_LABELS[method]:
        raise DataError(f"calibration: {len(y)} labels with a score; {method} needs {FEWEST_LABELS[method]}")
    if y.min() == y.max():
        only = "VIOLATING" if y[0] else "COMPLIANT"
        raise DataError(f"calibration: all {len(y)} labels are {only}; a map needs both")


# --- Logistic maps ---------------------------------------------------------------------------------------------------


def _log_odds(score: F64) -> F64:
    """Return log(score / (1 − score)), finite: EDGE away from 0 and 1."""
    kept = np.clip(score, EDGE, 1 - EDGE)
    return np.log(kept) - np.log1p(-kept)


def _fit_logistic(x_n: F64, y_n: F64, weight_n: F64, *, shifted: bool) -> tuple[float, ...]:
    """Return (slope,) or (slope, intercept): Newton's method on a convex loss.

    No step moves a label farther than _FARTHEST on the logit scale (beyond lie plains), or raises the loss.
    The result is rounded to ten digits, so that the order of labels and a machine's last bits make no other map.
    """
    design_nD = np.stack([x_n, np.ones_like(x_n)], axis=1) if shifted else x_n[:, None]
    weight = weight_n * (kish(weight_n.sum(), (weight_n**2).sum()) / weight_n.sum())
    away = 1 - 2 * y_n  # a positive z · away is a wrong guess; so written, nothing cancels where guesses are good
    prior_D = np.array([1 / SLOPE_SPREAD**2, 0.0])[: design_nD.shape[1]]
    centre_D = np.array([1.0, 0.0])[: design_nD.shape[1]]

    def loss(theta_D: F64) -> float:
        wrong = np.logaddexp(0.0, away * (design_nD @ theta_D))
        return float(weight @ wrong + prior_D @ (theta_D - centre_D) ** 2 / 2)

    theta, least = centre_D, loss(centre_D)
    for _ in range(_MOST_STEPS):
        miss = expit(away * (design_nD @ theta))
        slope_D = design_nD.T @ (weight * away * miss) + prior_D * (theta - centre_D)
        curve_n = weight * np.maximum(miss * (1 - miss), _FLATTEST)
        curve_DD = (design_nD.T * curve_n) @ design_nD + np.diag(prior_D)
        step = np.linalg.solve(curve_DD, slope_D)
        if step @ slope_D <= _NEAR * len(y_n):
            return tuple(float(f"{value:.10g}") for value in theta)
        step = step / max(1.0, float(np.abs(design_nD @ step).max()) / _FARTHEST)
        while (found := loss(theta - step)) > least * (1 + 1e-12):
            step = step / 2
        theta, least = theta - step, found
    raise DataError("calibration: no best map found; do the scores spread over [0, 1] at all?")


# --- Isotonic maps ---------------------------------------------------------------------------------------------------


def _fit_isotonic(score_n: F64, y_n: F64, weight_n: F64) -> tuple[float, ...]:
    """Return the first and last score of each step, then the shares there; equal scores are one point."""
    from scipy.optimize import isotonic_regression

    score_K, at = np.unique(score_n, return_inverse=True)
    weight_K = np.bincount(at, weight_n)
    found = isotonic_regression(np.bincount(at, weight_n * y_n) / weight_K, weights=weight_K)
    first = found.blocks[:-1]
    kept = np.unique(np.concatenate([first, found.blocks[1:] - 1]))
    return (*score_K[kept].tolist(), *np.clip(found.x[kept], 0.0, 1.0).tolist())


def _between(score: F64, score_K: F64, share_K: F64) -> F64:
    """Interpolate on straight lines, level outside; never above the right end, so that rounding breaks no order."""
    if len(score_K) == 1:
        return np.full_like(score, share_K[0])
    right = np.clip(np.searchsorted(score_K, score, side="right"), 1, len(score_K) - 1)
    left = right - 1
    way = np.clip((score - score_K[left]) / (score_K[right] - score_K[left]), 0.0, 1.0)
    return np.minimum(share_K[left] + (share_K[right] - share_K[left]) * way, share_K[right])
