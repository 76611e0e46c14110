"""Strategies of several policies: each decides by its own rules, and the harshest decision wins."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from generators import SINGLE, Rules, World, examples, rule_lists, worlds
from hypothesis import given
from hypothesis import strategies as st
from oracles import decide_by_policies

from engine.expression import ALWAYS, And, Not, Or, parse
from engine.records import Column, Decision
from engine.replay.asking import asks, levels
from engine.replay.replay import decide
from engine.strategy import PolicyRules, Rule, Strategy, build_table

APPROVE = Rule(ALWAYS, Decision.APPROVE)


def combined(*policies: PolicyRules) -> Strategy:
    return Strategy("s", (), APPROVE, "policies", policies=policies)


def rule(when: str, then: str, share: float = 1.0, policy: str | None = None) -> Rule:
    return Rule(parse(when), Decision[then], share, policy)


def decided(strategy: Strategy, world: World, *, missing_to_review: bool = False) -> list[Rule]:
    table = build_table([strategy], missing_to_review=missing_to_review)
    outcome_N = decide(table, world.creatives.columns, np.arange(len(world)))[0]
    return [table.rules[0][outcome] for outcome in outcome_N]


@examples(150)
@given(drawn=st.lists(rule_lists(), min_size=1, max_size=3), world=worlds((65,)))
def test_the_harshest_of_what_each_policy_decides_as_the_slow_twin_says(drawn: list[Rules], world: World) -> None:
    owners = [f"p{p}" for p in range(len(drawn))]
    written = [
        ([(*r[:3], owner) for r in each.rules], (*each.otherwise[:3], owner))
        for each, owner in zip(drawn, owners, strict=True)
    ]
    parts = [each.strategy() for each in drawn]
    policies = [
        PolicyRules(tuple(replace(r, policy=owner) for r in part.rules), replace(part.otherwise, policy=owner))
        for part, owner in zip(parts, owners, strict=True)
    ]
    for found, creative in zip(decided(combined(*policies), world), world.plain, strict=True):
        wanted = decide_by_policies(written, creative, SINGLE)
        assert (found.decision.name, found.share) == wanted[:2]
        assert found.policy == wanted[2] or found.decision is Decision.APPROVE


def test_a_policy_that_approves_early_overrules_its_own_later_rules_and_no_other_policy() -> None:
    scam = PolicyRules((rule("x < 1", "APPROVE"), rule("x >= 0", "REJECT")), APPROVE)
    adult = PolicyRules((rule("y >= 1", "REVIEW"),), APPROVE)
    rules = build_table([combined(scam, adult)]).rules[0]
    assert [r.decision.name for r in rules] == ["REJECT", "REVIEW", "APPROVE", "APPROVE"]
    assert rules[0].when == And((parse("x >= 0"), Not(Or((parse("x < 1"),)))))


def test_a_review_of_one_policy_keeps_the_limit_of_another() -> None:
    scam = PolicyRules((rule("x >= 1", "REVIEW", policy="scam"),), APPROVE)
    adult = PolicyRules((rule("y >= 1", "LIMIT", 0.25, "adult"),), APPROVE)
    rules = build_table([combined(scam, adult)]).rules[0]
    assert [(r.decision.name, r.share, r.policy) for r in rules] == [
        ("REVIEW", 0.25, "scam"),
        ("REVIEW", 1.0, "scam"),
        ("LIMIT", 0.25, "adult"),
        ("APPROVE", 1.0, None),
    ]


def test_a_policy_that_otherwise_rejects_does_so_when_none_of_its_rules_fires() -> None:
    strategy = combined(PolicyRules((rule("x >= 0.5", "APPROVE"),), rule("x >= 9", "REJECT", policy="scam")))
    table = build_table([strategy])
    outcome_N = decide(table, [Column("x", np.array([0.2, 0.8]))], np.arange(2))[0]
    assert [table.rules[0][o].decision.name for o in outcome_N] == ["REJECT", "APPROVE"]


@examples(60)
@given(drawn=st.lists(rule_lists(), min_size=2, max_size=2), world=worlds((63,)))
def test_no_value_of_a_score_that_nobody_asked_for_changes_what_policies_decide(
    drawn: list[Rules], world: World
) -> None:
    parts = [each.strategy() for each in drawn]
    table = build_table([combined(*(PolicyRules(part.rules, part.otherwise) for part in parts))])
    known = [c for c in world.creatives.columns if c.name != "v2.scam"]
    asked_N = asks(table, known, len(world), "v2", {"v2"})
    whole = next(c for c in world.creatives.columns if c.name == "v2.scam")
    outcomes = []
    for value in (np.nan, -1.0, 0.0, 0.3, 0.5, 1.0):
        columns = [*known, replace(whole, values_N=np.full(len(world), value))]
        outcomes.append(decide(table, columns, np.arange(len(world)))[0])
    for outcome_N in outcomes[1:]:
        assert (outcome_N == outcomes[0])[~asked_N].all()


@pytest.mark.parametrize("match", ["first", "harshest"])
def test_policies_are_heard_only_where_they_match(match: str) -> None:
    strategy = replace(combined(PolicyRules((rule("x >= 1", "REJECT"),), APPROVE)), match=match)
    assert build_table([strategy]).rules[0] == (APPROVE,)


def test_a_cascade_sees_through_policies() -> None:
    small = PolicyRules((rule("v1.scam >= 0.3 and v2.scam >= 0.5", "REJECT"),), APPROVE)
    assert levels(build_table([combined(small)]), ["v1", "v2"]) == (("v1",), ("v2",))
