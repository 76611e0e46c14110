"""Every number of a run: strategy × policy × reading × weighting × metric × segment × question."""

from __future__ import annotations

from engine.estimate.cost import costs
from engine.estimate.decision_rates import decision_rates, paired_decision_rates
from engine.estimate.delivery import READINGS
from engine.estimate.known import sum_segments
from engine.estimate.label_rates import label_rates, paired_rates
from engine.estimate.question import Question
from engine.estimate.sample import Sample, answered_sample, drawn_sample
from engine.estimate.view import View
from engine.records import Estimate


def estimate_all(question: Question) -> list[Estimate]:
    """Return every estimate of the question, each with an interval or the reason why it is null."""
    known = sum_segments(question.totals, question.segments)
    creatives_G = known.known_SOGW[0, :, :, 0].sum(0)
    drawn = drawn_sample(question.rows, question.segments, creatives_G)
    last = len(question.readable_policies) - 1
    cost_weighting = question.prices.weighting if question.prices else question.weightings[0]
    out: list[Estimate] = []
    for q in range(len(question.readable_policies)):
        answered = answered_sample(question.rows, q, question.segments, creatives_G)
        for reading in READINGS:
            for weighting in question.weightings:

                def view(
                    s: int, sample: Sample, q: int = q, reading: str = reading, weighting: str = weighting
                ) -> View:
                    return View(question, known, sample, s, q, reading, weighting)

                views = [view(s, answered) for s in range(len(question.table.strategies))]
                for one in views:
                    out += label_rates(one)
                pair = (views[question.pair[0]], views[question.pair[1]]) if question.pair else None
                if pair:
                    out += paired_rates(pair[1], pair[0])
                if q != last:
                    continue
                for s, one in enumerate(views):
                    out += decision_rates(one, view(s, drawn))
                    out += costs(one) if weighting == cost_weighting else ()
                if pair and question.pair:
                    drawn_pair = [view(s, drawn) for s in question.pair]
                    out += paired_decision_rates((pair[1], drawn_pair[1]), (pair[0], drawn_pair[0]))
                    out += costs(pair[1], pair[0]) if weighting == cost_weighting else ()
    return out
