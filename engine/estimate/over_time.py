"""A few numbers of a few strategies in every segment, where segments are pieces of time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.estimate.decision_rates import decision_rates
from engine.estimate.delivery import MACHINE
from engine.estimate.label_rates import label_rates
from engine.estimate.metrics import DECISION_RATES, RATES, VIOLATING_SHARE
from engine.estimate.policy import policies
from engine.estimate.question import Question
from engine.estimate.sampled_rates import sampled_decision_rates
from engine.estimate.stack import Stack
from engine.records import WEIGHTINGS, Estimate


def piece_rates(question: Question, metrics: Sequence[str]) -> Iterator[list[Estimate]]:
    """Yield, strategy by strategy, rates of the last policy (`any`, where there is one), machine alone, by creatives.

    metrics : of RATES, DECISION_RATES and VIOLATING_SHARE, which is the same under every strategy.
    """
    (policy,) = policies(question, (len(question.readable_policies) - 1,))
    decided = decision_rates if question.scored is None else sampled_decision_rates
    labelled = [metric for metric in (*RATES, VIOLATING_SHARE) if metric.name in metrics]
    for s in range(len(question.table.strategies)):
        mine, answered, drawn = Stack(policy, (s,)).views(MACHINE, WEIGHTINGS[0])
        yield [
            *label_rates(mine, labelled),
            *decided(answered, drawn, [each for each in DECISION_RATES if each in metrics]),
        ]
