"""Strategies as arrays: the distinct comparisons, and every rule as a postfix program over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.expression import And, Atom, Expression, Not, Or
from engine.records import I8, I32, I64
from engine.strategy.order import deciding_order, struck_order
from engine.strategy.rules import Rule, Strategy

PUSH, AND, OR, NOT, TRUE = range(5)  # operations of a rule's postfix program


@dataclass(frozen=True)
class StrategyTable:
    """All strategies of a run as arrays.

    atoms : the distinct comparisons, K of them; a kernel sees one bit per atom and creative.
    op_L, arg_L : postfix programs of all rules, one after the other; PUSH takes the atom `arg`.
    rule_start_R : int64, R + 1 bounds into op_L.
    strategy_start_S : int64, bounds into rules: first one program per strategy, S of them, then those of struck rules.
    struck_S : int64, per strategy the program of its struck rules, -1 where it has none.
    rules : per strategy its rules in deciding order, the last one always fires; an outcome is an index into it.
    struck : per strategy its struck rules likewise, () where it has none.
    """

    strategies: tuple[Strategy, ...]
    atoms: tuple[Atom, ...]
    op_L: I8
    arg_L: I32
    rule_start_R: I64
    strategy_start_S: I64
    struck_S: I64
    rules: tuple[tuple[Rule, ...], ...]
    struck: tuple[tuple[Rule, ...], ...]
    stack: int

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(strategy.name for strategy in self.strategies)

    @property
    def outcomes(self) -> int:
        """The largest number of outcomes of any strategy."""
        return max(len(rules) for rules in self.rules)

    def programs(self, strategy: int) -> tuple[int, ...]:
        """Return the programs that may decide for a strategy: its own, and that of its struck rules."""
        struck = int(self.struck_S[strategy])
        return (strategy,) if struck < 0 else (strategy, struck)


def build_table(strategies: Sequence[Strategy], *, missing_to_review: bool = False) -> StrategyTable:
    """Compile strategies into arrays.

    Parameters
    ----------
    missing_to_review : a creative goes to REVIEW where its decision turns on a score that is missing.
    """
    ordered = tuple(deciding_order(strategy, missing_to_review) for strategy in strategies)
    struck = tuple(struck_order(strategy, missing_to_review) for strategy in strategies)
    programs = [*ordered, *(rules for rules in struck if rules)]
    known: dict[Atom, int] = {}
    ops: list[int] = []
    args: list[int] = []
    rule_start = [0]
    depth = 1
    for rules in programs:
        for rule in rules:
            depth = max(depth, _emit(rule.when, known, ops, args))
            rule_start.append(len(ops))
    place_S = len(ordered) + np.cumsum([bool(rules) for rules in struck], dtype=np.int64) - 1
    return StrategyTable(
        strategies=tuple(strategies),
        atoms=tuple(known),
        op_L=np.array(ops, np.int8),
        arg_L=np.array(args, np.int32),
        rule_start_R=np.array(rule_start, np.int64),
        strategy_start_S=np.cumsum([0, *map(len, programs)], dtype=np.int64),
        struck_S=np.where([bool(rules) for rules in struck], place_S, -1),
        rules=ordered,
        struck=struck,
        stack=depth,
    )


def _emit(expression: Expression, known: dict[Atom, int], ops: list[int], args: list[int]) -> int:
    """Append the postfix program of an expression; return the stack it needs."""
    match expression:
        case Atom():
            ops.append(PUSH)
            args.append(known.setdefault(expression, len(known)))
            return 1
        case Not(part):
            depth = _emit(part, known, ops, args)
            ops.append(NOT)
            args.append(0)
            return depth
        case And(()):
            ops.append(TRUE)
            args.append(0)
            return 1
        case And(parts) | Or(parts):
            depth = 0
            for i, part in enumerate(parts):
                depth = max(depth, _emit(part, known, ops, args) + min(i, 1))
                if i:
                    ops.append(AND if isinstance(expression, And) else OR)
                    args.append(0)
            return depth
