"""A few numbers of many strategies over all creatives: what a sweep is judged by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from engine.estimate.cost import costs
from engine.estimate.decision_rates import decision_rates
from engine.estimate.estimates import bases
from engine.estimate.known import creatives_of
from engine.estimate.label_rates import label_rates, paired_rates
from engine.estimate.metrics import COST, DECISION_RATES, RATES, Number
from engine.estimate.question import Question
from engine.estimate.sample import HISTORY, answered_sample
from engine.estimate.sampled_rates import sampled_decision_rates
from engine.estimate.view import View
from engine.records import I64, WEIGHTINGS, WEIGHTS, Estimate


def chosen_numbers(
    question: Question, numbers: Sequence[Number], policy: str, reading: str
) -> Iterator[Mapping[Number, Estimate]]:
    """Yield, strategy by strategy, the chosen numbers for `history` over all creatives.

    Parameters
    ----------
    policy : of the rates that labels are needed for; rates of decisions and cost belong to the creative.
    """
    question = _overall(question)
    creatives_G = creatives_of(question.totals, question.segments)
    known, scored, everybody = bases(question, creatives_G)
    last = len(question.readable_policies) - 1
    at = question.readable_policies.index(policy)
    answered = {q: answered_sample(question.rows, q, question.segments, creatives_G) for q in {at, last}}
    rates = decision_rates if question.scored is None else sampled_decision_rates
    for s in range(len(question.table.strategies)):
        found: dict[Number, Estimate] = {}
        for weighting in WEIGHTINGS:
            here = {number.metric for number in numbers if number.weighting == weighting}
            mine = View(question, known, answered[at], s, at, reading, weighting)
            whole = View(question, known, answered[last], s, last, reading, weighting)
            rows = [*label_rates(mine, [metric for metric in RATES if metric.name in here])]
            drawn = View(scored, known, everybody, s, last, reading, weighting)
            rows += rates(whole, drawn, [metric for metric in DECISION_RATES if metric in here])
            rows += costs(whole) if COST in here else ()
            found |= {Number(row.metric, weighting): row for row in rows}
        yield found


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
    question = _overall(question)
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


def _overall(question: Question) -> Question:
    """Return the question about all creatives alone, of this history alone."""
    segments = question.segments
    alone = replace(segments, by=segments.by[:1], name=segments.name[:1], member_GC=segments.member_GC[:1])
    return replace(question, segments=alone, inferences=(HISTORY,), pair=None, predictions=None)
