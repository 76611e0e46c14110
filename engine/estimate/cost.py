"""What a strategy costs, in the user's prices: a total, not a rate.

The sums over violating and compliant creatives are Horvitz–Thompson (1952) totals from the audit; reviews and scored
contents are counted. The variance is that of the weighted sum; for `future` advertisers are the units.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from engine.estimate.block import Block, Subject, empty_block, rows_of
from engine.estimate.bounds import outside_of
from engine.estimate.interval import Intervals, kish, positive_intervals, symmetric
from engine.estimate.metrics import COST, COST_FORMULA, Terms, counted
from engine.estimate.question import Prices
from engine.estimate.reviewer_error import added_variance, corrected_labels
from engine.estimate.sample import HISTORY
from engine.estimate.view import View
from engine.records import F64, Estimate


def costs(view: View, baseline: View | None = None) -> Iterator[Estimate]:
    """Yield the cost of a strategy (or its difference to a baseline) by segment; null without prices."""
    question = view.question
    subject = Subject(
        view.name,
        view.policy_name,
        view.weighting,
        view.reading,
        COST,
        COST_FORMULA,
        baseline.name if baseline else None,
    )
    sides = [view] if baseline is None else [view, baseline]
    null: list[str | None] = [None] * len(question.segments.name)
    for side in sides:
        everything = np.ones(len(side.given.owed_O), bool)
        null = [a or b for a, b in zip(null, side.null_reasons(everything, owed=False), strict=True)]
    if question.prices is None:
        null = ["no `cost` section in the config"] * len(null)
    elif question.overlapping:
        reason = (
            f"{question.overlapping} labelled creatives lie inside a model's training: a total cannot leave them out"
        )
        null = [reason] * len(null)
    elif any(question.prices.scoring_S[side.strategy] is None for side in sides):
        null[0] = null[0] or (
            "which contents this strategy alone would have scored is not known: another one asks the same model"
        )
    for inference in question.inferences:
        if all(null) or question.prices is None:
            yield from rows_of(empty_block(null), subject, inference, question)
        else:
            yield from rows_of(_block(question.prices, sides, inference, null), subject, inference, question)


def _block(prices: Prices, sides: list[View], inference: str, null: list[str | None]) -> Block:
    view, sample = sides[0], sides[0].sample
    value_n, certain = _difference(prices, sides, 1.0)
    value_m = value_n[sample.at_m]
    u = sample.weight_m * value_m
    estimated = sample.sums(u)
    if inference == HISTORY:
        variance, df = sample.history_spread(value_m)
    else:
        spread = sample.cluster_spread(value_m)
        variance, df = np.nan_to_num(spread.variance, nan=np.inf), np.maximum(1.0, spread.effective - 1.0)
    if view.error is not None:
        share_n = corrected_labels(view.error, view.terms().y)
        changes = [_change(prices, side) for side in sides]
        change_n = changes[0] - changes[1] if len(sides) > 1 else changes[0]
        at_m = sample.at_m
        variance = variance + added_variance(sample, view.error, share_n[at_m], change_n[at_m], inference)
    maker = positive_intervals if len(sides) == 1 else symmetric
    found = maker(estimated, variance, df, view.question.confidence)
    magnitude = np.abs(u)
    block = Block(
        "horvitz_thompson" + view.suffix,
        certain + estimated,
        Intervals(certain + found.low, certain + found.high, found.rule),
        sample.entries_G,
        sample.size_G,
        kish(sample.sums(magnitude), sample.squares(np.abs(value_m), np.abs(value_m))),
        view.support(np.ones(len(view.given.owed_O), bool)),
        null,
    )
    block.bound(_limits(prices, sides, block))
    block.tell_support()
    notes = _leaning(prices, sides)
    for g in range(len(null)):
        if notes and notes[g]:
            block.warn(g, str(notes[g]))
        if not block.events[g] > 0:
            block.warn(g, "no labelled creative was leaked or overkilled: the interval cannot show that some were")
        if inference != HISTORY:
            block.warn(g, "reviews and scoring are held at what this history had")
    return block


def _limits(prices: Prices, sides: list[View], block: Block) -> tuple[F64, F64] | None:
    """Return bounds of the cost whatever the labels are that no audit could have given; None where there are none."""
    if sides[0].question.scored is not None:  # nobody knows how many reviews lie outside
        return None
    assert block.intervals is not None
    least, most = block.intervals.low, block.intervals.high
    found = []
    for side in sides:
        given = side.given
        leaked, overkilled = prices.leaked * given.accept_OY[:, 1], prices.overkilled * given.refuse_OY[:, 0]
        one_O, owed_O = np.ones(len(leaked)), given.owed_O
        outside = outside_of(side, np.column_stack([overkilled * owed_O, one_O, leaked, one_O]))
        if outside is None:
            return None
        price_KC = outside.counts_KCX[:, :, 0]
        found.append((price_KC.min(1) @ outside.exposure_KG, price_KC.max(1) @ outside.exposure_KG, outside.whole_G))
    least, most = least + found[0][0], most + found[0][1]
    if len(found) > 1:
        least, most = least - found[1][1], most - found[1][0]
    lacking = found[0][2] > 0
    return np.where(lacking, least, np.nan), np.where(lacking, most, np.nan)


def cost_points(prices: Prices, sides: list[View], times: float = 1.0) -> F64:
    """Return the cost of each segment (of the first side less the second), imputed exposure counted `times`."""
    sample = sides[0].sample
    value_n, certain = _difference(prices, sides, times)
    return certain + sample.sums(sample.weight_m * value_n[sample.at_m])


def _difference(prices: Prices, sides: list[View], times: float) -> tuple[F64, F64]:
    """Return the cost of one strategy, or of the first less the second."""
    value_n, certain = _value(prices, sides[0], times)
    if len(sides) > 1:
        other_n, other = _value(prices, sides[1], times)
        return value_n - other_n, certain - other
    return value_n, certain


def _leaning(prices: Prices, sides: list[View]) -> Sequence[str | None]:
    """Return, per segment, what the cost would be with none and with twice of the imputed exposure."""
    view = sides[0]
    if not view.imputed_OG.any():
        return []
    totals = [cost_points(prices, sides, times) for times in (0.0, 2.0)]
    return view.leaning(np.ones(len(view.given.owed_O), bool), *totals)


def _priced(prices: Prices, t: Terms) -> F64:
    return t.w * (prices.leaked * t.y * t.accept + prices.overkilled * (1 - t.y) * t.refuse)


def _change(prices: Prices, view: View) -> F64:
    """Return how much more each row costs if it violates."""
    mixture = view.terms().mixture
    assert mixture is not None
    return _priced(prices, mixture.violating) - _priced(prices, mixture.compliant)


def _value(prices: Prices, view: View, times: float) -> tuple[F64, F64]:
    """Return the rows' cost and, per segment, the cost that is known: reviews, and scoring under `all`."""
    value_n = counted(view.terms(times), lambda t: _priced(prices, t))
    if view.question.scored is None:
        certain = prices.per_review * (view.given.review_O @ view.count_OG)
    else:  # nobody knows how many there were in all: the audit's rows tell
        outcome_n = view.outcome_n
        value_n = value_n + prices.per_review * view.given.review_O[outcome_n]
        certain = np.zeros(len(view.question.segments.name))
    scoring = prices.scoring_S[view.strategy]
    certain[0] += np.nan if scoring is None else scoring  # null under `all`, see costs
    return value_n, certain
