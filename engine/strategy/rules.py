"""What an operator writes, as values: rules, strategies, reviewers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from engine import expression
from engine.expression import ALWAYS, Atom, Expression, Written, is_feature
from engine.records import LOGGED, Decision
from engine.state import FORGETFUL, Memory


@dataclass(frozen=True)
class Review:
    """How the strategy's own human reviewers decide.

    sensitivity, specificity : one value for all policies or one per policy (`any` included), in [0, 1].
    hold : share of a creative's exposure life that it waits for the human, in [0, 1].
    day : share of that life that a day is. live : what waits is delivered meanwhile.
    """

    sensitivity: float | Mapping[str, float] = 1.0
    specificity: float | Mapping[str, float] = 1.0
    hold: float = 0.0
    day: float = 0.0
    live: bool = False

    def waiting(self, days: int) -> float:
        """Return the share of its exposure life that a creative waits which a human decides after so many days."""
        return min(1.0, self.hold + days * self.day)

    def rates(self, policy: str) -> tuple[float, float] | None:
        """Return (sensitivity, specificity) for a policy, or None where they are not given for it."""
        pair = [x if isinstance(x, float) else x.get(policy) for x in (self.sensitivity, self.specificity)]
        return None if pair[0] is None or pair[1] is None else (pair[0], pair[1])


@dataclass(frozen=True)
class Rule:
    """`when` this holds, `then` decide so. `policy` is the one the decision is owed to, None where unknown.

    waited, queued, state : what memory made of a decision: days in a queue, decided at the end of a day, see codes.py.
    said : how the outcome is called where its place among the rules does not say it.
    share_of : the parameter that gives the share of a LIMIT, until it is bound.
    written : `when` in the operator's words.
    """

    when: Expression
    decision: Decision
    share: float = 1.0
    policy: str | None = None
    final: Decision | None = None  # known only of history's own decisions
    final_share: float = 1.0
    guard: bool = False  # the engine's own: it sends what turns on a missing score to REVIEW
    waited: int = 0
    queued: bool = False
    state: str = ""
    said: str = field(default="", compare=False)
    share_of: str | None = None
    written: Written | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class PolicyRules:
    """Rules in order for one policy, and what happens to it when none fires."""

    rules: tuple[Rule, ...]
    otherwise: Rule


@dataclass(frozen=True)
class Strategy:
    """Rules in order and what happens when none fires. `words` is what the operator wrote, for the report.

    match : "first" or "harshest" of `rules`; "policies": each of `policies` decides by its first rule that fires, and
        the harshest of these decisions wins.
    struck : rules in order under which an advertiser with too many strikes comes; the last one always fires.
    """

    name: str
    rules: tuple[Rule, ...]
    otherwise: Rule
    match: str = "first"
    review: Review = Review()
    words: str = ""
    policies: tuple[PolicyRules, ...] = ()
    memory: Memory = FORGETFUL
    struck: tuple[Rule, ...] | None = None

    def every_rule(self) -> Iterator[Rule]:
        """Yield all rules as written, those of policies and struck ones too."""
        yield from (*self.rules, self.otherwise)
        for policy in self.policies:
            yield from (*policy.rules, policy.otherwise)
        yield from self.struck or ()


def columns_read(strategy: Strategy) -> tuple[str, ...]:
    """Return the columns that a strategy reads, each once: its rules in order, then its memory."""
    read = [name for rule in strategy.every_rule() for name in expression.columns_read(rule.when)]
    return tuple(dict.fromkeys([*read, *remembered_columns(strategy)]))


def remembered_columns(strategy: Strategy) -> tuple[str, ...]:
    """Return the scores and numbers that its memory reads: the order of a queue, the draw of a human's decision."""
    memory = strategy.memory
    column = memory.capacity.column if memory.capacity else None
    return (*([column] if column else ()), *memory.drawn_by)


def features_read(strategies: Iterable[Strategy]) -> tuple[str, ...]:
    """Return the columns of engine.expression.features that some strategies read, each once."""
    return tuple(dict.fromkeys(name for s in strategies for name in columns_read(s) if is_feature(name)))


def model_of(column: str) -> str:
    """Return the model or brought scores that a plain column such as `v1.scam` belongs to, "" for anything else."""
    model, dot, _ = column.partition(".")
    return model if dot else ""


def logged_strategy(pairs: Sequence[tuple[int, Rule]]) -> Strategy:
    """Return the strategy that replays history: one rule per code of the column `logged`."""
    rules = tuple(replace(rule, when=Atom(LOGGED, "==", float(code))) for code, rule in pairs)
    return Strategy(LOGGED, rules[:-1], replace(rules[-1], when=ALWAYS), words="history's own decisions")
