"""What a strategy costs, in the user's prices: a total, not a rate.

The sums over violating and compliant creatives are Horvitz–Thompson (1952) totals from the audit; reviews and scored
contents are counted. The variance is that of the weighted sum; for `future` advertisers are the units.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from engine.estimate.delivery import delivery
from engine.estimate.interval import positive_interval, t_quantile
from engine.estimate.known import KnownTotals
from engine.estimate.metrics import COST, COST_FORMULA, terms
from engine.estimate.question import Prices, Question
from engine.estimate.ratio import kish
from engine.estimate.rows import blank
from engine.estimate.sample import FUTURE, HISTORY, Sample, cluster_spread
from engine.records import F64, I64, WEIGHTINGS, Estimate


def cost_numbers(question: Question, known: KnownTotals, sample: Sample, reading: str) -> Iterator[Estimate]:
    """Yield the cost of every strategy and segment, and the paired difference; null where no prices are given."""
    weighting = question.prices.weighting if question.prices else "creatives"
    pairs = [(s, None) for s in range(len(question.table.strategies))]
    chosen: list[tuple[int, int | None]] = [*pairs, (question.pair[1], question.pair[0])] if question.pair else [*pairs]
    for s, baseline in chosen:
        for g, member_C in enumerate(question.segments.member_GC):
            row = _row(question, s, baseline, weighting, reading, g)
            reason = _null_reason(question, known, sample, s, reading, weighting, g)
            if reason is None and baseline is not None:
                reason = _null_reason(question, known, sample, baseline, reading, weighting, g)
            if reason or question.prices is None:
                for inference in question.inferences:
                    yield replace(row, inference=inference, null_reason=reason)
                continue
            at = np.flatnonzero(member_C[question.rows.cell_n[sample.rows_n]])
            value_n, certain = _value(question, known, sample, question.prices, s, reading, g)
            if baseline is not None:
                other_n, other = _value(question, known, sample, question.prices, baseline, reading, g)
                value_n, certain = value_n - other_n, certain - other
            for inference in question.inferences:
                yield _total(replace(row, inference=inference), sample, value_n, certain, at)


def _row(question: Question, s: int, baseline: int | None, weighting: str, reading: str, g: int) -> Estimate:
    names, policy = question.table.names, len(question.readable_policies) - 1
    row = blank(question, names[s], policy, weighting, reading, COST, g, COST_FORMULA)
    return row if baseline is None else replace(row, baseline=names[baseline])


def _null_reason(
    question: Question, known: KnownTotals, sample: Sample, s: int, reading: str, weighting: str, g: int
) -> str | None:
    if question.prices is None:
        return "no `cost` section in the config"
    if weighting in question.unmapped:
        return question.unmapped[weighting]
    if not len(sample.rows_n):
        return "no audit labels: nothing stands for the population"
    rules = question.table.rules[s]
    given = delivery(question.table.strategies[s], rules, question.readable_policies[-1], reading, counted=False)
    count_O = known.known_SOGW[s, : len(rules), g, 0]
    missing = known.missing_SOGW[s, :, g, WEIGHTINGS.index(weighting)].sum()
    if missing > 0:
        return f"{int(missing)} creatives lack {weighting}; exposure.refused can name a model"
    return given.null_reason or given.unknown_final(count_O)


def _value(
    question: Question, known: KnownTotals, sample: Sample, prices: Prices, s: int, reading: str, g: int
) -> tuple[F64, float]:
    """Return the labelled rows' cost and the cost that is known: reviews and scoring."""
    rows, chosen, rules = question.rows, sample.rows_n, question.table.rules[s]
    policy = len(question.readable_policies) - 1
    counted = prices.weighting == "creatives"
    given = delivery(question.table.strategies[s], rules, question.readable_policies[-1], reading, counted=counted)
    w = WEIGHTINGS.index(prices.weighting)
    exposure = np.nan_to_num(rows.known_Wn[w, chosen]) + rows.imputed_Wn[w, chosen]
    t = terms(given, rows.outcome_Sn[s, chosen], rows.y_nQ[chosen, policy], exposure)
    value_n = t.w * (prices.leaked * t.y * t.accept + prices.overkilled * (1 - t.y) * t.refuse)
    reviews = float(known.known_SOGW[s, : len(rules), g, 0] @ given.review_O)
    return value_n, prices.per_review * reviews + (prices.scoring if g == 0 else 0.0)


def _total(row: Estimate, sample: Sample, value_n: F64, certain: float, at: I64) -> Estimate:
    value = value_n[at]
    estimated = float(sample.weight_n[at] @ value)
    events = kish(sample.weight_n[at] * np.abs(value))
    warning = None
    if row.inference == HISTORY:
        variance, df = sample.history_variance(value, at), max(1.0, len(at) - 1.0)
    else:
        spread = cluster_spread(sample.cluster_totals(value, at))
        variance, df = spread.variance, max(1.0, spread.effective - 1.0)
    if not np.isfinite(variance):
        return replace(row, null_reason="one advertiser only: nothing to compare it with")
    if row.baseline is None and estimated > 0 and events >= 1:
        found = positive_interval(estimated, variance, df, row.confidence)
        low, high = found.low, found.high
    else:
        half = t_quantile(row.confidence, df) * float(np.sqrt(variance))
        low, high = estimated - half, estimated + half
    if row.inference == FUTURE:
        warning = "reviews and scoring are held at what this history had"
    if not value.any():
        warning = (
            "no labelled creative of this segment was leaked or overkilled: the interval cannot show that some were"
        )
    return replace(
        row,
        estimator="horvitz_thompson/log" if row.baseline is None else "horvitz_thompson/t",
        estimate=certain + estimated,
        low=certain + low,
        high=certain + high,
        labels=len(at),
        effective_size=kish(sample.weight_n[at]),
        effective_events=events,
        support=1.0,
        warning=warning,
    )
