"""Rates of decisions where a run scores a sample of its creatives: nothing is known exactly.

    rate = Σ w̃ w (c + [human decides] · r) / Σ w̃ w

with c what is certain of an outcome and w̃ the number of creatives that a scored one stands for. The scored sample gives
the shares, the audit's answered labels give r, the share of what humans decide that counts. The two are drawn
independently of one another (a hash, an audit), so the bounds of the parts are joined as for a sum of independent
numbers (Zou, Donner 2008). Where labelled creatives alone are scored (share 0) the audit's draw is both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from engine.estimate.block import Block, rows_of
from engine.estimate.decision_rates import DecisionRate, decision_rate
from engine.estimate.interval import Intervals
from engine.estimate.metrics import DECISION_RATES
from engine.estimate.pair import correlation, difference, difference_intervals, mover
from engine.estimate.ratio import Ratio, ratio_intervals, ratio_of
from engine.estimate.view import View
from engine.records import F64, Estimate


def sampled_decision_rates(answered: View, scored: View) -> Iterator[Estimate]:
    """Yield reject, limit, review and automation rate; the views differ in their sample (and its rows)."""
    for metric in DECISION_RATES:
        rate = SampledRate(decision_rate(answered, scored, metric))
        for inference in answered.question.inferences:
            yield from rows_of(rate.block(inference), rate.rate.subject(), inference, answered.question)


def paired_sampled_rates(candidate: tuple[View, View], baseline: tuple[View, View]) -> Iterator[Estimate]:
    """Yield candidate − baseline of every decision rate; each side is (answered, scored)."""
    for metric in DECISION_RATES:
        mine, theirs = (SampledRate(decision_rate(*side, metric)) for side in (candidate, baseline))
        subject = replace(mine.rate.subject(), baseline=baseline[0].name)
        for inference in candidate[0].question.inferences:
            yield from rows_of(minus(mine, theirs, inference), subject, inference, candidate[0].question)


@dataclass(frozen=True)
class HumanPart:
    """What humans add to a rate, estimated from the audit's labels: the part, its bounds, its residual, its labels."""

    part: F64
    bounds: Intervals
    residual_m: F64
    labels: F64

    def doubt(self) -> Intervals:
        """Return the bounds as deviations of minus the part, to be taken away from a number."""
        return Intervals(self.part - self.bounds.high, self.part - self.bounds.low, self.bounds.rule)


@dataclass(frozen=True)
class SampledRate:
    """One rate of one strategy. `rate.drawn` is the view of the scored sample.

    labelled : take the rate over answered labels, because the other side of a pair has to.
    """

    rate: DecisionRate
    labelled: bool = False

    @property
    def humans(self) -> bool:
        """Whether humans decide anything, so that labels are needed."""
        return bool(self.rate.human_OY.any())

    @property
    def audit_alone(self) -> bool:
        """Whether the audit's draw is the scored sample too."""
        scored = self.rate.answered.question.scored
        return scored is not None and scored.share == 0.0

    @property
    def view(self) -> View:
        """The sample that the rate is taken over."""
        return self.rate.answered if self.audit_alone and (self.humans or self.labelled) else self.rate.drawn

    def ratio(self, imputed_times: float = 1.0) -> Ratio:
        """Return the rate over that sample; r, where it is needed, is taken as known."""
        view, m = self.view, self.view.sample.at_m
        rows, chosen = view.question.rows, view.sample.rows_n
        outcome_n = rows.outcome_Sn[view.strategy, chosen]
        counted_m = self.rate.certain_O[outcome_n][m]
        if self.humans and self.audit_alone:
            counted_m = counted_m + self.rate.human_OY[outcome_n, rows.y_nQ[chosen, -1]][m]
        elif self.humans:
            decided_n = np.asarray(self.rate.human_OY.any(1))[outcome_n]
            share_G = np.nan_to_num(self.rate.human_share().estimate)
            counted_m = counted_m + decided_n[m] * share_G[view.sample.segment_m]
        w_m = view.exposure_n(imputed_times)[m]
        return ratio_of(view.sample, w_m * counted_m, w_m, (0.0, 1.0))

    def human_part(self, inference: str) -> HumanPart | None:
        """Return what the labels leave in doubt beside the scored sample; None where nothing is."""
        if not self.humans or self.audit_alone:
            return None
        view, reviewed = self.rate.answered, self.rate.reviewed()
        ratio = self.rate.human_share()
        judged = ratio_intervals(view.sample, ratio, inference, view.question.confidence)
        bounds = Intervals(reviewed * judged.intervals.low, reviewed * judged.intervals.high, judged.intervals.rule)
        part = reviewed * np.nan_to_num(ratio.estimate)
        return HumanPart(part, bounds, self.rate.human_residual_m(), ratio.labels)

    def null(self, ratio: Ratio) -> list[str | None]:
        """Return, per segment, why there is no number."""
        view = self.rate.answered
        everything = np.ones(len(self.rate.certain_O), bool)
        reasons = view.null_reasons(everything, owed=False, labels=self.audit_alone, final=self.rate.reads_final)
        for g in np.flatnonzero(ratio.empty):
            reasons[g] = reasons[g] or "no scored creative with exposure lies here"
        return reasons

    def block(self, inference: str) -> Block:
        """Return the rate of every segment for one question."""
        view, ratio = self.view, self.ratio()
        judged = ratio_intervals(view.sample, ratio, inference, view.question.confidence)
        human, found = self.human_part(inference), judged.intervals
        if human:
            zero = np.zeros(len(human.part))
            found = mover(np.nan_to_num(ratio.estimate), found, zero, human.doubt(), zero)
        block = self._block(ratio, found, human)
        everything = np.ones(len(self.rate.certain_O), bool)
        if self.rate.answered.imputed_OG.any():
            times = (self.ratio(0.0).estimate, self.ratio(2.0).estimate)
            for g, note in enumerate(self.rate.answered.leaning(everything, *times)):
                if note:
                    block.warn(g, note)
        for g, texts in enumerate(judged.warnings):
            for text in texts:
                block.warn(g, text)
        return block

    def _block(self, ratio: Ratio, found: Intervals, human: HumanPart | None) -> Block:
        everything = np.ones(len(self.rate.certain_O), bool)
        labels = ratio.labels if self.humans and self.audit_alone else np.zeros(len(ratio.labels))
        return Block(
            "hajek_sampled",
            ratio.estimate,
            found,
            human.labels if human else labels,
            ratio.size,
            ratio.events,
            self.rate.answered.support(everything),
            self.null(ratio),
        )


def minus(mine: SampledRate, theirs: SampledRate, inference: str) -> Block:
    """Return candidate − baseline of one rate, both over the same sample."""
    sides = [replace(side, labelled=mine.humans or theirs.humans) for side in (mine, theirs)]
    a, b = (side.ratio() for side in sides)
    sample, confidence = sides[0].view.sample, mine.rate.answered.question.confidence
    pair = difference(sample, b, a)
    judged = difference_intervals(sample, pair, b, a, inference, confidence)
    found = judged.intervals
    parts = [side.human_part(inference) for side in sides]
    zero = np.zeros(len(a.estimate))
    nothing = HumanPart(zero, Intervals(zero, zero, found.rule), np.zeros(len(mine.rate.answered.sample.at_m)), zero)
    if any(parts):
        one, other = (part or nothing for part in parts)
        rho = correlation(mine.rate.answered.sample, one.residual_m, other.residual_m, inference)
        human = HumanPart(
            one.part - other.part,
            mover(one.part, one.bounds, other.part, other.bounds, rho),
            one.residual_m,
            one.labels,
        )
        found = mover(np.nan_to_num(pair.estimate), found, zero, human.doubt(), zero)
    support = np.minimum(*(s.rate.answered.support(np.ones(len(s.rate.certain_O), bool)) for s in sides))
    null = [x or y for x, y in zip(sides[0].null(a), sides[1].null(b), strict=True)]
    labels = np.maximum(*(part.labels if part else zero for part in parts))
    block = Block("hajek_sampled", pair.estimate, found, labels, pair.size, pair.events, support, null)
    for g, texts in enumerate(judged.warnings):
        for text in texts:
            block.warn(g, text)
    return block
