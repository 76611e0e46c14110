"""What came out for a setting, and how settings are held against each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engine.expression import Expression, evaluate
from engine.records import F64, Column, Flags
from engine.search.space import Setting


@dataclass(frozen=True)
class Point:
    """One number of a strategy. estimate is None where it cannot be had, for the reason given."""

    estimate: float | None
    low: float | None
    high: float | None
    reason: str | None = None


@dataclass(frozen=True)
class Trial:
    """A strategy that was tried. points : by number, such as `leakage_rate.spend`."""

    name: str
    setting: Setting
    points: Mapping[str, Point]


@dataclass(frozen=True)
class Goal:
    """What a sweep looks for: the least of one number among the strategies that keep to the constraint.

    constraint : over numbers, None where everything is allowed; a number that cannot be had keeps to nothing.
    ties : other numbers that decide, in order, between equal ones; then the setting that was tried first.
    """

    minimise: str
    constraint: Expression | None
    ties: tuple[str, ...] = ()


def values_of(trials: Sequence[Trial], number: str) -> F64:
    """Return one number of every trial, shape (S,); NaN where it cannot be had."""
    found = [trial.points[number].estimate for trial in trials]
    return np.array([np.nan if value is None else value for value in found], np.float64)


def allowed(trials: Sequence[Trial], constraint: Expression | None) -> Flags:
    """Return which trials keep to a constraint, shape (S,)."""
    if constraint is None or not trials:
        return np.ones(len(trials), bool)
    columns = {number: Column(number, values_of(trials, number)) for number in trials[0].points}
    return evaluate(constraint, columns, len(trials))


def best(trials: Sequence[Trial], goal: Goal) -> int | None:
    """Return the position of the best trial, None where none keeps to the constraint."""
    keys = [values_of(trials, number) for number in (goal.minimise, *goal.ties)]
    fit_S = allowed(trials, goal.constraint) & ~np.isnan(keys[0])
    if not fit_S.any():
        return None
    order = np.lexsort([np.arange(len(trials)), *(np.nan_to_num(key, nan=np.inf) for key in reversed(keys)), ~fit_S])
    return int(order[0])


def front(value_SM: F64) -> Flags:
    """Return which rows no other row beats, shape (S,): a Pareto front where less is better in every column.

    A row is beaten by one that is nowhere worse and somewhere better, or equal and earlier. A row with a NaN is on no
    front.
    """
    on_S = np.zeros(len(value_SM), bool)
    whole = np.flatnonzero(~np.isnan(value_SM).any(1))
    order = whole[np.lexsort([whole, *value_SM[whole].T[::-1]])]  # only an earlier one can beat a later one
    kept = np.empty((len(order), value_SM.shape[1]))
    size = 0
    for s in order:
        if not (kept[:size] <= value_SM[s]).all(1).any():
            kept[size] = value_SM[s]
            size += 1
            on_S[s] = True
    return on_S
