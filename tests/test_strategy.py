"""Strategies as arrays: one way to decide, whatever the operator wrote."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from generators import SINGLE, Rules, World, examples, rule_lists, tree_of, trees, worlds, write
from hypothesis import given
from hypothesis import strategies as st
from oracles import Creative, Tree, decide, holds

from engine.expression import ALWAYS, Atom, parse
from engine.records import LOGGED, Decision
from engine.state import Capacity, Memory
from engine.strategy import (
    AND,
    NOT,
    OR,
    PUSH,
    TRUE,
    Review,
    Rule,
    Strategy,
    StrategyTable,
    build_table,
    columns_read,
    features_read,
    logged_strategy,
)

APPROVE = Rule(ALWAYS, Decision.APPROVE)


def rule(when: str, then: str, share: float = 1.0, policy: str | None = None) -> Rule:
    return Rule(parse(when), Decision[then], share, policy)


def run_program(table: StrategyTable, at: int, creative: Creative) -> bool:
    """Run the postfix program of one rule on one creative; a stack of plain booleans."""
    stack: list[bool] = []
    for i in range(table.rule_start_R[at], table.rule_start_R[at + 1]):
        op = table.op_L[i]
        if op == PUSH:
            atom = table.atoms[table.arg_L[i]]
            stack.append(holds(tree_of(atom), creative, SINGLE))
        elif op == NOT:
            stack.append(not stack.pop())
        elif op == TRUE:
            stack.append(True)
        else:
            right, left = stack.pop(), stack.pop()
            stack.append((left and right) if op == AND else (left or right))
            assert op in (AND, OR)
        assert len(stack) <= table.stack
    assert len(stack) == 1
    return stack[0]


@examples(60)
@given(written=st.lists(trees(), min_size=1, max_size=3), world=worlds(sizes=(8,)))
def test_the_program_of_a_rule_says_what_its_expression_says(written: list[Tree], world: World) -> None:
    rules = tuple(rule(write(tree), "REJECT") for tree in written)
    table = build_table([Strategy("s", rules, APPROVE)])
    for creative in world.plain:
        found = [run_program(table, at, creative) for at in range(len(rules) + 1)]
        assert found == [*(holds(tree, creative, SINGLE) for tree in written), True]


@examples(60)
@given(drawn=rule_lists(), world=worlds(sizes=(8,)))
def test_the_first_rule_of_the_deciding_order_decides_as_the_slow_twin(drawn: Rules, world: World) -> None:
    table = build_table([drawn.strategy()])
    for creative in world.plain:
        at = next(at for at in range(len(table.rules[0])) if run_program(table, at, creative))
        found = table.rules[0][at]
        wanted = decide(drawn.rules, drawn.otherwise, drawn.match, creative, SINGLE)
        assert (found.decision.name, found.share, found.policy) == wanted


def test_harshest_sorts_reject_review_limit_approve_and_smaller_limits_first() -> None:
    written = (
        rule("a >= 1", "APPROVE"),
        rule("b >= 1", "LIMIT", 0.5),
        rule("c >= 1", "LIMIT", 0.2),
        rule("d >= 1", "REJECT"),
    )
    (rules,) = build_table([Strategy("s", written, APPROVE, "harshest")]).rules
    assert [(r.decision.name, r.share) for r in rules] == [
        ("REJECT", 1.0),
        ("LIMIT", 0.2),
        ("LIMIT", 0.5),
        ("APPROVE", 1.0),
        ("APPROVE", 1.0),
    ]


def test_a_review_over_a_limit_keeps_the_smaller_share_and_the_policy_of_the_review() -> None:
    written = (
        rule("a >= 1", "LIMIT", 0.5, "adult"),
        rule("b >= 1", "LIMIT", 0.2, "adult"),
        rule("c >= 1", "REVIEW", 1.0, "scam"),
    )
    (rules,) = build_table([Strategy("s", written, APPROVE, "harshest")]).rules
    reviews = [r for r in rules if r.decision is Decision.REVIEW]
    assert [(r.share, r.policy) for r in reviews] == [(0.2, "scam"), (0.5, "scam"), (1.0, "scam")]


def test_first_leaves_rules_in_the_order_they_were_written() -> None:
    written = (rule("a >= 1", "APPROVE"), rule("b >= 1", "REJECT"))
    (rules,) = build_table([Strategy("s", written, APPROVE)]).rules
    assert rules == (*written, APPROVE)


def test_equal_comparisons_are_one_atom_over_all_strategies() -> None:
    one = Strategy("one", (rule("a >= 1 and b >= 1", "REJECT"),), APPROVE)
    two = Strategy("two", (rule("b >= 1 or a >= 1", "REVIEW"), rule("a >= 2", "REVIEW")), APPROVE)
    table = build_table([one, two])
    assert table.atoms == (Atom("a", ">=", 1.0), Atom("b", ">=", 1.0), Atom("a", ">=", 2.0))
    assert table.names == ("one", "two")
    assert table.outcomes == 3
    assert table.strategy_start_S.tolist() == [0, 2, 5]
    assert len(table.rule_start_R) == 6
    assert table.op_L.dtype == np.int8


def test_a_strategy_without_rules_is_its_otherwise() -> None:
    table = build_table([Strategy("s", (), Rule(ALWAYS, Decision.REVIEW))])
    assert [r.decision for r in table.rules[0]] == [Decision.REVIEW]
    assert table.op_L.tolist() == [TRUE]


def test_before_each_rule_that_reads_a_score_stands_a_guard_owed_to_its_policy() -> None:
    rules = (
        Rule(parse("v1.scam >= 0.9"), Decision.REJECT, policy="scam"),
        Rule(parse('region == "US"'), Decision.REVIEW),
        Rule(parse("not v2.scam < 0.5"), Decision.REJECT, policy="adult"),
    )
    strategy = Strategy("s", rules, Rule(ALWAYS, Decision.APPROVE))
    (found,) = build_table([strategy], missing_to_review=True).rules
    assert [rule.guard for rule in found] == [True, False, False, True, False, False]
    assert [rule.policy for rule in found if rule.guard] == ["scam", "adult"]
    assert all(rule.decision is Decision.REVIEW for rule in found if rule.guard)


def test_a_strategy_that_reads_no_score_sends_nobody_to_review_for_a_missing_one() -> None:
    strategy = Strategy("s", (rule('region == "US"', "REJECT"),), APPROVE)
    assert build_table([strategy], missing_to_review=True).rules == build_table([strategy]).rules


def test_a_guard_of_arithmetic_fires_for_a_missing_score_but_not_for_a_missing_attribute() -> None:
    strategy = Strategy("s", (Rule(parse("v1.scam * age >= 1"), Decision.REJECT, policy="scam"),), APPROVE)
    table = build_table([strategy], missing_to_review=True)
    found = []
    for score, age in ((0.9, 5.0), (0.1, 5.0), (None, 5.0), (0.9, None), (None, None)):
        creative = {"v1.scam": score, "age": age}
        at = next(at for at in range(3) if run_program(table, at, creative))
        found.append(table.rules[0][at].decision.name)
    assert found == ["REJECT", "APPROVE", "REVIEW", "APPROVE", "APPROVE"]


def test_struck_rules_are_programs_after_those_of_all_strategies() -> None:
    harsh = (rule("a >= 0.1", "REJECT"), rule("b >= 5", "REVIEW"))
    one = Strategy("one", (rule("a >= 1", "REJECT"),), APPROVE)
    two = replace(one, name="two", struck=harsh)
    three = replace(one, name="three", struck=(APPROVE,))
    table = build_table([one, two, three])
    assert table.struck_S.tolist() == [-1, 3, 4]
    assert [table.programs(s) for s in range(3)] == [(0,), (1, 3), (2, 4)]
    assert table.strategy_start_S.tolist() == [0, 2, 4, 6, 8, 9]
    assert table.struck == ((), (harsh[0], replace(harsh[1], when=ALWAYS)), (APPROVE,))
    assert [len(rules) for rules in table.rules] == [2, 2, 2]
    first = int(table.strategy_start_S[3])
    assert run_program(table, first, {"a": 0.5, "b": 0.0})
    assert not run_program(table, first, {"a": 0.0, "b": 0.0})


def test_struck_rules_are_guarded_against_missing_scores_too() -> None:
    strategy = Strategy("s", (), APPROVE, struck=(rule("v1.scam >= 0.1", "REJECT"), APPROVE))
    (struck,) = build_table([strategy], missing_to_review=True).struck
    assert [each.guard for each in struck] == [True, False, False]


@examples(30)
@given(drawn=rule_lists())
def test_struck_rules_are_the_program_of_the_same_rules_of_a_strategy_of_their_own(drawn: Rules) -> None:
    plain = replace(drawn.strategy(), match="first")
    struck = replace(plain, rules=(), struck=(*plain.rules, plain.otherwise))
    table = build_table([plain, struck])

    def program(number: int) -> list[list[tuple[int, int]]]:
        first, last = (int(rule) for rule in table.strategy_start_S[number : number + 2])
        bounds = table.rule_start_R[first : last + 1]
        spans = [slice(int(start), int(stop)) for start, stop in pairwise(bounds)]
        return [list(zip(table.op_L[at].tolist(), table.arg_L[at].tolist(), strict=True)) for at in spans]

    assert program(0) == program(int(table.struck_S[1]))


def test_what_a_memory_reads_is_read_by_the_strategy() -> None:
    memory = Memory(Capacity(5, order="score", column="v2.scam"), outcome="drawn", drawn_by=("v3.scam",))
    struck = (rule("hour < 6", "REJECT"), APPROVE)
    strategy = Strategy("s", (rule("velocity(24) + a >= 1", "REJECT"),), APPROVE, memory=memory, struck=struck)
    assert columns_read(strategy) == ("velocity(24)", "a", "hour", "v2.scam", "v3.scam")
    assert features_read([strategy, strategy]) == ("velocity(24)", "hour")


def test_columns_read_are_named_once_in_order() -> None:
    strategy = Strategy("s", (rule("b >= 1 and a >= 1", "REJECT"), rule("c >= 1 or b < 2", "REVIEW")), APPROVE)
    assert columns_read(strategy) == ("b", "a", "c")


def test_history_is_a_rule_per_code_and_the_last_code_is_what_is_left() -> None:
    pairs = [(0, rule("x >= 0", "APPROVE")), (3, rule("x >= 0", "REJECT")), (4, rule("x >= 0", "REVIEW"))]
    strategy = logged_strategy(pairs)
    assert strategy.name == LOGGED
    assert [r.when for r in strategy.rules] == [Atom(LOGGED, "==", 0.0), Atom(LOGGED, "==", 3.0)]
    assert strategy.otherwise.decision is Decision.REVIEW
    assert columns_read(strategy) == (LOGGED,)


@pytest.mark.parametrize(
    ("sensitivity", "specificity", "rates"),
    [
        (0.9, 0.8, (0.9, 0.8)),
        ({"scam": 0.9}, 0.8, (0.9, 0.8)),
        ({"scam": 0.9}, {"scam": 0.7}, (0.9, 0.7)),
        ({"adult": 0.9}, 0.8, None),
        (0.9, {"adult": 0.8}, None),
        ({"scam": 0.0}, 0.0, (0.0, 0.0)),
    ],
)
def test_reviewers_have_one_rate_for_all_policies_or_one_each(
    sensitivity: object, specificity: object, rates: tuple[float, float] | None
) -> None:
    assert Review(sensitivity, specificity).rates("scam") == rates
