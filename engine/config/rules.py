"""Rules as written in a config → `Rule` values, with every fault named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.config.decisions import parse_decision
from engine.config.sections import Config
from engine.config.strategy_sections import PolicyRulesSection, RuleSection
from engine.errors import did_you_mean
from engine.expression import (
    ALWAYS,
    FEATURES,
    Expression,
    ExpressionError,
    Written,
    columns_read,
    is_feature,
    parse_written,
    rename_columns,
)
from engine.records import Decision
from engine.strategy import PolicyRules, Rule

Renames = tuple[Mapping[str, str], ...]  # of models, one after the other


@dataclass(frozen=True)
class Vocabulary:
    """The names that rules may use. scores : column, such as `v1.scam` → the policy it scores."""

    scores: Mapping[str, str]
    attributes: tuple[str, ...]
    policies: tuple[str, ...]

    @classmethod
    def of(cls, config: Config) -> Vocabulary:
        """Return the names of a config."""
        return cls(config.score_columns(), tuple(config.creatives.attributes), tuple(config.policies))

    def complete(self, column: str) -> str:
        """Return the full name of a column.

        Raises
        ------
        LookupError : no score, attribute, feature or policy has it.
        """
        if column in self.scores or column in self.attributes or is_feature(column):
            return column
        named = [full for full, policy in self.scores.items() if policy == column]
        if len(named) == 1:
            return named[0]
        if named:
            raise LookupError(f"{column} is scored by several models; write one of {', '.join(named)}")
        model, dot, policy = column.partition(".")
        if dot and any(full.startswith(f"{model}.") for full in self.scores):
            raise LookupError(f"unknown policy {policy} of {model}{did_you_mean(column, self.scores)}")
        known = [*self.scores, *self.attributes, *FEATURES]
        raise LookupError(f"unknown {'model' if dot else 'name'} {model}{did_you_mean(column, known)}")

    def moved(self, column: str, renames: Renames) -> str:
        """Return the column of the model that stands in for its own.

        Raises
        ------
        LookupError : a model that gives no scores.
        """
        models = {full.partition(".")[0] for full in self.scores}
        for names in renames:
            for model in (name for pair in names.items() for name in pair):
                if model not in models:
                    raise LookupError(f"replace: unknown model {model}{did_you_mean(model, models)}")
            model, dot, policy = column.partition(".")
            column = f"{names.get(model, model)}.{policy}" if dot else column
        return column

    def owner(self, when: Expression) -> str | None:
        """Return the policy that a decision is owed to: the only one there is, or the only one that `when` reads."""
        if len(self.policies) == 1:
            return self.policies[0]
        read = {self.scores[column] for column in columns_read(when) if column in self.scores}
        return read.pop() if len(read) == 1 else None


class RuleReader:
    """Reads rules of one strategy; `faults` collects what is wrong with them, a config key before each."""

    def __init__(self, names: Vocabulary, renames: Renames) -> None:
        self._names, self._renames = names, renames
        self.faults: list[str] = []

    def policies(self, key: str, sections: Mapping[str, PolicyRulesSection]) -> tuple[PolicyRules, ...]:
        """Read the rules of several policies."""
        found = []
        for policy, section in sections.items():
            if policy not in self._names.policies:
                self.faults.append(f"{key}: unknown policy {policy}{did_you_mean(policy, self._names.policies)}")
            rules = self.rules(f"{key}.{policy}.rules", section.rules, policy)
            found.append(PolicyRules(rules, self.always(f"{key}.{policy}.otherwise", section.otherwise, policy)))
        return tuple(found)

    def rules(self, key: str, sections: Sequence[RuleSection], policy: str | None = None) -> tuple[Rule, ...]:
        """Read rules in order. policy : the one that decisions are owed to where a rule names none."""
        found = [self._rule(f"{key}.{i}", section, policy) for i, section in enumerate(sections)]
        return tuple(rule for rule in found if rule is not None)

    def always(self, key: str, then: str, policy: str | None = None) -> Rule:
        """Read what happens whatever the columns say."""
        outcome = parse_decision(then)
        if outcome is None:
            self.faults.append(f"{key}: {then!r} is no decision; write approve, review, reject or limit SHARE")
            return Rule(ALWAYS, Decision.REVIEW)  # of a strategy that is refused
        owner = policy or self._names.owner(ALWAYS)
        return Rule(ALWAYS, outcome.decision, outcome.share, owner, share_of=outcome.share_of)

    def _rule(self, key: str, section: RuleSection, policy: str | None) -> Rule | None:
        outcome = parse_decision(section.then)
        if outcome is None:
            self.faults.append(
                f"{key}.then: {section.then!r} is no decision; write reject, review, approve or limit SHARE"
            )
        policies = self._names.policies
        if section.policy is not None and section.policy not in policies:
            self.faults.append(f"{key}.policy: unknown policy {section.policy}{did_you_mean(section.policy, policies)}")
        try:
            when, written = self._columns(f"{key}.when", *parse_written(section.when))
        except (ExpressionError, LookupError) as error:
            self.faults.append(f"{key}.when: {error.args[0]}")
            return None
        if outcome is None:
            return None
        owner = section.policy or policy or self._names.owner(when)
        return Rule(when, outcome.decision, outcome.share, owner, share_of=outcome.share_of, written=written)

    def _columns(self, key: str, when: Expression, written: Written) -> tuple[Expression, Written]:
        """Replace models, complete bare policies; unknown names are faults."""
        full: dict[str, str] = {}
        for column in columns_read(when):
            moved = self._names.moved(column, self._renames)
            try:
                full[column] = self._names.complete(moved)
            except LookupError as error:
                self.faults.append(f"{key}: {written.fault(column, error.args[0])}")
        return rename_columns(when, full), written.renamed(full)
