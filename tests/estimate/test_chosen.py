"""The few numbers of a sweep are those that a full estimate gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from estimate.worlds import audit_rows, make_world, question, replayed, strategies

from engine.estimate.chosen import Pair, chosen_numbers, paired_numbers
from engine.estimate.estimates import estimate_all
from engine.estimate.metrics import FORMULAS, Number
from engine.estimate.question import Prices, Question
from engine.records import WEIGHTINGS


@pytest.fixture(scope="module")
def asked() -> Question:
    world, table = make_world(5, size=3000), strategies()
    found = replayed(world, table)
    rows = audit_rows(world, found.outcome_Sn, (0.15, 0.4, 0.8), 11, "srs")
    count = len(table.strategies)
    return replace(question(world, rows, found, table), prices=Prices(2.0, 0.5, 0.9, (1.0,) * count, "impressions"))


def overall(asked: Question) -> Question:
    """Return the same question with all creatives in one cell."""
    segments = asked.segments
    one = replace(segments, by=("all",), name=("all",), member_GC=np.ones((1, 1), bool))
    totals = asked.totals
    sums = replace(
        totals,
        sum_SOFCW=totals.sum_SOFCW.sum(3, keepdims=True),
        swap_OQCW=totals.swap_OQCW.sum(2, keepdims=True),
        whole_FCW=totals.whole_FCW.sum(1, keepdims=True),
    )
    rows = replace(asked.rows, cell_n=np.zeros_like(asked.rows.cell_n))
    return replace(asked, segments=one, totals=sums, rows=rows)


@pytest.mark.parametrize("reading", ["machine", "after_review"])
def test_chosen_numbers_equal_those_of_the_full_estimate(asked: Question, reading: str) -> None:
    numbers = [Number(metric, weighting) for metric in FORMULAS for weighting in WEIGHTINGS if metric != "cost"]
    numbers.append(Number("cost", "impressions"))
    policy = asked.readable_policies[-1]
    full = {
        (e.strategy, e.metric, e.weighting): e
        for e in estimate_all(asked)
        if (e.segment, e.inference, e.reading, e.policy, e.baseline) == ("all", "history", reading, policy, None)
    }
    for name, found in zip(asked.table.names, chosen_numbers(asked, numbers, policy, reading), strict=True):
        assert set(found) == set(numbers)
        for number, estimate in found.items():
            assert estimate == full[name, number.metric, number.weighting]


def test_chosen_differences_equal_those_of_the_full_estimate(asked: Question) -> None:
    assert asked.pair is not None
    baseline, candidate = (asked.table.names[s] for s in asked.pair)
    policy = asked.readable_policies[-1]
    full = {
        e.metric: e
        for e in estimate_all(asked)
        if (e.segment, e.inference, e.reading, e.policy) == ("all", "history", "after_review", policy)
        and (e.strategy, e.baseline, e.weighting) == (candidate, baseline, "creatives")
    }
    swap_OQ = asked.totals.swap_OQCW[..., 0].sum(2)
    (found,) = paired_numbers(
        overall(asked), [Pair(*asked.pair, swap_OQ)], ("leakage_rate", "overkill_rate"), policy, "after_review"
    )
    assert set(found) == {"leakage_rate", "overkill_rate"}
    for metric, estimate in found.items():
        assert estimate == full[metric]
