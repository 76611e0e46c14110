"""A strategy with its score thresholds moved together: the same rules, harsher or more lenient."""

from __future__ import annotations

import math
from dataclasses import replace

from engine.expression import And, Atom, Expression, Not, Or, atoms
from engine.records import Decision
from engine.strategy.rules import Rule, Strategy, model_of

_ORDERED = (">=", ">", "<=", "<")


def can_shift(strategy: Strategy, only: Decision | None = None) -> str | None:
    """Return why a strategy's thresholds cannot be moved together, None where they can. only : see `shifted`."""
    if strategy.memory or strategy.struck:
        return "it remembers: what it does later depends on what it did before"
    found = [atom for rule in strategy.every_rule() if _asked(rule, only) for atom in atoms(rule.when)]
    if any(atom.term is not None for atom in found):
        return "its rules calculate with scores: there is no one threshold to move"
    if not any(_moves(atom) for atom in found):
        which = "rule" if only is None else f"{only.name} rule"
        return f"no {which} of it compares a score with a number between 0 and 1"
    return None


def shifted(strategy: Strategy, by: float, name: str, only: Decision | None = None) -> Strategy:
    """Return the strategy with log-odds `by` added to every threshold t of a score, 0 < t < 1; above 0 is lenient.

    only : the decision of the rules that are moved; None moves all.
    """
    return replace(
        strategy,
        name=name,
        rules=_rules(strategy.rules, by, only),
        policies=tuple(replace(p, rules=_rules(p.rules, by, only)) for p in strategy.policies),
        words=f"{strategy.words} (thresholds moved by {by:+.4g} in log-odds)",
    )


def _rules(rules: tuple[Rule, ...], by: float, only: Decision | None) -> tuple[Rule, ...]:
    return tuple(replace(r, when=_moved(r.when, by), written=None) if _asked(r, only) else r for r in rules)


def _asked(rule: Rule, only: Decision | None) -> bool:
    return only is None or rule.decision is only


def _moved(when: Expression, by: float) -> Expression:
    match when:
        case Atom():
            return replace(when, value=_threshold(when.value, by)) if _moves(when) else when
        case Not(part):
            return Not(_moved(part, by))
        case And(parts):
            return And(tuple(_moved(part, by) for part in parts))
        case Or(parts):
            return Or(tuple(_moved(part, by) for part in parts))


def _moves(atom: Atom) -> bool:
    number = isinstance(atom.value, float) and 0.0 < atom.value < 1.0
    return number and atom.operator in _ORDERED and bool(model_of(atom.column))


def _threshold(value: object, by: float) -> float:
    assert isinstance(value, float)
    if by == 0.0:
        return value  # there and back would round
    odds = math.log(value / (1 - value)) + by
    return 1 / (1 + math.exp(-odds)) if odds > -700 else 0.0
