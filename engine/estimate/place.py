"""One segment under one weighting: its exposure by outcome, and its rows in a sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.estimate.known import KnownTotals
from engine.estimate.question import Question
from engine.estimate.sample import Sample
from engine.records import F64, I64, WEIGHTINGS


@dataclass(frozen=True)
class Place:
    """Where a number is looked for."""

    question: Question
    known: KnownTotals
    weighting: str
    segment: int

    @property
    def w(self) -> int:
        return WEIGHTINGS.index(self.weighting)

    def exposure_O(self, strategy: int) -> F64:
        """Return known + imputed exposure of each outcome of a strategy."""
        rules = len(self.question.table.rules[strategy])
        return self.known.exposure(strategy, self.segment, self.w)[:rules]

    def imputed_O(self, strategy: int) -> F64:
        """Return the imputed part of it."""
        return self.known.imputed_SOGW[strategy, : len(self.question.table.rules[strategy]), self.segment, self.w]

    def count_O(self, strategy: int) -> F64:
        """Return the creatives of each outcome."""
        return self.known.known_SOGW[strategy, : len(self.question.table.rules[strategy]), self.segment, 0]

    def missing(self, strategy: int) -> int:
        """Return how many creatives lack this exposure."""
        return int(self.known.missing_SOGW[strategy, :, self.segment, self.w].sum())

    def at(self, sample: Sample) -> I64:
        """Return the positions in a sample that lie in the segment."""
        member_C = self.question.segments.member_GC[self.segment]
        return np.flatnonzero(member_C[self.question.rows.cell_n[sample.rows_n]])

    def exposure_n(self, sample: Sample) -> F64:
        """Return the exposure of every row of a sample, 0 where missing."""
        rows, chosen = self.question.rows, sample.rows_n
        return np.nan_to_num(rows.known_Wn[self.w, chosen]) + rows.imputed_Wn[self.w, chosen]
