"""Strategies as operators write them: decisions, likeness, replaced models, owners of decisions."""

from __future__ import annotations

from typing import Any

import pytest

from engine.config.decisions import Outcome, logged_values, parse_decision
from engine.config.loading import check_config
from engine.config.sections import Config
from engine.config.strategies import compile_strategies
from engine.errors import UsageError
from engine.expression import parse
from engine.records import LOGGED, Decision
from engine.strategy import Strategy

LIVE = {
    "rules": [
        {"when": "v1.scam >= 0.9", "then": "reject"},
        {"when": 'v1.adult >= 0.5 and region in ["US"]', "then": "limit 0.25"},
    ],
    "otherwise": "approve",
    "review": {"sensitivity": 0.9, "specificity": {"scam": 0.8}},
}


def config(strategies: dict[str, Any], **sections: Any) -> Config:
    plain = {
        "run": "t",
        "period": {"from": "2026-01-01", "until": "2026-02-01"},
        "creatives": {"path": "lake", "attributes": ["region"]},
        "policies": ["scam", "adult"],
        "scores": {name: {"creatives": {"scam": f"{name}_s", "adult": f"{name}_a"}} for name in ("v1", "v2")},
        "strategies": strategies,
    }
    return check_config(plain | sections, "t.yaml")


def compiled(strategies: dict[str, Any], **sections: Any) -> dict[str, Strategy]:
    found, faults = compile_strategies(config(strategies, **sections))
    assert not faults
    return {strategy.name: strategy for strategy in found}


def faults(strategies: dict[str, Any], **sections: Any) -> list[str]:
    with pytest.raises(UsageError) as error:
        config(strategies, **sections)
    return [fault.removeprefix("t.yaml: ") for fault in error.value.faults]


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("reject", Outcome(Decision.REJECT)),
        (" Review ", Outcome(Decision.REVIEW)),
        ("APPROVE", Outcome(Decision.APPROVE)),
        ("limit 0.3", Outcome(Decision.LIMIT, 0.3)),
        ("Limit 3e-1", Outcome(Decision.LIMIT, 0.3)),
        *((text, None) for text in ("", "limit", "limit 0", "limit 1", "limit -1", "limit nan", "limit x", "reject 1")),
        *((text, None) for text in ("rejected", "pending", "limit 0.3 0.4", "0", "none")),
    ],
)
def test_a_decision_is_one_of_four_words(text: str, outcome: Outcome | None) -> None:
    assert parse_decision(text) == outcome


def test_pending_is_a_final_decision_only() -> None:
    assert parse_decision("pending") is None
    assert parse_decision("pending", final=True) == Outcome(Decision.PENDING)


def test_a_strategy_becomes_rules_in_order_with_their_owners() -> None:
    live = compiled({"live": LIVE})["live"]
    assert [(r.when, r.decision, r.share, r.policy) for r in live.rules] == [
        (parse("v1.scam >= 0.9"), Decision.REJECT, 1.0, "scam"),
        (parse('v1.adult >= 0.5 and region in ["US"]'), Decision.LIMIT, 0.25, "adult"),
    ]
    assert live.otherwise.decision is Decision.APPROVE
    assert live.match == "first"
    assert live.review.rates("scam") == (0.9, 0.8)
    assert live.review.rates("adult") is None
    assert live.words == (
        'v1.scam >= 0.9 → reject; v1.adult >= 0.5 and region in ["US"] → limit 0.25; otherwise approve'
    )


@pytest.mark.parametrize(
    ("rule", "owner"),
    [
        ({"when": "v1.scam >= 0.5"}, "scam"),
        ({"when": "v1.scam >= 0.5 and v2.scam >= 0.5"}, "scam"),
        ({"when": "v1.scam >= 0.5 or v1.adult >= 0.5"}, None),
        ({"when": 'region == "US"'}, None),
        ({"when": 'region == "US"', "policy": "adult"}, "adult"),
        ({"when": "v1.scam >= 0.5", "policy": "adult"}, "adult"),
    ],
)
def test_a_decision_is_owed_to_the_only_policy_that_its_rule_reads(rule: dict[str, str], owner: str | None) -> None:
    live = compiled({"live": {"rules": [rule | {"then": "reject"}], "otherwise": "approve"}})["live"]
    assert live.rules[0].policy == owner


def test_with_one_policy_every_decision_is_owed_to_it() -> None:
    scores = {"v1": {"creatives": {"scam": "s"}}}
    strategies = {"live": {"rules": [{"when": 'region == "US"', "then": "reject"}], "otherwise": "review"}}
    live = compiled(strategies, policies=["scam"], scores=scores)["live"]
    assert live.rules[0].policy == live.otherwise.policy == "scam"


def test_a_bare_policy_means_its_only_model() -> None:
    scores = {"v1": {"creatives": {"scam": "s", "adult": "a"}}}
    strategies = {"live": {"rules": [{"when": "scam >= 0.5", "then": "reject"}], "otherwise": "approve"}}
    assert compiled(strategies, scores=scores)["live"].rules[0].when == parse("v1.scam >= 0.5")


def test_like_inherits_everything_and_what_is_written_wins() -> None:
    found = compiled({"live": LIVE, "b": {"like": "live", "otherwise": "review", "match": "harshest"}})
    assert found["b"].rules == found["live"].rules
    assert found["b"].review == found["live"].review
    assert found["b"].otherwise.decision is Decision.REVIEW
    assert found["b"].match == "harshest"


def test_like_follows_a_chain_in_any_order() -> None:
    found = compiled({"c": {"like": "b"}, "b": {"like": "a", "otherwise": "review"}, "a": LIVE})
    assert found["c"].rules == found["a"].rules
    assert found["c"].otherwise.decision is Decision.REVIEW
    assert list(found) == ["c", "b", "a"]


def test_replace_puts_one_model_for_another_in_inherited_rules() -> None:
    found = compiled({"live": LIVE, "b": {"like": "live", "replace": {"v1": "v2"}}})["b"]
    assert [r.when for r in found.rules] == [parse("v2.scam >= 0.9"), parse('v2.adult >= 0.5 and region in ["US"]')]
    assert found.words.endswith("(with v1 by v2)")


def test_replace_swaps_two_models_at_once() -> None:
    both = {"rules": [{"when": "v1.scam >= 0.9 and v2.scam < 0.1", "then": "reject"}], "otherwise": "approve"}
    found = compiled({"a": both, "b": {"like": "a", "replace": {"v1": "v2", "v2": "v1"}}})["b"]
    assert found.rules[0].when == parse("v2.scam >= 0.9 and v1.scam < 0.1")


def test_replacing_back_and_forth_along_a_chain_comes_back() -> None:
    found = compiled(
        {"a": LIVE, "b": {"like": "a", "replace": {"v1": "v2"}}, "c": {"like": "b", "replace": {"v2": "v1"}}}
    )
    assert [r.when for r in found["c"].rules] == [r.when for r in found["a"].rules]


def test_rules_of_its_own_are_not_touched_by_what_the_parent_replaced() -> None:
    own = [{"when": "v1.scam >= 0.5", "then": "reject"}]
    found = compiled({"a": LIVE, "b": {"like": "a", "replace": {"v1": "v2"}}, "c": {"like": "b", "rules": own}})
    assert found["c"].rules[0].when == parse("v1.scam >= 0.5")


@pytest.mark.parametrize(
    "strategies",
    [
        {"a": {"like": "a"}},
        {"a": {"like": "b"}, "b": {"like": "a"}},
        {"a": {"like": "b"}, "b": {"like": "c"}, "c": {"like": "b"}},
    ],
)
def test_strategies_like_each_other_in_a_circle_are_refused(strategies: dict[str, Any]) -> None:
    found = faults(strategies)
    assert len(found) == len(strategies)
    assert all("in a circle" in fault for fault in found)


def test_an_unknown_model_in_replace_is_refused_with_the_nearest_name() -> None:
    found = faults({"live": LIVE, "b": {"like": "live", "replace": {"v1": "v22"}}})
    assert found[0] == 'strategies.b.rules.0.when: replace: unknown model v22 (did you mean "v2"?)'


def test_an_inherited_fault_is_reported_once_and_a_fault_of_its_own_beside_it() -> None:
    broken = {"rules": [{"when": "v9.scam >= 0.5", "then": "reject"}], "otherwise": "approve"}
    found = faults({"a": broken, "b": {"like": "a", "otherwise": "aprove"}, "c": {"like": "b"}})
    assert [fault.split(": ")[0] for fault in found] == ["strategies.a.rules.0.when", "strategies.b.otherwise"]


def test_a_fault_of_one_strategy_hides_no_fault_of_another() -> None:
    broken = {"rules": [{"when": "v9.scam >= 0.5", "then": "reject"}], "otherwise": "approve"}
    found = faults({"a": broken, "live": LIVE, "b": {"like": "live", "otherwise": "aprove"}})
    assert [fault.split(": ")[0] for fault in found] == ["strategies.a.rules.0.when", "strategies.b.otherwise"]


def test_a_human_who_waits_holds_a_share_of_the_life_of_a_creative() -> None:
    waiting = {**LIVE, "review": {"wait": "12h"}}
    assert compiled({"a": waiting}, exposure={"life": "2d"})["a"].review.hold == 0.25
    assert compiled({"a": waiting}, exposure={"life": "6h"})["a"].review.hold == 1.0
    assert compiled({"a": LIVE})["a"].review.hold == 0.0


HISTORY = {
    "path": "lake",
    "columns": {"logged_decision": "decision", "logged_final": "final"},
    "decisions": {"ok": "APPROVE", "less": "LIMIT 0.25", "queued": "REVIEW", "no": "REJECT", "open": "PENDING"},
}


def test_history_has_a_rule_for_every_pair_of_machine_and_final_value() -> None:
    whole = config({}, creatives=HISTORY)
    values = logged_values(whole)
    assert [value for value, _ in values] == list(HISTORY["decisions"])
    (logged,) = compile_strategies(whole)[0]
    rules = [*logged.rules, logged.otherwise]
    assert logged.name == LOGGED
    assert len(rules) == 5 * 6
    for i, (_, machine) in enumerate(values):
        for j, final in enumerate([*(outcome for _, outcome in values), None]):
            rule = rules[i * 6 + j]
            assert (rule.decision, rule.share) == (machine.decision, machine.share)
            assert rule.final == (None if final is None else final.decision)
            assert rule.final_share == (1.0 if final is None else final.share)
    assert [rule.when.value for rule in logged.rules] == list(range(29))


def test_history_comes_first_and_only_where_it_is_mapped() -> None:
    assert list(compiled({"live": LIVE}, creatives=HISTORY | {"attributes": ["region"]})) == [LOGGED, "live"]
    assert list(compiled({"live": LIVE})) == ["live"]


def test_history_may_be_compared_where_it_is_mapped_and_is_explained_where_not() -> None:
    compare = {"baseline": "logged", "candidate": "live"}
    config({"live": LIVE}, creatives=HISTORY | {"attributes": ["region"]}, compare=compare)
    assert faults({"live": LIVE}, compare=compare) == [
        "compare.baseline: unknown strategy logged (needs creatives.columns.logged_decision)"
    ]


@pytest.mark.parametrize(
    ("creatives", "fault"),
    [
        ({"columns": {"logged_decision": "d"}}, "creatives.decisions: is required"),
        ({"columns": {"logged_final": "d"}}, "creatives.columns.logged_decision: is required"),
        ({"columns": {"logged_decision": "d"}, "decisions": {"x": "LIMIT"}}, "creatives.decisions.x: 'LIMIT'"),
    ],
)
def test_history_that_is_half_mapped_is_refused(creatives: dict[str, Any], fault: str) -> None:
    found = faults({"live": LIVE}, creatives={"path": "lake", "attributes": ["region"]} | creatives)
    assert any(line.startswith(fault) for line in found)


def test_nothing_to_replay_is_a_fault() -> None:
    assert faults({})[0].startswith("strategies: is empty")
