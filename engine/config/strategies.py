"""Strategies as written in a config → `Strategy` values, with every fault named."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from engine.config.decisions import logged, logged_values
from engine.config.memory import calibrated_columns, compile_memory, memory_faults, memory_words
from engine.config.rules import Renames, RuleReader, Vocabulary
from engine.config.sections import Config
from engine.config.strategy_sections import ReviewSection, StrategySection, StrikesSection
from engine.errors import UsageError, did_you_mean
from engine.expression import ALWAYS, ExpressionError
from engine.expression import parameters as parameters_of
from engine.records import Decision
from engine.strategy import PolicyRules, Review, Rule, Strategy, Template, bind, columns_read, parameters

_DAY = 86_400  # seconds
_INHERITED = ("rules", "otherwise", "match", "policies", "review", "strikes", "copies")


def compile_strategies(config: Config, swept: Collection[str] = ()) -> tuple[list[Strategy], list[str]]:
    """Return all strategies in config order, `logged` first where history has decisions, and the faults found.

    Parameters
    ----------
    swept : strategies whose parameters a sweep sets; one of them that lacks a default is left out.
    """
    strategies = [logged(config)] if config.creatives.columns.logged_decision and logged_values(config) else []
    faults: list[str] = []
    for name in config.strategies:
        template, found = _template(config, name)
        faults += found
        if template is None or (name in swept and template.unset):
            continue
        if template.unset:
            faults += [_unset_fault(template.strategy, parameter) for parameter in template.unset]
            continue
        try:
            strategies.append(bind(template, {}))
        except ExpressionError as error:
            faults.append(f"strategies.{name}: {error}")
    return strategies, faults


def swept_strategies(config: Config) -> tuple[str, ...]:
    """Return the strategies whose parameters a sweep sets."""
    return (config.sweep.strategy,) if config.sweep else ()


def find_template(config: Config, name: str) -> Template:
    """Return a strategy with its parameters open, every name in it checked.

    Raises
    ------
    UsageError : one line per fault.
    """
    template, faults = _template(config, name)
    if template is None:
        raise UsageError(*faults)
    return template


def _template(config: Config, name: str) -> tuple[Template | None, list[str]]:
    """Return a strategy's template, None where it has faults, and those that its parent does not have already."""
    key = f"strategies.{name}"
    try:
        written = _resolve(config, name)
    except LookupError as error:
        return None, [f"{key}.like: {error.args[0]}"]
    template, faults = _compile(config, name, written)
    parent = config.strategies[name].like
    inherited = _compile(config, parent, _resolve(config, parent))[1] if parent else []
    known = {fault.removeprefix(f"strategies.{parent}") for fault in inherited}
    return template, [fault for fault in faults if fault.removeprefix(key) not in known]


@dataclass(frozen=True)
class _Written:
    """A strategy with all that it inherits. renames : field → the models replaced in what stands there."""

    section: StrategySection
    renames: Mapping[str, Renames]


def _resolve(config: Config, name: str, seen: tuple[str, ...] = ()) -> _Written:
    """Follow `like` to the root; what a strategy writes itself wins."""
    section = config.strategies[name]
    if section.like is None:
        return _Written(section, dict.fromkeys(_INHERITED, (section.replace,)))
    if section.like in (*seen, name):
        raise LookupError("strategies are like each other in a circle")
    if section.like not in config.strategies:
        raise LookupError(f"unknown strategy {section.like}{did_you_mean(section.like, config.strategies)}")
    parent = _resolve(config, section.like, (*seen, name))
    update = {field: value for field in _INHERITED if (value := getattr(section, field)) is not None}
    renames = {
        field: (section.replace,) if field in update else (*parent.renames[field], section.replace)
        for field in _INHERITED
    }
    update["parameters"] = {**parent.section.parameters, **section.parameters}
    if section.policies is not None:
        update |= {"rules": None, "otherwise": None, "match": None}
    elif section.rules is not None:
        update["policies"] = None
    return _Written(parent.section.model_copy(update=update), renames)


def _compile(config: Config, name: str, written: _Written) -> tuple[Template | None, list[str]]:
    section, key, names = written.section, f"strategies.{name}", Vocabulary.of(config)
    if section.policies is None and (section.rules is None or section.otherwise is None):
        return None, [f"{key}: needs rules and otherwise, or policies (or like: another strategy)"]
    rules, policies, otherwise, faults = _decisions(key, written, names)
    struck, struck_faults = _struck(key, section.strikes, names, written.renames["strikes"])
    review = section.review or ReviewSection()
    faults += [*struck_faults, *_review_faults(config, key, review)]
    faults += memory_faults(config, f"{key}.review", review, names, written.renames["review"])
    if faults:
        return None, faults
    strategy = Strategy(
        name=name,
        rules=rules,
        otherwise=otherwise,
        match="policies" if policies else section.match or "first",
        review=_review(config, review),
        words=_words(written),
        policies=policies,
        memory=compile_memory(review, section.strikes, section.copies, names, written.renames["review"]),
        struck=struck,
    )
    if review.outcome == "drawn":
        drawn_by = calibrated_columns(config, columns_read(strategy))
        strategy = replace(strategy, memory=replace(strategy.memory, drawn_by=drawn_by))
    faults = [*_state_faults(config, key, strategy), *_parameter_faults(config, key, strategy)]
    return (None if faults else Template(strategy, section.parameters)), faults


def _decisions(
    key: str, written: _Written, names: Vocabulary
) -> tuple[tuple[Rule, ...], tuple[PolicyRules, ...], Rule, list[str]]:
    """Return rules, policies and otherwise, and the faults found; no rules where there are policies."""
    section = written.section
    if section.policies is not None:
        reader = RuleReader(names, written.renames["policies"])
        policies = reader.policies(f"{key}.policies", section.policies)
        return (), policies, Rule(ALWAYS, Decision.APPROVE, policy=names.owner(ALWAYS)), reader.faults
    reader = RuleReader(names, written.renames["rules"])
    rules = reader.rules(f"{key}.rules", section.rules or ())
    return rules, (), reader.always(f"{key}.otherwise", section.otherwise or ""), reader.faults


def _struck(
    key: str, section: StrikesSection | None, names: Vocabulary, renames: Renames
) -> tuple[tuple[Rule, ...] | None, list[str]]:
    if section is None:
        return None, []
    reader = RuleReader(names, renames)
    rules = reader.rules(f"{key}.strikes.rules", section.rules or ())
    if section.then is not None:
        return (reader.always(f"{key}.strikes.then", section.then),), reader.faults
    return (*rules, reader.always(f"{key}.strikes.otherwise", section.otherwise or "")), reader.faults


def _review_faults(config: Config, key: str, review: ReviewSection) -> Iterator[str]:
    for field in ("sensitivity", "specificity"):
        rates = getattr(review, field)
        for policy in rates if isinstance(rates, dict) else ():
            if policy not in (*config.policies, "any"):
                yield f"{key}.review.{field}: unknown policy {policy}{did_you_mean(policy, config.policies)}"
    if review.wait and not config.exposure.life:
        yield f"{key}.review.wait: needs exposure.life, the time over which a creative is delivered"
    if review.capacity and review.capacity.max_wait and not config.exposure.life:
        yield f"{key}.review.capacity.max_wait: needs exposure.life, the time over which a creative is delivered"


def _state_faults(config: Config, key: str, strategy: Strategy) -> Iterator[str]:
    if strategy.memory.outcome == "drawn" and not strategy.memory.drawn_by:
        yield f"{key}.review.outcome: drawn needs a calibrated score among its rules; set models.*.calibration"
    if strategy.memory and config.creatives.sample is not None:
        yield f"{key}: has state, which every creative moves; remove creatives.sample"


def _parameter_faults(config: Config, key: str, strategy: Strategy) -> Iterator[str]:
    read = parameters(strategy)
    for name in config.strategies[strategy.name].parameters:
        if name not in read:
            yield f"{key}.parameters: no rule reads ${name}{did_you_mean(name, read)}"


def _unset_fault(strategy: Strategy, name: str) -> str:
    why = f"${name} has no value; write parameters: {{{name}: ...}}"
    written = next((rule.written for rule in strategy.every_rule() if name in parameters_of(rule.when)), None)
    return f"strategies.{strategy.name}: {written.fault(f'${name}', why) if written else why}"


def _review(config: Config, review: ReviewSection) -> Review:
    life = config.exposure.life
    hold, day = (min(1.0, review.wait / life), _DAY / life) if life else (0.0, 0.0)
    live = review.capacity is not None and review.capacity.waiting == "live"
    return Review(review.sensitivity, review.specificity, hold, day, live)


def _words(written: _Written) -> str:
    section = written.section
    if section.policies is not None:
        parts = [
            f"{policy}: " + "; ".join([*(f"{r.when} → {r.then}" for r in its.rules), f"otherwise {its.otherwise}"])
            for policy, its in section.policies.items()
        ]
        parts.append("the harshest policy decides")
    else:
        parts = [f"{rule.when} → {rule.then}" for rule in section.rules or ()]
        parts.append(f"otherwise {section.otherwise}")
    if section.match == "harshest":
        parts.append("the harshest decides")
    parts += memory_words(section.review, section.strikes, section.copies)
    renames = written.renames["policies" if section.policies is not None else "rules"]
    replaced = [f"{old} by {new}" for names in renames for old, new in names.items()]
    return "; ".join(parts) + (f" (with {', '.join(replaced)})" if replaced else "")
