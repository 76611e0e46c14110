"""Rates that labels are needed for, and their paired differences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from engine.estimate.block import Block, Subject, empty_block, rows_of
from engine.estimate.bounds import difference_limits, rate_limits
from engine.estimate.difference import assisted, assisted_pair, predicted_parts
from engine.estimate.interval import Intervals, enough
from engine.estimate.metrics import RATES, Metric, Terms
from engine.estimate.pair import Difference, difference, difference_intervals
from engine.estimate.post_strata import PostStratified
from engine.estimate.ratio import Judged, Ratio, hajek_points, ratio_intervals
from engine.estimate.sample import HISTORY
from engine.estimate.unseen import pair_reaching_unseen, reaching_unseen
from engine.estimate.view import View
from engine.records import Estimate, Flags


def label_rates(view: View, metrics: Sequence[Metric] = RATES) -> Iterator[Estimate]:
    """Yield rates of a strategy, all segments and questions."""
    values = view.terms()
    leans = bool(view.imputed_OG.any())
    others = (view.terms(0.0), view.terms(2.0)) if leans else ()
    parts = by_inference(view)
    for metric in metrics:
        uses_O = metric.uses(view.given)
        null = view.null_reasons(uses_O, owed=metric.owed)
        subject = _subject(view, metric)
        if all(null):
            yield from _nothing(view, subject, null)
            continue
        for mine in parts:
            yield from _rate(mine, subject, metric, (values, *others), null)


def by_inference(view: View) -> list[View]:
    """Return the views that rates come from, each with its questions: those of this history from calibrated weights.

    Labels that are corrected for reviewer error keep the weights of the design.
    """
    question, calibrated = view.question, view.calibrated
    if calibrated is None or view.error is not None:
        return [view]
    plain = replace(view, calibrated=None)
    return [
        replace(
            plain,
            question=replace(question, inferences=(inference,)),
            sample=calibrated if inference == HISTORY else view.sample,
        )
        for inference in question.inferences
    ]


def _named(estimator: str, view: View) -> str | NDArray[np.str_]:
    """Return what an estimator is called, by segment where weights are calibrated in some of them."""
    if isinstance(view.sample, PostStratified):
        return np.where(view.sample.calibrated_G, f"{estimator}+post_strata", estimator)
    return estimator + view.suffix


def _rate(
    view: View, subject: Subject, metric: Metric, values: Sequence[Terms], null: Sequence[str | None]
) -> Iterator[Estimate]:
    """Yield one rate. values : the terms, and those with none and with twice of the imputed exposure, if any."""
    plain, *others = values
    uses_O = metric.uses(view.given)
    ratio = view.ratio(metric, plain)
    null = _where_filled(metric, null, ratio)
    points = [hajek_points(view.sample, *metric.parts(other)) for other in others]
    notes = view.leaning(uses_O, *points) if points else []
    for inference in view.question.inferences:
        best, used_G = _assisted(view, metric, ratio, inference)
        judged = ratio_intervals(view.sample, best, inference, view.question.confidence)
        if inference == HISTORY and ratio.correction is None:
            judged = reaching_unseen(view, metric.per_outcome(view.given), ratio, best.estimate, judged)
        drowned = view.drowned(ratio, judged, inference)
        block = _block(_named("hajek", view), best, judged, list(null))
        block.estimator = np.where(used_G, "difference", block.estimator)
        block.support = view.support(uses_O)
        block.bound(rate_limits(view, metric, best, judged.intervals, inference), drowned)
        _tell(block, judged, notes)
        if inference == HISTORY and ratio.correction is None:
            fitted = view.fitted(*metric.parts(plain))
            misfits = view.misfits(fitted, judged.intervals)
            _tell(block, Judged(judged.intervals, []), misfits, support=False)
        _tell(block, Judged(judged.intervals, []), view.doubts(uses_O), support=False)
        yield from rows_of(block, subject, inference, view.question)


def paired_rates(candidate: View, baseline: View, metrics: Sequence[Metric] = RATES) -> Iterator[Estimate]:
    """Yield candidate − baseline of rates, all segments and questions."""
    mine, theirs = candidate.terms(), baseline.terms()
    leans = bool(candidate.imputed_OG.any() or baseline.imputed_OG.any())
    others = [(candidate.terms(times), baseline.terms(times)) for times in (0.0, 2.0)] if leans else []
    parts = list(zip(by_inference(candidate), by_inference(baseline), strict=True))
    for metric in metrics:
        uses, uses_b = metric.uses(candidate.given), metric.uses(baseline.given)
        null = candidate.null_reasons(uses, owed=metric.owed)
        null = [a or b for a, b in zip(null, baseline.null_reasons(uses_b, owed=metric.owed), strict=True)]
        subject = replace(_subject(candidate, metric), baseline=baseline.name)
        if all(null):
            yield from _nothing(candidate, subject, null)
            continue
        for sides in parts:
            yield from _paired_rate(sides, subject, metric, ((mine, theirs), *others), null)


def _paired_rate(
    sides: tuple[View, View],
    subject: Subject,
    metric: Metric,
    values: Sequence[tuple[Terms, Terms]],
    null: Sequence[str | None],
) -> Iterator[Estimate]:
    """Yield one difference of candidate and baseline (`sides`, in this order). values : as in _rate, of both."""
    (candidate, baseline), ((mine, theirs), *others) = sides, values
    ratios = ratio, ratio_b = candidate.ratio(metric, mine), baseline.ratio(metric, theirs)
    null = _where_filled(metric, null, ratio, ratio_b)
    pair = difference(candidate.sample, ratio_b, ratio)
    notes = _paired_leaning(metric, candidate, baseline, others)
    counted = metric.per_outcome(baseline.given), metric.per_outcome(candidate.given)
    swaps_G = candidate.swaps_with(baseline, *counted)
    for inference in candidate.question.inferences:
        best, used_G = _assisted_pair(metric, pair, (baseline, ratio_b), (candidate, ratio), inference)
        judged = difference_intervals(candidate.sample, best, ratio_b, ratio, inference, candidate.question.confidence)
        if inference == HISTORY and ratio.correction is None:
            judged = pair_reaching_unseen(sides, ratios, metric, best.estimate, judged)
        found = judged.intervals
        same = Intervals(
            np.where(swaps_G, found.low, 0.0),
            np.where(swaps_G, found.high, 0.0),
            np.where(swaps_G, found.rule, "no_swap"),
        )
        drowned = [
            a or b
            for a, b in zip(*(v.drowned(r, None, inference) for v, r in zip(sides, ratios, strict=True)), strict=True)
        ]
        block = _block(_named("hajek_paired", candidate), ratio, Judged(same, judged.warnings), list(null))
        block.estimator = np.where(used_G & swaps_G, "difference_paired", block.estimator)
        block.estimate = np.where(swaps_G, best.estimate, 0.0)
        block.size, block.events = pair.size, pair.events
        block.support = np.minimum(*(side.support(metric.uses(side.given)) for side in sides))
        block.bound(difference_limits(sides, ratios, best, same, metric, inference), drowned)
        _tell(block, judged, notes)
        if inference == HISTORY and ratio.correction is None:
            fitted = candidate.fitted(*metric.parts(mine)) - baseline.fitted(*metric.parts(theirs))
            misfits = candidate.misfits(np.where(swaps_G, fitted, 0.0), same)
            _tell(block, Judged(same, []), misfits, support=False)
        yield from rows_of(block, subject, inference, candidate.question)


def _assisted(view: View, metric: Metric, ratio: Ratio, inference: str) -> tuple[Ratio, Flags]:
    """Return the ratio as the difference estimator has it, and where: of this history, with labels as they are."""
    plain = inference == HISTORY and ratio.correction is None
    predicted = predicted_parts(view, metric) if plain else None
    if predicted is None or view.question.predictions is None:
        return ratio, np.zeros(view.sample.segments, bool)
    plenty_G = enough(ratio.events)
    return assisted(view.sample, ratio, predicted, plenty_G, guarded=view.question.predictions.guarded)


def _assisted_pair(
    metric: Metric, pair: Difference, baseline: tuple[View, Ratio], candidate: tuple[View, Ratio], inference: str
) -> tuple[Difference, Flags]:
    """Return the paired difference as the difference estimator has it, and where."""
    sample = candidate[0].sample
    plain = inference == HISTORY and candidate[1].correction is None
    mine, theirs = (predicted_parts(view, metric) if plain else None for view, _ in (candidate, baseline))
    if mine is None or theirs is None:
        return pair, np.zeros(sample.segments, bool)
    plenty_G, found = enough(pair.events), candidate[0].question.predictions
    sides = (baseline[1], theirs), (candidate[1], mine)
    return assisted_pair(sample, pair, *sides, plenty_G, guarded=found is None or found.guarded)


def _paired_leaning(
    metric: Metric, candidate: View, baseline: View, others: Sequence[tuple[Terms, Terms]]
) -> list[str | None]:
    """Return, per segment, how the difference would change with none and with twice of the imputed exposure."""
    if not others:
        return []
    without, twice = (
        hajek_points(candidate.sample, *metric.parts(mine)) - hajek_points(candidate.sample, *metric.parts(theirs))
        for mine, theirs in others
    )
    notes = [side.leaning(metric.uses(side.given), without, twice) for side in (candidate, baseline)]
    return [a or b for a, b in zip(*notes, strict=True)]


def _subject(view: View, metric: Metric) -> Subject:
    return Subject(view.name, view.policy_name, view.weighting, view.reading, metric.name, metric.formula)


def _nothing(view: View, subject: Subject, null: list[str | None]) -> Iterator[Estimate]:
    for inference in view.question.inferences:
        yield from rows_of(empty_block(null), subject, inference, view.question)


def _block(estimator: str | NDArray[np.str_], ratio: Ratio, judged: Judged, null: list[str | None]) -> Block:
    return Block(
        estimator, ratio.estimate, judged.intervals, ratio.labels, ratio.size, ratio.events, np.zeros(len(null)), null
    )


def _where_filled(metric: Metric, null: Sequence[str | None], *ratios: Ratio) -> list[str | None]:
    """Return the null reasons, and one where the denominator of a ratio is empty."""
    reason = f"the denominator {metric.formula.partition(' / ')[2]} is empty among the audit's labels"
    empty = np.any([ratio.empty for ratio in ratios], axis=0).tolist()
    return [why or (reason if none else None) for why, none in zip(null, empty, strict=True)]


def _tell(block: Block, judged: Judged, notes: Sequence[str | None], *, support: bool = True) -> None:
    for g, note in enumerate(notes):
        if note:
            block.warn(g, note)
    for g, texts in enumerate(judged.warnings):
        for text in texts:
            block.warn(g, text)
    if support:
        block.tell_support()
