"""summary.json: everything a page shows beside estimates.parquet, as plain values. No clocks, no hosts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

import numpy as np

from engine.records import F64, UNCALIBRATED, WEIGHTINGS, WEIGHTS, Decision, Estimate, LabelledRows, ReviewerError
from engine.report.tables import KEY, key_of
from engine.strategy import Rule, StrategyTable

VERSION = 1  # of the shape of summary.json: see summary.schema.json
BINS = 20
_SHOWN = tuple(name for name in Estimate._fields if name not in ("segment_by", "segment"))
_DECISIONS = (Decision.APPROVE, Decision.LIMIT, Decision.REVIEW, Decision.REJECT)
ASSUMPTIONS = (
    "Advertisers would not have acted differently under another strategy.",
    "Labels that the audit drew and nobody has given yet are missing at random within their stratum.",
)
LABELS_RIGHT = "The audit's labels are right; reviewer error of the audit is not corrected."


def labels_words(errors: Mapping[str, ReviewerError]) -> str:
    """Say what is taken of the audit's reviewers: that they are right, or by which rates they err."""
    if not errors or all(error.perfect for error in errors.values()):
        return LABELS_RIGHT
    said = [
        f"{policy}: sensitivity {e.sensitivity:.3g}{_counted_on(e.violating)}, "
        f"specificity {e.specificity:.3g}{_counted_on(e.compliant)}"
        for policy, e in errors.items()
    ]
    return (
        "The audit's reviewers err alike on every creative of a policy, and their error is taken out of every number "
        f"but pictures of scores, reliability and the naive count ({'; '.join(said)})."
    )


def _counted_on(creatives: float) -> str:
    return "" if creatives == inf else f" on {creatives:.0f}"


@dataclass(frozen=True)
class Facts:
    """What the stages found, for the summary.

    count_SO : creatives by strategy and outcome. swap_OQW : sums by outcomes of the pair and records.WEIGHTS.
    rules : strategy → what is known of each rule in deciding order, guards and the last one left out.
    """

    table: StrategyTable
    count_SO: F64
    swap_OQW: F64
    rows: LabelledRows
    score_columns: Sequence[tuple[str, str]]
    policies: tuple[str, ...]
    compare: tuple[int, int] | None
    spend_unit: float
    rules: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)


def score_pictures(facts: Facts) -> list[dict[str, Any]]:
    """Return, per score column, the design-weighted share of violating and compliant creatives in each bin."""
    edges = np.linspace(0, 1, BINS + 1)
    rows = facts.rows
    out = []
    for k, (column, policy) in enumerate(facts.score_columns):
        if column.startswith(UNCALIBRATED):
            continue  # rules do not read it
        y_n = rows.y_nQ[:, facts.policies.index(policy)]
        weight_n = np.nan_to_num(1 / rows.pi_n)
        bars = {}
        for name, y in (("violating", 1), ("compliant", 0)):
            chosen = (rows.stratum_n >= 0) & (y_n == y)
            counts, _ = np.histogram(np.clip(rows.score_Kn[k, chosen], 0, 1), edges, weights=weight_n[chosen])
            bars[name] = [round(float(x), 9) for x in counts / max(counts.sum(), 1e-300)]
        out.append({"column": column, "policy": policy, "edges": [round(float(x), 4) for x in edges], **bars})
    return out


def swap_matrix(facts: Facts) -> dict[str, Any] | None:
    """Return baseline decision × candidate decision in creatives, impressions and spend; None without a pair."""
    if facts.compare is None:
        return None
    sums_OQW = np.rint(facts.swap_OQW).astype(np.int64)  # whole already, unless a sample estimates them
    rules_b, rules_c = (facts.table.rules[s] for s in facts.compare)
    matrix = np.zeros((len(_DECISIONS), len(_DECISIONS), len(WEIGHTS)), np.int64)
    for o, rule_b in enumerate(rules_b):
        for q, rule_c in enumerate(rules_c):
            if rule_b.decision in _DECISIONS and rule_c.decision in _DECISIONS:
                matrix[_DECISIONS.index(rule_b.decision), _DECISIONS.index(rule_c.decision)] += sums_OQW[o, q]
    out: dict[str, Any] = {"decisions": [d.name for d in _DECISIONS], "creatives": matrix[:, :, 0].tolist()}
    for weighting in WEIGHTINGS[1:]:
        at = WEIGHTS.index(weighting)
        unit = facts.spend_unit if weighting == "spend" else 1.0
        value = (matrix[:, :, at] + matrix[:, :, at + 1]) * unit
        lacking = matrix[:, :, at + 2] > 0
        out[weighting] = [
            [None if lacking[i, j] else round(float(value[i, j]), 6) for j in range(len(_DECISIONS))]
            for i in range(len(_DECISIONS))
        ]
    return out


def strategy_facts(facts: Facts) -> list[dict[str, Any]]:
    """Return each strategy in words and how often each of its rules decides."""
    out = []
    for s, strategy in enumerate(facts.table.strategies):
        count_O = np.rint(facts.count_SO[s]).astype(np.int64)
        whole = max(1, int(count_O.sum()))
        known = iter(facts.rules.get(strategy.name, ()))
        rules = []
        for i, rule in enumerate(facts.table.rules[s]):
            more = {} if rule.guard or i == len(facts.table.rules[s]) - 1 else next(known, {})
            count = int(sum(count_O[_outcomes_of(facts.table.rules[s], i)])) if more else int(count_O[i])
            if count or more:
                said = {"rule": rule_words(facts.table.rules[s], i), "creatives": count}
                rules.append({**said, "share": round(count / whole, 9), **more})
        out.append({"name": strategy.name, "words": strategy.words, "rules": rules})
    return out


def headline(
    estimates: Sequence[Estimate], truths: Mapping[tuple[str | None, ...], float | None]
) -> list[dict[str, Any]]:
    """Return the numbers over all creatives (no segment), the truth beside each where it is known."""
    return [
        {name: getattr(estimate, name) for name in _SHOWN} | {"truth": truths.get(key_of(estimate))}
        for estimate in estimates
        if estimate.segment_by == "all"
    ]


def truth_by_key(truths: Sequence[Estimate]) -> dict[tuple[str | None, ...], float | None]:
    """Return the true value of every number by KEY."""
    assert len(KEY) == len(key_of(truths[0])) if truths else True
    return {key_of(truth): truth.estimate for truth in truths}


def _outcomes_of(rules: Sequence[Rule], index: int) -> list[int]:
    """Return the outcomes that come of one rule: its own, and those of its reviews where reviewers have a capacity."""
    said = rules[index].said
    return [i for i, rule in enumerate(rules) if i == index or (said and rule.said.startswith(f"{said}, "))]


def decision_words(rule: Rule) -> str:
    """Return what a rule decides, such as `LIMIT 0.25`."""
    return f"{rule.decision.name} {rule.share:g}" if rule.share < 1 else rule.decision.name


def rule_words(rules: Sequence[Rule], index: int) -> str:
    """Return which rule of a strategy one is, and what it decides."""
    rule = rules[index]
    if rule.said:
        return f"{rule.said}: {decision_words(rule)}" + (f", then {rule.final.name}" if rule.final is not None else "")
    if rule.guard:
        return "a score is missing: REVIEW"
    name = decision_words(rule)
    number = sum(not each.guard for each in rules[: index + 1])
    return f"otherwise: {name}" if index == len(rules) - 1 else f"rule {number}: {name}"
