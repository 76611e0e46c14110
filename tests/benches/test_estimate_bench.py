"""The bench of estimates asks what it says it asks, and its threads change nothing."""

from __future__ import annotations

import estimate_bench as bench
import numpy as np

from engine.estimate.estimates import estimate_all


def small(strategies: int = 3) -> bench.Question:
    return bench.make_question(bench.make_period(4000, 60, 1), bench.make_sweep(strategies, 1), 600, 1)


def test_threads_change_neither_estimates_nor_their_order() -> None:
    assert estimate_all(small(), threads=3) == estimate_all(small())


def test_the_audit_has_the_labels_asked_for_and_stands_for_all() -> None:
    rows = small().rows
    assert len(rows.pi_n) == 600
    assert np.isclose((1 / rows.pi_n).sum(), 4000)


def test_totals_of_outcomes_add_up_to_the_period_in_every_segment() -> None:
    totals, members = small().totals, small().segments.member_GC
    whole_GW = members.astype(np.int64) @ totals.whole_FCW.sum(0)
    assert (totals.sum_SOFCW.sum((1, 2)) == whole_GW).all()


def test_bars_of_a_smaller_question_are_not_measured() -> None:
    found = bench.bars(10, 1000, {"seconds": 1.0, "memory_gb": 0.1})
    assert [(bar.value, bar.holds) for bar in found] == [(None, False), (None, False)]
