"""`$parameters`: read where they stand, never inside quotes, bound to values and folded."""

from __future__ import annotations

import numpy as np
import pytest
from generators import examples
from hypothesis import given
from hypothesis import strategies as st

from engine.expression import (
    Atom,
    Constant,
    Expression,
    ExpressionError,
    Parameter,
    atoms,
    bind,
    evaluate,
    parameters,
    parse,
    parse_written,
)
from engine.records import Column, Decision
from engine.strategy import PolicyRules, Rule, Strategy, Template
from engine.strategy import bind as bind_strategy
from engine.strategy import parameters as parameters_of


def bound(when: str, **values: Constant) -> Expression:
    return bind(parse(when), values)


def test_parameters_are_listed_once_in_order_wherever_they_stand() -> None:
    when = parse("x >= $b and ($a * y - $c >= 2 or not z in [$d, $b]) and $e < x and missing(x / $f)")
    assert parameters(when) == ("b", "a", "c", "d", "e", "f")
    assert next(atoms(when)) == Atom("x", ">=", Parameter("b"))


def test_a_dollar_inside_quotes_is_a_text() -> None:
    when = parse("""x == "$a" and y in ['costs $5', "it's $b"] and z == $c""")
    assert parameters(when) == ("c",)
    assert [atom.value for atom in atoms(when)] == ["$a", ("costs $5", "it's $b"), Parameter("c")]


@examples(300)
@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8), min_size=1, max_size=4))
def test_any_quoted_text_comes_through_as_it_is_beside_parameters(texts: list[str]) -> None:
    written = [repr(text) for text in texts]
    when = parse(f"x in [{', $a, '.join(written)}] and y >= $b")
    assert [value for value in next(atoms(when)).value if isinstance(value, str)] == texts
    assert parameters(when)[-1] == "b"


def test_a_comment_is_no_text_and_lines_may_be_broken() -> None:
    assert parse("x >= $a  # don't\nand y == '$b'") == parse("x >= $a and y == '$b'")
    assert parse("x >= 1\r\n  or\n  y >= 2") == parse("x >= 1 or y >= 2")


def test_binding_replaces_and_folds() -> None:
    assert bound("x >= $t", t=0.5) == parse("x >= 0.5")
    assert bound("$t * 2 + 1 <= x", t=3) == parse("x >= 7")
    assert bound("r == $r and r in [$r, 'GB']", r="US") == parse("r == 'US' and r in ['US', 'GB']")
    assert bound("not ($a * x + (1 - $a) * y >= $t)", a=0.25, t=0.5) == parse("not (0.25 * x + 0.75 * y >= 0.5)")
    assert bound("f == $f", f=True) == parse("f == True")
    assert next(atoms(bound("$a * x >= 1", a=2.0))).column == "2 * x"


def test_what_has_no_parameter_is_the_same_object() -> None:
    when = parse("x >= 1 and y + 1 >= 2")
    assert bind(when, {"t": 1.0}) is when
    half = parse("x >= 1 and y >= $t")
    assert bind(half, {"t": 1.0}).parts[0] is half.parts[0]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("when", "values", "why"),
    [
        ("x >= $t", {}, r"\$t has no value"),
        ("x >= $share", {"shar": 1.0}, 'did you mean "shar"'),
        ("x >= 1 / $t", {"t": 0.0}, "divides by 0"),
        ("x >= $t * 10", {"t": 1.7e308}, "too large"),
        ("x >= $t", {"t": float("nan")}, "must be a finite number"),
        ("x >= $t", {"t": float("inf")}, "must be a finite number"),
        ("x >= $t", {"t": 10**400}, "must be a finite number"),
        ("x + $t >= 1", {"t": "US"}, "only numbers can be calculated with"),
        ("x >= -$t", {"t": True}, "only numbers can be calculated with"),
    ],
)
def test_a_value_that_cannot_stand_there_is_refused(when: str, values: dict[str, Constant], why: str) -> None:
    with pytest.raises(ExpressionError, match=why):
        bind(parse(when), values)


def test_an_expression_with_an_open_parameter_is_not_evaluated() -> None:
    columns = {"x": Column("x", np.array([1.0]))}
    for when in ("x >= $t", "x in [$t]", "x + $t >= 1", "missing(x + $t)"):
        with pytest.raises(ExpressionError, match="no value"):
            evaluate(parse(when), columns, 1)


# --- Strategies ------------------------------------------------------------------------------------------------------

APPROVE = Rule(parse("missing(x)"), Decision.APPROVE)


def rule(when: str, decision: Decision = Decision.REJECT, share_of: str | None = None) -> Rule:
    expression, written = parse_written(when)
    return Rule(expression, decision, share_of=share_of, written=written)


def test_a_strategy_is_bound_in_rules_shares_policies_and_struck_rules() -> None:
    open_rules = (rule("x >= $a"), rule("x >= 0.1", Decision.LIMIT, "share"))
    policies = (PolicyRules((rule("y >= $b"),), rule("x >= $c")),)
    strategy = Strategy("s", open_rules, APPROVE, policies=policies, struck=(rule("x >= $d"), APPROVE), words="w")
    assert parameters_of(strategy) == ("a", "share", "b", "c", "d")
    template = Template(strategy, {"a": 0.9, "b": 0.8, "c": 0.7})
    assert template.unset == ("share", "d")
    found = bind_strategy(template, {"share": 0.25, "d": 0.5, "c": 0.6})
    assert found.rules == (rule("x >= 0.9"), Rule(parse("x >= 0.1"), Decision.LIMIT, 0.25))
    assert found.policies == (PolicyRules((rule("y >= 0.8"),), rule("x >= 0.6")),)
    assert found.struck == (rule("x >= 0.5"), APPROVE)
    assert found.words == "w (with a = 0.9, share = 0.25, b = 0.8, c = 0.6, d = 0.5)"
    assert parameters_of(found) == ()


def test_a_strategy_without_parameters_is_bound_to_itself() -> None:
    strategy = Strategy("s", (rule("x >= 1"),), APPROVE)
    assert bind_strategy(Template(strategy, {}), {}) is strategy


@pytest.mark.parametrize("share", [0, 1, 1.5, -0.1, float("nan"), "much", True])
def test_the_share_of_a_limit_lies_between_0_and_1(share: Constant) -> None:
    strategy = Strategy("s", (rule("x >= 0.1", Decision.LIMIT, "share"),), APPROVE)
    with pytest.raises(ExpressionError, match="lies between 0 and 1"):
        bind_strategy(Template(strategy, {}), {"share": share})


def test_a_value_for_no_parameter_and_one_that_lacks_are_refused_with_the_nearest_name() -> None:
    template = Template(Strategy("s", (rule("x >= $high and y >= $low"),), APPROVE), {"high": 1.0})
    with pytest.raises(ExpressionError, match=r'no rule reads \$hihg \(did you mean "high"'):
        bind_strategy(template, {"hihg": 1.0, "low": 1.0})
    with pytest.raises(ExpressionError) as error:
        bind_strategy(template, {})
    why, text, caret = str(error.value).splitlines()
    assert why.startswith("$low has no value")
    assert text[caret.index("^") :] == "$low"
