"""Strategies with their thresholds moved together."""

from __future__ import annotations

from dataclasses import replace
from math import e

import pytest

from engine.expression import atoms, parse
from engine.records import Decision
from engine.state import Copies, Memory
from engine.strategy import Rule, Strategy, can_shift, shifted

REJECT = Rule(parse("m.p >= 0.8 and not (m.p < 0.1)"), Decision.REJECT)
REVIEW = Rule(parse('m.p > 0.5 and region in ["US"] and tier >= 0.5'), Decision.REVIEW)
LAST = Rule(parse("m.p >= 0.0"), Decision.APPROVE)
PLAIN = Strategy("plain", (REJECT, REVIEW), LAST)


def test_nothing_moves_by_nothing():
    found = shifted(PLAIN, 0.0, "same")
    assert [rule.when for rule in found.rules] == [rule.when for rule in PLAIN.rules]
    assert found.otherwise == LAST


def test_thresholds_of_scores_move_in_log_odds_and_others_stay():
    one, other = shifted(PLAIN, 1.0, "lenient").rules
    values = [(atom.column, atom.operator, atom.value) for rule in (one, other) for atom in atoms(rule.when)]
    assert values[:2] == [("m.p", ">=", pytest.approx(4 * e / (1 + 4 * e))), ("m.p", "<", pytest.approx(e / (9 + e)))]
    assert values[2:] == [("m.p", ">", pytest.approx(e / (1 + e))), ("region", "in", ("US",)), ("tier", ">=", 0.5)]


def test_rules_of_one_decision_can_be_moved_alone():
    one, other = shifted(PLAIN, -1.0, "more reviews", Decision.REVIEW).rules
    assert one.when == REJECT.when
    assert other.when != REVIEW.when


def test_the_farthest_move_is_still_a_threshold():
    assert shifted(PLAIN, -2000.0, "all").rules[0].when == parse("m.p >= 0.0 and not (m.p < 0.0)")
    assert shifted(PLAIN, 2000.0, "none").rules[0].when == parse("m.p >= 1.0 and not (m.p < 1.0)")


@pytest.mark.parametrize(
    ("strategy", "only", "said"),
    [
        (replace(PLAIN, rules=(Rule(parse("m.p - 0.1 * tier >= 0.5"), Decision.REJECT),)), None, "calculate"),
        (replace(PLAIN, rules=(Rule(parse("tier >= 0.5"), Decision.REJECT),)), None, "no rule of it"),
        (replace(PLAIN, rules=(REJECT,)), Decision.REVIEW, "no REVIEW rule of it"),
        (replace(PLAIN, memory=Memory(copies=Copies(1))), None, "it remembers"),
    ],
)
def test_what_cannot_be_moved_says_why(strategy, only, said):
    assert said in str(can_shift(strategy, only))
    assert can_shift(PLAIN, only) is None
