"""Predicted outcomes for the doubly robust estimator: means by decision and cell, cross-fitted over advertisers."""

from __future__ import annotations

import numpy as np

from engine.estimate.off_policy.logged import LoggedRows, Target
from engine.records import F64, I64


def predict_outcomes(rows: LoggedRows, target: Target) -> F64:
    """Return what the outcome of every creative would be under the strategy's decision.

    The mean over creatives of other folds with that logged decision and the same cell; without any, over those with
    that decision; without any, 0. A creative's own decision, drawn by chance, never enters its own prediction: whatever
    the prediction is, it adds no bias.
    """
    folds = int(rows.fold_N.max(initial=0)) + 1
    decisions = int(max(rows.decision_N.max(initial=0), target.decision_N.max(initial=0))) + 1
    cells = int(rows.cell_N.max(initial=0)) + 1
    fine = _means_of_others(rows, rows.decision_N * cells + rows.cell_N, folds, decisions * cells)
    coarse = _means_of_others(rows, rows.decision_N, folds, decisions)
    found = fine[rows.fold_N, target.decision_N * cells + rows.cell_N]
    rest = coarse[rows.fold_N, target.decision_N]
    return np.where(target.zero_N, 0.0, np.nan_to_num(np.where(np.isnan(found), rest, found)))


def _means_of_others(rows: LoggedRows, group_N: I64, folds: int, groups: int) -> F64:
    """Return mean outcomes by fold and group of the rows outside that fold, NaN where there are none."""
    key_N, size = rows.fold_N * groups + group_N, folds * groups
    count_FG = np.bincount(key_N, minlength=size).reshape(folds, groups).astype(np.float64)
    sum_FG = np.bincount(key_N, rows.outcome_N, minlength=size).reshape(folds, groups)
    count_FG, sum_FG = count_FG.sum(0) - count_FG, sum_FG.sum(0) - sum_FG
    return np.where(count_FG > 0, sum_FG / np.maximum(count_FG, 1.0), np.nan)
