"""How many of a budget go where, and what variance to expect: Neyman's allocation over strata of equal influence.

- Strata: within each direction of the swap, creatives in order of √E e², cut where its sum passes equal shares
  (model-based stratification, Särndal, Swensson, Wretman 1992, section 12.4).
- Allocation: n_h ∝ N_h S_h (ibid., eq. 3.7.20), S_h² = mean of E e² − (mean of E e)² in the stratum, less what earlier
  audits know: where the odds of their draws add up to o, the draw is made up to S_h / λ − o (see engine/read/draws.py
  for how audits share a creative out; under Poisson sampling the joint variance is Σ e² / Σ odds).
- A floor over the whole frame: a stated share of the budget lies on all creatives alike, so that nothing has
  probability 0 and the estimate is unbiased however wrong the beliefs are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.labelling.influence import Influence
from engine.read.draws import shared_parts
from engine.records import F64, I32, I64

LEAST_DRAWN = 4  # of a stratum: two must come back before anybody can tell how it varies
DRAWS_PER_STRATUM = 30  # thinner strata miss the few creatives that carry their variance, and intervals cover less
MOST_STRATA = 12
FEWEST_LABELS = 20


@dataclass(frozen=True)
class EarlierAudit:
    """An audit that the plan's labels will be combined with.

    chance_N, stratum_N : of the creatives of the frame, 0 and -1 where it could not draw them.
    population_H, simple_H : all creatives of its strata, and which were drawn by srs. answered : share that did.
    """

    chance_N: F64
    stratum_N: I32
    population_H: I64
    simple_H: np.ndarray[tuple[int], np.dtype[np.bool_]]
    answered: float


@dataclass(frozen=True)
class Allocation:
    """stratum_N : of every creative. size_h, take_h : creatives and draws. swap_h : direction of its swap."""

    stratum_N: I32
    size_h: I64
    take_h: I64
    swap_h: I64

    @property
    def chance_N(self) -> F64:
        """Inclusion probability of every creative, above 0."""
        return np.asarray((self.take_h / self.size_h)[self.stratum_N])


def allocate(moves: Influence, earlier: tuple[EarlierAudit, ...], budget: int, floor: float) -> Allocation:
    """Return the allocation of a budget of at least FEWEST_LABELS labels, of which the share `floor` lies everywhere.

    A budget above the frame takes all of it.
    """
    stratum_N, swap_h = _cut(moves, int(np.clip(budget // DRAWS_PER_STRATUM, 3, MOST_STRATA)))
    strata = len(swap_h)
    size_h = np.bincount(stratum_N, minlength=strata)
    share_h = size_h / size_h.sum()
    least_h = np.minimum(size_h, np.maximum(LEAST_DRAWN, np.ceil(floor * budget * share_h))).astype(np.int64)
    spread_h = _spread(moves.mean_N, moves.square_N, stratum_N, strata)
    known_N = np.zeros(len(stratum_N))
    for audit in earlier:
        known_N += audit.answered * _odds(audit.chance_N)
    known_h = np.bincount(stratum_N, known_N, strata) / np.maximum(size_h, 1)
    take_h = _fill(size_h * spread_h, size_h * known_h, least_h, size_h, min(budget, int(size_h.sum())))
    return Allocation(stratum_N, size_h, take_h, swap_h)


def expected_variance(
    moves: Influence, earlier: tuple[EarlierAudit, ...], plan: Allocation | None, answered: float
) -> float:
    """Return the variance of the difference that the earlier audits and a plan's draw would leave.

    Earlier audits of unequal probabilities count as Poisson draws, which are not less variable.

    Parameters
    ----------
    plan : None for the earlier audits alone. answered : share of the plan's labels that will come back.
    """
    columns = [audit.chance_N for audit in earlier] + ([plan.chance_N] if plan else [])
    chance_NA = np.stack(columns, axis=1)
    reached_N = chance_NA.max(1) > 0
    variance = 0.0
    for a in range(len(columns)):
        part_N = np.zeros(len(reached_N))
        part_N[reached_N] = shared_parts(chance_NA[reached_N], np.full(int(reached_N.sum()), a))
        mean_N, square_N = part_N * moves.mean_N, part_N**2 * moves.square_N
        if a < len(earlier):
            variance += _earlier_variance(earlier[a], mean_N, square_N)
        elif plan is not None:
            spread_h = _spread(mean_N, square_N, plan.stratum_N, len(plan.size_h))
            take_h = answered * plan.take_h
            variance += float((plan.size_h**2 * (1 - take_h / plan.size_h) / take_h * spread_h**2).sum())
    return variance


def _earlier_variance(audit: EarlierAudit, mean_N: F64, square_N: F64) -> float:
    inside, strata = audit.stratum_N >= 0, len(audit.population_H)
    of_N, chance_N = audit.stratum_N[inside], audit.chance_N[inside]
    chance_N = chance_N * audit.answered
    mean_H = np.bincount(of_N, mean_N[inside], strata) / audit.population_H
    square_H = np.bincount(of_N, square_N[inside], strata) / audit.population_H
    take_H = np.bincount(of_N, chance_N, strata) / np.maximum(np.bincount(of_N, minlength=strata), 1)
    take_H = np.maximum(take_H * audit.population_H, 1e-9)  # creatives outside the period count, as 0
    simple_H = audit.population_H**2 * (1 - take_H / audit.population_H) / take_H * (square_H - mean_H**2)
    poisson_H = np.bincount(of_N, (1 - chance_N) / chance_N * square_N[inside], strata)
    return float(np.where(audit.simple_H, simple_H, poisson_H).sum())


def _cut(moves: Influence, strata: int) -> tuple[I32, I64]:
    """Return the stratum of every creative, and the swap's direction in each: the swap set first."""
    size_N = moves.size_N
    whole = float(size_N.sum())
    stratum_N, swap = np.zeros(len(size_N), np.int32), list[int]()
    for direction, members in _directions(moves).items():
        order = members[np.argsort(-size_N[members], kind="stable")]
        mine = float(size_N[order].sum())
        wanted = max(1, round(strata * mine / whole)) if whole > 0 else 1
        reached = np.cumsum(size_N[order]) - size_N[order] / 2
        cut = np.minimum((wanted * reached / mine).astype(np.int64), wanted - 1) if mine > 0 else 0 * order
        code = _of_some_size(cut)
        stratum_N[order] = len(swap) + code
        swap += [direction] * (int(code[-1]) + 1)
    return stratum_N, np.array(swap, np.int64)


def _directions(moves: Influence) -> dict[int, I64]:
    """Return the creatives of each direction of the swap; those too few for a stratum go with the most."""
    found = {direction: np.flatnonzero(moves.swap_N == direction) for direction in (1, -1, 0)}
    most = max(found, key=lambda direction: len(found[direction]))
    few = [direction for direction in found if direction != most and len(found[direction]) < LEAST_DRAWN]
    found[most] = np.concatenate([found[most], *(found[direction] for direction in few)])
    return {direction: members for direction, members in found.items() if direction not in few}


def _of_some_size(cut: I64) -> I64:
    """Return rising codes 0, 1, … with the cuts that leave at least LEAST_DRAWN creatives on either side."""
    kept, last = np.zeros(len(cut), np.int64), 0
    for at in np.flatnonzero(np.diff(cut)) + 1:
        if at - last >= LEAST_DRAWN and len(cut) - at >= LEAST_DRAWN:
            kept[at], last = 1, int(at)
    return np.cumsum(kept)


def _fill(needs_h: F64, known_h: F64, least_h: I64, most_h: I64, budget: int) -> I64:
    """Return whole numbers between `least` and `most` that add up to the budget, near needs / λ − known."""
    if int(least_h.sum()) >= budget:
        return least_h if int(least_h.sum()) == budget else _trim(least_h, budget)

    def at(rate: float) -> F64:
        return np.clip(rate * needs_h - known_h, least_h, most_h)

    positive = needs_h > 0
    if not positive.any() or at(high := float(((most_h + known_h)[positive] / needs_h[positive]).max())).sum() < budget:
        found_h = at(high if positive.any() else 0.0)
        spare_h = most_h - found_h  # what the beliefs have no use for lies on all alike
        found_h = found_h + spare_h * (budget - found_h.sum()) / max(float(spare_h.sum()), 1.0)
    else:
        low = 0.0
        for _ in range(100):
            middle = (low + high) / 2
            low, high = (low, middle) if at(middle).sum() >= budget else (middle, high)
        found_h = at(high)
    take_h = np.maximum(np.floor(found_h + 1e-9).astype(np.int64), least_h)
    rest_h = np.where(take_h < most_h, found_h - take_h, -1.0)
    while (left := budget - int(take_h.sum())) > 0:
        first = np.argsort(-rest_h, kind="stable")[:left]
        first = first[rest_h[first] > -1.0]
        take_h[first] += 1
        rest_h = np.where(take_h < most_h, rest_h - 1e-3, -1.0)
    return take_h


def _trim(least_h: I64, budget: int) -> I64:
    """Return floors cut to a budget, the largest first, none below LEAST_DRAWN."""
    take_h = least_h.copy()
    while int(take_h.sum()) > budget and take_h.max() > LEAST_DRAWN:
        take_h[int(np.argmax(take_h))] -= 1
    return take_h


def _spread(mean_N: F64, square_N: F64, stratum_N: I32, strata: int) -> F64:
    """Return S_h, what values vary by within a stratum."""
    size = np.maximum(np.bincount(stratum_N, minlength=strata), 1)
    mean, square = (np.bincount(stratum_N, value, strata) / size for value in (mean_N, square_N))
    return np.sqrt(np.maximum(square - mean**2, 0.0))


def _odds(chance_N: F64) -> F64:
    return np.asarray(chance_N / np.maximum(1.0 - chance_N, 1e-9))
