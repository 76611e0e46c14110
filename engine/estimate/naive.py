"""The count over labelled rows that everybody starts with, printed once to show how wrong it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from engine.estimate.delivery import MACHINE, delivery
from engine.estimate.metrics import RATES, terms
from engine.estimate.question import Question

SHOWN = ("leakage_rate", "overkill_rate")


@dataclass(frozen=True)
class NaiveCount:
    """A rate over all labelled creatives, whoever labelled them and why, unweighted. Not an estimate of anything."""

    strategy: str
    policy: str
    metric: str
    estimate: float | None
    labels: int


def naive_counts(question: Question) -> Iterator[NaiveCount]:
    """Yield the unweighted rates of every strategy and policy, machine alone, by creatives."""
    rows = question.rows
    for q, policy in enumerate(question.readable_policies):
        chosen = np.flatnonzero(rows.naive_nQ[:, q] >= 0)
        for s, strategy in enumerate(question.table.strategies):
            given = delivery(strategy, question.table.rules[s], policy, MACHINE, counted=True)
            t = terms(given, rows.outcome_Sn[s, chosen], rows.naive_nQ[chosen, q], np.ones(len(chosen)))
            for metric in RATES:
                if metric.name in SHOWN:
                    a, b = metric.parts(t)
                    value = float(a.sum() / b.sum()) if b.sum() > 0 else None
                    yield NaiveCount(strategy.name, policy, metric.name, value, int(b.sum()))
