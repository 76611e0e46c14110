"""A stratified audit: simple random samples without replacement, with fractions that differ by stratum."""

from dataclasses import dataclass

import numpy as np

from demo_world.arrays import F64, I64, Bool
from demo_world.moderation import COMPLIANT, UNANSWERED, UNKNOWN, VIOLATING, LabelRows
from demo_world.rhythm import DAY_US, END_US

AUDIT_ID = "a1"
DRAWN_AT = END_US
UNANSWERED_SHARE, UNKNOWN_SHARE = 0.015, 0.005


@dataclass(frozen=True)
class Plan:
    """Strata by name, and the share of all labels that each gets; the first takes what others cannot."""

    stratum_H: tuple[str, ...]
    share_H: tuple[float, ...]
    labels: int


@dataclass(frozen=True)
class Audit:
    """A drawn audit; stratum_N numbers plan.stratum_H, inclusion_N = sample_H / population_H per stratum."""

    plan: Plan
    population_H: I64
    sample_H: I64
    stratum_N: I64
    inclusion_N: F64
    rows: LabelRows


def draw(plan: Plan, stratum_N: I64, violating_N: Bool, rng: np.random.Generator) -> Audit:
    """Draw the plan's sample and answer it with true labels, a few unknown or not yet answered.

    Raises
    ------
    ValueError
        A stratum is empty.
    """
    population_H = np.bincount(stratum_N, minlength=len(plan.stratum_H)).astype(np.int64)
    if not population_H.all():
        raise ValueError(f"an audit stratum is empty: {dict(zip(plan.stratum_H, population_H, strict=True))}")
    sample_H = _allocate(plan, population_H)
    members_H = [np.flatnonzero(stratum_N == h) for h in range(len(sample_H))]
    sized = zip(members_H, sample_H, strict=True)
    drawn_H = [rng.choice(members, int(size), replace=False) for members, size in sized]
    rows = np.sort(np.concatenate(drawn_H))
    inclusion_N = (sample_H / population_H)[stratum_N]
    return Audit(plan, population_H, sample_H, stratum_N, inclusion_N, _answer(rows, violating_N, rng))


def effective_events(audit: Audit, event_N: Bool) -> float:
    """Effective number of labelled events, (Σu)² / Σu² with u = 1/π over the answered rows with `event_N`."""
    rows = audit.rows
    answered_n = (rows.label_n == VIOLATING) | (rows.label_n == COMPLIANT)
    u_n = 1.0 / audit.inclusion_N[rows.creative_n[answered_n & event_N[rows.creative_n]]]
    return float(u_n.sum() ** 2 / (u_n**2).sum()) if len(u_n) else 0.0


def _allocate(plan: Plan, population_H: I64) -> I64:
    """Labels per stratum: its share, never more than it holds and never fewer than two if it has them."""
    wanted_H = np.maximum(np.round(np.array(plan.share_H) * plan.labels).astype(np.int64), 2)
    sample_H = np.minimum(wanted_H, population_H)
    left = max(plan.labels - int(sample_H[1:].sum()), int(sample_H[0]))
    sample_H[0] = min(left, int(population_H[0]))
    return sample_H


def _answer(rows: I64, violating_N: Bool, rng: np.random.Generator) -> LabelRows:
    """True labels, known one to fourteen days after the draw; at random some unknown or unanswered."""
    luck_n = rng.random(len(rows))
    label_n = np.where(violating_N[rows], VIOLATING, COMPLIANT)
    label_n[luck_n < UNANSWERED_SHARE + UNKNOWN_SHARE] = UNKNOWN
    label_n[luck_n < UNANSWERED_SHARE] = UNANSWERED
    known_at_n = DRAWN_AT + (rng.uniform(1.0, 14.0, len(rows)) * DAY_US).astype(np.int64)
    return LabelRows("audit", rows, label_n, known_at_n, rng.integers(32, 40, len(rows)))
