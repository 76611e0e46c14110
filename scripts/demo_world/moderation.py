"""What the platform did at the time: machine decisions, human reviews, appeals and user reports."""

from dataclasses import dataclass

import numpy as np

from demo_world.arrays import F32, F64, I64, Bool
from demo_world.rhythm import DAY_US, END_US, HOUR_US

DECISIONS = ("approved", "queued", "rejected")
FINALS = ("approved", "rejected", "pending")
APPROVED, QUEUED, REJECTED = 0, 1, 2  # of DECISIONS
DELIVERED, REFUSED, PENDING = 0, 1, 2  # of FINALS

REJECT_FROM, QUEUE_FROM = np.float32(0.9), np.float32(0.5)
SENSITIVITY, SPECIFICITY = 0.95, 0.99
APPEAL_RATE = (0.05, 0.40)  # of refused creatives: violating, compliant
REPORT_RATE = (0.0008, 0.06)  # of delivered creatives: compliant, violating

COMPLIANT, VIOLATING, UNKNOWN, UNANSWERED = 0, 1, 2, -1


@dataclass(frozen=True)
class LabelRows:
    """Labels of one source; creative_n are row numbers, label_n one of the four codes above."""

    source: str
    creative_n: I64
    label_n: I64
    known_at_n: I64
    reviewer_n: I64


@dataclass(frozen=True)
class Handling:
    """How every creative was handled, and when its final decision stood (END_US or later: pending)."""

    decision_N: I64
    final_N: I64
    decided_at_N: I64
    reviews: LabelRows


def decide(score_N: F32) -> I64:
    """Decide as the platform did: reject from 0.9, queue from 0.5, else approve; both in float32."""
    return np.where(score_N >= REJECT_FROM, REJECTED, np.where(score_N >= QUEUE_FROM, QUEUED, APPROVED))


def moderate(score_N: F32, violating_N: Bool, submitted_N: I64, rng: np.random.Generator) -> Handling:
    """Decide on every creative and let humans review what was queued, after half an hour to four days."""
    decision_N = decide(score_N)
    hours_N = np.clip(rng.lognormal(np.log(9.0), 0.9, len(score_N)), 0.5, 96.0)
    ends_N = submitted_N + (hours_N * HOUR_US).astype(np.int64)
    verdict_N = _human(violating_N, rng)
    queued_N = decision_N == QUEUED
    reviewed_N = queued_N & (ends_N < END_US)
    final_N = np.where(decision_N == REJECTED, REFUSED, DELIVERED)
    final_N[queued_N] = PENDING
    final_N[reviewed_N] = np.where(verdict_N[reviewed_N] == VIOLATING, REFUSED, DELIVERED)
    rows = np.flatnonzero(reviewed_N)
    reviews = LabelRows("review", rows, verdict_N[rows], ends_N[rows], rng.integers(0, 25, len(rows)))
    return Handling(decision_N, final_N, np.where(queued_N, ends_N, submitted_N), reviews)


def appeals(handling: Handling, violating_N: Bool, rng: np.random.Generator) -> LabelRows:
    """Conclude appeals against refusals: self-selected, oftener when the creative is compliant.

    Only what was concluded inside the period has a row; the logged final decision is not changed by it.
    """
    chance_N = np.where(violating_N, *APPEAL_RATE)
    refused_N = handling.final_N == REFUSED
    concluded_N = handling.decided_at_N + _days(rng.uniform(0.5, 7.0, len(violating_N)))
    return _concluded("appeal", refused_N & _happens(chance_N, rng), concluded_N, violating_N, rng)


def reports(handling: Handling, violating_N: Bool, rng: np.random.Generator) -> LabelRows:
    """Conclude users' reports of delivered creatives, oftener of violating ones."""
    chance_N = np.where(violating_N, *REPORT_RATE[::-1])
    delivered_N = handling.final_N == DELIVERED
    concluded_N = handling.decided_at_N + _days(rng.uniform(0.2, 10.0, len(violating_N)))
    return _concluded("report", delivered_N & _happens(chance_N, rng), concluded_N, violating_N, rng)


def _concluded(
    source: str,
    chosen_N: Bool,
    known_at_N: I64,
    violating_N: Bool,
    rng: np.random.Generator,
) -> LabelRows:
    """Rows of what a human concluded about the chosen creatives before the period ended."""
    rows = np.flatnonzero(chosen_N & (known_at_N < END_US))
    verdict_N = _human(violating_N, rng)
    return LabelRows(source, rows, verdict_N[rows], known_at_N[rows], rng.integers(25, 32, len(rows)))


def _days(days_N: F64) -> I64:
    """Microseconds of so many days."""
    return (days_N * DAY_US).astype(np.int64)


def _human(violating_N: Bool, rng: np.random.Generator) -> I64:
    """What a human with SENSITIVITY and SPECIFICITY would conclude about each creative."""
    right_N = rng.random(len(violating_N)) < np.where(violating_N, SENSITIVITY, SPECIFICITY)
    return np.where(right_N == violating_N, VIOLATING, COMPLIANT)


def _happens(chance_N: F64, rng: np.random.Generator) -> Bool:
    happens_N: Bool = rng.random(len(chance_N)) < chance_N
    return happens_N
