"""One number of a candidate held against a baseline's at any level: what a gate is judged by.

candidate − factor · baseline, segment by segment. Factor 1 is the paired difference, 0 the candidate alone; any other
one asks for a relative margin. The two rates' own bounds are then joined (Zou and Donner 2008) by the correlation of
their jointly linearised residuals; rates of decisions and costs, whose correlation is not at hand, as if there were
none, which is too wide where they rise and fall together. Where no creative counts otherwise it is (1 − factor) times
the candidate's own number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtri

from engine.estimate.cost import costs
from engine.estimate.decision_pairs import paired_decision_rates
from engine.estimate.decision_rates import decision_rates
from engine.estimate.interval import Intervals
from engine.estimate.known import creatives_of
from engine.estimate.label_rates import by_inference, label_rates, paired_rates
from engine.estimate.metrics import COST, RATES, Metric, Number
from engine.estimate.pair import correlation, mover
from engine.estimate.policy import bases
from engine.estimate.post_strata import calibrated_sample
from engine.estimate.question import Question
from engine.estimate.ratio import hajek
from engine.estimate.sample import answered_sample
from engine.estimate.sampled_rates import paired_sampled_rates, sampled_decision_rates
from engine.estimate.skewness import bound_shift
from engine.estimate.view import View
from engine.records import F64, Estimate, Flags


@dataclass(frozen=True)
class Contrast:
    """candidate − factor · baseline of one number. policy : of rates that labels are needed for; others are `any`'s."""

    number: Number
    policy: str
    reading: str
    inference: str
    factor: float

    @property
    def formula(self) -> str:
        """What is subtracted from what."""
        if self.factor == 0.0:
            return "candidate"
        return f"candidate − {'' if self.factor == 1.0 else f'{self.factor:g} · '}baseline"

    @property
    def key(self) -> str:
        """A name that no other contrast has."""
        parts = (self.policy, self.number.metric, self.number.weighting, self.reading, self.inference, self.formula)
        return " · ".join(parts)


@dataclass(frozen=True)
class Evidence:
    """What is known of a contrast in one segment; estimate is None where it cannot be had, for the reason given.

    low, high : each a one-sided bound at the level that was asked for. labels : creatives of the segment with a
    concluded label, of `creatives` that it holds. events : effective events, None where there is no single number.
    """

    segment_by: str
    segment: str
    estimate: float | None
    low: float | None
    high: float | None
    labels: int
    creatives: int
    events: float | None = None
    warning: str | None = None
    null_reason: str | None = None


@dataclass(frozen=True)
class Sides:
    """Views of candidate and baseline on the answered labels, and on all that stands for every creative."""

    candidate: tuple[View, View]
    baseline: tuple[View, View]


def contrasted(question: Question, wanted: Contrast, level: float) -> list[Evidence]:
    """Return the evidence of every segment; each bound is passed by the truth with probability 1 − `level`.

    The question names the pair. level : one-sided confidence, above 0.5.
    """
    asked = replace(question, confidence=2 * level - 1, inferences=(wanted.inference,))
    if wanted.factor not in (0.0, 1.0):
        asked = replace(asked, predictions=None)  # the correlation that joins the bounds is that of Hájek's residuals
    creatives_G = creatives_of(asked.totals, asked.segments)
    sides, labels_G = _sides(asked, wanted, creatives_G)
    metric = next((metric for metric in RATES if metric.name == wanted.number.metric), None)
    if metric is not None:
        rows = _label_rows(sides, metric, wanted.factor)
    elif wanted.number.metric == COST:
        rows = _plain_rows(_costs(sides, wanted.factor), wanted.factor)
    else:
        rows = _plain_rows(_decisions(sides, wanted), wanted.factor)
    return [
        _evidence(row, int(labels), int(creatives))
        for row, labels, creatives in zip(rows, labels_G, creatives_G, strict=True)
    ]


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
    mine, theirs = sides.candidate[0], sides.baseline[0]
    if factor == 0.0:
        return list(label_rates(mine, [metric]))
    mine, theirs = (by_inference(view)[0] for view in (mine, theirs))  # the question asks one
    one, other = (hajek(v.sample, *metric.parts(v.terms()), metric.bounds(v.given, v.occurs_O)) for v in (mine, theirs))
    residual_m = one.residual_m - factor * other.residual_m
    inference = mine.question.inferences[0]
    if factor == 1.0:
        rows = list(paired_rates(mine, theirs, [metric]))
    else:
        rows, rows_b = list(label_rates(mine, [metric])), list(label_rates(theirs, [metric]))
        rho = correlation(mine.sample, one.residual_m, other.residual_m, inference)
        swaps_G = mine.swaps_with(theirs, metric.per_outcome(theirs.given), metric.per_outcome(mine.given))
        rows = list(_scaled(rows, rows_b, factor, rho, swaps_G))
    shift = bound_shift(mine.sample, residual_m, inference, (1 + mine.question.confidence) / 2)
    return [_shifted(row, float(by)) for row, by in zip(rows, shift, strict=True)]


def _shifted(row: Estimate, shift: float) -> Estimate:
    """Return the row with the bound on its long tail's side moved out by `shift` standard errors."""
    if row.estimate is None or row.low is None or row.high is None or not str(row.estimator).endswith(("/t", "/mover")):
        return row
    error = (row.high - row.low) / (2 * float(ndtri((1 + row.confidence) / 2)))
    return row._replace(low=row.low + min(shift, 0.0) * error, high=row.high + max(shift, 0.0) * error)


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


def _costs(sides: Sides, factor: float) -> tuple[list[Estimate], list[Estimate]]:
    mine, theirs = sides.candidate[0], sides.baseline[0]
    if factor == 1.0:
        return list(costs(mine, theirs)), []
    return list(costs(mine)), list(costs(theirs)) if factor else []


def _plain_rows(found: tuple[list[Estimate], list[Estimate]], factor: float) -> list[Estimate]:
    rows, baseline = found
    if not baseline:
        return rows
    return list(_scaled(rows, baseline, factor, np.zeros(len(rows)), np.ones(len(rows), bool)))


def _scaled(
    mine: Sequence[Estimate], theirs: Sequence[Estimate], factor: float, rho: F64, swaps_G: Flags
) -> Iterator[Estimate]:
    """Yield mine − factor · theirs, segment by segment."""
    for g, (a, b) in enumerate(zip(mine, theirs, strict=True)):
        reason = a.null_reason or b.null_reason
        if a.estimate is None or b.estimate is None or a.low is None or b.low is None:
            yield a._replace(estimate=None, low=None, high=None, null_reason=reason or "it has no interval")
            continue
        point = np.array([a.estimate - factor * b.estimate])
        if swaps_G[g]:
            found = mover(_one(a.estimate), _ends(a), factor * _one(b.estimate), _ends(b, factor), rho[g : g + 1])
        else:
            found = _ends(a, 1.0 - factor)
        warning = "; ".join(dict.fromkeys(filter(None, [a.warning, b.warning]))) or None
        events = min(a.effective_events, b.effective_events)
        yield a._replace(
            estimator=f"{str(a.estimator).partition('/')[0]}_scaled/{found.rule[0]}",
            estimate=float(point[0]),
            low=float(found.low[0]),
            high=float(found.high[0]),
            effective_events=events,
            warning=warning,
        )


def _one(value: float) -> F64:
    return np.array([value])


def _ends(row: Estimate, factor: float = 1.0) -> Intervals:
    """Return an interval times a factor, which may be negative."""
    assert row.low is not None
    assert row.high is not None
    low, high = sorted((factor * row.low, factor * row.high))
    return Intervals(_one(low), _one(high), np.array(["no_swap"]))


def _evidence(row: Estimate, labels: int, creatives: int) -> Evidence:
    reason = row.null_reason
    if reason is None and (row.low is None or row.high is None):
        reason = "it has no interval"
    if reason is not None:
        return Evidence(row.segment_by, row.segment, None, None, None, labels, creatives, null_reason=reason)
    exact = row.low == row.high
    return Evidence(
        row.segment_by,
        row.segment,
        row.estimate,
        row.low,
        row.high,
        labels,
        creatives,
        None if exact else row.effective_events,
        row.warning,
    )
