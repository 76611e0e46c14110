"""How many creatives each rule decides, and each pair of rules: counted, or estimated from a sample."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.estimate.question import Question
from engine.records import F64, WEIGHTINGS, WEIGHTS, Flags
from engine.strategy import Rule


def outcome_counts(question: Question) -> F64:
    """Return creatives by strategy and outcome, shape (S, O)."""
    if question.scored is None:
        count_SOC = question.totals.sum_SOFCW[..., 0].sum(2)
        return (count_SOC[..., 0] if question.totals.folded else count_SOC.sum(2)).astype(np.float64)  # 0 is `all`
    weight_n, outcomes = question.scored.weight_n, question.table.outcomes
    return np.stack([np.bincount(o_n, weight_n, outcomes) for o_n in question.scored.rows.outcome_Sn])


def swap_sums(question: Question) -> F64:
    """Return sums by outcome of the baseline, outcome of the candidate and records.WEIGHTS, shape (O, O, W)."""
    if question.scored is None or question.pair is None:
        return question.totals.swap_OQCW.sum(2).astype(np.float64)
    rows, outcomes = question.scored.rows, question.table.outcomes
    before_n, after_n = (rows.outcome_Sn[s].astype(np.int64) for s in question.pair)
    weight_nW = np.zeros((len(before_n), len(WEIGHTS)))
    for w, name in enumerate(WEIGHTINGS):
        at, known_n = WEIGHTS.index(name), rows.known_Wn[w]
        weight_nW[:, at] = np.nan_to_num(known_n)
        if name != "creatives":
            weight_nW[:, at + 1] = rows.imputed_Wn[w]
            weight_nW[:, at + 2] = np.isnan(known_n) & (rows.imputed_Wn[w] == 0)
    sums = np.zeros((outcomes * outcomes, len(WEIGHTS)))
    np.add.at(sums, before_n * outcomes + after_n, weight_nW * question.scored.weight_n[:, None])
    return sums.reshape(outcomes, outcomes, len(WEIGHTS))


def decided_alike(one: Sequence[Rule], other: Sequence[Rule]) -> Flags:
    """Return which outcomes of two strategies are the same decision, a LIMIT with the same share, shape (O, Q)."""
    return np.array([[(a.decision, a.share) == (b.decision, b.share) for b in other] for a in one])
