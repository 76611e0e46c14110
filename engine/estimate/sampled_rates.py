"""Rates of decisions where a run scores a sample of its creatives: nothing is known exactly.

    rate = (Σ_labelled w c' + (Σ_rest w) · Σ_drawn w c' / Σ_drawn w) / Σ w,   c' = c + [human decides] · r

with c what is certain of an outcome; the labelled creatives are all scored, of the rest a sample is drawn, and how much
exposure the rest has is known (post-stratification). The audit's answered labels give r, the share of what humans
decide that counts. The two are drawn independently of one another (a hash, an audit), so the bounds of the parts are
joined as for a sum of independent numbers (Zou, Donner 2008). Where labelled creatives alone are scored (share 0) the
audit's draw is both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from engine.estimate.block import Block, rows_of
from engine.estimate.decision_rates import DecisionRate, decision_rate
from engine.estimate.interval import Intervals
from engine.estimate.known import whole_exposure
from engine.estimate.metrics import DECISION_RATES
from engine.estimate.pair import correlation, difference, difference_intervals, mover
from engine.estimate.ratio import Ratio, ratio_intervals, ratio_of
from engine.estimate.sample import HISTORY, Sample
from engine.estimate.view import View
from engine.records import F64, WEIGHTINGS, Estimate


def sampled_decision_rates(
    answered: View, scored: View, metrics: Iterable[str] = tuple(DECISION_RATES)
) -> Iterator[Estimate]:
    """Yield rates of decisions; the views differ in their sample (and its rows)."""
    for metric in metrics:
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
class Parts:
    """A rate as what labelled creatives add for sure and a share of the rest: (certain + rest · share) / whole.

    Post-stratification: all three sums are known of every creative, the share is estimated from the drawn rest alone.
    """

    certain_G: F64
    rest_G: F64
    whole_G: F64

    def rate(self, share_G: F64) -> F64:
        """Return the rate that a share of the rest makes; a rest of nothing needs no share."""
        part = np.where(self.rest_G > 0, self.rest_G * np.nan_to_num(share_G), 0.0)
        return np.where(
            self.whole_G > 0, (self.certain_G + part) / np.where(self.whole_G > 0, self.whole_G, 1.0), np.nan
        )

    def bounds(self, found: Intervals) -> Intervals:
        """Return the bounds of the rate from those of the share."""
        rule = np.where(self.rest_G > 0, found.rule, "exact")
        return Intervals(self.rate(found.low), self.rate(found.high), rule)


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

    @property
    def rest(self) -> Sample:
        """The sample whose share is unknown: what was drawn of the unlabelled, or the audit where it is alone."""
        return self.view.sample if self.audit_alone else drawn_rest(self.view.sample)

    def parts(self, imputed_times: float = 1.0) -> Parts:
        """Return what is certain of each segment."""
        view, whole = self.view, self._whole(imputed_times)
        if self.audit_alone:
            return Parts(np.zeros_like(whole), whole, whole)
        sample, w_m = view.sample, view.exposure_n(imputed_times)[view.sample.at_m]
        labelled_m = sample.weight_m <= 1.0
        counted = sample.sums(labelled_m * w_m * self._counted_m(sample))
        return Parts(counted, np.maximum(whole - sample.sums(labelled_m * w_m), 0.0), whole)

    def ratio(self, sample: Sample, imputed_times: float = 1.0) -> Ratio:
        """Return the share over a sample of the view's rows; r, where it is needed, is taken as known."""
        w_m = self.view.exposure_n(imputed_times)[sample.at_m]
        return ratio_of(sample, w_m * self._counted_m(sample), w_m, (0.0, 1.0))

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
        """Return, per segment, why there is no number. ratio : the share over the rest."""
        view, parts = self.rate.answered, self.parts()
        everything = np.ones(len(self.rate.certain_O), bool)
        reasons = view.null_reasons(everything, owed=False, labels=self.audit_alone, final=self.rate.reads_final)
        for g in np.flatnonzero((parts.whole_G <= 0) | (ratio.empty & (parts.rest_G > 0))):
            reasons[g] = reasons[g] or "none of the unlabelled creatives with exposure here was drawn for scoring"
        if self.humans and self.audit_alone and view.question.reviewer_error:
            said = "reviewer error is not taken out of what humans decide where labelled creatives alone are scored"
            reasons = [reason or said for reason in reasons]
        if self.humans and not self.audit_alone:
            for g in np.flatnonzero(self.rate.human_share().empty & (self.rate.reviewed() > 0)):
                reasons[g] = reasons[g] or "no audit label lies in what the strategy sends to review"
        return reasons

    def leaning(self) -> Sequence[str | None]:
        """Return, per segment, how the rate would change with none and with twice of the imputed exposure."""
        view = self.rate.answered
        if not view.imputed_OG.any():
            return [None] * len(view.question.segments.name)
        return view.leaning(np.ones(len(self.rate.certain_O), bool), *(self.point(times) for times in (0.0, 2.0)))

    def point(self, imputed_times: float) -> F64:
        """Return the rate of each segment without an interval, imputed exposure counted `imputed_times`."""
        return self.parts(imputed_times).rate(self.ratio(self.rest, imputed_times).estimate)

    def block(self, inference: str) -> Block:
        """Return the rate of every segment for one question."""
        view, rest, parts = self.view, self.rest, self.parts()
        share = self.ratio(rest)
        point = parts.rate(share.estimate)
        if inference == HISTORY:
            judged = ratio_intervals(rest, share, inference, view.question.confidence)
            found = parts.bounds(judged.intervals)
        else:  # advertisers vary in what is labelled, too
            whole = self.ratio(view.sample)
            judged = ratio_intervals(view.sample, whole, inference, view.question.confidence)
            found = moved(judged.intervals, point - np.nan_to_num(whole.estimate), 0.0)
        human = self.human_part(inference)
        if human:
            zero = np.zeros(len(human.part))
            found = mover(np.nan_to_num(point), found, zero, human.doubt(), zero)
            found = Intervals(np.maximum(found.low, 0.0), np.minimum(found.high, 1.0), found.rule)
        labels = share.labels if self.humans and self.audit_alone else np.zeros(len(share.labels))
        support = self.rate.answered.support(np.ones(len(self.rate.certain_O), bool))
        block = Block(
            "hajek_sampled",
            point,
            found,
            human.labels if human else labels,
            share.size,
            share.events,
            support,
            self.null(share),
        )
        tell(block, [[note] if note else [] for note in self.leaning()])
        tell(block, judged.warnings)
        return block

    def _counted_m(self, sample: Sample) -> F64:
        """Return how much every entry of a sample counts."""
        view, m = self.view, sample.at_m
        rows, chosen = view.question.rows, sample.rows_n
        outcome_n = rows.outcome_Sn[view.strategy, chosen]
        counted_m: F64 = self.rate.certain_O[outcome_n][m]
        if self.humans and self.audit_alone:
            counted_m = counted_m + self.rate.human_OY[outcome_n, rows.y_nQ[chosen, -1]][m]
        elif self.humans:
            decided_n = np.asarray(self.rate.human_OY.any(1))[outcome_n]
            share_G = np.nan_to_num(self.rate.human_share().estimate)
            counted_m = counted_m + decided_n[m] * share_G[sample.segment_m]
        return counted_m

    def _whole(self, imputed_times: float) -> F64:
        """Return the exposure of all creatives of each segment."""
        question = self.view.question
        known, imputed, _ = whole_exposure(question.totals, question.segments)
        w = WEIGHTINGS.index(self.view.weighting)
        return known[:, w] + imputed_times * imputed[:, w]


def minus(mine: SampledRate, theirs: SampledRate, inference: str) -> Block:
    """Return candidate − baseline of one rate, both over the same sample."""
    sides = [replace(side, labelled=mine.humans or theirs.humans) for side in (mine, theirs)]
    sample = sides[0].rest
    a, b = (side.ratio(sample) for side in sides)
    one, other = (side.parts() for side in sides)
    gap = Parts(one.certain_G - other.certain_G, one.rest_G, one.whole_G)
    confidence, pair = mine.rate.answered.question.confidence, difference(sample, b, a)
    point = gap.rate(pair.estimate)
    if inference == HISTORY:
        judged = difference_intervals(sample, pair, b, a, inference, confidence)
        found = gap.bounds(judged.intervals)
    else:
        whole = sides[0].view.sample
        c, d = (side.ratio(whole) for side in sides)
        both = difference(whole, d, c)
        judged = difference_intervals(whole, both, d, c, inference, confidence)
        found = moved(judged.intervals, point - np.nan_to_num(both.estimate), -1.0)
    zero = np.zeros(len(a.estimate))
    people = [side.human_part(inference) for side in sides]
    if any(people):
        found = mover(np.nan_to_num(point), found, zero, _joint_doubt(sides, people, inference), zero)
        found = Intervals(np.maximum(found.low, -1.0), np.minimum(found.high, 1.0), found.rule)
    support = np.minimum(*(s.rate.answered.support(np.ones(len(s.rate.certain_O), bool)) for s in sides))
    null = [x or y for x, y in zip(sides[0].null(a), sides[1].null(b), strict=True)]
    labels = np.maximum(*(part.labels if part else zero for part in people))
    block = Block("hajek_sampled", point, found, labels, pair.size, pair.events, support, null)
    tell(block, [[note or ""] for note in _paired_leaning(sides)])
    tell(block, judged.warnings)
    return block


def _paired_leaning(sides: Sequence[SampledRate]) -> Sequence[str | None]:
    """Return, per segment, how the difference would change with none and with twice of the imputed exposure."""
    view = sides[0].rate.answered
    without, twice = (sides[0].point(times) - sides[1].point(times) for times in (0.0, 2.0))
    return view.leaning(np.ones(len(sides[0].rate.certain_O), bool), without, twice)


def _joint_doubt(sides: Sequence[SampledRate], people: Sequence[HumanPart | None], inference: str) -> Intervals:
    """Return the doubt that labels leave in the difference of two rates."""
    sample = sides[0].rate.answered.sample
    zero = np.zeros(sample.segments)
    nothing = HumanPart(zero, Intervals(zero, zero, np.full(zero.shape, "")), np.zeros(len(sample.at_m)), zero)
    one, other = (part or nothing for part in people)
    rho = correlation(sample, one.residual_m, other.residual_m, inference)
    bounds = mover(one.part, one.bounds, other.part, other.bounds, rho)
    return HumanPart(one.part - other.part, bounds, one.residual_m, one.labels).doubt()


def drawn_rest(sample: Sample) -> Sample:
    """Return the entries of a sample that stand for more than themselves."""
    kept = sample.weight_m > 1.0
    return replace(
        sample,
        weight_m=sample.weight_m[kept],
        at_m=sample.at_m[kept],
        segment_m=sample.segment_m[kept],
        key_m=sample.key_m[kept],
        cluster_m=sample.cluster_m[kept],
        census_G=np.zeros(sample.segments, bool),
    )


def moved(found: Intervals, by: F64, least: float) -> Intervals:
    """Return bounds around another point, never past `least` and 1."""
    return Intervals(np.maximum(found.low + by, least), np.minimum(found.high + by, 1.0), found.rule)


def tell(block: Block, texts: Sequence[Sequence[str]]) -> None:
    """Add warnings, some per segment."""
    for g, mine in enumerate(texts):
        for text in mine:
            if text:
                block.warn(g, text)
