"""The formulas. A metric is a ratio of two sums over creatives; both parts stand here, once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engine.estimate.delivery import Delivery
from engine.records import F64, I8, I16, Flags


@dataclass(frozen=True)
class Terms:
    """Per labelled creative: exposure w, truth y (0 or 1), shares delivered (A), held (H) and refused (R).

    hold, refuse and review are the parts owed to the policy at hand.
    """

    w: F64
    y: F64
    accept: F64
    hold: F64
    refuse: F64
    review: F64
    mixture: Mixture | None = None


@dataclass(frozen=True)
class Mixture:
    """Creatives whose truth is known but for reviewer error: the terms if compliant, if violating, and y' of each.

    y' may leave [0, 1]: see `reviewer_error`.
    """

    compliant: Terms
    violating: Terms
    share_n: F64


def counted(t: Terms, count: Callable[[Terms], F64]) -> F64:
    """Return what each creative counts, a mixture of both truths where labels are corrected."""
    if t.mixture is None:
        return count(t)
    zero, one = count(t.mixture.compliant), count(t.mixture.violating)
    return zero + t.mixture.share_n * (one - zero)


@dataclass(frozen=True)
class Metric:
    """A rate that labels are needed for.

    formed : numerator and denominator per creative of a known truth.
    values : what numerator / denominator of one creative can be, by outcome and y; bounds of the ratio.
    uses : outcomes whose creatives enter either part; where one of them lacks exposure, the metric is null.
    owed : the metric depends on the policy that a decision is owed to.
    """

    name: str
    formula: str
    formed: Callable[[Terms], tuple[F64, F64]]
    values: Callable[[Delivery], F64]
    uses: Callable[[Delivery], Flags]
    owed: bool

    def parts(self, t: Terms) -> tuple[F64, F64]:
        """Return numerator and denominator per creative."""
        return counted(t, lambda known: self.formed(known)[0]), counted(t, lambda known: self.formed(known)[1])

    def per_outcome(self, given: Delivery) -> F64:
        """Return numerator and denominator of a creative of exposure 1 for y = 0 and 1, shape (O, 4)."""
        outcome_O = np.arange(len(given.owed_O), dtype=np.int16)
        one = np.ones(len(outcome_O))
        columns: list[F64] = []
        for y in (0, 1):
            columns += self.parts(terms(given, outcome_O, np.full(len(outcome_O), y, np.int8), one))
        return np.stack(columns, axis=1)

    def bounds(self, given: Delivery, occurs_O: Flags) -> tuple[float, float]:
        """Return the least and greatest value that the ratio can take with the outcomes that occur."""
        values = self.values(given)[occurs_O]
        low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
        return (low, high) if low < high else (0.0, 1.0)


def _everything(d: Delivery) -> Flags:
    return np.ones(len(d.owed_O), bool)


def _delivered(d: Delivery) -> Flags:
    return np.asarray(d.accept_OY.any(1))


def _refused(d: Delivery) -> Flags:
    return d.refuse_OY.any(1) & d.owed_O


def _reviewed(d: Delivery) -> Flags:
    return np.asarray((d.review_O > 0) & d.owed_O)


def _either(d: Delivery) -> F64:
    """A share of violating or compliant creatives: each creative counts 0 or 1."""
    return np.tile([0.0, 1.0], (len(d.owed_O), 1))


RATES = (
    Metric(
        "leakage_rate",
        "Σ w y A / Σ w y",
        formed=lambda t: (t.w * t.y * t.accept, t.w * t.y),
        values=lambda d: d.accept_OY[:, 1],
        uses=_everything,
        owed=False,
    ),
    Metric(
        "leakage_prevalence",
        "Σ w y A / Σ w A",
        formed=lambda t: (t.w * t.y * t.accept, t.w * t.accept),
        values=_either,
        uses=_delivered,
        owed=False,
    ),
    Metric(
        "overkill_rate",
        "Σ w (1−y) R / Σ w (1−y)",
        formed=lambda t: (t.w * (1 - t.y) * t.refuse, t.w * (1 - t.y)),
        values=lambda d: d.refuse_OY[:, 0] * d.owed_O,
        uses=_everything,
        owed=True,
    ),
    Metric(
        "overkill_share",
        "Σ w (1−y) R / Σ w R",
        formed=lambda t: (t.w * (1 - t.y) * t.refuse, t.w * t.refuse),
        values=_either,
        uses=_refused,
        owed=True,
    ),
    Metric(
        "delay_compliant",
        "Σ w (1−y) H / Σ w (1−y)",
        formed=lambda t: (t.w * (1 - t.y) * t.hold, t.w * (1 - t.y)),
        values=lambda d: d.hold_OY[:, 0] * d.owed_O,
        uses=_everything,
        owed=True,
    ),
    Metric(
        "review_precision",
        "Σ w y [REVIEW] / Σ w [REVIEW]",
        formed=lambda t: (t.w * t.y * t.review, t.w * t.review),
        values=_either,
        uses=_reviewed,
        owed=True,
    ),
)

VIOLATING_SHARE = Metric(  # of all that was submitted: the same whatever a strategy does
    "violating_share",
    "Σ w y / Σ w",
    formed=lambda t: (t.w * t.y, t.w),
    values=_either,
    uses=_everything,
    owed=False,
)

DECISION_RATES = {
    "reject_rate": "Σ w [REJECT] / Σ w",
    "limit_rate": "Σ w [LIMIT] / Σ w",
    "review_rate": "Σ w [REVIEW] / Σ w",
    "automation_rate": "1 − Σ w [REVIEW] / Σ w",
}
COST = "cost"
COST_FORMULA = (
    "leaked · Σ w y A + overkilled · Σ w (1−y) R + review_minute · minutes_per_review · Σ [REVIEW] "
    "+ million_contents · contents / 10⁶"
)
FORMULAS: dict[str, str] = {metric.name: metric.formula for metric in RATES} | DECISION_RATES | {COST: COST_FORMULA}


@dataclass(frozen=True)
class Number:
    """One number of a strategy: a metric under a weighting."""

    metric: str
    weighting: str


def terms(delivery: Delivery, outcome_n: I16, y_n: I8, w_n: F64) -> Terms:
    """Look up what each labelled creative got; y_n is 0 or 1."""
    y = y_n.astype(np.int64)
    owed = delivery.owed_O[outcome_n]
    return Terms(
        w=w_n,
        y=y.astype(np.float64),
        accept=delivery.accept_OY[outcome_n, y],
        hold=delivery.hold_OY[outcome_n, y] * owed,
        refuse=delivery.refuse_OY[outcome_n, y] * owed,
        review=delivery.review_O[outcome_n] * owed,
    )
