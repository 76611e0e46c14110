"""The best trial and the front, against plain loops."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.expression import parse
from engine.records import F64
from engine.search.trial import Goal, Point, Trial, allowed, best, front


def trial(name: str, **numbers: float | None) -> Trial:
    return Trial(name, {}, {k.replace("__", "."): Point(v, None, None) for k, v in numbers.items()})


def slow_front(rows: list[list[float]]) -> list[bool]:
    out = []
    for i, mine in enumerate(rows):
        beaten = any(math.isnan(x) for x in mine)
        for j, theirs in enumerate(rows):
            if any(math.isnan(x) for x in theirs):
                continue
            no_worse = all(a <= b for a, b in zip(theirs, mine, strict=True))
            better = any(a < b for a, b in zip(theirs, mine, strict=True))
            beaten |= no_worse and (better or (theirs == mine and j < i))
        out.append(not beaten)
    return out


@given(st.lists(st.lists(st.sampled_from([0.0, 0.1, 0.2, float("nan")]), min_size=3, max_size=3), max_size=30))
def test_the_front_is_what_no_other_row_beats(rows: list[list[float]]) -> None:
    value_SM: F64 = np.array(rows, np.float64).reshape(len(rows), 3)
    assert front(value_SM).tolist() == slow_front(rows)


def test_the_best_keeps_to_the_constraint_and_ties_go_by_the_other_numbers_then_the_first() -> None:
    trials = [
        trial("loose", leakage_rate=0.1, review_rate=0.09, overkill_rate__spend=0.0),
        trial("second", leakage_rate=0.2, review_rate=0.05, overkill_rate__spend=0.02),
        trial("first", leakage_rate=0.2, review_rate=0.05, overkill_rate__spend=0.01),
        trial("equal", leakage_rate=0.2, review_rate=0.05, overkill_rate__spend=0.01),
        trial("unknown", leakage_rate=None, review_rate=0.0, overkill_rate__spend=0.0),
    ]
    constraint = parse("review_rate <= 0.05 and overkill_rate.spend <= 0.05")
    assert allowed(trials, constraint).tolist() == [False, True, True, True, True]
    assert best(trials, Goal("leakage_rate", constraint, ("overkill_rate.spend",))) == 2
    assert best(trials, Goal("leakage_rate", constraint)) == 1
    assert best(trials, Goal("leakage_rate", None)) == 0
    assert best(trials, Goal("leakage_rate", parse("review_rate < 0"))) is None


def test_a_number_that_cannot_be_had_keeps_to_no_constraint() -> None:
    trials = [trial("a", leakage_rate=0.1, review_rate=None)]
    assert best(trials, Goal("leakage_rate", parse("review_rate <= 1"))) is None
    assert best(trials, Goal("leakage_rate", parse("missing(review_rate)"))) == 0
