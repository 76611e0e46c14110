"""Every number of a run: strategy × policy × reading × weighting × metric × segment × question."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from engine.estimate.cost import costs
from engine.estimate.decision_pairs import paired_decision_rates
from engine.estimate.decision_rates import decision_rates
from engine.estimate.delivery import READINGS
from engine.estimate.known import KnownTotals, creatives_of, estimated_totals, sum_segments
from engine.estimate.label_rates import label_rates, paired_rates
from engine.estimate.question import Question
from engine.estimate.sample import Sample, answered_sample, drawn_sample, sample_of_all
from engine.estimate.sampled_rates import paired_sampled_rates, sampled_decision_rates
from engine.estimate.small_segments import settle
from engine.estimate.view import View
from engine.records import F64, Estimate


def estimate_all(question: Question, threads: int = 1) -> list[Estimate]:
    """Return every estimate of the question, each with an interval or the reason why it is null.

    threads : that share the strategies out, one at a time; their number changes no estimate and no order.
    """
    with ThreadPoolExecutor(threads) as pool:
        return settle(_estimate(question, pool), question.small)


def _estimate(question: Question, pool: ThreadPoolExecutor) -> list[Estimate]:
    creatives_G = creatives_of(question.totals, question.segments)
    known, scored, everybody = bases(question, creatives_G)
    last = len(question.readable_policies) - 1
    cost_weighting = question.prices.weighting if question.prices else question.weightings[0]
    out: list[Estimate] = []
    for q in range(len(question.readable_policies)):
        answered = answered_sample(question.rows, q, question.segments, creatives_G)
        for reading in READINGS:
            for weighting in question.weightings:

                def view(
                    s: int,
                    sample: Sample,
                    asked: Question = question,
                    q: int = q,
                    reading: str = reading,
                    weighting: str = weighting,
                ) -> View:
                    return View(asked, known, sample, s, q, reading, weighting)

                views = [view(s, answered) for s in range(len(question.table.strategies))]
                out += _of_each(pool, label_rates, views)
                pair = (views[question.pair[0]], views[question.pair[1]]) if question.pair else None
                if pair:
                    out += paired_rates(pair[1], pair[0])
                if q != last:
                    continue
                rates = decision_rates if question.scored is None else sampled_decision_rates
                paired = paired_decision_rates if question.scored is None else paired_sampled_rates

                def decided(one: View, rates: Callable[..., Iterable[Estimate]] = rates) -> Iterable[Estimate]:
                    yield from rates(one, replace(one, sample=everybody, question=scored))
                    if one.weighting == cost_weighting:
                        yield from costs(one)

                out += _of_each(pool, decided, views)
                if pair and question.pair:
                    others = [view(s, everybody, scored) for s in question.pair]
                    out += paired((pair[1], others[1]), (pair[0], others[0]))
                    out += costs(pair[1], pair[0]) if weighting == cost_weighting else ()
    return out


def _of_each(
    pool: ThreadPoolExecutor, numbers: Callable[[View], Iterable[Estimate]], views: list[View]
) -> Iterable[Estimate]:
    """Yield the numbers of one view after the other."""
    for found in pool.map(lambda one: list(numbers(one)), views):
        yield from found


def bases(question: Question, creatives_G: F64) -> tuple[KnownTotals, Question, Sample]:
    """Return the sums by outcome, and the rows (as a question of their own) and sample that stand for all creatives."""
    segments = question.segments
    if question.scored is None:
        drawn = drawn_sample(question.rows, segments, creatives_G)
        return sum_segments(question.totals, segments), question, drawn
    sample = sample_of_all(question.scored, segments, creatives_G)
    known = estimated_totals(question.scored, sample, question.totals, segments, question.table.outcomes)
    return known, replace(question, rows=question.scored.rows), sample
