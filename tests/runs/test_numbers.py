"""Numbers of two runs held against each other, beside plain loops."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as some

from engine.records import Estimate
from engine.report.tables import estimates_table
from engine.runs.numbers import NumberChanges, compare_numbers

often = settings(derandomize=True, deadline=None, max_examples=60)


def row(strategy: str = "live", segment: str = "all", baseline: str | None = None, **values: Any) -> Estimate:
    """Return a number: known and without an interval where nothing else is said."""
    return Estimate(
        strategy=strategy,
        baseline=baseline,
        policy="scam",
        segment_by="all" if segment == "all" else "region",
        segment=segment,
        weighting="creatives",
        reading="machine",
        metric="leakage_rate",
        inference="history",
        estimator="hajek",
        estimate=values.get("estimate"),
        low=values.get("low", values.get("estimate")),
        high=values.get("high", values.get("estimate")),
        confidence=0.95,
        labels=3,
        effective_size=3.0,
        effective_events=1.0,
        support=1.0,
        least=None,
        most=None,
        warning=None,
        null_reason=values.get("null_reason"),
        formula="",
    )


def compared(was: list[Estimate], now: list[Estimate]) -> NumberChanges:
    return compare_numbers(estimates_table(was), estimates_table(now))


def slow(was: list[Estimate], now: list[Estimate]) -> tuple[int, dict[Any, float], set[Any], set[Any]]:
    """Return how many are equal, how far apart the others are, and which appear and vanish, by plain loops."""
    sides = [{(e.strategy, e.baseline, e.segment): e for e in rows if e.estimate is not None} for rows in (was, now)]
    equal, apart = 0, {}
    for key in sides[0].keys() & sides[1].keys():
        a, b = (side[key] for side in sides)
        if (a.estimate, a.low, a.high) == (b.estimate, b.low, b.high):
            equal += 1
        else:
            apart[key] = min(beyond(a, b.estimate), beyond(b, a.estimate))
    return equal, apart, sides[1].keys() - sides[0].keys(), sides[0].keys() - sides[1].keys()


def beyond(interval: Estimate, value: float) -> float:
    low = interval.estimate if interval.low is None else interval.low
    high = interval.estimate if interval.high is None else interval.high
    if low <= value <= high:
        return 0.0
    outside = low - value if value < low else value - high
    return math.inf if high == low else outside / ((high - low) / 2)


known = some.tuples(*[some.integers(0, 4)] * 3).map(
    lambda v: dict(zip(("low", "estimate", "high"), sorted(v), strict=True))
)
values = some.one_of(known, some.just({"null_reason": "no labels"}), some.integers(0, 3).map(lambda v: {"estimate": v}))
keys = some.tuples(some.sampled_from("ab"), some.sampled_from([None, "a"]), some.sampled_from(["all", "US", "DE"]))
tables = some.dictionaries(keys, values, max_size=12).map(
    lambda found: [row(s, segment, b, **{k: v if k == "null_reason" else float(v) for k, v in said.items()})
                   for (s, b, segment), said in found.items()]
)  # fmt: skip


@often
@given(tables, tables)
def test_what_moves_appears_and_vanishes_is_what_plain_loops_find(was, now):
    found = compared(was, now)
    equal, apart, appeared, vanished = slow(was, now)
    assert found.equal == equal
    assert {(m.key.strategy, m.key.baseline, m.key.segment): m.apart for m in found.moved} == apart
    assert {(k.key.strategy, k.key.baseline, k.key.segment) for k in found.appeared} == appeared
    assert {(k.key.strategy, k.key.baseline, k.key.segment) for k in found.vanished} == vanished


@often
@given(tables)
def test_a_run_beside_itself_moves_nothing_whatever_the_order_of_its_rows(was):
    found = compared(was, was[::-1])
    assert (found.moved, found.appeared, found.vanished) == ((), (), ())
    assert found.equal == sum(e.estimate is not None for e in was)


@often
@given(tables, tables)
def test_two_runs_the_other_way_round_are_as_far_apart(was, now):
    there, back = compared(was, now), compared(now, was)
    assert {m.key: m.apart for m in there.moved} == {m.key: m.apart for m in back.moved}
    assert {k.key for k in there.appeared} == {k.key for k in back.vanished}


def test_the_farthest_stand_first_and_exact_totals_last():
    was = [
        row("near", estimate=0.5, low=0.4, high=0.6),
        row("far", estimate=0.5, low=0.49, high=0.51),
        row("total", estimate=0.1),
    ]
    now = [
        row("near", estimate=0.55, low=0.4, high=0.6),
        row("far", estimate=0.7, low=0.6, high=0.8),
        row("total", estimate=0.2),
    ]
    moved = compared(was, now).moved
    assert [m.key.strategy for m in moved] == ["far", "near", "total"]
    assert math.isclose(moved[0].apart, min((0.7 - 0.51) / 0.01, (0.6 - 0.5) / 0.1))
    assert moved[1].apart == 0.0
    assert moved[2].is_total
    assert moved[2].as_plain()["apart"] is None


def test_a_null_number_says_why_the_other_run_knows_it_and_it_does_not():
    found = compared([row(null_reason="no label")], [row(estimate=0.5)])
    assert found.moved == ()
    assert [(k.value.estimate, k.reason) for k in found.appeared] == [(0.5, "no label")]
    assert [k.reason for k in compared([row(estimate=0.5)], []).vanished] == [None]


def test_numbers_that_are_none_count_as_null():
    was = estimates_table([row(estimate=0.5)])
    at = was.schema.get_field_index("estimate")
    broken = was.set_column(at, was.schema.field(at), pa.array([math.nan]))
    assert len(compare_numbers(was, broken).vanished) == 1
