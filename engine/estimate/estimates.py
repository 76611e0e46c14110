"""Every number of a run: strategy × policy × reading × weighting × metric × segment × question."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from engine.estimate.decision_rates import decision_rates
from engine.estimate.delivery import READINGS, Delivery, delivery
from engine.estimate.known import KnownTotals, sum_segments
from engine.estimate.metrics import RATES, Metric, Terms, terms
from engine.estimate.question import Question
from engine.estimate.ratio import Judged, Ratio, difference, difference_interval, hajek, ratio_interval
from engine.estimate.rows import blank
from engine.estimate.sample import Sample, answered_sample
from engine.estimate.totals import cost_numbers
from engine.records import F64, I64, WEIGHTINGS, Estimate, Flags

NO_AUDIT = "no audit labels: nothing stands for the population"


def estimate_all(question: Question) -> list[Estimate]:
    """Return every estimate of the question, each with an interval or the reason why it is null."""
    known = sum_segments(question.totals, question.segments)
    out: list[Estimate] = []
    for q, policy in enumerate(question.readable_policies):
        sample = answered_sample(question.rows, q)
        for reading in READINGS:
            views = [View(question, known, sample, s, q, reading) for s in range(len(question.table.strategies))]
            for view in views:
                out += view.rates()
            if question.pair:
                out += views[question.pair[1]].paired_with(views[question.pair[0]])
            if policy == question.readable_policies[-1]:
                out += decision_rates(question, known, reading)
                out += cost_numbers(question, known, sample, reading)
    return out


@dataclass(frozen=True)
class View:
    """One strategy under one policy and reading: its numbers over all weightings, metrics and segments."""

    question: Question
    known: KnownTotals
    sample: Sample
    strategy: int
    policy: int
    reading: str

    @cached_property
    def at_G(self) -> list[I64]:
        """Positions in the sample that lie in each segment."""
        cell_n = self.question.rows.cell_n[self.sample.rows_n]
        return [np.flatnonzero(member_C[cell_n]) for member_C in self.question.segments.member_GC]

    def delivery(self, weighting: str) -> Delivery:
        """Return what the strategy does with creatives, as this weighting counts it."""
        table = self.question.table
        return delivery(
            table.strategies[self.strategy],
            table.rules[self.strategy],
            self.question.readable_policies[self.policy],
            self.reading,
            counted=weighting == "creatives",
        )

    def terms(self, weighting: str, imputed_times: float = 1.0) -> Terms:
        """Return A, H, R, y and w of the labelled rows; imputed exposure counts `imputed_times`."""
        rows, chosen = self.question.rows, self.sample.rows_n
        w = WEIGHTINGS.index(weighting)
        exposure = np.nan_to_num(rows.known_Wn[w, chosen]) + imputed_times * rows.imputed_Wn[w, chosen]
        return terms(
            self.delivery(weighting), rows.outcome_Sn[self.strategy, chosen], rows.y_nQ[chosen, self.policy], exposure
        )

    def rates(self) -> Iterator[Estimate]:
        """Yield every metric that needs labels."""
        for weighting in self.question.weightings:
            given = self.delivery(weighting)
            values = self.terms(weighting)
            without = self.terms(weighting, 0.0), self.terms(weighting, 2.0)
            for metric in RATES:
                a, b = metric.parts(values)
                sensitivity = [metric.parts(other) for other in without]
                for g, at in enumerate(self.at_G):
                    row = self._row(metric, weighting, g)
                    reason = self.null_reason(metric, given, weighting, g)
                    ratio = None if reason else hajek(self.sample, a, b, at)
                    if ratio is None:
                        yield from self._null(row, reason or self._empty(metric))
                        continue
                    leaning = self._leaning(metric, given, weighting, g, at, sensitivity)
                    row = replace(row, support=self.support(metric, given, weighting, g))
                    for inference in self.question.inferences:
                        judged = ratio_interval(self.sample, ratio, inference, self.question.confidence)
                        yield _filled(
                            replace(row, inference=inference), ratio, ratio.estimate, "hajek", judged, leaning
                        )

    def paired_with(self, baseline: View) -> Iterator[Estimate]:
        """Yield candidate − baseline for every metric that needs labels; this view is the candidate."""
        for weighting in self.question.weightings:
            mine, theirs = self.terms(weighting), baseline.terms(weighting)
            given, given_b = self.delivery(weighting), baseline.delivery(weighting)
            for metric in RATES:
                parts, parts_b = metric.parts(mine), metric.parts(theirs)
                for g, at in enumerate(self.at_G):
                    row = replace(self._row(metric, weighting, g), baseline=baseline._name)
                    reason = self.null_reason(metric, given, weighting, g)
                    reason = reason or baseline.null_reason(metric, given_b, weighting, g)
                    ratio = None if reason else hajek(self.sample, *parts, at)
                    ratio_b = None if reason else hajek(self.sample, *parts_b, at)
                    if ratio is None or ratio_b is None:
                        yield from self._null(row, reason or self._empty(metric))
                        continue
                    pair = difference(self.sample, ratio_b, ratio)
                    swaps = self._swapped(metric, given_b, given, g)
                    support = min(
                        self.support(metric, given, weighting, g), baseline.support(metric, given_b, weighting, g)
                    )
                    for inference in self.question.inferences:
                        judged = difference_interval(self.sample, pair, ratio, inference, self.question.confidence)
                        if not swaps:
                            judged = replace(
                                judged, interval=replace(judged.interval, low=0.0, high=0.0, rule="no_swap")
                            )
                        filled = _filled(
                            replace(row, inference=inference, support=support),
                            ratio,
                            pair.estimate,
                            "hajek_paired",
                            judged,
                            (),
                        )
                        yield replace(filled, effective_size=pair.size, effective_events=pair.events)

    def null_reason(self, metric: Metric, given: Delivery, weighting: str, segment: int) -> str | None:
        """Return why a number cannot be had, or None."""
        question = self.question
        if given.null_reason:
            return given.null_reason
        if weighting in question.unmapped:
            return question.unmapped[weighting]
        if not len(self.sample.rows_n):
            return NO_AUDIT
        rules = question.table.rules[self.strategy]
        w = WEIGHTINGS.index(weighting)
        count_O = self.known.known_SOGW[self.strategy, : len(rules), segment, 0]
        unknown = given.unknown_final(count_O)
        if unknown:
            return unknown
        if metric.owed and (given.ambiguous_O & _touches(given) & (count_O > 0)).any():
            return "a rule that fires reads several policies or none: name one with `policy:` on the rule"
        missing = self.known.missing_SOGW[self.strategy, : len(rules), segment, w][metric.uses(given)].sum()
        if missing > 0:
            return (
                f"{int(missing)} creatives that enter the formula lack {weighting} (history did not deliver them); "
                "exposure.refused can name a model"
            )
        return None

    def support(self, metric: Metric, given: Delivery, weighting: str, segment: int) -> float:
        """Return the share of the exposure behind a number that the audit could have drawn."""
        w, uses = WEIGHTINGS.index(weighting), metric.uses(given)
        whole = self.known.exposure(self.strategy, segment, w)[: len(uses)][uses].sum()
        inside = self.known.framed_SOGW[self.strategy, : len(uses), segment, w][uses].sum()
        return float(inside / whole) if whole > 0 else 0.0

    @property
    def _name(self) -> str:
        return self.question.table.names[self.strategy]

    def _row(self, metric: Metric, weighting: str, segment: int) -> Estimate:
        return blank(
            self.question, self._name, self.policy, weighting, self.reading, metric.name, segment, metric.formula
        )

    def _null(self, row: Estimate, reason: str) -> Iterator[Estimate]:
        for inference in self.question.inferences:
            yield replace(row, inference=inference, null_reason=reason)

    def _empty(self, metric: Metric) -> str:
        return f"the denominator {metric.formula.partition(' / ')[2]} is empty among the audit's labels"

    def _leaning(
        self, metric: Metric, given: Delivery, weighting: str, segment: int, at: I64, others: list[tuple[F64, F64]]
    ) -> tuple[str, ...]:
        """Return what a number that leans on imputed exposure must say: how much, and how sensitive it is."""
        w, uses = WEIGHTINGS.index(weighting), metric.uses(given)
        whole = self.known.exposure(self.strategy, segment, w)[: len(uses)][uses].sum()
        part = self.known.imputed_SOGW[self.strategy, : len(uses), segment, w][uses].sum()
        if not part > 0:
            return ()
        shown = []
        for a, b in others:
            ratio = hajek(self.sample, a, b, at)
            shown.append("—" if ratio is None else f"{ratio.estimate:.4g}")
        model = self.question.refused
        return (
            f"leans on exposure.refused = {model} for {part / whole:.0%} of its exposure: {shown[0]} with none of it, {shown[1]} with twice",
        )

    def _swapped(self, metric: Metric, baseline: Delivery, candidate: Delivery, segment: int) -> bool:
        """Return whether any creative of the segment gets another share under the two strategies (known of all)."""
        member_C = self.question.segments.member_GC[segment]
        count_OQ = self.question.totals.swap_OQCW[:, :, member_C, 0].sum(2)
        differ = np.zeros(count_OQ.shape, bool)
        for part in ("accept_OY", "hold_OY", "refuse_OY"):
            mine, theirs = getattr(candidate, part), getattr(baseline, part)
            differ[: len(theirs), : len(mine)] |= (theirs[:, None, :] != mine[None, :, :]).any(2)
        if metric.owed:
            differ[: len(baseline.owed_O), : len(candidate.owed_O)] |= (
                baseline.owed_O[:, None] != candidate.owed_O[None, :]
            )
        return bool((count_OQ * differ).any())


def _touches(given: Delivery) -> Flags:
    return given.refuse_OY.any(1) | given.hold_OY.any(1) | (given.review_O > 0)


def _filled(row: Estimate, ratio: Ratio, value: float, name: str, judged: Judged, more: tuple[str, ...]) -> Estimate:
    warnings = [*more, *judged.warnings]
    if row.support is not None and row.support < 1.0:
        warnings.append(f"no audit could have drawn {1 - row.support:.1%} of the exposure behind it")
    return replace(
        row,
        estimator=f"{name}/{judged.interval.rule}",
        estimate=value,
        low=judged.interval.low,
        high=judged.interval.high,
        labels=ratio.labels,
        effective_size=ratio.size,
        effective_events=ratio.events,
        warning="; ".join(warnings) or None,
    )
