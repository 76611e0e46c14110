"""What can come of a creative under a strategy that remembers: every code, from the strategy alone.

Codes do not depend on data, so they are equal in any shard, truncation or run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from engine.errors import UsageError
from engine.expression import ALWAYS
from engine.records import I8, I16, I64, Decision, Flags
from engine.strategy.rules import Rule, Strategy

COPY, STRUCK, OVERFLOW, PENDING = "copy of a rejected content", "struck", "not reviewed in time", "still waiting"
_MOST = 1000  # the outcomes of two strategies are also counted jointly


@dataclass(frozen=True)
class Codes:
    """The outcomes of one strategy, C of them.

    struck : how many of the plain ones are struck rules.
    plain : the rules in deciding order, then the struck ones; an outcome of theirs is its place here, and its code.
    meaning : per code a rule: decision, share, policy, and what became of it (`final`, `waited`, `state`).
    waits_O : per plain outcome the code of "reviewed on its own day", -1 where it is not queued; the codes of later
        days follow, then that of overflow, then that of pending.
    copy : code of a copy owed to nobody; those of the policies follow, in order. -1 where copies are not remembered.
    owner_C : place of the policy in the config, -1 unknown. waited_C : days. queued_C : decided at the end of a day.
    """

    struck: int
    plain: tuple[Rule, ...]
    meaning: tuple[Rule, ...]
    waits_O: I16
    copy: int
    owner_C: I8
    waited_C: I64
    queued_C: Flags
    pending_C: Flags


def list_codes(strategy: Strategy, rules: Sequence[Rule], struck: Sequence[Rule], policies: Sequence[str]) -> Codes:
    """List the codes of a strategy.

    Parameters
    ----------
    rules, struck : in deciding order (see StrategyTable). policies : of the config, in order.

    Raises
    ------
    UsageError : more outcomes than a code can number.
    """
    memory = strategy.memory
    plain = (*_named(rules, ""), *(replace(rule, state=STRUCK) for rule in _named(struck, "struck ")))
    meaning = list(plain)
    copy = len(meaning) if memory.copies else -1
    if memory.copies:
        meaning += [_copy(policy) for policy in (None, *policies)]
    waits = np.full(len(plain), -1, np.int64)
    if memory.capacity is not None and memory.queues:
        for o, rule in enumerate(plain):
            if rule.decision is Decision.REVIEW:
                waits[o] = len(meaning)
                meaning += _waiting(rule, memory.capacity.max_wait, memory.capacity.overflow)
    if len(meaning) > _MOST:
        raise UsageError(f"strategies.{strategy.name}: {len(meaning)} outcomes are too many; lower capacity.max_wait")
    return Codes(
        struck=len(struck),
        plain=plain,
        meaning=tuple(meaning),
        waits_O=waits.astype(np.int16),
        copy=copy,
        owner_C=np.array([policies.index(r.policy) if r.policy in policies else -1 for r in meaning], np.int8),
        waited_C=np.array([rule.waited for rule in meaning], np.int64),
        queued_C=np.array([rule.queued for rule in meaning], bool),
        pending_C=np.array([rule.state == PENDING for rule in meaning], bool),
    )


def _named(rules: Sequence[Rule], kind: str) -> list[Rule]:
    """Return rules that say which one they are; the last one always fires."""
    out, number = [], 0
    for i, rule in enumerate(rules):
        number += not rule.guard
        said = f"{kind}otherwise" if i == len(rules) - 1 else f"{kind}rule {number}"
        out.append(replace(rule, said="a score is missing" if rule.guard else said))
    return out


def _copy(policy: str | None) -> Rule:
    owed = f", {policy}" if policy else ""
    return Rule(ALWAYS, Decision.REJECT, policy=policy, state=COPY, said=f"{COPY}{owed}")


def _waiting(rule: Rule, max_wait: int, overflow: Decision) -> list[Rule]:
    """Return what can become of a review: done after 0, 1, … days, never done, not yet done."""
    final = Decision.LIMIT if overflow is Decision.APPROVE and rule.share < 1 else overflow
    asked = replace(rule, queued=True)
    done = [replace(asked, waited=days, said=f"{rule.said}, {_later(days)}") for days in range(max_wait + 1)]
    late = replace(asked, final=final, final_share=rule.share, waited=max_wait, state=OVERFLOW)
    last = replace(asked, final=Decision.PENDING, state=PENDING)
    return [*done, *(replace(each, said=f"{rule.said}, {each.state}") for each in (late, last))]


def _later(days: int) -> str:
    if days == 0:
        return "reviewed on the same day"
    return f"reviewed {days} day{'s' if days > 1 else ''} later"
