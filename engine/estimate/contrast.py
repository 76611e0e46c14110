"""One number of a candidate held against a baseline's at any level: what a gate is judged by.

candidate − factor · baseline, segment by segment. Factor 1 is the paired difference, 0 the candidate alone; any other
one asks for a relative margin. The two rates' own bounds are then joined (Zou and Donner 2008) by the correlation of
their jointly linearised residuals, or, where few effective events swap, bounded part by part (see `joined`). Rates of
decisions and costs, whose correlation is not at hand, are joined as if there were none, which is too wide where they
rise and fall together. Where no creative counts otherwise it is (1 − factor) times the candidate's own number.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from engine.estimate.cost import costs
from engine.estimate.decision_pairs import paired_decision_rates
from engine.estimate.decision_rates import decision_rates
from engine.estimate.evidence import Contrast, Evidence
from engine.estimate.joined import NO_INTERVAL, few_swaps, scaled
from engine.estimate.known import creatives_of, framed_creatives
from engine.estimate.label_rates import by_inference, label_rates, paired_rates
from engine.estimate.metrics import COST, RATES, Metric
from engine.estimate.pair import correlation
from engine.estimate.policy import bases
from engine.estimate.post_strata import calibrated_sample
from engine.estimate.question import Question
from engine.estimate.ratio import hajek
from engine.estimate.sample import answered_sample
from engine.estimate.sampled_rates import paired_sampled_rates, sampled_decision_rates
from engine.estimate.view import View
from engine.records import F64, I64, WEIGHTS, Estimate, LabelledRows, Totals

_TRACE = 1e-12  # of imputed exposure: a row that has none at all is one that lacks it
_UNTOLD = "no labelled creative tells what the change costs: it may cost anything"


@dataclass(frozen=True)
class Sides:
    """Views of candidate and baseline on the answered labels, and on all that stands for every creative."""

    candidate: tuple[View, View]
    baseline: tuple[View, View]


def contrasted(question: Question, wanted: Contrast, level: float) -> list[Evidence]:
    """Return the evidence of every segment; each bound is passed by the truth with probability 1 − `level`.

    Where exposure is imputed, by a model that nobody checked, the bounds are the outermost of those with none of it,
    with it and with twice of it. The question names the pair. level : one-sided confidence, above 0.5.
    """
    found = _contrasted(question, wanted, level)
    if not question.rows.imputed_Wn.any() and not _imputed(question.totals).any():
        return found
    others = [_contrasted(_filled(question, times), wanted, level) for times in (0, 2)]
    return [_hull(*each) for each in zip(found, *others, strict=True)]


def _contrasted(question: Question, wanted: Contrast, level: float) -> list[Evidence]:
    asked = replace(question, confidence=2 * level - 1, inferences=(wanted.inference,))
    if wanted.factor not in (0.0, 1.0):
        asked = replace(asked, predictions=None)  # the correlation that joins the bounds is that of Hájek's residuals
    creatives_G = creatives_of(asked.totals, asked.segments)
    sides, labels_G = _sides(asked, wanted, creatives_G)
    metric = next((metric for metric in RATES if metric.name == wanted.number.metric), None)
    if metric is not None:
        rows = _label_rows(sides, metric, wanted.factor)
    elif wanted.number.metric == COST:
        rows = _cost_rows(sides, wanted.factor)
    else:
        rows = _plain_rows(_decisions(sides, wanted), wanted.factor)
    return [
        _evidence(row, int(labels), int(creatives))
        for row, labels, creatives in zip(rows, labels_G, framed_creatives(asked.totals, asked.segments), strict=True)
    ]


def _imputed(totals: Totals) -> I64:
    return totals.whole_FCW[..., [w for w, name in enumerate(WEIGHTS) if name.endswith("_imputed")]]


def _filled(question: Question, times: int) -> Question:
    """Return the question with imputed exposure counted `times`; nothing is predicted of it."""
    factor_W = np.array([times if name.endswith("_imputed") else 1 for name in WEIGHTS])
    totals, scored = question.totals, question.scored
    totals = replace(
        totals,
        sum_SOFCW=totals.sum_SOFCW * factor_W,
        swap_OQCW=totals.swap_OQCW * factor_W,
        whole_FCW=totals.whole_FCW * factor_W,
    )
    if scored is not None:
        scored = replace(scored, rows=_rows_filled(scored.rows, times))
    rows = _rows_filled(question.rows, times)
    return replace(question, totals=totals, rows=rows, scored=scored, predictions=None)


def _rows_filled(rows: LabelledRows, times: int) -> LabelledRows:
    return replace(rows, imputed_Wn=rows.imputed_Wn * max(times, _TRACE))


def _hull(once: Evidence, *others: Evidence) -> Evidence:
    """Return the evidence with the outermost bounds; nothing where one of them cannot be had."""
    every = (once, *others)
    lost = next((each for each in every if each.null_reason is not None), None)
    if lost is not None:
        return replace(once, estimate=None, low=None, high=None, events=None, null_reason=lost.null_reason)
    low = min(each.low for each in every if each.low is not None)
    high = max(each.high for each in every if each.high is not None)
    return replace(once, low=low, high=high, events=(once.events or 0.0) if low < high else once.events)


def _sides(asked: Question, wanted: Contrast, creatives_G: F64) -> tuple[Sides, F64]:
    """Return the views of both strategies, and the concluded labels of each segment."""
    assert asked.pair is not None
    known, scored, everybody = bases(asked, creatives_G)
    by_label = any(metric.name == wanted.number.metric for metric in RATES)
    q = asked.readable_policies.index(wanted.policy) if by_label else len(asked.readable_policies) - 1
    answered = answered_sample(asked.rows, q, asked.segments, creatives_G)
    calibrated = calibrated_sample(asked, answered)
    reading, weighting = wanted.reading, wanted.number.weighting
    baseline, candidate = (
        (
            View(asked, known, answered, s, q, reading, weighting, calibrated=calibrated),
            View(scored, known, everybody, s, q, reading, weighting),
        )
        for s in asked.pair
    )
    return Sides(candidate, baseline), answered.creatives.count(np.ones(len(answered.at_m), bool))


def _label_rows(sides: Sides, metric: Metric, factor: float) -> list[Estimate]:
    mine, theirs = (by_inference(side[0])[0] for side in (sides.candidate, sides.baseline))  # the question asks one
    if factor == 0.0:
        rows = list(label_rates(sides.candidate[0], [metric]))
    elif factor == 1.0:
        rows = list(paired_rates(mine, theirs, [metric]))
    else:
        rows, rows_b = list(label_rates(mine, [metric])), list(label_rates(theirs, [metric]))
        one, other = (
            hajek(v.sample, *metric.parts(v.terms()), metric.bounds(v.given, v.occurs_O)) for v in (mine, theirs)
        )
        inference = mine.question.inferences[0]
        rho = correlation(mine.sample, one.residual_m, other.residual_m, inference)
        swaps_G = mine.swaps_with(theirs, metric.per_outcome(theirs.given), metric.per_outcome(mine.given))
        rows = scaled(rows, rows_b, factor, rho, swaps_G)
        narrow, narrow_b = (replace(view, question=_halved(view.question)) for view in (mine, theirs))
        pairs = list(paired_rates(narrow, narrow_b, [metric]))
        rows = few_swaps(rows, pairs, list(label_rates(narrow_b, [metric])), factor)
    return rows


def _halved(question: Question) -> Question:
    """Return the question at half of its error."""
    return replace(question, confidence=(1 + question.confidence) / 2)


def _decisions(sides: Sides, wanted: Contrast) -> tuple[list[Estimate], list[Estimate]]:
    """Return rows of the candidate (its difference where the factor is 1), and of the baseline where it is needed."""
    sampled = sides.candidate[0].question.scored is not None
    alone = sampled_decision_rates if sampled else decision_rates
    metric = wanted.number.metric
    if wanted.factor == 1.0:
        paired = paired_sampled_rates if sampled else paired_decision_rates
        return [row for row in paired(sides.candidate, sides.baseline) if row.metric == metric], []
    baseline = list(alone(*sides.baseline, [metric])) if wanted.factor else []
    return list(alone(*sides.candidate, [metric])), baseline


def _cost_rows(sides: Sides, factor: float) -> list[Estimate]:
    """Return rows of cost; where no label tells what a change costs, nothing is known of it."""
    mine, theirs = sides.candidate[0], sides.baseline[0]
    if factor == 1.0:
        rows = list(costs(mine, theirs))
        counts = (np.column_stack([v.given.accept_OY, v.given.refuse_OY, v.given.review_O]) for v in (theirs, mine))
        told_G = ~mine.swaps_with(theirs, *counts)
    else:
        rows = _plain_rows((list(costs(mine)), list(costs(theirs)) if factor else []), factor)
        told_G = np.zeros(len(rows), bool)
    return [
        row if told or row.effective_events > 0 or row.null_reason else row._replace(null_reason=_UNTOLD)
        for row, told in zip(rows, told_G, strict=True)
    ]


def _plain_rows(found: tuple[list[Estimate], list[Estimate]], factor: float) -> list[Estimate]:
    rows, baseline = found
    if not baseline:
        return rows
    return scaled(rows, baseline, factor, np.zeros(len(rows)), np.ones(len(rows), bool))


def _evidence(row: Estimate, labels: int, creatives: int) -> Evidence:
    """Return what a row tells; where exposure lies outside of every frame, by what holds whatever its labels are."""
    reason, low, high = row.null_reason, row.low, row.high
    if reason is None and (low is None or high is None):
        reason = NO_INTERVAL
    if reason is None and row.support is not None and row.support < 1.0 and row.least is None:
        reason = f"no audit could have drawn {1 - row.support:.1%} of the exposure behind it, and nothing bounds that"
    if reason is not None or low is None or high is None:
        return Evidence(row.segment_by, row.segment, None, None, None, labels, creatives, null_reason=reason)
    low, high = low if row.least is None else min(low, row.least), high if row.most is None else max(high, row.most)
    return Evidence(
        row.segment_by,
        row.segment,
        row.estimate,
        low,
        high,
        labels,
        creatives,
        None if low == high else row.effective_events,
        row.warning,
    )
