"""What becomes of numbers of segments with few labels: shown as they are, suppressed, or shrunk.

Shrinkage is the area-level model of Fay and Herriot (1979, J. Am. Stat. Assoc. 74, 269–277) over the segments of one
attribute, y = μ + v + e with v ~ (0, A) between segments and e ~ (0, D) from the design, D taken as known. The mean
squared error is g1 + g2 + 2 g3 (Prasad and Rao 1990, J. Am. Stat. Assoc. 85, 163–171).

D is ȳ(1 − ȳ)/n, ȳ the mean rate of the attribute's segments and n the size at which an exact binomial interval is as
wide as the segment's own, so that it has all of the design in it: a segment without any event has a D too, and D does
not follow the noise of its own y.

Assumptions: before a segment is looked at, nothing says that it differs from the others of its attribute; their
estimates err independently (strata that several segments share make this an approximation).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from engine.estimate.interval import exact_bounds, logit_intervals
from engine.estimate.metrics import RATES
from engine.records import F64, Estimate

Rule = Literal["show", "suppress", "shrink"]
FEWEST = 4  # segments that a variance between them is estimated from
_MANY = 1e9  # degrees of freedom: normal quantiles
_SHRUNK = {metric.name for metric in RATES}
_UNESTIMATED = ("known_total/", "census", "unbounded", "no_swap")


@dataclass(frozen=True)
class SmallSegments:
    """Which segments are small (fewer labels, or fewer effective events, than these), and what becomes of them."""

    rule: Rule = "show"
    labels: int = 0
    events: float = 0.0

    def lacks(self, estimate: Estimate) -> str | None:
        """Return what a number has too little of, None where it is no number of a small segment."""
        if estimate.segment_by == "all" or estimate.estimator is None or _exact(estimate):
            return None
        if estimate.labels < self.labels:
            return f"{estimate.labels} labels, fewer than {self.labels}"
        if estimate.effective_events < self.events:
            return f"{estimate.effective_events:.1f} effective events, fewer than {self.events:g}"
        return None


class Shrunk(NamedTuple):
    """Shrunk values with their mean squared errors, the mean they were drawn to, and the variance between segments."""

    value_g: F64
    error_g: F64
    mean: float
    between: float


def settle(estimates: Sequence[Estimate], small: SmallSegments) -> list[Estimate]:
    """Return the estimates with the rule applied to those of small segments."""
    if small.rule == "show":
        return list(estimates)
    if small.rule == "suppress":
        return [_suppressed(one, small.lacks(one)) for one in estimates]
    out = list(estimates)
    for places in _families(estimates):
        family = [estimates[place] for place in places]
        for place, one in zip(places, _shrink_family(family, small), strict=True):
            out[place] = one
    return out


def fay_herriot(y_g: F64, design_g: F64) -> Shrunk:
    """Return the best linear predictions of the segments' rates.

    Parameters
    ----------
    y_g : direct estimates of at least `FEWEST` segments. design_g : their design variances, positive.
    """
    between = between_variance(y_g, design_g)
    w = 1.0 / (between + design_g)
    mean = float((w * y_g).sum() / w.sum())
    lean = design_g * w  # 1 − γ
    certain = between * lean
    fitted = lean**2 / w.sum()
    spread = 2.0 / (w**2).sum()
    return Shrunk(y_g + lean * (mean - y_g), certain + fitted + 2.0 * design_g**2 * w**3 * spread, mean, between)


def between_variance(y_g: F64, design_g: F64) -> float:
    """Return the variance between segments that maximises A times the restricted likelihood; it is never 0.

    Plain REML says 0 for many families of few segments, and then trusts the mean as if all segments were one.
    Source: Morris 1983, J. Am. Stat. Assoc. 78, 47–55; Li and Lahiri 2010, J. Multivariate Analysis 101, 882–892.
    """

    def slope(between: float) -> float:
        w = 1.0 / (between + design_g)
        mean = (w * y_g).sum() / w.sum()
        score = (w**2 * (y_g - mean) ** 2).sum() - w.sum() + (w**2).sum() / w.sum()
        return float(score / 2.0 + 1.0 / between)

    low, high = 0.0, float(np.var(y_g) * len(y_g) + design_g.max())
    while slope(high) > 0.0:
        low, high = high, 2.0 * high
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if slope(middle) > 0.0 else (low, middle)
    return (low + high) / 2.0


def effective_sizes(share_g: F64, width_g: F64, confidence: float) -> F64:
    """Return the size of a simple random sample whose exact binomial interval of a share is as wide."""
    low_g, high_g = np.zeros(len(share_g)), np.full(len(share_g), 25.0)  # of log(1 + size)
    for _ in range(50):
        middle_g = (low_g + high_g) / 2.0
        size_g = np.expm1(middle_g) + 1e-3
        low, high = exact_bounds(share_g * size_g, size_g, confidence)
        wide_g = high - low > width_g
        low_g, high_g = np.where(wide_g, middle_g, low_g), np.where(wide_g, high_g, middle_g)
    return np.asarray(np.expm1(low_g) + 1e-3)


def _families(estimates: Sequence[Estimate]) -> Iterable[list[int]]:
    """Return the places of numbers that differ in their segment alone, of rates that labels are needed for."""
    found: dict[tuple[object, ...], list[int]] = {}
    for place, one in enumerate(estimates):
        if one.baseline is None and one.metric in _SHRUNK and one.segment_by != "all":
            number = one.strategy, one.policy, one.weighting, one.reading, one.metric, one.inference, one.segment_by
            found.setdefault(number, []).append(place)
    return found.values()


def _shrink_family(family: Sequence[Estimate], small: SmallSegments) -> list[Estimate]:
    """Return the numbers of one attribute's segments, the small ones shrunk where there is something to shrink to."""
    lacking = [small.lacks(one) for one in family]
    used = [g for g, one in enumerate(family) if one.estimate is not None and not _exact(one)]
    if len(used) < FEWEST or not any(lacking):
        return list(family)
    y, low, high = (np.array([getattr(family[g], name) for g in used], float) for name in ("estimate", "low", "high"))
    size = effective_sizes(y, high - low, family[0].confidence)
    mean = float((size * y).sum() / size.sum())
    if not 0.0 < mean < 1.0:
        return list(family)
    found = fay_herriot(y, mean * (1.0 - mean) / size)
    value = np.clip(found.value_g, 0.0, 1.0)
    bounds = logit_intervals(value, found.error_g, np.full(len(y), _MANY), family[0].confidence)
    out = list(family)
    for place, g in enumerate(used):
        if lacking[g]:
            out[g] = _shrunk(family[g], float(value[place]), float(bounds.low[place]), float(bounds.high[place]))
    return out


def _shrunk(one: Estimate, value: float, low: float, high: float) -> Estimate:
    raw = (
        f"shrunk towards the other segments of {one.segment_by}; raw {one.estimate:.4g} [{one.low:.4g}, {one.high:.4g}]"
    )
    return one._replace(
        estimator=f"{one.estimator}+shrunk",
        estimate=value,
        low=low,
        high=high,
        warning="; ".join([*([one.warning] if one.warning else []), raw]),
    )


def _suppressed(one: Estimate, reason: str | None) -> Estimate:
    if reason is None:
        return one
    return one._replace(
        estimator=None,
        estimate=None,
        low=None,
        high=None,
        labels=0,
        effective_size=0.0,
        effective_events=0.0,
        support=None,
        warning=None,
        null_reason=f"suppressed by estimate.small_segments: {reason}",
    )


def _exact(one: Estimate) -> bool:
    return one.low is None or one.estimator is None or any(word in one.estimator for word in _UNESTIMATED)
