"""One policy's samples: the rows that its labels answer and those that stand for all creatives, by row or summed up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from engine.estimate.condensed import Condensed
from engine.estimate.condenser import Condenser, condenser_of
from engine.estimate.known import KnownTotals, creatives_of, estimated_totals, sum_segments
from engine.estimate.post_strata import PostStratified, calibrated_sample
from engine.estimate.question import Question
from engine.estimate.sample import Sample, answered_sample, drawn_sample, sample_of_all
from engine.estimate.view import View
from engine.records import F64, WEIGHTINGS


@dataclass(frozen=True)
class Policy:
    """One policy's question. answered : the rows that its labels answer. everybody : those (of `scored`) of all."""

    question: Question
    scored: Question
    known: KnownTotals
    answered: Sample
    everybody: Sample
    policy: int

    @property
    def last(self) -> bool:
        """Whether rates of decisions and costs stand under this policy."""
        return self.policy == len(self.question.readable_policies) - 1

    @property
    def cost_weighting(self) -> str:
        """The weighting that costs count in."""
        return self.question.prices.weighting if self.question.prices else self.question.weightings[0]

    @cached_property
    def calibrated(self) -> PostStratified | None:
        """The answered rows with weights calibrated to post-strata, None where the question names none."""
        return calibrated_sample(self.question, self.answered)

    @cached_property
    def condensers(self) -> Mapping[str, tuple[Condenser | None, Condenser | None]]:
        """What condenses the answered rows and those of everybody, by weighting.

        None where labels are corrected, so that rows count more than their truth, and of a scored sample.
        """
        if self.question.error_of(self.question.readable_policies[self.policy]) is not None:
            return dict.fromkeys(self.question.weightings, (None, None))
        out = {}
        for name in self.question.weightings:
            at = WEIGHTINGS.index(name)
            mine = condenser_of(self.answered, self.question.rows, self.policy, at)
            if self.question.scored is not None:
                drawn = None
            elif _same_draws(self.answered, self.everybody):
                drawn = mine
            else:
                drawn = condenser_of(self.everybody, self.question.rows, self.policy, at)
            out[name] = mine, drawn
        return out

    def view(self, strategy: int, reading: str, weighting: str) -> View:
        """Return where the numbers of a strategy come from that read labels row by row."""
        place = strategy, self.policy, reading, weighting
        return View(self.question, self.known, self.answered, *place, calibrated=self.calibrated)

    def drawn(self, view: View) -> View:
        """Return the same of all creatives that were drawn or scored."""
        return replace(view, sample=self.everybody, question=self.scored)

    def summed(self, strategy: int, weighting: str) -> tuple[Condensed | None, Condensed | None]:
        """Return the answered rows and those of everybody, summed up where that can be."""
        mine, drawn = self.condensers[weighting]
        outcomes = len(self.question.table.rules[strategy])
        outcome_n = self.question.rows.outcome_Sn[strategy]
        answered = mine.condense(outcome_n[self.answered.rows_n], outcomes) if mine else None
        if drawn is mine:
            return answered, answered
        return answered, drawn.condense(outcome_n[self.everybody.rows_n], outcomes) if drawn else None


def policies(question: Question, chosen: Sequence[int] | None = None) -> list[Policy]:
    """Return the readable policies of a question in order, or those of some indices."""
    creatives_G = creatives_of(question.totals, question.segments)
    known, scored, everybody = bases(question, creatives_G)
    indices = range(len(question.readable_policies)) if chosen is None else chosen
    answered = (answered_sample(question.rows, q, question.segments, creatives_G) for q in indices)
    return [Policy(question, scored, known, rows, everybody, q) for q, rows in zip(indices, answered, strict=True)]


def bases(question: Question, creatives_G: F64) -> tuple[KnownTotals, Question, Sample]:
    """Return the sums by outcome, and the rows (as a question of their own) and sample that stand for all creatives."""
    segments = question.segments
    if question.scored is None:
        drawn = drawn_sample(question.rows, segments, creatives_G)
        return sum_segments(question.totals, segments), question, drawn
    sample = sample_of_all(question.scored, segments, creatives_G)
    known = estimated_totals(question.scored, sample, question.totals, segments, question.table.outcomes)
    return known, replace(question, rows=question.scored.rows), sample


def _same_draws(one: Sample, other: Sample) -> bool:
    return np.array_equal(one.rows_n, other.rows_n) and np.array_equal(one.weight_n, other.weight_n)
