"""Every number of a run: strategy × policy × reading × weighting × metric × segment × question."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import product

from engine.estimate.cost import costs
from engine.estimate.decision_pairs import paired_decision_rates
from engine.estimate.decision_rates import decision_rates
from engine.estimate.delivery import READINGS
from engine.estimate.label_rates import label_rates, paired_rates
from engine.estimate.policy import Policy, policies
from engine.estimate.question import Question
from engine.estimate.sampled_rates import paired_sampled_rates, sampled_decision_rates
from engine.estimate.small_segments import settle
from engine.estimate.stack import Stack, stacks
from engine.estimate.view import View
from engine.records import Estimate

Numbers = tuple[list[Estimate], list[Estimate]]  # label rates; rates of decisions and costs


def estimate_all(question: Question, threads: int = 1) -> list[Estimate]:
    """Return every estimate of the question, each with an interval or the reason why it is null.

    threads : that share the strategies out, one stack at a time; their number changes no estimate and no order.
    """
    out: list[Estimate] = []
    with _uncollected(), ThreadPoolExecutor(threads) as pool:
        for policy in policies(question):
            out += _of_policy(policy, pool)
    return settle(out, question.small)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Pause the search for cycles: millions of rows hold none, and it would walk all of them again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _of_policy(policy: Policy, pool: ThreadPoolExecutor) -> Iterator[Estimate]:
    """Yield all numbers: by reading and weighting, label rates of every strategy, then what was decided."""
    found: dict[int, list[Numbers]] = {}
    shared = stacks(policy)
    for strategies, numbers in zip(shared, pool.map(lambda some: _of_stack(Stack(policy, some)), shared), strict=True):
        found |= zip(strategies, numbers, strict=True)
    for at, (reading, weighting) in enumerate(product(READINGS, policy.question.weightings)):
        for part, pair in enumerate(_of_pair(policy, reading, weighting)):
            for s in range(len(found)):
                yield from found[s][at][part]
            yield from pair


def _of_stack(stack: Stack) -> list[list[Numbers]]:
    """Return the numbers of every strategy of a stack, by reading and weighting."""
    policy = stack.policy
    found: list[list[Numbers]] = [[] for _ in stack.strategies]
    for reading, weighting in product(READINGS, policy.question.weightings):
        labelled, answered, drawn = stack.views(reading, weighting)
        labels = stack.apart(label_rates(labelled))
        decided = stack.apart(_decided(answered, drawn) if policy.last else ())
        if policy.last and weighting == policy.cost_weighting:
            priced = [list(costs(view)) for view in stack.of_each(reading)]
            decided = [rows + more for rows, more in zip(decided, priced, strict=True)]
        for numbers, mine in zip(found, zip(labels, decided, strict=True), strict=True):
            numbers.append(mine)
    return found


def _decided(answered: View, drawn: View) -> Iterable[Estimate]:
    return (decision_rates if answered.question.scored is None else sampled_decision_rates)(answered, drawn)


def _of_pair(policy: Policy, reading: str, weighting: str) -> Numbers:
    """Return the numbers of the pair's difference."""
    if policy.question.pair is None:
        return [], []
    baseline, candidate = (policy.view(s, reading, weighting) for s in policy.question.pair)
    labels = list(paired_rates(candidate, baseline))
    if not policy.last:
        return labels, []
    paired = paired_decision_rates if policy.question.scored is None else paired_sampled_rates
    decided = list(paired((candidate, policy.drawn(candidate)), (baseline, policy.drawn(baseline))))
    if weighting == policy.cost_weighting:
        decided += costs(candidate, baseline)
    return labels, decided
