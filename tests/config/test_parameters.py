"""Parameters of strategies in a config: defaults, inheritance, templates, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from engine.config.decisions import Outcome, parse_decision
from engine.config.loading import check_config
from engine.config.sections import Config
from engine.config.strategies import compile_strategies, find_template
from engine.errors import UsageError
from engine.expression import parse
from engine.records import Decision
from engine.strategy import Strategy, bind, parameters

OPEN = {
    "rules": [
        {"when": "v1.scam >= $high", "then": "reject"},
        {"when": "v1.scam >= $high - $gap and region == $where", "then": "limit $share"},
    ],
    "otherwise": "approve",
}
SET = {"high": 0.75, "gap": 0.25, "where": "US", "share": 0.25}


def config(strategies: dict[str, Any]) -> Config:
    plain = {
        "run": "t",
        "period": {"from": "2026-01-01", "until": "2026-02-01"},
        "creatives": {"path": "lake", "attributes": ["region"]},
        "policies": ["scam"],
        "scores": {"v1": {"creatives": {"scam": "s"}}, "v2": {"creatives": {"scam": "t"}}},
        "strategies": strategies,
    }
    return check_config(plain, "t.yaml")


def compiled(strategies: dict[str, Any]) -> dict[str, Strategy]:
    return {strategy.name: strategy for strategy in compile_strategies(config(strategies))[0]}


def faults(strategies: dict[str, Any]) -> list[str]:
    with pytest.raises(UsageError) as error:
        config(strategies)
    return [fault.removeprefix("t.yaml: ") for fault in error.value.faults]


def test_defaults_make_a_strategy_run_outside_a_sweep() -> None:
    live = compiled({"live": OPEN | {"parameters": SET}})["live"]
    assert [rule.when for rule in live.rules] == [
        parse("v1.scam >= 0.75"),
        parse('v1.scam >= 0.5 and region == "US"'),
    ]
    assert live.rules[1].share == 0.25
    assert live.words.endswith("(with high = 0.75, gap = 0.25, where = US, share = 0.25)")


def test_like_inherits_parameters_and_may_set_some_anew() -> None:
    found = compiled({"live": OPEN | {"parameters": SET}, "b": {"like": "live", "parameters": {"gap": 0.5}}})
    assert found["b"].rules[0] == found["live"].rules[0]
    assert found["b"].rules[1].when == parse('v1.scam >= 0.25 and region == "US"')


def test_a_parent_may_leave_open_what_its_child_sets_only_where_a_sweep_sets_it() -> None:
    found = faults({"live": OPEN, "b": {"like": "live", "parameters": SET}})
    assert [fault.splitlines()[0] for fault in found] == [
        f"strategies.live: ${name} has no value; write parameters: {{{name}: ...}}"
        for name in ("high", "gap", "where", "share")
    ]
    text, caret = found[1].splitlines()[1:]
    assert text[caret.index("^") :].startswith("$gap and")


def test_a_swept_strategy_is_left_out_until_its_sweep_binds_it() -> None:
    whole = config({"live": OPEN | {"parameters": SET}, "open": {"like": "live", "rules": OPEN["rules"]}})
    template = find_template(whole, "open")
    assert template.unset == ()
    swept = bind(template, {"high": 0.5})
    assert swept.rules[0].when == parse("v1.scam >= 0.5")
    section = whole.strategies["live"].model_copy(update={"parameters": {"high": 0.9}})
    half = whole.model_copy(update={"strategies": {"half": section}})
    assert find_template(half, "half").unset == ("gap", "where", "share")
    assert compile_strategies(half, swept=["half"]) == ([], [])
    assert len(compile_strategies(half)[1]) == 3


def test_names_are_checked_on_the_template_and_replaced_models_too() -> None:
    whole = config({"live": OPEN | {"parameters": SET}, "b": {"like": "live", "replace": {"v1": "v2"}}})
    template = find_template(whole, "b")
    assert parameters(template.strategy) == ("high", "gap", "where", "share")
    assert bind(template, {}).rules[0].when == parse("v2.scam >= 0.75")
    broken = whole.model_copy(update={"scores": {}})
    with pytest.raises(UsageError, match="unknown model v1"):
        find_template(broken, "live")


def test_a_default_that_no_rule_reads_is_refused_with_the_nearest_name() -> None:
    found = faults({"live": OPEN | {"parameters": SET | {"hihg": 0.5}}})
    assert found == ['strategies.live.parameters: no rule reads $hihg (did you mean "high"?)']


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"share": 1.5}, "the share of a limit lies between 0 and 1"),
        ({"gap": "much"}, "only numbers can be calculated with"),
        ({"high": float("inf")}, "must be a finite number"),
    ],
)
def test_a_default_that_cannot_stand_there_is_a_fault(values: dict[str, object], why: str) -> None:
    (fault,) = faults({"live": OPEN | {"parameters": SET | values}})
    assert fault.startswith("strategies.live: ")
    assert why in fault


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("limit $share", Outcome(Decision.LIMIT, share_of="share")),
        ("LIMIT  $Share ", Outcome(Decision.LIMIT, share_of="Share")),
        *((text, None) for text in ("limit $", "limit $1", "limit $a b", "limit $a.b", "$what", "reject $x")),
    ],
)
def test_the_share_of_a_limit_may_be_a_parameter(text: str, outcome: Outcome | None) -> None:
    assert parse_decision(text) == outcome
    assert parse_decision(text, final=True) is None
