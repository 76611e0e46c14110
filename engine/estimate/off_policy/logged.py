"""What history decided by chance, with which probability, and what was seen then."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.errors import DataError
from engine.records import F64, I64, Flags


@dataclass(frozen=True)
class LoggedRows:
    """Creatives of the period as history decided them, sorted by id so that sums have one order; N of them.

    advertiser_N, decision_N, cell_N, fold_N : codes from 0: the advertiser, the logged decision, what the outcome model
        tells apart, and the fold of the advertiser.
    propensity_N : probability with which history took the logged decision, in (0, 1]; 1 where it was not randomised.
    outcome_N : what was seen under the logged decision, in [least, most].

    Assumes that the decisions of two creatives are independent given their propensities, and that a creative's outcome
    depends on its own decision alone.

    Raises
    ------
    DataError : a propensity that is no number in (0, 1], an outcome that is missing or outside its range.
    """

    advertiser_N: I64
    decision_N: I64
    cell_N: I64
    fold_N: I64
    propensity_N: F64
    outcome_N: F64
    least: float = 0.0
    most: float = float("inf")

    def __post_init__(self) -> None:
        _refuse(~((self.propensity_N > 0) & (self.propensity_N <= 1)), self.propensity_N, "propensity", "in (0, 1]")
        inside = np.isfinite(self.outcome_N) & (self.outcome_N >= self.least) & (self.outcome_N <= self.most)
        _refuse(~inside, self.outcome_N, "outcome", f"in [{self.least:g}, {self.most:g}]")

    def __len__(self) -> int:
        return len(self.decision_N)

    def only(self, chosen_N: Flags) -> LoggedRows:
        """Return the rows of a segment."""
        return LoggedRows(
            self.advertiser_N[chosen_N],
            self.decision_N[chosen_N],
            self.cell_N[chosen_N],
            self.fold_N[chosen_N],
            self.propensity_N[chosen_N],
            self.outcome_N[chosen_N],
            self.least,
            self.most,
        )


@dataclass(frozen=True)
class Target:
    """What a strategy would have done with the same creatives.

    decision_N : codes as in LoggedRows. zero_N : the outcome is 0 by nature, such as impressions of what is refused.
    """

    decision_N: I64
    zero_N: Flags

    def only(self, chosen_N: Flags) -> Target:
        """Return the rows of a segment."""
        return Target(self.decision_N[chosen_N], self.zero_N[chosen_N])


@dataclass(frozen=True)
class Match:
    """How history's chance meets a strategy, by creative.

    settled_N : the outcome under the strategy is known. value_N : that outcome, 0 elsewhere.
    drawn_N : history randomised, the strategy's decision or another. lost_N : history never did what the strategy does.
    weight_N : 1 / propensity where history drew the strategy's decision, at most `clip`; 0 elsewhere. raw_N : the
        same without the clip.
    """

    settled_N: Flags
    value_N: F64
    drawn_N: Flags
    lost_N: Flags
    weight_N: F64
    raw_N: F64


def match(rows: LoggedRows, target: Target, clip: float | None = None) -> Match:
    """Hold a strategy's decisions against those that history drew.

    A creative with propensity 1 had no other decision: under a strategy that decides otherwise nothing is known of it.
    """
    same, certain = rows.decision_N == target.decision_N, rows.propensity_N == 1.0
    settled = target.zero_N | (certain & same)
    drawn = ~target.zero_N & ~certain
    raw = np.where(drawn & same, 1 / rows.propensity_N, 0.0)
    return Match(
        settled_N=settled,
        value_N=np.where(settled & ~target.zero_N, rows.outcome_N, 0.0),
        drawn_N=drawn,
        lost_N=~target.zero_N & certain & ~same,
        weight_N=raw if clip is None else np.minimum(raw, clip),
        raw_N=raw,
    )


def _refuse(bad: Flags, values: F64, name: str, range_: str) -> None:
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        raise DataError(f"{name} of row {at} is {values[at]:g}: needs a number {range_}; {int(bad.sum())} such rows")
