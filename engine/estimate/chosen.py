"""A few numbers of many strategies over all creatives: what a sweep is judged by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from engine.estimate.cost import costs
from engine.estimate.decision_rates import decision_rates
from engine.estimate.known import KnownTotals, creatives_of
from engine.estimate.label_rates import label_rates, paired_rates
from engine.estimate.metrics import COST, DECISION_RATES, RATES, Number
from engine.estimate.policy import bases, policies
from engine.estimate.question import Question
from engine.estimate.sample import HISTORY, Sample, answered_sample
from engine.estimate.sampled_rates import sampled_decision_rates
from engine.estimate.stack import Stack
from engine.estimate.view import View
from engine.records import I64, WEIGHTINGS, WEIGHTS, Estimate


def chosen_numbers(
    question: Question, numbers: Sequence[Number], policy: str, reading: str
) -> Iterator[Mapping[Number, Estimate]]:
    """Yield, strategy by strategy, the chosen numbers for `history` over all creatives of the first segment.

    Parameters
    ----------
    policy : of the rates that labels are needed for; rates of decisions and cost belong to the creative.
    """
    question = overall(question)
    last = len(question.readable_policies) - 1
    mine, whole = policies(question, (question.readable_policies.index(policy), last))
    rates = decision_rates if question.scored is None else sampled_decision_rates
    for s in range(len(question.table.strategies)):
        found: list[Estimate] = []
        for weighting in dict.fromkeys(number.weighting for number in numbers):
            here = {number.metric for number in numbers if number.weighting == weighting}
            labels = [metric for metric in RATES if metric.name in here]
            decided = [metric for metric in DECISION_RATES if metric in here]
            found += label_rates(Stack(mine, (s,)).views(reading, weighting)[0], labels) if labels else ()
            if decided or COST in here:
                _, answered, drawn = Stack(whole, (s,)).views(reading, weighting)
                found += rates(answered, drawn, decided)
                found += costs(answered) if COST in here else ()
        yield {Number(row.metric, row.weighting): row for row in found}


@dataclass(frozen=True)
class Basis:
    """What the chosen numbers of all strategies stand on.

    answered : samples with a label by policy. scored, everybody : the rows and the sample that stand for all creatives.
    at, last : the policy of rates that labels are needed for, and that of rates of decisions.
    """

    question: Question
    scored: Question
    known: KnownTotals
    answered: Mapping[int, Sample]
    everybody: Sample
    at: int
    last: int
    reading: str

    @staticmethod
    def of(question: Question, policy: str, reading: str) -> Basis:
        """Return the basis of a question, in every segment of it."""
        creatives_G = creatives_of(question.totals, question.segments)
        known, scored, everybody = bases(question, creatives_G)
        at, last = question.readable_policies.index(policy), len(question.readable_policies) - 1
        answered = {q: answered_sample(question.rows, q, question.segments, creatives_G) for q in {at, last}}
        return Basis(question, scored, known, answered, everybody, at, last, reading)

    def views(self, strategy: int, weighting: str) -> tuple[View, View, View]:
        """Return the views that read labels of the policy, labels of the last one, and no label."""
        mine, whole = (
            View(self.question, self.known, self.answered[q], strategy, q, self.reading, weighting)
            for q in (self.at, self.last)
        )
        return mine, whole, replace(whole, question=self.scored, sample=self.everybody)


def within(question: Question, segment: int) -> Question:
    """Return the question about one of its segments alone; rows outside of it count 0."""
    segments, one = question.segments, slice(segment, segment + 1)
    alone = replace(segments, by=segments.by[one], name=segments.name[one], member_GC=segments.member_GC[one])
    return replace(question, segments=alone)


@dataclass(frozen=True)
class Pair:
    """Two strategies. swap_OQ : creatives by outcome of the baseline and the candidate, None where not counted."""

    baseline: int
    candidate: int
    swap_OQ: I64 | None = None


def paired_numbers(
    question: Question, pairs: Sequence[Pair], metrics: Sequence[str], policy: str, reading: str
) -> Iterator[Mapping[str, Estimate]]:
    """Yield candidate − baseline of rates that labels are needed for, by creatives, pair by pair."""
    question = overall(question)
    creatives_G = creatives_of(question.totals, question.segments)
    known, _, _ = bases(question, creatives_G)
    q = question.readable_policies.index(policy)
    answered = answered_sample(question.rows, q, question.segments, creatives_G)
    chosen = [metric for metric in RATES if metric.name in metrics]
    for pair in pairs:
        asked = _with_pair(question, pair)
        baseline, candidate = (
            View(asked, known, answered, s, q, reading, WEIGHTINGS[0]) for s in (pair.baseline, pair.candidate)
        )
        yield {row.metric: row for row in paired_rates(candidate, baseline, chosen)}


def _with_pair(question: Question, pair: Pair) -> Question:
    """Return the question with what is known of the pair's swaps."""
    if pair.swap_OQ is None:
        return question
    swap_OQCW = np.zeros((*pair.swap_OQ.shape, 1, len(WEIGHTS)), np.int64)
    swap_OQCW[:, :, 0, 0] = pair.swap_OQ
    totals = replace(question.totals, swap_OQCW=swap_OQCW)
    return replace(question, pair=(pair.baseline, pair.candidate), totals=totals)


def overall(question: Question) -> Question:
    """Return the question about all creatives alone, of this history alone."""
    return replace(within(question, 0), inferences=(HISTORY,), pair=None, predictions=None, post_strata=())
