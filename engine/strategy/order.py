"""However a strategy matches, rewritten into one list of which the first rule that fires decides.

`harshest`: rules are sorted REJECT, REVIEW, LIMIT (smaller share first), APPROVE, and a REVIEW over a LIMIT becomes a
rule of its own that keeps the share for what the human approves. `policies`: each policy's rules are made exclusive
(a rule, and none of that policy before it), then all of them are sorted so. Of equal decisions the one written first
stands. A kernel therefore knows one way to decide.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from engine.expression import ALWAYS, And, Atom, Expression, Not, Or, columns_read
from engine.records import Decision
from engine.strategy.rules import PolicyRules, Rule, Strategy, model_of


def deciding_order(strategy: Strategy, missing_to_review: bool) -> tuple[Rule, ...]:
    """Return the strategy's rules so that the first to fire decides; the last one always fires."""
    if strategy.match == "policies":
        every = [rule for policy in strategy.policies for rule in _exclusive(policy)]
        rules = _harshest_first(every)
    else:
        rules = list(strategy.rules) if strategy.match == "first" else _harshest_first(strategy.rules)
    return (*_guarded(rules, missing_to_review), replace(strategy.otherwise, when=ALWAYS))


def struck_order(strategy: Strategy, missing_to_review: bool) -> tuple[Rule, ...]:
    """Return the struck rules likewise, () where the strategy has none."""
    if strategy.struck is None:
        return ()
    *rules, last = strategy.struck
    return (*_guarded(rules, missing_to_review), replace(last, when=ALWAYS))


def _exclusive(policy: PolicyRules) -> Iterator[Rule]:
    """Yield a policy's rules, of which at most one fires; none stands for APPROVE when no rule does."""
    before: list[Expression] = []
    for rule in policy.rules:
        yield replace(rule, when=And((rule.when, Not(Or(tuple(before))))) if before else rule.when)
        before.append(rule.when)
    if policy.otherwise.decision is not Decision.APPROVE:
        yield replace(policy.otherwise, when=Not(Or(tuple(before))) if before else ALWAYS)


def _harshest_first(rules: Sequence[Rule]) -> list[Rule]:
    def of(decision: Decision) -> list[Rule]:
        return [rule for rule in rules if rule.decision is decision]

    limits = sorted(of(Decision.LIMIT), key=lambda rule: rule.share)
    reviews = []
    for review in of(Decision.REVIEW):
        reviews += [replace(review, when=And((review.when, limit.when)), share=limit.share) for limit in limits]
        reviews.append(review)
    return of(Decision.REJECT) + reviews + limits + of(Decision.APPROVE)


def _guarded(rules: Sequence[Rule], missing_to_review: bool) -> list[Rule]:
    return [each for rule in rules for each in (*_guard(rule), rule)] if missing_to_review else list(rules)


def _guard(rule: Rule) -> list[Rule]:
    """Return the rule that fires before this one where it may hold or fail, by the value of a missing score."""
    if not any(model_of(column) for column in columns_read(rule.when)):
        return []
    doubt = And((_may(rule.when, True), _may(rule.when, False)))
    return [Rule(doubt, Decision.REVIEW, policy=rule.policy, guard=True)]


def _may(expression: Expression, holds: bool) -> Expression:
    """Return where an expression may hold (or fail): a comparison with a missing score may do both."""
    match expression:
        case Atom():
            plain = expression if holds else Not(expression)
            read = columns_read(expression)
            scores = [Atom(column, "missing", ()) for column in read if model_of(column)]
            if not scores or expression.operator == "missing":
                return plain
            others = [Not(Atom(column, "missing", ())) for column in read if not model_of(column)]
            doubt = scores[0] if len(scores) == 1 else Or(tuple(scores))
            return Or((plain, And((doubt, *others)) if others else doubt))
        case Not(part):
            return _may(part, not holds)
        case And(parts):
            every = tuple(_may(part, holds) for part in parts)
            return And(every) if holds or not every else Or(every)
        case Or(parts):
            every = tuple(_may(part, holds) for part in parts)
            return Or(every) if holds else And(every)
