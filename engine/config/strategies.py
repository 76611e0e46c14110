"""Strategies as written in a config → `Strategy` values, with every fault named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from engine.config.sections import Config, ReviewSection, StrategySection
from engine.errors import did_you_mean
from engine.expression import ALWAYS, Atom, Expression, ExpressionError, atoms, parse, rename_columns
from engine.records import LOGGED, Decision
from engine.strategy import Review, Rule, Strategy, logged_strategy


@dataclass(frozen=True)
class Outcome:
    """A decision and the share of exposure that it delivers."""

    decision: Decision
    share: float = 1.0


def parse_decision(text: str, *, final: bool = False) -> Outcome | None:
    """Read `reject`, `review`, `approve` or `limit 0.3` in any case; `pending` only as a final decision."""
    word, _, rest = text.strip().upper().partition(" ")
    if word == "LIMIT":
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


def compile_strategies(config: Config) -> tuple[list[Strategy], list[str]]:
    """Return all strategies in config order, `logged` first where history has decisions, and the faults found."""
    strategies: list[Strategy] = []
    faults: list[str] = []
    if config.creatives.columns.logged_decision and logged_values(config):
        strategies.append(_logged(config))
    for name in config.strategies:
        key = f"strategies.{name}"
        try:
            written = _resolve(config, name)
        except LookupError as error:
            faults.append(f"{key}.like: {error.args[0]}")
            continue
        strategy, found = _compile(config, name, written)
        inherited = _inherited_faults(config, name)
        faults += [fault for fault in found if fault.removeprefix(key) not in inherited]
        if strategy is not None:
            strategies.append(strategy)
    return strategies, faults


def _inherited_faults(config: Config, name: str) -> set[str]:
    """Return the faults that the strategy which this one is like has already, without its key."""
    parent = config.strategies[name].like
    if parent is None:
        return set()
    faults = _compile(config, parent, _resolve(config, parent))[1]
    return {fault.removeprefix(f"strategies.{parent}") for fault in faults}


@dataclass(frozen=True)
class _Written:
    section: StrategySection
    renames: tuple[dict[str, str], ...]


def _resolve(config: Config, name: str, seen: tuple[str, ...] = ()) -> _Written:
    """Follow `like` to the root; what a strategy writes itself wins."""
    section = config.strategies[name]
    if section.like is None:
        return _Written(section, (section.replace,))
    if section.like in (*seen, name):
        raise LookupError("strategies are like each other in a circle")
    if section.like not in config.strategies:
        raise LookupError(f"unknown strategy {section.like}{did_you_mean(section.like, config.strategies)}")
    parent = _resolve(config, section.like, (*seen, name))
    merged = {field: getattr(section, field) for field in ("rules", "otherwise", "match", "review")}
    update = {field: value for field, value in merged.items() if value is not None}
    renames = () if section.rules is not None else parent.renames
    return _Written(parent.section.model_copy(update=update), (*renames, section.replace))


def _compile(config: Config, name: str, written: _Written) -> tuple[Strategy | None, list[str]]:
    section, key = written.section, f"strategies.{name}"
    rules: list[Rule] = []
    faults: list[str] = []
    if section.rules is None or section.otherwise is None:
        return None, [f"{key}: needs rules and otherwise (or like: another strategy)"]
    for i, rule in enumerate(section.rules):
        outcome = parse_decision(rule.then)
        if outcome is None:
            faults.append(
                f"{key}.rules.{i}.then: {rule.then!r} is no decision; write reject, review, approve or limit SHARE"
            )
        if rule.policy is not None and rule.policy not in config.policies:
            faults.append(
                f"{key}.rules.{i}.policy: unknown policy {rule.policy}{did_you_mean(rule.policy, config.policies)}"
            )
        try:
            when = _columns(config, parse(rule.when), written.renames)
        except (ExpressionError, LookupError) as error:
            faults.append(f"{key}.rules.{i}.when: {error.args[0]}")
            continue
        if outcome is not None:
            rules.append(Rule(when, outcome.decision, outcome.share, rule.policy or _owner(config, when)))
    last = parse_decision(section.otherwise)
    if last is None:
        faults.append(
            f"{key}.otherwise: {section.otherwise!r} is no decision; write approve, review, reject or limit SHARE"
        )
    faults += _review_faults(config, key, section.review)
    if faults or last is None:
        return None, faults
    otherwise = Rule(ALWAYS, last.decision, last.share, _owner(config, ALWAYS))
    review = _review(config, section.review or ReviewSection())
    words = _words(section, written.renames)
    return Strategy(name, tuple(rules), otherwise, section.match or "first", review, words), []


def _columns(config: Config, expression: Expression, renames: tuple[dict[str, str], ...]) -> Expression:
    """Replace models, complete bare policies, and refuse unknown names.

    Raises
    ------
    LookupError : a column that no score, attribute or policy has.
    """
    known = config.score_columns()
    for names in renames:
        for old, new in names.items():
            models = {column.partition(".")[0] for column in known}
            for model in (old, new):
                if model not in models:
                    raise LookupError(f"replace: unknown model {model}{did_you_mean(model, models)}")
        moved = {column: _moved(column, names) for column in _columns_of(expression)}
        expression = rename_columns(expression, moved)
    full = {column: _complete(config, known, column) for column in _columns_of(expression)}
    return rename_columns(expression, full)


def _columns_of(expression: Expression) -> list[str]:
    return [atom.column for atom in atoms(expression)]


def _moved(column: str, names: Mapping[str, str]) -> str:
    model, dot, policy = column.partition(".")
    return f"{names.get(model, model)}.{policy}" if dot else column


def _complete(config: Config, known: Mapping[str, str], column: str) -> str:
    if column in known or column in config.creatives.attributes:
        return column
    named = [full for full, policy in known.items() if policy == column]
    if len(named) == 1:
        return named[0]
    if named:
        raise LookupError(f"{column} is scored by several models; write one of {', '.join(named)}")
    model, dot, policy = column.partition(".")
    if dot and any(full.startswith(f"{model}.") for full in known):
        raise LookupError(f"unknown policy {policy} of {model}{did_you_mean(column, known)}")
    kind = "model" if dot else "name"
    raise LookupError(f"unknown {kind} {model}{did_you_mean(column, [*known, *config.creatives.attributes])}")


def _owner(config: Config, when: Expression) -> str | None:
    """Return the policy that a decision is owed to: the only one there is, or the only one that `when` reads."""
    if len(config.policies) == 1:
        return config.policies[0]
    scores = config.score_columns()
    read = {scores[column] for column in _columns_of(when) if column in scores}
    return read.pop() if len(read) == 1 else None


def _review_faults(config: Config, key: str, review: ReviewSection | None) -> Iterator[str]:
    for field in ("sensitivity", "specificity"):
        rates = getattr(review, field, None)
        for policy in rates if isinstance(rates, dict) else ():
            if policy not in (*config.policies, "any"):
                yield f"{key}.review.{field}: unknown policy {policy}{did_you_mean(policy, config.policies)}"
    if review is not None and review.wait and not config.exposure.life:
        yield f"{key}.review.wait: needs exposure.life, the time over which a creative is delivered"


def _review(config: Config, review: ReviewSection) -> Review:
    hold = min(1.0, review.wait / config.exposure.life) if config.exposure.life else 0.0
    return Review(review.sensitivity, review.specificity, hold)


def _words(section: StrategySection, renames: tuple[dict[str, str], ...]) -> str:
    parts = [f"{rule.when} → {rule.then}" for rule in section.rules or ()]
    parts.append(f"otherwise {section.otherwise}")
    if section.match == "harshest":
        parts.append("the harshest decides")
    replaced = [f"{old} by {new}" for names in renames for old, new in names.items()]
    return "; ".join(parts) + (f" (with {', '.join(replaced)})" if replaced else "")


def _logged(config: Config) -> Strategy:
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
