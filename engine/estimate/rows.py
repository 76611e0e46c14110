"""The empty row of a number: what it is about, before it is estimated."""

from __future__ import annotations

from engine.estimate.question import Question
from engine.records import Estimate


def blank(
    question: Question,
    strategy: str,
    policy: int,
    weighting: str,
    reading: str,
    metric: str,
    segment: int,
    formula: str,
) -> Estimate:
    """Return the row of a number that is not estimated yet."""
    segments = question.segments
    return Estimate(
        strategy, None, question.readable_policies[policy], segments.by[segment], segments.name[segment], weighting, reading,
        metric, "", None, None, None, None, question.confidence, 0, 0.0, 0.0, None, None, None, formula,
    )  # fmt: skip
