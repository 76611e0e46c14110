"""What each rule of a strategy does: how often it fires, with which others, and what it alone adds.

All of it is answered by replaying made-up strategies beside the real one: `when` alone, two `when` together, and the
strategy without the rule. What a rule adds is the paired difference to the strategy without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from engine.conclude.numbers import ask_of
from engine.estimate.chosen import Pair, paired_numbers
from engine.estimate.delivery import AFTER_REVIEW
from engine.estimate.outcomes import outcome_counts
from engine.estimate.question import Question
from engine.expression import ALWAYS, And, Expression, Not, Or
from engine.records import LOGGED, Decision, Estimate
from engine.stages.read import Creatives
from engine.stages.replay import Ground, Wanted, replay_stage
from engine.stages.run import Run
from engine.stages.score import Scored
from engine.strategy import Rule, Strategy, build_table

ADDED = ("leakage_rate", "overkill_rate")
MOST_RULES = 24  # of a strategy; beyond it rules are not held against each other


@dataclass(frozen=True)
class RuleFacts:
    """One rule in deciding order.

    fires : creatives for which `when` holds; alone : those for which no other rule's holds.
    together : per rule of the strategy, creatives for which both hold.
    instead : per rule after it and last `otherwise`, the creatives that it would decide in this one's place.
    adds : metric → strategy − strategy without it.
    """

    fires: int
    alone: int
    together: tuple[int, ...]
    instead: tuple[int, ...]
    adds: dict[str, Estimate]

    def as_plain(self) -> dict[str, Any]:
        """Return what summary.json holds of the rule."""
        adds = [row._asdict() for row in self.adds.values()]
        return {
            "fires": self.fires,
            "alone": self.alone,
            "together": list(self.together),
            "instead": list(self.instead),
            "adds": adds,
        }


def rules_stage(run: Run, creatives: Creatives, scored: Scored, ground: Ground) -> dict[str, tuple[RuleFacts, ...]]:
    """Return the facts of every rule, by strategy; history's own decisions have no rules."""
    table = run.prepared.table
    known = {
        strategy.name: (strategy, tuple(rule for rule in rules[:-1] if not rule.guard))
        for strategy, rules in zip(table.strategies, table.rules, strict=True)
        if strategy.name != LOGGED and 1 < len(rules) <= MOST_RULES
    }
    made = [each for strategy, rules in known.values() for each in _made_up(strategy, rules)]
    if not made:
        return {}
    asked = build_table(made, missing_to_review=run.prepared.spec.missing_score_allowed)
    replayed = replay_stage(run, creatives, scored, ground, Wanted(asked, name="rules", whole=True))
    question = ask_of(run, replayed, {}).question
    return {name: _Answers(question, name, rules).facts() for name, (_, rules) in known.items()}


def _made_up(strategy: Strategy, rules: Sequence[Rule]) -> Iterator[Strategy]:
    """Yield the strategy itself, and the ones that tell about its rules (in deciding order)."""
    plain = replace(strategy, rules=tuple(rules), match="first")
    yield plain
    for i, rule in enumerate(rules):
        others = [other.when for other in (*rules[:i], *rules[i + 1 :])]
        yield _fires(_name(strategy.name, "fires", i), rule.when)
        yield _fires(
            _name(strategy.name, "alone", i), And((rule.when, Not(Or(tuple(others))))) if others else rule.when
        )
        left = (*rules[:i], *rules[i + 1 :])
        yield replace(plain, name=_name(strategy.name, "without", i), rules=left)
        decides = And((rule.when, Not(Or(tuple(before.when for before in rules[:i]))))) if i else rule.when
        rest = (Rule(Not(decides), Decision.APPROVE), *rules[i + 1 :])
        yield Strategy(_name(strategy.name, "next", i), rest, strategy.otherwise)
    for i, j in combinations(range(len(rules)), 2):
        yield _fires(_name(strategy.name, "both", i, j), And((rules[i].when, rules[j].when)))


def _fires(name: str, when: Expression) -> Strategy:
    """Return a strategy whose first rule decides where an expression holds."""
    return Strategy(name, (Rule(when, Decision.REJECT),), Rule(ALWAYS, Decision.APPROVE))


def _name(strategy: str, kind: str, *rules: int) -> str:
    return " ".join([strategy, kind, *map(str, rules)])


class _Answers:
    """Looks up what the made-up strategies of one strategy say."""

    def __init__(self, question: Question, strategy: str, rules: Sequence[Rule]) -> None:
        self._question, self._strategy, self._rules = question, strategy, rules
        self._at = {name: s for s, name in enumerate(question.table.names)}
        self._counts = outcome_counts(question)

    def facts(self) -> tuple[RuleFacts, ...]:
        """Return the facts of every rule, in deciding order."""
        every = range(len(self._rules))
        own = self._at[self._strategy]
        instead = [self._instead(i) for i in every]
        pairs = [self._pair(i, own, instead[i]) for i in every]
        policy = self._question.readable_policies[-1]
        adds = [dict(found) for found in paired_numbers(self._question, pairs, ADDED, policy, AFTER_REVIEW)]
        return tuple(
            RuleFacts(
                fires=self._fired("fires", i),
                alone=self._fired("alone", i),
                instead=instead[i],
                together=tuple(
                    self._fired("both", *sorted((i, j))) if i != j else self._fired("fires", i) for j in every
                ),
                adds=adds[i],
            )
            for i in every
        )

    def _fired(self, kind: str, *rules: int) -> int:
        s = self._at[_name(self._strategy, kind, *rules)]
        return int(self._counts[s][self._plain(s)[0]])

    def _instead(self, i: int) -> tuple[int, ...]:
        s = self._at[_name(self._strategy, "next", i)]
        return tuple(int(self._counts[s][o]) for o in [*self._plain(s)[1:], len(self._question.table.rules[s]) - 1])

    def _pair(self, i: int, own: int, instead: Sequence[int]) -> Pair:
        """Return the strategy without a rule as the baseline of the whole one, and what swaps between them."""
        without = self._at[_name(self._strategy, "without", i)]
        rules = self._question.table.rules
        if self._question.table.strategies[own].memory or any(rule.guard for rule in rules[own]):
            return Pair(without, own)  # a memory, or a missing score, moves more than what the rule decides
        swap_OQ = np.zeros((self._question.table.outcomes,) * 2, np.int64)
        swap_OQ[i : len(rules[without]), i] = instead
        return Pair(without, own, swap_OQ)

    def _plain(self, s: int) -> list[int]:
        """Return the outcomes of a strategy that are rules of its own, not guards and not the last."""
        return [o for o, rule in enumerate(self._question.table.rules[s][:-1]) if not rule.guard]
