"""The swap set decision by decision: how much of each cell violates, with an interval.

A cell holds the creatives that the baseline decides one way and the candidate another. What it holds in creatives,
impressions and spend is known of all; its violating share is a Hájek ratio of the audit's rows in it, a domain of the
whole sample (Särndal, Swensson, Wretman 1992, section 5.8). Reviewer error is taken out as of any other number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from engine.estimate.known import creatives_of
from engine.estimate.outcomes import swap_sums
from engine.estimate.question import Question
from engine.estimate.ratio import hajek, ratio_intervals
from engine.estimate.reviewer_error import corrected_ratio, self_of
from engine.estimate.sample import HISTORY, Sample, answered_sample
from engine.records import F64, WEIGHTINGS, WEIGHTS, Decision, ReviewerError

DECISIONS = (Decision.APPROVE, Decision.LIMIT, Decision.REVIEW, Decision.REJECT)


@dataclass(frozen=True)
class SwapCell:
    """The violating share of a cell under one policy and weighting; None where it cannot be had, for the reason given.

    labels : concluded ones in the cell that carry exposure. Where labels drown in reviewer error bounds stand alone.
    """

    baseline: Decision
    candidate: Decision
    policy: str
    weighting: str
    labels: int
    share: float | None
    low: float | None
    high: float | None
    null_reason: str | None = None


def swap_cells(question: Question) -> Iterator[SwapCell]:
    """Yield the cells of the question's pair that hold any creative, by policy and weighting, over all creatives."""
    assert question.pair is not None
    creatives_G = creatives_of(question.totals, question.segments)
    rows, sums_OQW = question.rows, swap_sums(question)
    decided = [np.array([rule.decision for rule in question.table.rules[s]]) for s in question.pair]
    of_row = [of[rows.outcome_Sn[s]] for of, s in zip(decided, question.pair, strict=True)]
    for q, policy in enumerate(question.readable_policies):
        sample = answered_sample(rows, q, question.segments, creatives_G)
        chosen = sample.rows_n
        y_n = np.maximum(rows.y_nQ[chosen, q], 0).astype(np.float64)
        labels = _Labels(sample, y_n, question.error_of(policy), question.unnamed_error(policy))
        for baseline, candidate in product(DECISIONS, DECISIONS):
            held_W = sums_OQW[: len(decided[0]), : len(decided[1])][
                np.ix_(decided[0] == baseline, decided[1] == candidate)
            ].sum((0, 1))
            inside_n = (of_row[0][chosen] == baseline) & (of_row[1][chosen] == candidate)
            for w, weighting in enumerate(WEIGHTINGS):
                if held_W[0] and weighting not in question.unmapped:
                    exposure_n = np.nan_to_num(rows.known_Wn[w, chosen]) + rows.imputed_Wn[w, chosen]
                    lacking = held_W[WEIGHTS.index(f"{weighting}_missing")] if w else 0
                    share = _share(labels, exposure_n * inside_n, question.confidence, int(lacking))
                    yield SwapCell(baseline, candidate, policy, weighting, *share)


@dataclass(frozen=True)
class _Labels:
    """Labels y_n of a sample's rows. error : how they err, None where they stand. unnamed : why that is not known."""

    sample: Sample
    y_n: F64
    error: ReviewerError | None
    unnamed: str | None


_Share = tuple[int, float | None, float | None, float | None, str | None]


def _share(labels: _Labels, whole_n: F64, confidence: float, lacking: int) -> _Share:
    """Return labels, share, bounds and, where there is none, the reason."""
    sample, y_n, error = labels.sample, labels.y_n, labels.error
    if error is None:
        ratio = hajek(sample, whole_n * y_n, whole_n)
    else:
        none_n = np.zeros_like(whole_n)
        ratio = corrected_ratio(sample, error, y_n, (none_n, whole_n), (whole_n, whole_n), (0.0, 1.0))
    count = int(ratio.labels[0])
    if lacking:
        return count, None, None, None, f"{lacking} creatives of a cell lack its exposure"
    if ratio.empty[0]:
        return count, None, None, None, "no label lies in it"
    if labels.unnamed:
        return count, None, None, None, labels.unnamed
    judged = ratio_intervals(sample, ratio, HISTORY, confidence)
    drowned = None if error is None else self_of(ratio).drowned(sample, ratio, judged, HISTORY, confidence)[0]
    low, high = float(judged.intervals.low[0]), float(judged.intervals.high[0])
    return count, None if drowned else float(ratio.estimate[0]), low, high, drowned
