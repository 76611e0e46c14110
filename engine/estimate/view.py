"""One strategy under one policy, reading and weighting: what its creatives got, known of all and of the labelled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from engine.estimate.delivery import Delivery, delivery
from engine.estimate.interval import Intervals
from engine.estimate.known import KnownTotals, any_swap
from engine.estimate.metrics import Metric, Mixture, Terms, terms
from engine.estimate.post_strata import PostStratified
from engine.estimate.question import Question
from engine.estimate.ratio import Judged, Ratio, hajek, ratio_intervals
from engine.estimate.reviewer_error import Corrected, corrected_labels, corrected_ratio
from engine.estimate.sample import Sample
from engine.estimate.shortfall import UNSEEN, shortfall
from engine.records import F64, I16, WEIGHTINGS, Flags, ReviewerError

LEANS = "leans on exposure.refused"


@dataclass(frozen=True)
class View:
    """Where all numbers of a strategy come from. Arrays over outcomes (O) and segments (G).

    calibrated : the sample that rates of this history stand on, where weights are calibrated to post-strata.
    """

    question: Question
    known: KnownTotals
    sample: Sample
    strategy: int
    policy: int
    reading: str
    weighting: str
    calibrated: PostStratified | None = None

    @property
    def name(self) -> str:
        return self.question.table.strategies[self.strategy].name

    @property
    def policy_name(self) -> str:
        return self.question.readable_policies[self.policy]

    @cached_property
    def given(self) -> Delivery:
        """What the strategy does with each outcome, as this weighting counts it."""
        strategy = self.question.table.strategies[self.strategy]
        rules = self.question.table.rules[self.strategy]
        return delivery(strategy, rules, self.policy_name, self.reading, counted=self.weighting == "creatives")

    @cached_property
    def exposure_OG(self) -> F64:
        """Known + imputed exposure."""
        return self._known(self.known.known_SOGW) + self.imputed_OG

    @cached_property
    def imputed_OG(self) -> F64:
        return self._known(self.known.imputed_SOGW)

    @cached_property
    def missing_OG(self) -> F64:
        """Creatives that lack this exposure."""
        return self._known(self.known.missing_SOGW)

    @cached_property
    def framed_OG(self) -> F64:
        """Exposure that some audit could have drawn."""
        return self._known(self.known.framed_SOGW)

    @cached_property
    def unseen_OG(self) -> F64:
        """Exposure that drawn rows stand for by less than the audit's error allows."""
        m = self.sample.at_m
        kind_m, exposure_m = self.outcome_n[m].astype(np.int64), self.exposure_n()[m]
        return shortfall(self.sample, kind_m, exposure_m, self.framed_OG)

    @cached_property
    def count_OG(self) -> F64:
        """Creatives."""
        return self.known.known_SOGW[self.strategy, : len(self.given.owed_O), :, 0]

    @property
    def occurs_O(self) -> Flags:
        """Outcomes that some creative of the period has, or may have where only a sample is scored."""
        return np.asarray((self.count_OG[:, 0] > 0) | (self.question.scored is not None))

    def swaps_with(self, baseline: View, theirs_OX: F64, mine_QX: F64) -> Flags:
        """Return, per segment, whether any creative counts otherwise here than under a baseline, or may do so.

        theirs_OX, mine_QX : all that a creative of an outcome can count. Of what was not scored nobody knows.
        """
        question = self.question
        if question.scored is not None or question.pair != (baseline.strategy, self.strategy):
            return np.ones(len(question.segments.name), bool)
        return any_swap(question.totals, question.segments, theirs_OX, mine_QX)

    @property
    def outcome_n(self) -> I16:
        """What the strategy decided of every draw of the sample."""
        return self.sample.outcomes(self.question.rows, self.strategy)

    def exposure_n(self, imputed_times: float = 1.0) -> F64:
        """Return the exposure of every row of the sample, imputed exposure counted `imputed_times`."""
        return self.sample.exposures(self.question.rows, self._w, imputed_times)

    def terms(self, imputed_times: float = 1.0) -> Terms:
        """Return A, H, R, y and w of the sample's rows."""
        outcome_n, y_n = self.outcome_n, self.sample.truths(self.question.rows, self.policy)
        w_n = self.exposure_n(imputed_times)
        known = terms(self.given, outcome_n, y_n, w_n)
        if self.error is None:
            return known
        compliant, violating = (terms(self.given, outcome_n, np.full_like(y_n, y), w_n) for y in (0, 1))
        return replace(known, mixture=Mixture(compliant, violating, corrected_labels(self.error, known.y)))

    @property
    def error(self) -> ReviewerError | None:
        """How the audit's reviewers err, None where their labels stand as they are."""
        return self.question.error_of(self.policy_name)

    @property
    def suffix(self) -> str:
        """What the name of an estimator ends with: whether reviewer error was taken out."""
        return "+rogan_gladen" if self.error is not None else ""

    def ratio(self, metric: Metric, values: Terms) -> Ratio:
        """Return the ratio of a metric over the sample, reviewer error taken out."""
        bounds = metric.bounds(self.given, self.occurs_O)
        if self.error is None or values.mixture is None:
            return hajek(self.sample, *metric.parts(values), bounds)
        compliant, violating = values.mixture.compliant, values.mixture.violating
        return corrected_ratio(
            self.sample, self.error, values.y, metric.parts(compliant), metric.parts(violating), bounds
        )

    def drowned(self, ratio: Ratio, judged: Judged | None, inference: str) -> Sequence[str | None]:
        """Return, per segment, why reviewer error leaves no number, or None. judged : the ratio's own intervals."""
        if not isinstance(ratio.correction, Corrected):
            return [None] * len(ratio.labels)
        confidence = self.question.confidence
        judged = judged or ratio_intervals(self.sample, ratio, inference, confidence)
        return ratio.correction.drowned(self.sample, ratio, judged, inference, confidence)

    def null_reasons(self, uses_O: Flags, *, owed: bool, labels: bool = True, final: bool = True) -> list[str | None]:
        """Return, per segment, why a number that uses these outcomes cannot be had.

        owed : it depends on the policy of the deciding rule. labels, final : it reads labels, final decisions.
        """
        size = len(self.question.segments.name)
        whole = self.question.unmapped.get(self.weighting) or (self.given.null_reason if final else None)
        if whole:
            return [whole] * size
        unknown_G = self.given.unknown_final(self.count_OG) if final else np.zeros(size)
        ambiguous_G = owed * self.count_OG[self.given.ambiguous_O & self.given.touches_O].sum(0)
        missing_G = self.missing_OG[uses_O].sum(0)
        if self.question.scored is not None and uses_O.all():
            missing_G = self.known.lacking_GW[:, self._w]
        unlabelled = self._unlabelled if labels else None
        out: list[str | None] = [unlabelled] * size
        for g in (int(x) for x in np.flatnonzero((unknown_G >= 1) | (ambiguous_G > 0) | (missing_G >= 1))):
            if unknown_G[g] >= 1:
                out[g] = f"{int(unknown_G[g])} creatives were sent to review and have no logged_final"
            elif unlabelled:
                continue
            elif ambiguous_G[g] > 0:
                out[g] = "a rule that fires reads several policies or none: name one with `policy:` on the rule"
            else:
                out[g] = (
                    f"{int(missing_G[g])} creatives that enter the formula lack {self.weighting} (history did not "
                    "deliver them); exposure.refused can name a model"
                )
        return out

    @property
    def _unlabelled(self) -> str | None:
        """Why no number that reads labels can be had of any segment."""
        design = self.question.rows.design
        silent = int(((design.population_H > 0) & (design.answered_HQ[:, self.policy] == 0)).sum())
        if not len(self.sample.rows_n):
            return "no audit labels: nothing stands for the population"
        if silent:
            return f"{silent} of the audit's strata have no answered label: nothing stands for their creatives"
        return self.question.unnamed_error(self.policy_name)

    def doubts(self, uses_O: Flags) -> Sequence[str | None]:
        """Return, per segment, what nobody knows of creatives that lack exposure and were not scored."""
        lacking_G = self.known.lacking_GW[:, self._w]
        if self.question.scored is None or uses_O.all():
            return [None] * len(lacking_G)
        return [
            f"{int(lacking)} creatives of the segment lack {self.weighting}; whether they enter the formula is known "
            "of the scored ones alone"
            if lacking > 0
            else None
            for lacking in lacking_G
        ]

    def support(self, uses_O: Flags) -> F64:
        """Return, per segment, the share of the exposure behind a number that the audit could have drawn."""
        whole = self.exposure_OG[uses_O].sum(0)
        return np.where(whole > 0, self.framed_OG[uses_O].sum(0) / np.where(whole > 0, whole, 1.0), 0.0)

    def fitted(self, a_n: F64, b_n: F64) -> F64:
        """Return Σ a / Σ b of each segment, the rows weighted up to the known exposure of each outcome in the frame.

        Where the audit missed creatives with much of the exposure this lies far from the plain ratio.
        """
        sample, outcomes = self.sample, len(self.given.owed_O)
        outcome_m = self.outcome_n[sample.at_m].astype(np.int64)
        key_m = outcome_m * sample.segments + sample.segment_m
        stood_for = np.bincount(key_m, sample.weight_m * self.exposure_n()[sample.at_m], outcomes * sample.segments)
        known = self.framed_OG.ravel()
        factor_m = np.where(stood_for > 0, known / np.where(stood_for > 0, stood_for, 1.0), 1.0)[key_m]
        top, whole = (sample.sums(sample.weight_m * factor_m * part_n[sample.at_m]) for part_n in (a_n, b_n))
        return np.where(whole > 0, top / np.where(whole > 0, whole, 1.0), np.nan)

    def misfits(self, fitted: F64, found: Intervals) -> Sequence[str | None]:
        """Return, per segment, what `history` says where the audit's rows stand badly for known exposure."""
        if self.question.scored is not None:
            return [None] * len(fitted)
        text = f"the audit's rows stand badly for the known {self.weighting} by outcome: fitted to them it is"
        return [
            f"{text} {fitted[g]:.4g}"
            if (fitted[g] < found.low[g] or fitted[g] > found.high[g]) and not str(found.rule[g]).endswith(UNSEEN)
            else None
            for g in range(len(fitted))
        ]

    def leaning(self, uses_O: Flags, without: F64, twice: F64) -> Sequence[str | None]:
        """Return, per segment, what a number that leans on imputed exposure says: how much, and how sensitive it is."""
        part, whole = self.imputed_OG[uses_O].sum(0), self.exposure_OG[uses_O].sum(0)
        return [
            f"{LEANS} = {self.question.refused} for {part[g] / whole[g]:.0%} of its exposure: "
            f"{_or_nothing(without[g])} with none of it, {_or_nothing(twice[g])} with twice"
            if part[g] > 0
            else None
            for g in range(len(part))
        ]

    @property
    def _w(self) -> int:
        return WEIGHTINGS.index(self.weighting)

    def _known(self, sums_SOGW: F64) -> F64:
        return sums_SOGW[self.strategy, : len(self.given.owed_O), :, self._w]


def _or_nothing(value: float) -> str:
    return "no number" if np.isnan(value) else f"{value:.4g}"
