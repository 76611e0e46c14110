"""Strategies whose outcomes mean the same, stacked: one view over the segments of each, so that they cost one call.

A sweep moves thresholds: what a rule that fires does with a creative stays as it is, and sums by outcome are all that
its strategies differ in. Which strategies stand side by side changes no number.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from engine.estimate.condensed import Condensed, side_by_side
from engine.estimate.known import KnownTotals
from engine.estimate.policy import Policy
from engine.estimate.question import Question
from engine.estimate.view import View
from engine.records import F64, LOGGED, Estimate

LARGEST = 8  # strategies: more save little, and their sums have to stand in memory


class Summed(NamedTuple):
    """Sums of the answered rows and of everybody's, strategies side by side; priced : of each, where costs count so."""

    answered: Condensed | None
    everybody: Condensed | None
    priced: list[Condensed]


@dataclass(frozen=True)
class Stack:
    """Strategies that treat their outcomes alike, and of which the same outcomes occur; or a single one."""

    policy: Policy
    strategies: tuple[int, ...]

    def views(self, reading: str, weighting: str) -> tuple[View, View, View]:
        """Return where label rates come from; and rates of decisions: of the answered rows, and of everybody.

        The difference estimator and post-strata read row by row, and so do decisions of a scored sample.
        """
        policy, question = self.policy, self.policy.question
        rows = policy.view(self.strategies[0], reading, weighting)
        answered, everybody, _ = self._summed[weighting]
        mine = rows if answered is None else replace(rows, sample=answered)
        drawn = policy.drawn(rows) if everybody is None else replace(rows, sample=everybody)
        if len(self.strategies) > 1:
            abreast, known = self._abreast
            mine, drawn = (replace(view, question=abreast, known=known) for view in (mine, drawn))
        labelled = rows if question.predictions is not None or question.post_strata else mine
        return labelled, rows if question.scored is not None else mine, drawn

    def of_each(self, reading: str) -> list[View]:
        """Return a view of every strategy's answered rows in the weighting of costs; of a scored sample, row by row."""
        views = [self.policy.view(s, reading, self.policy.cost_weighting) for s in self.strategies]
        priced = self._summed[self.policy.cost_weighting].priced
        if self.policy.question.scored is not None or not priced:
            return views
        return [replace(view, sample=mine) for view, mine in zip(views, priced, strict=True)]

    def apart(self, rows: Iterable[Estimate]) -> list[list[Estimate]]:
        """Return the rows of each strategy: numbers come one after the other, each over the segments of all of them."""
        every, size = list(rows), len(self.policy.question.segments.name)
        out: list[list[Estimate]] = [[] for _ in self.strategies]
        for start in range(0, len(every), size):
            out[start // size % len(out)] += every[start : start + size]
        return out

    @cached_property
    def _summed(self) -> dict[str, Summed]:
        out = {}
        for name in self.policy.question.weightings:
            pairs = [self.policy.summed(s, name) for s in self.strategies]
            answered, everybody = ([part for part in parts if part is not None] for parts in zip(*pairs, strict=True))
            found = side_by_side(answered) if answered else None
            same = bool(everybody and answered) and everybody[0] is answered[0]
            of_all = found if same else side_by_side(everybody) if everybody else None
            out[name] = Summed(found, of_all, answered if name == self.policy.cost_weighting else [])
        return out

    @cached_property
    def _abreast(self) -> tuple[Question, KnownTotals]:
        """The question and what is known over the segments of every strategy, as if all were the first one."""
        question, known, times = self.policy.question, self.policy.known, len(self.strategies)
        segments = question.segments
        member_GC = np.tile(segments.member_GC, (times, 1))
        tiled = replace(segments, by=segments.by * times, name=segments.name * times, member_GC=member_GC)
        names = tuple(question.table.strategies[s].name for s in self.strategies for _ in segments.name)

        def along(sum_SOGW: F64) -> F64:
            sum_OGW = np.concatenate([sum_SOGW[s] for s in self.strategies], axis=1)
            return np.broadcast_to(sum_OGW, (len(sum_SOGW), *sum_OGW.shape))

        totals = KnownTotals(
            known_SOGW=along(known.known_SOGW),
            imputed_SOGW=along(known.imputed_SOGW),
            missing_SOGW=along(known.missing_SOGW),
            framed_SOGW=along(known.framed_SOGW),
            lacking_GW=np.tile(known.lacking_GW, (times, 1)),
        )
        return replace(question, segments=tiled, of_G=names, pair=None), totals


def stacks(policy: Policy) -> list[tuple[int, ...]]:
    """Return all strategies in stacks; each alone where its numbers are not sums by outcome."""
    question, known = policy.question, policy.known
    summed = all(None not in pair for pair in policy.condensers.values())
    if not summed or question.predictions is not None or question.post_strata:
        return [(s,) for s in range(len(question.table.strategies))]
    found: dict[str, list[int]] = {}
    for s, (strategy, rules) in enumerate(zip(question.table.strategies, question.table.rules, strict=True)):
        treated = [
            (rule.decision, rule.share, rule.policy, rule.final, rule.final_share, rule.waited) for rule in rules
        ]
        occurs = (known.known_SOGW[s, : len(rules), 0, 0] > 0).tolist()
        found.setdefault(repr((strategy.name == LOGGED, strategy.review, treated, occurs)), []).append(s)
    return [tuple(same[i : i + LARGEST]) for same in found.values() for i in range(0, len(same), LARGEST)]
