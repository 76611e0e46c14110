"""Rates of decisions: known exactly of the machine; after review, the part that humans decide is estimated.

They belong to the creative and stand under `any` (or the only policy). After review,

    reject_rate = (Σ w [REJECT] + Σ w [REVIEW] · r) / Σ w,   r = share of REVIEW that humans refuse,

where only r needs labels: both sums are known (post-stratification on the decision).
For `future`, the point stays known and advertisers are random: the variance between advertisers is estimated from the
audit's rows by taking the audit's own variance off, never below that of independent creatives. What humans decide adds
the audit's doubt about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from engine.estimate.advertisers import between_advertisers, known_spread
from engine.estimate.block import Block, Subject, rows_of
from engine.estimate.bounds import Outside, outside_of, ratio_limits
from engine.estimate.delivery import AFTER_REVIEW
from engine.estimate.interval import Intervals, logit_intervals
from engine.estimate.metrics import DECISION_RATES
from engine.estimate.pair import added
from engine.estimate.ratio import ONE_ADVERTISER, Judged, Ratio, cluster_warnings, hajek, hajek_points, ratio_intervals
from engine.estimate.reviewer_error import corrected_labels, corrected_ratio
from engine.estimate.sample import HISTORY, ClusterSpread, Sample
from engine.estimate.unseen import reaching_unseen
from engine.estimate.view import View
from engine.records import F64, Estimate, Flags

IMPUTED = "; imputed totals are not known totals"
NO_ROWS = "fewer than two advertisers among the audit's rows: the variance between them is unknown"


def decision_rates(answered: View, drawn: View, metrics: Iterable[str] = tuple(DECISION_RATES)) -> Iterator[Estimate]:
    """Yield rates of decisions; the two views differ in their sample alone."""
    for metric in metrics:
        rate = decision_rate(answered, drawn, metric)
        for inference in answered.question.inferences:
            yield from rows_of(rate.block(inference), rate.subject(), inference, answered.question)


@dataclass(frozen=True)
class DecisionRate:
    """How one rate counts the outcomes of a strategy.

    certain_O : how much an outcome counts for sure. human_OY : how much of it counts by y, where a human decides.
    """

    answered: View
    drawn: View
    metric: str
    certain_O: F64
    human_OY: F64
    reads_final: bool

    def subject(self) -> Subject:
        """Return what the rate is about."""
        view = self.answered
        formula = DECISION_RATES[self.metric]
        return Subject(view.name, view.policy_name, view.weighting, view.reading, self.metric, formula)

    def certain(self, times: float = 1.0) -> F64:
        """Return the certain part of each segment, imputed exposure counted `times`."""
        exposure_OG = self.answered.exposure_OG + (times - 1.0) * self.answered.imputed_OG
        return _over(self.certain_O @ exposure_OG, exposure_OG.sum(0))

    @property
    def counted_OX(self) -> F64:
        """All that a creative of each outcome can count."""
        return np.column_stack([self.certain_O, self.human_OY])

    @property
    def humans_G(self) -> Flags:
        """Segments in which a human decides anything."""
        return np.asarray(self.answered.exposure_OG[self.human_OY.any(1)].sum(0) > 0)

    def block(self, inference: str) -> Block:
        """Return the rate of every segment for one question."""
        view, size = self.answered, self.answered.sample.segments
        everything = np.ones(len(self.certain_O), bool)
        null = view.null_reasons(everything, owed=False, labels=False, final=self.reads_final)
        whole = view.exposure_OG.sum(0)
        null = [r or (None if whole[g] > 0 else "the denominator Σ w is empty") for g, r in enumerate(null)]
        value, zero = self.certain(), np.zeros(size)
        notes = view.leaning(everything, self.points(0.0), self.points(2.0))
        judged, null = self._known(value, inference, null, [bool(note) for note in notes])
        block = Block("known_total", value, judged.intervals, zero, zero, zero, np.ones(size), null)
        block.warnings = judged.warnings
        if self.humans_G.any():
            block = self._with_humans(block, inference)
        for g, note in enumerate(notes):
            if note:
                block.warn(g, note + IMPUTED)
        return block

    def residual_m(self, sample: Sample, view: View, value: F64) -> F64:
        """Return (share counted − value) · w / Σ w of every entry of a sample."""
        rows, m = view.question.rows, sample.at_m
        outcome_n, y_n = sample.outcomes(rows, view.strategy), np.maximum(sample.truths(rows, -1), 0)
        counted_n = self.certain_O[outcome_n] + self.human_OY[outcome_n, y_n]
        whole = view.exposure_OG.sum(0)
        scale = np.where(whole > 0, whole, 1.0)[sample.segment_m]
        return np.asarray((counted_n[m] - value[sample.segment_m]) * view.exposure_n()[m] / scale)

    def _known(
        self, value: F64, inference: str, null: list[str | None], leans: list[bool]
    ) -> tuple[Judged, list[str | None]]:
        """Return the intervals of segments where nothing is estimated: none for history, advertisers for future."""
        if inference == HISTORY:
            return Judged(Intervals(value, value, np.full(value.shape, "exact")), [[] for _ in value]), null
        sample = self.drawn.sample
        spread = known_spread(sample, self.residual_m(sample, self.drawn, value), self.drawn.exposure_n()[sample.at_m])
        found = logit_intervals(value, *smooth(spread), self.answered.question.confidence)
        unknown = np.isnan(spread.variance) & (value > 0) & (value < 1) & ~self.humans_G
        null = [reason or (NO_ROWS if unknown[g] and not leans[g] else None) for g, reason in enumerate(null)]
        return Judged(found, spread_warnings(spread)), null

    def _with_humans(self, block: Block, inference: str) -> Block:
        """Add what humans decide, where they decide anything.

        For `future`, the audit's doubt about that and the spread between advertisers of all that is counted are two
        errors of one sum (Graubard and Korn 2002, Statistical Science 17, 73–96: design and model variance add up).
        """
        ratio, view = self.human_share(), self.answered
        judged = ratio_intervals(view.sample, ratio, HISTORY, view.question.confidence)
        if ratio.correction is None:
            judged = reaching_unseen(view, self._human_counts(), ratio, ratio.estimate, judged)
        drowned = view.drowned(ratio, judged, HISTORY)
        reviewed = self.reviewed()
        humans, certain, known = self.humans_G, block.estimate, block.intervals
        assert known is not None
        value = certain + reviewed * np.nan_to_num(ratio.estimate)
        audit = judged.intervals
        audit = Intervals(certain + reviewed * audit.low, certain + reviewed * audit.high, audit.rule)
        warnings = judged.warnings
        if inference != HISTORY:
            spread = between_advertisers(view.sample, self.residual_m(view.sample, view, value))
            audit = added(value, audit, logit_intervals(value, *smooth(spread), view.question.confidence))
            warnings = [a + b for a, b in zip(warnings, spread_warnings(spread), strict=True)]
        block.estimate = np.where(humans, value, certain)
        block.intervals = Intervals(
            np.where(humans, audit.low, known.low),
            np.where(humans, audit.high, known.high),
            np.where(humans, audit.rule, known.rule),
        )
        block.warnings = [texts if humans[g] else block.warnings[g] for g, texts in enumerate(warnings)]
        block.estimator = "known_total+hajek" + view.suffix
        deep = [reason if humans[g] else None for g, reason in enumerate(drowned)]
        block.bound(self._limits(ratio, audit, inference), deep)
        block.labels, block.size = np.where(humans, ratio.labels, 0), np.where(humans, ratio.size, 0)
        block.events = np.where(humans, ratio.events, 0)
        block.support = np.where(humans, view.support(np.asarray(self.human_OY.any(1))), block.support)
        for g in (int(x) for x in np.flatnonzero(humans)):
            block.null[g] = block.null[g] or view.question.unnamed_error(view.policy_name)
            if ratio.empty[g]:
                block.null[g] = block.null[g] or "no audit label lies in what the strategy sends to review"
            if ONE_ADVERTISER in warnings[g]:
                block.null[g] = block.null[g] or NO_ROWS
        block.tell_support()
        return block

    def _limits(self, ratio: Ratio, limits: Intervals, inference: str) -> tuple[F64, F64] | None:
        """Return the bounds of the rate whatever the labels are of what humans decide outside of every frame.

        ratio : of what humans decide. limits : of the rate.
        """
        decide_O: F64 = np.asarray(self.human_OY.any(1), np.float64)
        outside = outside_of(self.answered, self._human_counts())
        if outside is None:
            return None
        certain, reviewed = self.certain(), self.reviewed()
        share = Intervals(_over(limits.low - certain, reviewed), _over(limits.high - certain, reviewed), limits.rule)
        outside = Outside(outside.exposure_KG * decide_O[:, None], outside.counts_KCX)
        least, most = ratio_limits(self.answered, ratio, share, outside, inference)
        return np.minimum(certain + reviewed * least, limits.low), np.maximum(certain + reviewed * most, limits.high)

    def _human_counts(self) -> F64:
        """Return what counts and what is decided by humans, of exposure 1 of each outcome for y = 0 and 1, (O, 4)."""
        decide_O = np.asarray(self.human_OY.any(1), np.float64)
        return np.column_stack([self.human_OY[:, 0], decide_O, self.human_OY[:, 1], decide_O]) * decide_O[:, None]

    def human_residual_m(self) -> F64:
        """Return the residual of the estimated part of the rate, 0 where humans decide nothing."""
        if not self.humans_G.any():
            return np.zeros(len(self.answered.sample.at_m))
        return self.human_share().residual_m * self.reviewed()[self.answered.sample.segment_m]

    def reviewed(self, times: float = 1.0) -> F64:
        """Return the share of exposure that humans decide, imputed exposure counted `times`."""
        exposure_OG = self.answered.exposure_OG + (times - 1.0) * self.answered.imputed_OG
        return _over(self.human_OY.any(1) @ exposure_OG, exposure_OG.sum(0))

    def points(self, times: float = 1.0) -> F64:
        """Return the rate of each segment without an interval, imputed exposure counted `times`."""
        certain = self.certain(times)
        if not self.humans_G.any():
            return certain
        share = np.nan_to_num(hajek_points(self.answered.sample, *self._human_parts(times)))
        return certain + self.reviewed(times) * np.where(self.humans_G, share, 0.0)

    def human_share(self) -> Ratio:
        """Return the share of what humans decide that counts."""
        decided = self.human_OY[self.human_OY.any(1)]
        bounds = float(decided.min()), float(decided.max())
        view = self.answered
        if view.error is None:
            return hajek(view.sample, *self._human_parts(), bounds)
        compliant, violating = self._human_parts(y=0), self._human_parts(y=1)
        return corrected_ratio(view.sample, view.error, view.terms().y, compliant, violating, bounds)

    def _human_parts(self, times: float = 1.0, y: int | None = None) -> tuple[F64, F64]:
        """Return numerator and denominator of that share, per row of the sample, imputed exposure counted `times`.

        y : as if every creative were so; None takes the labels, reviewer error taken out.
        """
        if y is None and self.answered.error is not None:
            (a0, b), (a1, _) = (self._human_parts(times, each) for each in (0, 1))
            share_n = corrected_labels(self.answered.error, self.answered.terms().y)
            return a0 + share_n * (a1 - a0), b
        view = self.answered
        outcome_n, w_n = view.outcome_n, view.exposure_n(times)
        y_n = np.maximum(view.sample.truths(view.question.rows, -1), 0)
        y_n = y_n if y is None else np.full_like(y_n, y)
        decide_O: Flags = np.asarray(self.human_OY.any(1))
        return w_n * self.human_OY[outcome_n, y_n], w_n * decide_O[outcome_n]


def decision_rate(answered: View, drawn: View, metric: str) -> DecisionRate:
    """Return how one rate counts the outcomes of a strategy."""
    given = answered.given
    none_OY = np.zeros((len(given.review_O), 2))
    if metric in ("review_rate", "automation_rate"):
        certain_O = given.review_O if metric == "review_rate" else 1.0 - given.review_O
        return DecisionRate(answered, drawn, metric, certain_O, none_OY, False)
    if answered.reading != AFTER_REVIEW:
        certain_O = given.reject_O if metric == "reject_rate" else given.limit_O
        return DecisionRate(answered, drawn, metric, certain_O, none_OY, False)
    final_OY = given.final_reject_OY if metric == "reject_rate" else given.final_limit_OY
    depends_O = final_OY[:, 0] != final_OY[:, 1]  # on y: a human has yet to decide
    certain_O = np.where(depends_O, 0.0, final_OY[:, 0])
    return DecisionRate(answered, drawn, metric, certain_O, final_OY * depends_O[:, None], True)


def smooth(spread: ClusterSpread) -> tuple[F64, F64]:
    """Return variance, 0 where it is unknown, and degrees of freedom."""
    return np.nan_to_num(spread.variance), np.maximum(1.0, spread.effective - 1.0)


def spread_warnings(spread: ClusterSpread) -> list[list[str]]:
    """Return what must be said where known totals vary between advertisers."""
    return cluster_warnings(spread, np.full(len(spread.variance), np.inf), spread.variance > 0)


def _over(top: F64, whole: F64) -> F64:
    return np.where(whole > 0, top / np.where(whole > 0, whole, 1.0), 0.0)
