"""A guess m(x) at the truth of every creative, from its scores: what the difference estimator leans on.

A logistic model joins the scores of a policy (all scores for `any`) to one index; the index is cut into at most BINS
bins, and m is the non-decreasing step function of least squares over them (Zadrozny, Elkan 2002). It is fitted on the
audit's labels, each with its design weight. A good guess makes intervals narrow; a bad one makes nothing wrong.

Cross-fitting: advertisers are dealt into FOLDS by a hash, and no creative is guessed by a model that saw a label of its
fold (Schick 1986, Ann. Stat. 14, 1139-1151; for prediction-powered inference Zrnic and Candès 2024, PNAS 121,
e2322083121). The fold of every creative is known, so each gets the model of its own fold in the sum over all, too.

m takes finitely many values, one for each *code* = fold · BINS + bin; so exact sums by code are all that the estimator
needs of the creatives without a label. Codes of a creative do not depend on its neighbours: no sum here goes through a
matrix product, whose last bits may.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from engine.estimate.interval import kish
from engine.estimate.sample import answered_sample
from engine.records import F64, I8, I16, I64, Flags, LabelledRows, Segments

FOLDS, BINS = 5, 20
CODES = FOLDS * BINS
_EDGE = 2.0**-24  # scores nearer to 0 or 1 count as that far from it on the logit scale
_SPREAD = 3.0  # standard deviation of the normal prior of a slope, in units of a standardised score
_STEPS, _FARTHEST = 60, 8.0


@dataclass(frozen=True)
class Index:
    """Logistic model of one fold: intercept + Σ slope · (log odds − centre) / scale, or + absent where no score is."""

    intercept: float
    slope_K: tuple[float, ...]
    absent_K: tuple[float, ...]
    centre_K: tuple[float, ...]
    scale_K: tuple[float, ...]

    def of(self, score_KN: F64) -> F64:
        """Return the index of every creative; NaN is no score."""
        out_N = np.full(score_KN.shape[1], self.intercept)
        for k, score_N in enumerate(score_KN):
            none_N = np.isnan(score_N)
            x_N = (log_odds(np.where(none_N, 0.5, score_N)) - self.centre_K[k]) / self.scale_K[k]
            out_N += np.where(none_N, self.absent_K[k], self.slope_K[k] * x_N)
        return out_N


@dataclass(frozen=True)
class Predictor:
    """m of one policy. columns : the scores that it reads, by number.

    edges : of each fold's bins, rising; bin b holds what is at least edge b − 1 and below edge b. value_C : m by code.
    """

    columns: tuple[int, ...]
    indices: tuple[Index, ...]
    edges: tuple[F64, ...]
    value_C: F64

    def codes(self, score_KN: F64, fold_N: I64) -> I64:
        """Return the code of every creative. score_KN : all scores, NaN where there is none."""
        code_N = np.empty(len(fold_N), np.int64)
        for f, (index, edges) in enumerate(zip(self.indices, self.edges, strict=True)):
            mine = np.flatnonzero(fold_N == f)
            chosen_KN = score_KN[list(self.columns)][:, mine]
            code_N[mine] = f * BINS + np.searchsorted(edges, index.of(chosen_KN), side="right")
        return code_N


@dataclass(frozen=True)
class Predictions:
    """What the difference estimator knows of creatives without a label. Q readable policies, C codes, G segments.

    predictors : None where m could not be fitted. code_Qn : of the labelled rows.
    sum_QSOCGW : int64, exposure (known + imputed) by WEIGHTINGS of all creatives that some audit could have drawn.
    summed_S : strategies that the sums are known for. guarded : used only where a variance can be trusted, see
        `difference.carried`; else wherever there are events enough.
    """

    predictors: tuple[Predictor | None, ...]
    code_Qn: I64
    sum_QSOCGW: I64
    summed_S: Flags
    guarded: bool = True


def fit_predictors(
    rows: LabelledRows, segments: Segments, columns_Q: Sequence[tuple[int, ...]], fold_n: I64
) -> tuple[Predictor | None, ...]:
    """Fit m of every readable policy on the answered labels of the audits.

    Parameters
    ----------
    columns_Q : which of the rows' scores each policy's m reads. fold_n : of the rows.
    """
    found = []
    for q, columns in enumerate(columns_Q):
        sample = answered_sample(rows, q, segments, np.zeros(len(segments.name)))
        at = sample.rows_n
        found.append(fit_predictor(columns, rows.score_Kn[:, at], rows.y_nQ[at, q], sample.weight_n, fold_n[at]))
    return tuple(found)


def codes_of(predictors: Sequence[Predictor | None], score_KN: F64, fold_N: I64) -> I64:
    """Return the codes of every creative by policy, shape (Q, N); 0 where there is no predictor."""
    none = np.zeros(len(fold_N), np.int64)
    return np.stack([none if one is None else one.codes(score_KN, fold_N) for one in predictors])


def fit_predictor(columns: tuple[int, ...], score_Kn: F64, y_n: I8, weight_n: F64, fold_n: I64) -> Predictor | None:
    """Fit m on the labels of one policy; None where some fold's other labels are of one class, or there is no score.

    Parameters
    ----------
    columns : rows of score_Kn to read. score_Kn : in [0, 1], NaN where there is none. y_n : 0 or 1. weight_n : 1/π.
    """
    if not columns:
        return None
    indices, edges, value_C = [], [], np.zeros(CODES)
    for f in range(FOLDS):
        seen = np.flatnonzero(fold_n != f)
        y, weight, score = y_n[seen].astype(np.float64), weight_n[seen], score_Kn[list(columns)][:, seen]
        if not len(seen) or y.min() == y.max():
            return None
        index = fit_index(score, y, weight)
        at = index.of(score)
        edge = cut(at, weight)
        value = _steps(np.searchsorted(edge, at, side="right"), y, weight)
        indices.append(index)
        edges.append(edge)
        value_C[f * BINS : f * BINS + len(value)] = value
    return Predictor(columns, tuple(indices), tuple(edges), value_C)


def fit_index(score_Kn: F64, y_n: F64, weight_n: F64) -> Index:
    """Fit a logistic model by weighted maximum likelihood, slopes held near 0 by a wide normal prior."""
    none_Kn = np.isnan(score_Kn)
    x_Kn = log_odds(np.where(none_Kn, 0.5, score_Kn))
    known_Kn = weight_n * ~none_Kn
    size_K = np.maximum(known_Kn.sum(1), 1e-300)
    centre_K = (known_Kn * x_Kn).sum(1) / size_K
    spread_K = np.sqrt((known_Kn * (x_Kn - centre_K[:, None]) ** 2).sum(1) / size_K)
    scale_K = np.where(spread_K > 0, spread_K, 1.0)
    x_Kn = np.where(none_Kn, 0.0, (x_Kn - centre_K[:, None]) / scale_K[:, None])
    theta_D = _newton(np.vstack([np.ones_like(y_n), x_Kn, none_Kn]).T, y_n, weight_n)
    rounded = [float(f"{value:.10g}") for value in theta_D]  # so that a machine's last bits make no other model
    count = len(score_Kn)
    return Index(
        intercept=rounded[0],
        slope_K=tuple(rounded[1 : 1 + count]),
        absent_K=tuple(rounded[1 + count :]),
        centre_K=tuple(centre_K.tolist()),
        scale_K=tuple(scale_K.tolist()),
    )


def cut(index_n: F64, weight_n: F64) -> F64:
    """Return the edges of at most BINS bins that hold equal parts of Σ weight √(p(1 − p)), p = expit(index).

    So bins are fine where labels are hard to guess (the rule of cumulated √variance: Dalenius, Hodges 1959).
    """
    order = np.argsort(index_n, kind="stable")
    share = expit(index_n[order])
    part = np.cumsum(weight_n[order] * np.sqrt(np.maximum(share * (1 - share), 1e-12)))
    at = np.searchsorted(part, part[-1] * np.arange(1, BINS) / BINS)
    edges = np.unique(index_n[order][at])
    return edges[edges > index_n.min()]  # below the first edge lies something


def log_odds(score: F64) -> F64:
    """Return log(score / (1 − score)), finite."""
    kept = np.clip(score, _EDGE, 1 - _EDGE)
    return np.log(kept) - np.log1p(-kept)


def sum_predicted(
    outcome_SN: I16, code_QN: I64, cell_N: I64, exposure_NW: I64, segments: Segments, outcomes: int
) -> I64:
    """Return exposure by policy, strategy, outcome, code and segment, int64 (Q, S, O, C, G, W); exact below 2^53."""
    parts = [np.flatnonzero(member_C[cell_N]) for member_C in segments.member_GC]
    row_m, segment_m = np.concatenate(parts), np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    weight_Wm = exposure_NW[row_m].T.astype(np.float64)
    shape = (outcomes, CODES, len(parts))
    out = np.zeros((len(code_QN), len(outcome_SN), *shape, len(weight_Wm)), np.int64)
    for q, code_N in enumerate(code_QN):
        place_m = code_N[row_m] * shape[2] + segment_m
        for s, outcome_N in enumerate(outcome_SN):
            key_m = outcome_N[row_m].astype(np.int64) * (shape[1] * shape[2]) + place_m
            for w, weight_m in enumerate(weight_Wm):
                out[q, s, ..., w] = np.bincount(key_m, weight_m, int(np.prod(shape))).reshape(shape)
    return out


def _newton(design_nD: F64, y_n: F64, weight_n: F64) -> F64:
    """Return the parameters: Newton's method on a convex loss, no step longer than _FARTHEST on the logit scale."""
    weight = weight_n * (kish(weight_n.sum(), (weight_n**2).sum()) / weight_n.sum())
    prior_D = np.full(design_nD.shape[1], 1 / _SPREAD**2)
    prior_D[0] = 1e-9
    theta = np.zeros(design_nD.shape[1])
    share = float(np.average(y_n, weights=weight))
    theta[0] = np.log(share) - np.log1p(-share)

    def loss(theta_D: F64) -> float:
        return float(weight @ np.logaddexp(0.0, (1 - 2 * y_n) * (design_nD @ theta_D)) + prior_D @ theta_D**2 / 2)

    least = loss(theta)
    for _ in range(_STEPS):
        guess = expit(design_nD @ theta)
        slope_D = design_nD.T @ (weight * (guess - y_n)) + prior_D * theta
        curve_DD = (design_nD.T * (weight * np.maximum(guess * (1 - guess), 1e-12))) @ design_nD + np.diag(prior_D)
        step = np.linalg.solve(curve_DD, slope_D)
        if step @ slope_D <= 1e-18 * len(y_n):
            break
        step = step / max(1.0, float(np.abs(design_nD @ step).max()) / _FARTHEST)
        while (found := loss(theta - step)) > least * (1 + 1e-12):
            step = step / 2
        theta, least = theta - step, found
    return theta


def _steps(bin_n: I64, y_n: F64, weight_n: F64) -> F64:
    """Return the non-decreasing share of each bin; every bin holds something."""
    from scipy.optimize import isotonic_regression

    weight_B = np.bincount(bin_n, weight_n)
    found = isotonic_regression(np.bincount(bin_n, weight_n * y_n) / weight_B, weights=weight_B)
    return np.clip(found.x, 0.0, 1.0)
