"""Rates of decisions: known exactly of the machine; after review, the part that humans decide is estimated.

They belong to the creative and stand under `any` (or the only policy). After review,

    reject_rate = (Σ w [REJECT] + Σ w [REVIEW] · r) / Σ w,   r = share of REVIEW that humans refuse,

where only r needs labels: both sums are known (post-stratification on the decision).
For `future`, the point stays known and advertisers are random: the variance between advertisers is estimated from the
audit's rows by taking the audit's own variance off, never below that of independent creatives.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from engine.estimate.delivery import AFTER_REVIEW, Delivery, delivery
from engine.estimate.interval import logit_interval, symmetric
from engine.estimate.known import KnownTotals
from engine.estimate.metrics import DECISION_RATES
from engine.estimate.place import Place
from engine.estimate.question import Question
from engine.estimate.ratio import Ratio, hajek, ratio_interval
from engine.estimate.rows import blank
from engine.estimate.sample import HISTORY, Sample, answered_sample, cluster_spread, drawn_sample
from engine.records import F64, I64, Estimate

_NO_ROWS = "fewer than two audit rows in this segment: the variance between advertisers is unknown"


def decision_rates(question: Question, known: KnownTotals, reading: str) -> Iterator[Estimate]:
    """Yield reject, limit, review and automation rate of every strategy, weighting and segment, and their differences."""
    policy = len(question.readable_policies) - 1
    samples = Samples(answered_sample(question.rows, policy), drawn_sample(question.rows))
    for weighting in question.weightings:
        for metric, formula in DECISION_RATES.items():
            for g in range(len(question.segments.name)):
                place = Place(question, known, weighting, g)
                rates = [decision_rate(place, samples, s, metric, reading) for s in range(len(question.table.strategies))]
                for rate in rates:
                    row = blank(question, rate.name, policy, weighting, reading, metric, g, formula)
                    for inference in question.inferences:
                        yield rate.estimate(replace(row, inference=inference))
                if question.pair:
                    theirs, mine = (rates[s] for s in question.pair)
                    row = blank(question, mine.name, policy, weighting, reading, metric, g, formula)
                    for inference in question.inferences:
                        yield minus(mine, theirs, replace(row, baseline=theirs.name, inference=inference))


@dataclass(frozen=True)
class Samples:
    """The rows with a concluded label, and all drawn rows (enough where no label is read)."""

    answered: Sample
    drawn: Sample


@dataclass(frozen=True)
class DecisionRate:
    """One rate of one strategy in one place.

    certain_O : how much each outcome counts for sure. human_OY : how much of it counts by y where a human decides.
    """

    place: Place
    samples: Samples
    strategy: int
    given: Delivery
    certain_O: F64
    human_OY: F64
    reads_labels: bool

    @property
    def name(self) -> str:
        return self.place.question.table.names[self.strategy]

    def value(self, times: float = 1.0) -> float:
        """Return the certain part, imputed exposure counted `times`."""
        exposure_O = self.place.exposure_O(self.strategy) + (times - 1.0) * self.place.imputed_O(self.strategy)
        whole = float(exposure_O.sum())
        return float(exposure_O @ self.certain_O) / whole if whole > 0 else 0.0

    def estimate(self, row: Estimate) -> Estimate:
        """Return the number with its interval, or the reason why it is null."""
        whole = float(self.place.exposure_O(self.strategy).sum())
        reason = self._null_reason() or (None if whole > 0 else "the denominator Σ w is empty in this segment")
        if reason:
            return replace(row, null_reason=reason)
        row = replace(row, support=1.0, warning=self._leaning(whole))
        if not self.place.exposure_O(self.strategy)[self.human_OY.any(1)].any():
            return self._known(row, self.value())
        ratio = self._human_share()
        if ratio is None:
            return replace(row, support=None, null_reason="no audit label lies in what the strategy sends to review")
        judged = ratio_interval(self.samples.answered, ratio, row.inference, self.place.question.confidence)
        reviewed = float(self.place.exposure_O(self.strategy) @ self.given.review_O) / whole
        points = (ratio.estimate, judged.interval.low, judged.interval.high)
        estimate, low, high = (self.value() + reviewed * share for share in points)
        return replace(
            row,
            estimator=f"known_total+hajek/{judged.interval.rule}",
            estimate=estimate,
            low=low,
            high=high,
            labels=ratio.labels,
            effective_size=ratio.size,
            effective_events=ratio.events,
            warning="; ".join(text for text in (row.warning, *judged.warnings) if text) or None,
        )

    def residual_n(self, sample: Sample, value: float) -> F64:
        """Return (share counted − value) · w / Σ w of every row of a sample."""
        rows, whole = self.place.question.rows, float(self.place.exposure_O(self.strategy).sum())
        outcome_n = rows.outcome_Sn[self.strategy, sample.rows_n]
        y_n = np.maximum(rows.y_nQ[sample.rows_n, -1], 0)
        counted = self.certain_O[outcome_n] + self.human_OY[outcome_n, y_n]
        return np.asarray((counted - value) * self.place.exposure_n(sample) / whole)

    def _known(self, row: Estimate, value: float) -> Estimate:
        row = replace(row, estimator="known_total", estimate=value)
        if row.warning:
            return row  # an imputed total is no known total: no interval, its sensitivity is in the warning
        if row.inference == HISTORY or not 0.0 < value < 1.0:
            return replace(row, low=value, high=value)
        sample, at = self.samples.drawn, self.place.at(self.samples.drawn)
        spread = future_spread(sample, self.residual_n(sample, value)[at], at, reads_labels=False)
        if spread is None:
            return replace(row, support=None, estimate=None, null_reason=_NO_ROWS)
        interval = logit_interval(value, *spread, row.confidence)
        return replace(row, low=interval.low, high=interval.high, estimator="known_total/logit", labels=len(at))

    def _human_share(self) -> Ratio | None:
        """Return the share of what humans decide that counts."""
        sample, rows = self.samples.answered, self.place.question.rows
        outcome_n = rows.outcome_Sn[self.strategy, sample.rows_n]
        w_n, y_n = self.place.exposure_n(sample), np.maximum(rows.y_nQ[sample.rows_n, -1], 0)
        counted_n, decided_n = self.human_OY[outcome_n, y_n], self.given.review_O[outcome_n]
        return hajek(sample, w_n * counted_n, w_n * decided_n, self.place.at(sample))

    def _null_reason(self) -> str | None:
        place = self.place
        if place.weighting in place.question.unmapped:
            return place.question.unmapped[place.weighting]
        reason = self.given.null_reason or self.given.unknown_final(place.count_O(self.strategy))
        if self.reads_labels and reason:
            return reason
        missing = place.missing(self.strategy)
        if missing:
            return f"{missing} creatives lack {place.weighting} (history did not deliver them); exposure.refused can name a model"
        return None

    def _leaning(self, whole: float) -> str | None:
        part = float(self.place.imputed_O(self.strategy).sum())
        if not part > 0:
            return None
        return (
            f"leans on exposure.refused = {self.place.question.refused} for {part / whole:.0%} of its exposure: "
            f"{self.value(0.0):.4g} with none of it, {self.value(2.0):.4g} with twice; imputed totals are not known totals"
        )


def decision_rate(place: Place, samples: Samples, strategy: int, metric: str, reading: str) -> DecisionRate:
    """Return how one rate counts the outcomes of a strategy."""
    table, policy = place.question.table, place.question.readable_policies[-1]
    given = delivery(
        table.strategies[strategy], table.rules[strategy], policy, reading, counted=place.weighting == "creatives"
    )
    none_OY = np.zeros((len(given.review_O), 2))
    if metric in ("review_rate", "automation_rate"):
        certain_O = given.review_O if metric == "review_rate" else 1.0 - given.review_O
        return DecisionRate(place, samples, strategy, given, certain_O, none_OY, False)
    if reading != AFTER_REVIEW:
        certain_O = given.reject_O if metric == "reject_rate" else given.limit_O
        return DecisionRate(place, samples, strategy, given, certain_O, none_OY, False)
    final_OY = given.final_reject_OY if metric == "reject_rate" else given.final_limit_OY
    depends_O = final_OY[:, 0] != final_OY[:, 1]  # on y: a human has yet to decide
    human_OY = final_OY * depends_O[:, None]
    return DecisionRate(place, samples, strategy, given, np.where(depends_O, 0.0, final_OY[:, 0]), human_OY, True)


def minus(mine: DecisionRate, theirs: DecisionRate, row: Estimate) -> Estimate:
    """Return candidate − baseline of one rate; exact where both are known, else linearised jointly."""
    a, b = mine.estimate(row), theirs.estimate(row)
    if a.estimate is None or b.estimate is None:
        return replace(row, null_reason=a.null_reason or b.null_reason)
    value = a.estimate - b.estimate
    warning = "; ".join(dict.fromkeys(x for x in (a.warning, b.warning) if x)) or None
    row = replace(row, estimate=value, support=1.0, warning=warning, estimator="known_total")
    if a.low is None or b.low is None:
        return row
    humans = "hajek" in f"{a.estimator} {b.estimator}"
    if row.inference == HISTORY and not humans:
        return replace(row, low=value, high=value)
    sample = mine.samples.answered if humans else mine.samples.drawn
    at = mine.place.at(sample)
    residual_n = (mine.residual_n(sample, a.estimate) - theirs.residual_n(sample, b.estimate))[at]
    if row.inference == HISTORY:
        spread = (sample.history_variance(residual_n, at), max(1.0, len(at) - 1.0)) if len(at) > 1 else None
    else:
        spread = future_spread(sample, residual_n, at, reads_labels=humans)
    if spread is None:
        return replace(row, estimate=None, support=None, null_reason=_NO_ROWS)
    interval = symmetric(value, *spread, row.confidence)
    return replace(row, low=interval.low, high=interval.high, estimator=f"known_total/{interval.rule}", labels=len(at))


def future_spread(sample: Sample, residual_n: F64, at: I64, *, reads_labels: bool) -> tuple[float, float] | None:
    """Return (variance between advertisers, degrees of freedom) of a sum of residuals over the rows `at`."""
    spread = cluster_spread(sample.cluster_totals(residual_n, at))
    if len(at) < 2 or np.isnan(spread.variance):
        return None
    df = max(1.0, spread.effective - 1.0)
    if reads_labels:
        return spread.variance, df
    independent = float(sample.weight_n[at] @ residual_n**2)
    return max(spread.variance - sample.history_variance(residual_n, at), independent), df
