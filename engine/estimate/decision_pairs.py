"""Paired differences of rates of decisions: exact where both are known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from engine.estimate.advertisers import between_advertisers, known_spread
from engine.estimate.block import Block, rows_of
from engine.estimate.bounds import apart
from engine.estimate.decision_rates import IMPUTED, NO_ROWS, DecisionRate, decision_rate, smooth, spread_warnings
from engine.estimate.interval import Intervals, symmetric
from engine.estimate.metrics import DECISION_RATES
from engine.estimate.pair import added, choose, correlation, mover
from engine.estimate.ratio import ONE_ADVERTISER, Judged
from engine.estimate.sample import HISTORY
from engine.estimate.shortfall import unjoined
from engine.estimate.view import LEANS, View
from engine.records import F64, Estimate


def paired_decision_rates(candidate: tuple[View, View], baseline: tuple[View, View]) -> Iterator[Estimate]:
    """Yield candidate − baseline of every decision rate; each side is (answered, drawn)."""
    for metric in DECISION_RATES:
        mine, theirs = decision_rate(*candidate, metric), decision_rate(*baseline, metric)
        subject = replace(mine.subject(), baseline=baseline[0].name)
        for inference in candidate[0].question.inferences:
            yield from rows_of(_minus(mine, theirs, inference), subject, inference, candidate[0].question)


def _minus(mine: DecisionRate, theirs: DecisionRate, inference: str) -> Block:
    """Return candidate − baseline of one rate, see `_known` and `_human`; no width where nothing swaps."""
    a, b = mine.block(inference), theirs.block(inference)
    value = a.estimate - b.estimate
    null = [x or y for x, y in zip(a.null, b.null, strict=True)]
    humans = mine.humans_G | theirs.humans_G
    judged = _known(mine, theirs, (a.estimate, b.estimate), inference)
    if humans.any():
        decided = _human(mine, theirs, (a.estimate, b.estimate), inference)
        judged = Judged(
            choose(humans, decided.intervals, judged.intervals),
            [d if humans[g] else k for g, (d, k) in enumerate(zip(decided.warnings, judged.warnings, strict=True))],
        )
    null = [x or (NO_ROWS if ONE_ADVERTISER in judged.warnings[g] else None) for g, x in enumerate(null)]
    swaps = mine.answered.swaps_with(theirs.answered, theirs.counted_OX, mine.counted_OX)
    none = Intervals(np.zeros_like(value), np.zeros_like(value), np.full(value.shape, "no_swap"))
    found = choose(swaps, judged.intervals, none)
    name = "known_total+hajek" + mine.answered.suffix if humans.any() else "known_total"
    support = np.minimum(a.support, b.support)
    block = Block(
        name, np.where(swaps, value, 0.0), found, a.labels, a.size, np.minimum(a.events, b.events), support, null
    )
    block.bound(apart((a, b)))
    for g, note in enumerate(_leaning(mine, theirs)):
        said = [text for text in judged.warnings[g] if not text.startswith(LEANS)] if swaps[g] else []
        for text in [*([note] if note else []), *said]:
            block.warn(g, text)
    return block


def _leaning(mine: DecisionRate, theirs: DecisionRate) -> Sequence[str | None]:
    """Return, per segment, how the difference would change with none and with twice of the imputed exposure."""
    without, twice = (mine.points(times) - theirs.points(times) for times in (0.0, 2.0))
    notes = mine.answered.leaning(np.ones(len(mine.certain_O), bool), without, twice)
    return [note and note + IMPUTED for note in notes]


def _known(mine: DecisionRate, theirs: DecisionRate, points: tuple[F64, F64], inference: str) -> Judged:
    """Return the intervals where both rates are known: exact; for `future`, advertisers carry the joint residual."""
    value = points[0] - points[1]
    if inference == HISTORY:
        return Judged(Intervals(value, value, np.full(value.shape, "exact")), [[] for _ in value])
    sample = mine.drawn.sample
    residual_m = _joint_residual_m((mine, mine.drawn, points[0]), (theirs, theirs.drawn, points[1]))
    spread = known_spread(sample, residual_m, mine.drawn.exposure_n()[sample.at_m])
    found = symmetric(value, *smooth(spread), mine.answered.question.confidence)
    return Judged(found, spread_warnings(spread))


def _human(mine: DecisionRate, theirs: DecisionRate, points: tuple[F64, F64], inference: str) -> Judged:
    """Return the intervals where humans decide a part of either rate.

    The two rates' own bounds for this history, joined by the correlation of what is estimated in them; for `future`,
    the joint spread between advertisers adds to it.
    """
    value, sample = points[0] - points[1], mine.answered.sample
    past = mine.block(HISTORY), theirs.block(HISTORY)
    assert past[0].intervals is not None
    assert past[1].intervals is not None
    rho = correlation(sample, mine.human_residual_m(), theirs.human_residual_m(), HISTORY)
    rho = unjoined(rho, past[0].intervals.rule, past[1].intervals.rule)
    found = mover(points[0], past[0].intervals, points[1], past[1].intervals, rho)
    warnings = [
        list(dict.fromkeys(text for side in past if side.warnings for text in side.warnings[g]))
        for g in range(len(value))
    ]
    if inference == HISTORY:
        return Judged(found, warnings)
    residual_m = _joint_residual_m((mine, mine.answered, points[0]), (theirs, theirs.answered, points[1]))
    spread = between_advertisers(sample, residual_m)
    found = added(value, found, symmetric(value, *smooth(spread), mine.answered.question.confidence))
    return Judged(found, [x + y for x, y in zip(warnings, spread_warnings(spread), strict=True)])


def _joint_residual_m(mine: tuple[DecisionRate, View, F64], theirs: tuple[DecisionRate, View, F64]) -> F64:
    """Return the residuals of the difference of two rates, each with the view and the value to read it at."""
    (rate, view, value), (rate_b, view_b, value_b) = mine, theirs
    return rate.residual_m(view.sample, view, value) - rate_b.residual_m(view.sample, view_b, value_b)
