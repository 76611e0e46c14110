"""Two rows of estimates joined to one: candidate − factor · baseline, with bounds that both sides' bounds allow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.estimate.interval import Intervals, enough
from engine.estimate.pair import mover
from engine.estimate.shortfall import unjoined
from engine.records import F64, Estimate, Flags

NO_INTERVAL = "it has no interval"


def scaled(
    mine: Sequence[Estimate], theirs: Sequence[Estimate], factor: float, rho: F64, swaps_G: Flags
) -> list[Estimate]:
    """Return mine − factor · theirs, segment by segment, joined by the correlation of what is estimated in them.

    Source: Zou and Donner 2008, Statistics in Medicine 27, 1693–1702.
    """
    out = []
    for g, (a, b) in enumerate(zip(mine, theirs, strict=True)):
        if a.estimate is None or b.estimate is None or a.low is None or b.low is None:
            out.append(_nothing(a, b))
            continue
        if swaps_G[g]:
            by = unjoined(rho[g : g + 1], *(np.array([str(row.estimator)]) for row in (a, b)))
            found = mover(_one(a.estimate), _ends(a), factor * _one(b.estimate), _ends(b, factor), by)
        else:
            found = _ends(a, 1.0 - factor)
        out.append(_joined(a, b, factor, found, min(a.effective_events, b.effective_events)))
    return out


def few_swaps(
    rows: Sequence[Estimate], pairs: Sequence[Estimate], theirs: Sequence[Estimate], factor: float
) -> list[Estimate]:
    """Return the rows, and of segments in which few effective events swap what the swaps alone allow.

    candidate − f · baseline = (candidate − baseline) + (1 − f) · baseline. Where nobody is seen to swap, both rates are
    one in the sample, and their correlation would leave no doubt about the first part. It is bounded by itself instead,
    and so is the second; together they hold with the sum of their errors (Bonferroni).

    pairs, theirs : the difference, and the baseline, each at half of the error of the rows.
    """
    out = []
    for row, d, b in zip(rows, pairs, theirs, strict=True):
        if row.estimate is None or enough(np.array([d.effective_events]))[0] or str(d.estimator).endswith("/no_swap"):
            out.append(row)
        elif d.low is None or d.high is None or b.low is None or b.high is None:
            out.append(row._replace(estimate=None, low=None, high=None, null_reason=d.null_reason or NO_INTERVAL))
        else:
            rest = sorted(((1.0 - factor) * b.low, (1.0 - factor) * b.high))
            low, high = d.low + rest[0], d.high + rest[1]
            named = f"{str(row.estimator).partition('/')[0]}/exact_swap"
            out.append(row._replace(low=low, high=high, estimator=named, effective_events=d.effective_events))
    return out


def _joined(a: Estimate, b: Estimate, factor: float, found: Intervals, events: float) -> Estimate:
    """Return the row of a joined number; bounds whatever lacking labels are, from those of either side."""
    low, high = float(found.low[0]), float(found.high[0])
    least = most = None
    if a.least is not None or b.least is not None:
        mine, theirs = _widest(a), sorted(factor * x for x in _widest(b))
        least, most = min(low, mine[0] - theirs[1]), max(high, mine[1] - theirs[0])
    assert a.estimate is not None
    assert b.estimate is not None
    supports = [x for x in (a.support, b.support) if x is not None]
    return a._replace(
        estimator=f"{str(a.estimator).partition('/')[0]}_scaled/{found.rule[0]}",
        estimate=a.estimate - factor * b.estimate,
        low=low,
        high=high,
        effective_events=events,
        support=min(supports, default=None),
        least=least,
        most=most,
        warning="; ".join(dict.fromkeys(filter(None, [a.warning, b.warning]))) or None,
    )


def _nothing(a: Estimate, b: Estimate) -> Estimate:
    reason = a.null_reason or b.null_reason or NO_INTERVAL
    return a._replace(estimate=None, low=None, high=None, least=None, most=None, null_reason=reason)


def _widest(row: Estimate) -> tuple[float, float]:
    """Return the bounds whatever the lacking labels are, or the interval where none lack."""
    assert row.low is not None
    assert row.high is not None
    return row.low if row.least is None else row.least, row.high if row.most is None else row.most


def _one(value: float) -> F64:
    return np.array([value])


def _ends(row: Estimate, factor: float = 1.0) -> Intervals:
    """Return an interval times a factor, which may be negative."""
    assert row.low is not None
    assert row.high is not None
    low, high = sorted((factor * row.low, factor * row.high))
    return Intervals(_one(low), _one(high), np.array(["no_swap"]))
