"""Mean outcomes under strategies, as rows of estimates.parquet: interval, support, and why a number is null."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np

from engine.estimate.interval import kish, symmetric
from engine.estimate.off_policy.estimators import ESTIMATORS, Spread, future_spread, history_spread
from engine.estimate.off_policy.logged import LoggedRows, Match, Target, match
from engine.estimate.off_policy.outcome_model import predict_outcomes
from engine.estimate.sample import FUTURE, HISTORY, INFERENCES
from engine.records import ANY, F64, Estimate, Flags, Segments

FAR = 5.0  # standard errors between Σ 1/propensity and the creatives that it stands for
FORMULAS = {
    "ips": "(Σ known outcomes + Σ outcome [decision drawn]/propensity) / creatives",
    "snips": "(Σ known outcomes + randomised · Σ outcome [drawn]/propensity / Σ [drawn]/propensity) / creatives",
    "doubly_robust": "(Σ known outcomes + Σ predicted + Σ (outcome − predicted) [drawn]/propensity) / creatives",
}


@dataclass(frozen=True)
class Asked:
    """Which outcome, by which of ESTIMATORS. clip : largest weight; what it cuts off is bias that no interval holds."""

    outcome: str
    estimator: str = "doubly_robust"
    confidence: float = 0.95
    clip: float | None = None


@dataclass(frozen=True)
class Side:
    """One strategy on the creatives of one segment."""

    rows: LoggedRows
    match: Match
    predicted_N: F64


@dataclass(frozen=True)
class Bounded:
    """A mean with its spread and its interval, None where there is none."""

    mean: float
    spread: Spread
    low: float | None
    high: float | None


def off_policy_estimates(
    rows: LoggedRows, targets: Mapping[str, Target], segments: Segments, member_GN: Flags, asked: Asked
) -> Iterator[Estimate]:
    """Yield the mean outcome per creative under every strategy, by segment and question.

    Parameters
    ----------
    targets : by strategy. member_GN : bool, which creatives each of the segments holds.
    """
    for strategy, target in targets.items():
        predicted_N = predict_outcomes(rows, target)
        for g, chosen_N in enumerate(member_GN):
            within = rows.only(chosen_N)
            side = Side(within, match(within, target.only(chosen_N), asked.clip), predicted_N[chosen_N])
            for inference in INFERENCES:
                found = _estimate(side, inference, asked)
                yield found._replace(strategy=strategy, segment_by=segments.by[g], segment=segments.name[g])


def _estimate(side: Side, inference: str, asked: Asked) -> Estimate:
    """Return one number, its strategy and segment left blank."""
    empty = Estimate(
        strategy="",
        baseline=None,
        policy=ANY,
        segment_by="",
        segment="",
        weighting="creatives",
        reading="after_review",
        metric=f"mean.{asked.outcome}",
        inference=inference,
        estimator=None,
        estimate=None,
        low=None,
        high=None,
        confidence=asked.confidence,
        labels=0,
        effective_size=0.0,
        effective_events=0.0,
        support=None,
        least=None,
        most=None,
        warning=None,
        null_reason=null_reason(side.match),
        formula=FORMULAS[asked.estimator],
    )
    if empty.null_reason is not None:
        least, most = _bounds(side, inference, asked)
        return empty._replace(least=least, most=most)
    bounded = _interval(side, inference, asked)
    weight_N = side.match.weight_N + side.match.settled_N
    used_N = weight_N * np.where(side.match.settled_N, side.match.value_N, side.rows.outcome_N)
    return empty._replace(
        estimator=f"{asked.estimator}/t",
        estimate=bounded.mean,
        low=bounded.low,
        high=bounded.high,
        labels=int((side.match.weight_N > 0).sum()),
        effective_size=_kish(weight_N),
        effective_events=_kish(used_N),
        support=support(side.match),
        warning="; ".join(_warnings(side.match, bounded, inference)) or None,
    )


def support(found: Match) -> float:
    """Return the share of creatives with which history could have done what the strategy does.

    Of randomised ones Σ 1/propensity estimates how many: it is below their number where some had no such chance.
    """
    drawn = float(found.drawn_N.sum())
    return (float(found.settled_N.sum()) + min(float(found.raw_N.sum()), drawn)) / max(len(found.drawn_N), 1)


def null_reason(found: Match) -> str | None:
    """Return why history cannot tell the outcome, None where it can."""
    creatives, drawn, lost = len(found.drawn_N), int(found.drawn_N.sum()), int(found.lost_N.sum())
    if not creatives:
        return "no creative"
    if lost:
        return f"history never did what the strategy does with {lost / creatives:.1%} of the creatives"
    if drawn and not found.raw_N.any():
        return f"history drew the strategy's decision for none of {drawn} creatives that it randomised"
    off = imbalance(found)
    if off < -FAR:
        share = float(found.raw_N.sum()) / drawn
        return (
            f"Σ 1/propensity is {share:.1%} of {drawn} randomised creatives, {-off:.1f} standard errors below: "
            "with some, history could not have done what the strategy does, or propensities are wrong"
        )
    return None


def imbalance(found: Match) -> float:
    """Return by how many standard errors Σ 1/propensity lies above the number of creatives that it stands for."""
    drawn_n = found.raw_N[found.raw_N > 0]
    variance = float((drawn_n**2 - drawn_n).sum())
    return (float(drawn_n.sum()) - float(found.drawn_N.sum())) / sqrt(variance) if variance > 0 else 0.0


def _interval(side: Side, inference: str, asked: Asked) -> Bounded:
    """Return the estimate and its bounds, held inside of what an outcome can be."""
    rows, found = side.rows, side.match
    linear = ESTIMATORS[asked.estimator](rows, found, side.predicted_N)
    spread = history_spread(rows, found, linear) if inference == HISTORY else future_spread(rows, linear)
    if spread.variance == 0.0 and (inference == FUTURE or found.drawn_N.any()):
        return Bounded(linear.mean, spread, None, None)
    mean, variance = np.array([linear.mean]), np.array([spread.variance])
    bounds = symmetric(mean, variance, np.array([spread.df]), asked.confidence)
    low, high = (float(np.clip(bound[0], rows.least, rows.most)) for bound in (bounds.low, bounds.high))
    return Bounded(linear.mean, spread, min(low, linear.mean), max(high, linear.mean))


def _bounds(side: Side, inference: str, asked: Asked) -> tuple[float | None, float | None]:
    """Return what holds whatever the lost outcomes are, sampling error included; None where nothing does.

    Source: Manski 1989. Only where what is lost is known creative by creative.
    """

    def bounded(value: float) -> Bounded | None:
        filled = _settle_lost(side.match, value)
        if not np.isfinite(value) or null_reason(filled) is not None:
            return None
        return _interval(replace(side, match=filled), inference, asked)

    least, most = bounded(side.rows.least), bounded(side.rows.most)
    return (least.low if least else None), (most.high if most else None)


def _settle_lost(found: Match, value: float) -> Match:
    """Return the match as if every lost outcome were known."""
    return replace(
        found,
        settled_N=found.settled_N | found.lost_N,
        value_N=np.where(found.lost_N, value, found.value_N),
        lost_N=np.zeros_like(found.lost_N),
    )


def _warnings(found: Match, bounded: Bounded, inference: str) -> Iterator[str]:
    drawn_n = found.weight_N[found.weight_N > 0]
    cut = 1 - float(found.weight_N.sum()) / float(found.raw_N.sum()) if len(drawn_n) else 0.0
    if bounded.low is None:
        yield "no interval: what was seen does not vary"
    if len(drawn_n) and _kish(drawn_n) < 10:
        yield f"{_kish(drawn_n):.1f} effective creatives carry what history randomised"
    if len(drawn_n) and drawn_n.max() > 0.25 * drawn_n.sum():
        yield f"one creative has {drawn_n.max() / drawn_n.sum():.0%} of the weight"
    if cut > 0:
        yield f"clipping cut {cut:.1%} of the weight: the interval does not hold that bias"
    if imbalance(found) > FAR:
        yield f"Σ 1/propensity lies {imbalance(found):.1f} standard errors above what it stands for: are they right?"
    spread = bounded.spread
    if inference == FUTURE and (spread.df < 10 or spread.largest > 0.25):
        yield f"{spread.df:.1f} effective advertisers, the largest with {spread.largest:.0%} of the variance"


def _kish(weight_N: F64) -> float:
    return float(kish(np.array([weight_N.sum()]), np.array([(weight_N**2).sum()]))[0])
