"""Decisions as written: of rules, and of history."""

from __future__ import annotations

from dataclasses import dataclass

from engine.config.sections import Config
from engine.expression import Atom
from engine.records import LOGGED, Decision
from engine.strategy import Rule, Strategy, logged_strategy


@dataclass(frozen=True)
class Outcome:
    """A decision and the share of exposure that it delivers; `share_of` is the parameter that will give the share."""

    decision: Decision
    share: float = 1.0
    share_of: str | None = None


def parse_decision(text: str, *, final: bool = False) -> Outcome | None:
    """Read `reject`, `review`, `approve`, `limit 0.3` or `limit $share` in any case; a final one may be `pending`."""
    word, _, rest = text.strip().partition(" ")
    word, rest = word.upper(), rest.strip()
    if word == "LIMIT":
        if rest.startswith("$") and rest[1:].isidentifier() and not final:
            return Outcome(Decision.LIMIT, share_of=rest[1:])
        try:
            share = float(rest)
        except ValueError:
            return None
        return Outcome(Decision.LIMIT, share) if 0 < share < 1 else None
    if rest or word not in Decision.__members__ or (word == "PENDING" and not final):
        return None
    return Outcome(Decision[word])


def logged_values(config: Config) -> list[tuple[str, Outcome]]:
    """Return the values of history's decision columns in config order, with what they mean."""
    pairs = [(value, parse_decision(decision, final=True)) for value, decision in config.creatives.decisions.items()]
    return [(value, outcome) for value, outcome in pairs if outcome is not None]


def logged(config: Config) -> Strategy:
    """History's own decisions: code = machine value × (final values + 1) + final value; the last is "no final"."""
    values = logged_values(config)
    pairs = []
    for i, (_, machine) in enumerate(values):
        policy = config.policies[0] if len(config.policies) == 1 else None
        for j, (_, final) in enumerate([*values, ("", None)]):
            rule = Rule(Atom(LOGGED, "==", 0.0), machine.decision, machine.share, policy)
            if final is not None:
                rule = Rule(rule.when, rule.decision, rule.share, policy, final.decision, final.share)
            pairs.append((i * (len(values) + 1) + j, rule))
    return logged_strategy(pairs)
