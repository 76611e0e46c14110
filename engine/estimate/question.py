"""Everything that one call of the estimators is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.estimate.predictions import Predictions
from engine.estimate.sample import INFERENCES
from engine.estimate.small_segments import SmallSegments
from engine.records import ANY, WEIGHTINGS, LabelledRows, ReviewerError, ScoredSample, Segments, Totals
from engine.strategy import StrategyTable


@dataclass(frozen=True)
class Prices:
    """What things cost, in the user's money.

    weighting : what a leaked or overkilled unit is. scoring_S : cost of the scores that each strategy reads, or None.
    """

    leaked: float
    overkilled: float
    per_review: float
    scoring_S: tuple[float | None, ...]
    weighting: str


@dataclass(frozen=True)
class Question:
    """What to estimate, from which totals and labelled rows.

    overlapping : creatives inside the training of a model; rates leave them out, totals cannot.
    unmapped : weighting → why it cannot be had at all. refused : the exposure model of refused creatives, or None.
    pair : indices of baseline and candidate, or None.
    reviewer_error : policy (or `any`) → how its audit labels err; empty where they are taken as right.
    scored : the sample that stands for all creatives where not all are scored; then no total by decision is known.
    predictions : what the difference estimator leans on; without them rates are Hájek's.
    small : what becomes of segments with few labels.
    post_strata : attributes whose combinations weights are calibrated to, see `post_strata`; none where it is empty.
    of_G : the strategy that each segment belongs to, where several stand side by side (see `stack`).
    """

    table: StrategyTable
    policies: tuple[str, ...]
    segments: Segments
    totals: Totals
    rows: LabelledRows
    confidence: float = 0.95
    pair: tuple[int, int] | None = None
    prices: Prices | None = None
    refused: str | None = None
    overlapping: int = 0
    unmapped: Mapping[str, str] = field(default_factory=dict)
    inferences: tuple[str, ...] = INFERENCES
    weightings: tuple[str, ...] = WEIGHTINGS
    scored: ScoredSample | None = None
    reviewer_error: Mapping[str, ReviewerError] = field(default_factory=dict)
    predictions: Predictions | None = None
    small: SmallSegments = field(default_factory=SmallSegments)
    post_strata: tuple[str, ...] = ()
    of_G: tuple[str, ...] = ()

    @property
    def readable_policies(self) -> tuple[str, ...]:
        """The policies, and last `any` where there are several."""
        return self.policies if len(self.policies) == 1 else (*self.policies, ANY)

    def error_of(self, policy: str) -> ReviewerError | None:
        """Return how the audit's reviewers err on a policy (or `any`), None where their labels stand as they are."""
        found = self.reviewer_error.get(policy)
        return None if found is None or found.perfect else found

    def unnamed_error(self, policy: str) -> str | None:
        """Return why no label tells of a policy: reviewer error is given of others and not of this one; else None."""
        if not self.reviewer_error or policy in self.reviewer_error:
            return None
        return f"labels.reviewer_error does not say how often reviewers err on {policy}"
