"""True values: the same formulas and exposure model on full labels, points without intervals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from engine.estimate.block import Block, Subject, rows_of
from engine.estimate.cost import cost_points
from engine.estimate.decision_rates import decision_rate
from engine.estimate.delivery import READINGS
from engine.estimate.known import sum_segments
from engine.estimate.metrics import COST, COST_FORMULA, DECISION_RATES, RATES
from engine.estimate.question import Question
from engine.estimate.ratio import hajek_points
from engine.estimate.sample import HISTORY, answered_sample
from engine.estimate.view import View
from engine.records import F64, Estimate


def true_values(question: Question) -> list[Estimate]:
    """Return the value of every number, NaN as null. The question's rows are a census with true labels."""
    known = sum_segments(question.totals, question.segments)
    creatives_G = known.known_SOGW[0, :, :, 0].sum(0)
    last = len(question.readable_policies) - 1
    out: list[Estimate] = []
    for q in range(len(question.readable_policies)):
        sample = answered_sample(question.rows, q, question.segments, creatives_G)
        for reading in READINGS:
            for weighting in question.weightings:
                strategies = range(len(question.table.strategies))
                views = [View(question, known, sample, s, q, reading, weighting) for s in strategies]
                values = [_values(view, decisions=q == last) for view in views]
                for view, found in zip(views, values, strict=True):
                    out += _rows(view, found, None)
                if question.pair:
                    b, c = question.pair
                    pairs = [(subject, x - y) for (subject, x), (_, y) in zip(values[c], values[b], strict=True)]
                    out += _rows(views[c], pairs, views[b].name)
    return out


def _values(view: View, *, decisions: bool) -> list[tuple[Subject, F64]]:
    """Return what each number is about and its value in every segment."""

    def subject(metric: str, formula: str) -> Subject:
        return Subject(view.name, view.policy_name, view.weighting, view.reading, metric, formula)

    values = view.terms()
    found = []
    for metric in RATES:
        null = view.null_reasons(metric.uses(view.given), owed=metric.owed)
        point = hajek_points(view.sample, *metric.parts(values))
        found.append((subject(metric.name, metric.formula), _known(point, null)))
    if not decisions:
        return found
    everything = np.ones(len(view.given.owed_O), bool)
    for name, formula in DECISION_RATES.items():
        rate = decision_rate(view, view, name)
        null = view.null_reasons(everything, owed=False, final=rate.reads_final)
        found.append((subject(name, formula), _known(rate.points(), null)))
    prices = view.question.prices
    if prices is not None and prices.weighting == view.weighting and not view.question.overlapping:
        null = view.null_reasons(everything, owed=False)
        found.append((subject(COST, COST_FORMULA), _known(cost_points(prices, [view]), null)))
    return found


def _known(value: F64, null: Sequence[str | None]) -> F64:
    return np.where([reason is None for reason in null], value, np.nan)


def _rows(view: View, found: Sequence[tuple[Subject, F64]], baseline: str | None) -> Iterator[Estimate]:
    none = np.zeros(len(view.question.segments.name))
    for subject, value in found:
        null = ["the truth cannot be had: see the estimate" if np.isnan(x) else None for x in value]
        block = Block("truth", value, None, none, none, none, none, null)
        yield from rows_of(block, replace(subject, baseline=baseline), HISTORY, view.question)
