"""How likely each creative violates, from its scores and the labels that are there: what a plan goes by.

A plan that believes wrongly is wide, never biased: probabilities of inclusion are known whatever they were chosen by.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit, logit

from engine.estimate.interval import kish
from engine.records import F64, I8, I64

FOLDS = 5
DOUBT = 0.02  # with this share a creative violates as one of the whole frame does, whatever its scores say
_EDGE = 1e-6
_RIDGE = 1.0  # a normal prior of standard deviation 1 on each slope of the standardised log odds
_STEPS = 50
_NEAR = 1e-10


def violating_chance(score_KN: F64, at_n: I64, y_n: I8, weight_n: F64, fold_N: I64) -> F64:
    """Return the probability that each creative violates; none rests on a label of its own fold.

    A weighted logistic regression on the log odds of all scores (Platt 1999, of several scores), cross-fitted. So
    whether and how a creative was labelled does not move its own probability of inclusion.

    Parameters
    ----------
    score_KN : in [0, 1]; NaN or negative where a model gave none.
    at_n, y_n, weight_n : labelled creatives, 1 violating or 0 compliant, 1/π.
    fold_N : in 0 … FOLDS − 1, from the creative's id alone.

    Returns
    -------
    chance_N : float64, in (0, 1). Without labels of both kinds it is the mean of the scores.
    """
    if len(np.unique(y_n)) != 2:
        known = np.where(score_KN >= 0, score_KN, np.nan)
        some_N = ~np.isnan(known).all(0) if len(known) else np.zeros(len(fold_N), bool)
        chance_N = np.full(len(fold_N), 0.5)
        chance_N[some_N] = np.nanmean(known[:, some_N], axis=0)
        return np.clip(chance_N, _EDGE, 1 - _EDGE)
    x_NJ = _features(score_KN)
    chance_N = np.empty(len(fold_N))
    for fold in range(FOLDS):
        others_n = fold_N[at_n] != fold
        beta_J = _logistic(x_NJ[at_n[others_n]], y_n[others_n].astype(np.float64), weight_n[others_n])
        inside = fold_N == fold
        mean = float(np.average(y_n[others_n], weights=weight_n[others_n]))
        chance_N[inside] = (1 - DOUBT) * expit(x_NJ[inside] @ beta_J) + DOUBT * mean
    return np.clip(chance_N, _EDGE, 1 - _EDGE)


def _features(score_KN: F64) -> F64:
    """Return 1, the standardised log odds of each score (0 where there is none), and whether there is none."""
    columns = [np.ones(score_KN.shape[1])]
    for score_N in score_KN:
        lacking_N = ~(score_N >= 0)
        odds_N = logit(np.clip(np.where(lacking_N, 0.5, score_N), _EDGE, 1 - _EDGE))
        spread = float(odds_N[~lacking_N].std()) if not lacking_N.all() else 0.0
        centre = float(odds_N[~lacking_N].mean()) if spread else 0.0
        columns.append(np.where(lacking_N, 0.0, (odds_N - centre) / (spread or 1.0)))
        if lacking_N.any():
            columns.append(lacking_N.astype(np.float64))
    return np.stack(columns, axis=1)


def _logistic(x_nJ: F64, y_n: F64, weight_n: F64) -> F64:
    """Return the slopes of greatest penalised likelihood by damped Newton steps; weights add up to their number."""
    weight_n = weight_n * float(kish(weight_n.sum(), (weight_n**2).sum())) / weight_n.sum()
    prior_J = np.append(1e-3, np.full(x_nJ.shape[1] - 1, _RIDGE))  # next to none on the intercept
    beta_J = np.zeros(x_nJ.shape[1])

    def loss(at_J: F64) -> float:
        z_n = x_nJ @ at_J
        return float(weight_n @ (np.logaddexp(0.0, z_n) - y_n * z_n) + 0.5 * (prior_J * at_J**2).sum())

    now = loss(beta_J)
    for _ in range(_STEPS):
        p_n = expit(x_nJ @ beta_J)
        gradient_J = x_nJ.T @ (weight_n * (p_n - y_n)) + prior_J * beta_J
        curve_JJ = (x_nJ * (weight_n * p_n * (1 - p_n))[:, None]).T @ x_nJ + np.diag(prior_J)
        step_J = np.linalg.solve(curve_JJ, gradient_J)
        size = 1.0
        while (then := loss(beta_J - size * step_J)) > now and size > _NEAR:
            size /= 2
        beta_J = beta_J - size * step_J
        if now - then <= _NEAR * (1 + abs(now)):
            break
        now = then
    return beta_J
