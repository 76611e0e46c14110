"""Strategy (what an operator writes) → StrategyTable (what a kernel eats).

`match: first` decides by the first rule that fires. `match: harshest` is rewritten into it: rules are sorted
REJECT, REVIEW, LIMIT (smaller share first), APPROVE, and a REVIEW over a LIMIT becomes a rule of its own that keeps
the share for what the human approves. A kernel therefore knows one way to decide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from engine.expression import ALWAYS, And, Atom, Expression, Not, Or, atoms
from engine.records import I8, I32, I64, LOGGED, Decision

PUSH, AND, OR, NOT, TRUE = range(5)  # operations of a rule's postfix program
NO_POLICY = -1


@dataclass(frozen=True)
class Review:
    """How the strategy's own human reviewers decide.

    sensitivity, specificity : one value for all policies or one per policy (`any` included), in [0, 1].
    hold : share of a creative's exposure life that it waits for the human, in [0, 1].
    """

    sensitivity: float | Mapping[str, float] = 1.0
    specificity: float | Mapping[str, float] = 1.0
    hold: float = 0.0

    def rates(self, policy: str) -> tuple[float, float] | None:
        """Return (sensitivity, specificity) for a policy, or None where they are not given for it."""
        pair = [x if isinstance(x, float) else x.get(policy) for x in (self.sensitivity, self.specificity)]
        return None if pair[0] is None or pair[1] is None else (pair[0], pair[1])


@dataclass(frozen=True)
class Rule:
    """`when` this holds, `then` decide so. `policy` is the one the decision is owed to, None where unknown."""

    when: Expression
    decision: Decision
    share: float = 1.0
    policy: str | None = None
    final: Decision | None = None  # known only of history's own decisions
    final_share: float = 1.0
    guard: bool = False  # the engine's own: it sends what turns on a missing score to REVIEW


@dataclass(frozen=True)
class Strategy:
    """Rules in order and what happens when none fires. `words` is what the operator wrote, for the report."""

    name: str
    rules: tuple[Rule, ...]
    otherwise: Rule
    match: str = "first"
    review: Review = Review()
    words: str = ""


@dataclass(frozen=True)
class StrategyTable:
    """All strategies of a run as arrays.

    atoms : the distinct comparisons, K of them; a kernel sees one bit per atom and creative.
    op_L, arg_L : postfix programs of all rules, one after the other; PUSH takes the atom `arg`.
    rule_start_R : int64, R + 1 bounds into op_L. strategy_start_S : int64, S + 1 bounds into rules.
    rules : per strategy its rules in deciding order, the last one always fires; an outcome is an index into it.
    """

    strategies: tuple[Strategy, ...]
    atoms: tuple[Atom, ...]
    op_L: I8
    arg_L: I32
    rule_start_R: I64
    strategy_start_S: I64
    rules: tuple[tuple[Rule, ...], ...]
    stack: int

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(strategy.name for strategy in self.strategies)

    @property
    def outcomes(self) -> int:
        """The largest number of outcomes of any strategy."""
        return max(len(rules) for rules in self.rules)


def build_table(strategies: Sequence[Strategy], *, missing_to_review: bool = False) -> StrategyTable:
    """Compile strategies into arrays.

    Parameters
    ----------
    missing_to_review : a creative goes to REVIEW where its decision turns on a score that is missing.
    """
    ordered = tuple(_deciding_order(strategy, missing_to_review) for strategy in strategies)
    known: dict[Atom, int] = {}
    ops: list[int] = []
    args: list[int] = []
    rule_start = [0]
    depth = 1
    for rules in ordered:
        for rule in rules:
            depth = max(depth, _emit(rule.when, known, ops, args))
            rule_start.append(len(ops))
    return StrategyTable(
        strategies=tuple(strategies),
        atoms=tuple(known),
        op_L=np.array(ops, np.int8),
        arg_L=np.array(args, np.int32),
        rule_start_R=np.array(rule_start, np.int64),
        strategy_start_S=np.cumsum([0, *map(len, ordered)], dtype=np.int64),
        rules=ordered,
        stack=depth,
    )


def columns_read(strategy: Strategy) -> tuple[str, ...]:
    """Return the columns that a strategy's rules read, each once, in order."""
    return tuple(dict.fromkeys(atom.column for rule in strategy.rules for atom in atoms(rule.when)))


def model_of(column: str) -> str:
    """Return the model or brought scores that a column such as `v1.scam` belongs to, "" for anything else."""
    model, dot, _ = column.partition(".")
    return model if dot else ""


def logged_strategy(pairs: Sequence[tuple[int, Rule]]) -> Strategy:
    """Return the strategy that replays history: one rule per code of the column `logged`."""
    rules = tuple(replace(rule, when=Atom(LOGGED, "==", float(code))) for code, rule in pairs)
    return Strategy(LOGGED, rules[:-1], replace(rules[-1], when=ALWAYS), words="history's own decisions")


def _deciding_order(strategy: Strategy, missing_to_review: bool) -> tuple[Rule, ...]:
    rules = list(strategy.rules) if strategy.match == "first" else _harshest_first(strategy.rules)
    if missing_to_review:
        rules = [each for rule in rules for each in (*_guard(rule), rule)]
    return (*rules, replace(strategy.otherwise, when=ALWAYS))


def _guard(rule: Rule) -> list[Rule]:
    """Return the rule that fires before this one where it may hold or fail, by the value of a missing score."""
    if not any(model_of(atom.column) for atom in atoms(rule.when)):
        return []
    doubt = And((_may(rule.when, True), _may(rule.when, False)))
    return [Rule(doubt, Decision.REVIEW, policy=rule.policy, guard=True)]


def _may(expression: Expression, holds: bool) -> Expression:
    """Return where an expression may hold (or fail): a comparison with a missing score may do both."""
    match expression:
        case Atom(column=column, operator=operator):
            plain = expression if holds else Not(expression)
            if not model_of(column) or operator == "missing":
                return plain
            return Or((plain, Atom(column, "missing", ())))
        case Not(part):
            return _may(part, not holds)
        case And(parts):
            every = tuple(_may(part, holds) for part in parts)
            return And(every) if holds or not every else Or(every)
        case Or(parts):
            every = tuple(_may(part, holds) for part in parts)
            return Or(every) if holds else And(every)


def _harshest_first(rules: Sequence[Rule]) -> list[Rule]:
    def of(decision: Decision) -> list[Rule]:
        return [rule for rule in rules if rule.decision is decision]

    limits = sorted(of(Decision.LIMIT), key=lambda rule: rule.share)
    reviews = []
    for review in of(Decision.REVIEW):
        reviews += [replace(review, when=And((review.when, limit.when)), share=limit.share) for limit in limits]
        reviews.append(review)
    return of(Decision.REJECT) + reviews + limits + of(Decision.APPROVE)


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
