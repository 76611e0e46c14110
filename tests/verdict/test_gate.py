"""What a gate asks, and what bounds say of it."""

from __future__ import annotations

import pytest

from engine.estimate.evidence import Evidence
from engine.estimate.metrics import Number
from engine.verdict.gate import Gate, Outcome, harm_of, judge, parse_requirement


def gate(must: str, metric: str = "leakage_rate") -> Gate:
    return Gate(Number(metric, "creatives"), parse_requirement(must), "p", "machine", "history")


def seen(low: float, high: float) -> Evidence:
    return Evidence("all", "all", (low + high) / 2, low, high, 100, 1000)


@pytest.mark.parametrize(
    ("must", "metric", "factor", "limit"),
    [
        ("worse by at most 0.001", "leakage_rate", 1.0, 0.001),
        ("worse by at most 0.001", "review_precision", 1.0, 0.001),
        ("better by at least 0.02", "leakage_rate", 1.0, -0.02),
        ("worse by at most 5 %", "leakage_rate", 1.05, 0.0),
        ("worse by at most 5%", "review_precision", 0.95, 0.0),
        ("better by at least 5 %", "leakage_rate", 0.95, 0.0),
        ("better by at least 5 %", "automation_rate", 1.05, 0.0),
        ("at most 0.02", "leakage_rate", 0.0, 0.02),
        ("at least 0.3", "review_precision", 0.0, -0.3),
        ("at most 2e3", "cost", 0.0, 2000.0),
    ],
)
def test_every_gate_is_a_harm_with_a_limit(must, metric, factor, limit):
    found = gate(must, metric)
    assert found.contrast.factor == pytest.approx(factor)
    assert found.limit == pytest.approx(limit)


@pytest.mark.parametrize(
    ("must", "metric", "low", "high", "outcome"),
    [
        ("worse by at most 0.01", "leakage_rate", -0.02, 0.009, Outcome.PASS),
        ("worse by at most 0.01", "leakage_rate", -0.02, 0.011, Outcome.UNDECIDED),
        ("worse by at most 0.01", "leakage_rate", 0.011, 0.02, Outcome.FAIL),
        ("worse by at most 0.01", "review_precision", -0.009, 0.02, Outcome.PASS),
        ("worse by at most 0.01", "review_precision", -0.03, -0.02, Outcome.FAIL),
        ("better by at least 0.01", "leakage_rate", -0.03, -0.011, Outcome.PASS),
        ("better by at least 0.01", "leakage_rate", -0.03, 0.0, Outcome.UNDECIDED),
        ("better by at least 0.01", "leakage_rate", -0.009, 0.0, Outcome.FAIL),
        ("at most 0.2", "leakage_rate", 0.1, 0.2, Outcome.PASS),
        ("at least 0.2", "review_precision", 0.1, 0.19, Outcome.FAIL),
        ("worse by at most 0", "leakage_rate", 0.0, 0.0, Outcome.PASS),
    ],
)
def test_a_gate_passes_fails_or_stays_open_by_its_bounds(must, metric, low, high, outcome):
    assert judge(gate(must, metric), seen(low, high)) is outcome


def test_the_bounds_of_harm_turn_round_where_more_is_better():
    harm = harm_of(gate("worse by at most 0.1", "review_precision"), seen(-0.3, 0.1))
    assert harm is not None
    assert (harm.low, harm.high) == (-0.1, 0.3)


def test_a_number_that_cannot_be_had_is_undecided():
    none = Evidence("all", "all", None, None, None, 0, 10, null_reason="no audit labels")
    assert judge(gate("worse by at most 1"), none) is Outcome.UNDECIDED
    assert harm_of(gate("worse by at most 1"), none) is None


@pytest.mark.parametrize(
    ("must", "said"),
    [
        ("worse by at mots 0.1", 'did you mean "worse by at most"'),
        ("at most 5 %", "write it without %, as in `at most 0.05`"),
        ("worse by at most -1", "better by at least"),
        ("0.1", "write `worse by at most"),
        ("worse by at most 1e999", "no finite number"),
        ("better by at least 100 %", "nothing is better"),
    ],
)
def test_a_requirement_that_means_nothing_says_what_to_write(must, said):
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        parse_requirement(must)


def test_a_gate_reads_as_it_was_written():
    found = Gate(
        Number("leakage_rate", "spend"), parse_requirement("worse by at most 5 %"), "p", "after_review", "future"
    )
    assert found.words() == "leakage_rate.spend worse by at most 5 % (after review, future)"
