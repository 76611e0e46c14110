"""Strategies with `$parameters`: read once as a template, bound to values as often as a sweep asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from engine import expression
from engine.errors import did_you_mean
from engine.expression import Constant, ExpressionError
from engine.strategy.rules import PolicyRules, Rule, Strategy


@dataclass(frozen=True)
class Template:
    """A strategy whose rules hold parameters, and the values that these have where nobody gives others."""

    strategy: Strategy
    defaults: Mapping[str, Constant]

    @property
    def unset(self) -> tuple[str, ...]:
        """The parameters without a default."""
        return tuple(name for name in parameters(self.strategy) if name not in self.defaults)


def parameters(strategy: Strategy) -> tuple[str, ...]:
    """Return the parameters of a strategy's rules and shares, each once, in order."""
    names: dict[str, None] = {}
    for rule in strategy.every_rule():
        names |= dict.fromkeys(expression.parameters(rule.when))
        names |= {rule.share_of: None} if rule.share_of else {}
    return tuple(names)


def bind(template: Template, values: Mapping[str, Constant]) -> Strategy:
    """Return the strategy with values for its parameters; those not given take their defaults.

    Raises
    ------
    ExpressionError : a parameter without a value, a value for no parameter, or one that cannot stand where it is.
    """
    strategy = template.strategy
    names = parameters(strategy)
    for name in values:
        if name not in names:
            raise ExpressionError(f"no rule reads ${name}{did_you_mean(name, names)}")
    if not names:
        return strategy
    every = {**template.defaults, **values}
    struck = strategy.struck
    said = ", ".join(f"{name} = {every[name]}" for name in names if name in every)
    return replace(
        strategy,
        rules=_bind_rules(strategy.rules, every),
        otherwise=_bind_rule(strategy.otherwise, every),
        policies=tuple(
            PolicyRules(_bind_rules(p.rules, every), _bind_rule(p.otherwise, every)) for p in strategy.policies
        ),
        struck=None if struck is None else _bind_rules(struck, every),
        words=f"{strategy.words} (with {said})",
    )


def _bind_policy(policy: PolicyRules, values: Mapping[str, Constant]) -> PolicyRules:
    return PolicyRules(_bind_rules(policy.rules, values), _bind_rule(policy.otherwise, values))


def _bind_rules(rules: tuple[Rule, ...], values: Mapping[str, Constant]) -> tuple[Rule, ...]:
    return tuple(_bind_rule(rule, values) for rule in rules)


def _bind_rule(rule: Rule, values: Mapping[str, Constant]) -> Rule:
    try:
        when = expression.bind(rule.when, values)
    except ExpressionError as error:
        raise _shown(rule, values, error) from None
    if rule.share_of is None:
        return rule if when is rule.when else replace(rule, when=when)
    return replace(rule, when=when, share=_share(rule.share_of, values), share_of=None)


def _shown(rule: Rule, values: Mapping[str, Constant], error: ExpressionError) -> ExpressionError:
    """Return the error with the rule as written, and a caret under the parameter that lacks a value, or the first."""
    names = expression.parameters(rule.when)
    name = next((name for name in names if name not in values), names[0])
    return error if rule.written is None else ExpressionError(rule.written.fault(f"${name}", str(error)))


def _share(name: str, values: Mapping[str, Constant]) -> float:
    if name not in values:
        raise ExpressionError(f"${name} has no value{did_you_mean(name, values)}")
    share = values[name]
    if isinstance(share, str | bool) or not 0 < share < 1:
        raise ExpressionError(f"${name} is {share!r}; the share of a limit lies between 0 and 1")
    return float(share)
