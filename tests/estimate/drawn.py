"""One small population and a draw of it under every design, from a seed: as engine rows, and as columns for R.

Everything comes from uniform numbers, so that other versions of NumPy draw the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.records import Design, Draws, LabelledRows, Segments

STRATA = 3
DESIGNS = ("srs", "stratified", "poisson", "pps", "cluster", "cluster_pps", "two_audits")


@dataclass(frozen=True)
class Population:
    """Creatives with everything known; a/b is the ratio of interest, `inside` marks a segment."""

    a_N: np.ndarray
    b_N: np.ndarray
    inside_N: np.ndarray
    stratum_N: np.ndarray
    cluster_N: np.ndarray
    advertiser_N: np.ndarray
    decision_N: np.ndarray
    size_N: np.ndarray


@dataclass(frozen=True)
class Drawing:
    """Draws of one design (or of two audits, their strata one after the other); d of them, sorted by unit.

    chance_d, part_d, stratum_d : as in records.Draws. unit_d : what was drawn. units_H : how many of them there are.
    chance_N : inclusion probability of every creative.
    """

    method_H: tuple[str, ...]
    creative_d: np.ndarray
    chance_d: np.ndarray
    part_d: np.ndarray
    stratum_d: np.ndarray
    unit_d: np.ndarray
    units_H: np.ndarray
    population_H: np.ndarray
    chance_N: np.ndarray


def population(seed: int = 5, size: int = 420, tail: float = 0.7) -> Population:
    """Draw the population: clusters lie within strata, violations lean on clusters, exposure has a heavy tail."""
    u = np.random.default_rng(seed).random((9, size))
    clusters = size // 7
    cluster = np.sort((u[0] ** 1.4 * clusters).astype(np.int64))
    stratum = cluster * STRATA // clusters
    lean = u[1][cluster]
    y = (u[2] < 0.1 + 0.5 * lean).astype(np.float64)
    w = np.rint(20 * (1 - u[3]) ** -tail)
    accept = np.where(u[4] < 0.3, 1.0, np.where(u[4] < 0.6, 0.25, 0.0))
    return Population(
        a_N=w * y * accept,
        b_N=w * y,
        inside_N=(u[5] < 0.4).astype(np.int64),
        stratum_N=stratum,
        cluster_N=cluster,
        advertiser_N=(u[6] ** 2 * (size // 9)).astype(np.int64),
        decision_N=(u[7] * 3).astype(np.int64),
        size_N=0.4 + 12 * u[8] ** 6,
    )


def draw(people: Population, design: str, generator: np.random.Generator) -> Drawing:
    """Draw the population once under one design."""
    size, stratum_N = len(people.a_N), people.stratum_N
    creatives, whole = np.arange(size), np.zeros(size, np.int64)
    if design == "srs":
        return _fixed(generator, "srs", whole, creatives, np.ones(size), (size // 5,))
    if design == "poisson":
        return _poisson(generator, stratum_N, np.minimum(0.15 * people.size_N, 1.0))
    if design == "cluster":
        return _fixed(generator, "cluster", stratum_N, people.cluster_N, np.ones(size), _shares(people, 0.05))
    if design == "cluster_pps":
        many_N = np.bincount(people.cluster_N)[people.cluster_N].astype(np.float64)
        return _fixed(generator, "cluster", stratum_N, people.cluster_N, many_N, _shares(people, 0.055))
    if design == "two_audits":
        return _joined(draw(people, "stratified", generator), draw(people, "pps", generator))
    measure_N = people.size_N if design == "pps" else np.ones(size)
    method = "pps" if design == "pps" else "srs"
    return _fixed(generator, method, stratum_N, creatives, measure_N, _shares(people, 0.25))


def _shares(people: Population, share: float) -> tuple[int, ...]:
    """Return how many units the strata draw, `share` of the number of creatives in all."""
    return tuple(round(share * len(people.a_N) * part) for part in (0.33, 0.44, 0.23))


def engine_rows(
    people: Population, drawing: Drawing, *, correction: bool = True, answered_d: np.ndarray | None = None
) -> LabelledRows:
    """Return the draws as the engine's rows. correction : for the finite population. answered_d : default all."""
    size, strata = len(people.a_N), len(drawing.method_H)
    clustered = np.array([method == "cluster" for method in drawing.method_H])[drawing.stratum_d]
    drawn_H = np.bincount(drawing.stratum_d, minlength=strata)
    population_H = drawing.population_H if correction else np.full(strata, 2**53)
    chance_d = drawing.chance_d
    stratum_n = np.full(size, -1, np.int32)
    stratum_n[drawing.creative_d] = drawing.stratum_d
    order = np.argsort(drawing.creative_d, kind="stable")
    draws = Draws(
        drawing.creative_d,
        drawing.stratum_d.astype(np.int32),
        chance_d,
        drawing.part_d,
        np.where(clustered, drawing.unit_d, -1),
        np.ones((len(chance_d), 1), bool) if answered_d is None else answered_d[:, None],
    ).take(order)
    answered_H = np.bincount(draws.stratum_d, draws.answered_dQ[:, 0], strata).astype(np.int64)
    y = np.zeros((size, 1), np.int8)
    return LabelledRows(
        design=Design(drawing.method_H, population_H, drawn_H, answered_H[:, None]),
        pi_n=np.full(size, np.nan),
        stratum_n=stratum_n,
        cell_n=people.inside_N,
        advertiser_n=people.advertiser_N,
        y_nQ=y,
        naive_nQ=y,
        known_Wn=np.ones((3, size)),
        imputed_Wn=np.zeros((3, size)),
        outcome_Sn=np.zeros((1, size), np.int16),
        score_Kn=np.zeros((0, size)),
        draws=draws,
    )


def segments() -> Segments:
    """All creatives, and those inside."""
    member = np.array([[True, True], [False, True]])
    levels = np.arange(2, dtype=np.int32)[:, None]
    return Segments(("inside",), (("no", "yes"),), levels, ("all", "inside"), ("all", "yes"), member)


def write_columns(people: Population, drawing: Drawing, path: Path) -> None:
    """Write the draws as CSV, a row each, in the order of units."""
    order = np.lexsort((drawing.creative_d, drawing.unit_d, drawing.stratum_d))
    at, h = drawing.creative_d[order], drawing.stratum_d[order]
    columns = {
        "a": people.a_N[at],
        "b": people.b_N[at],
        "inside": people.inside_N[at],
        "decision": people.decision_N[at],
        "advertiser": people.advertiser_N[at],
        "part": drawing.part_d[order],
        "prob": drawing.chance_d[order],
        "stratum": h,
        "unit": drawing.unit_d[order],
        "units": drawing.units_H[h],
    }
    lines = [",".join(columns), *(",".join(repr(x.item()) for x in row) for row in zip(*columns.values(), strict=True))]
    path.write_text("\n".join(lines) + "\n")


def _fixed(
    generator: np.random.Generator,
    method: str,
    stratum_N: np.ndarray,
    unit_N: np.ndarray,
    measure_N: np.ndarray,
    sizes: tuple[int, ...],
) -> Drawing:
    """Draw a fixed number of units by stratum, π proportional to a measure: systematic, from a shuffled list.

    Equal measures make it a simple random draw.
    """
    chosen, chance_N, units_H = [], np.zeros(len(unit_N)), []
    for h, size in enumerate(sizes):
        mine_N = stratum_N == h
        units, first, of_N = np.unique(unit_N[mine_N], return_index=True, return_inverse=True)
        pi = proportional(measure_N[mine_N][first], size)
        chance_N[mine_N] = pi[of_N]
        chosen.append(units[systematic(generator, pi)])
        units_H.append(len(units))
    return _drawing(method, np.concatenate(chosen), chance_N, stratum_N, unit_N, np.array(units_H))


def proportional(measure: np.ndarray, size: int) -> np.ndarray:
    """Return π proportional to a measure, summing to size; what would pass 1 is certain."""
    pi = size * measure / measure.sum()
    while (pi > 1).any():
        certain = pi >= 1
        pi = np.where(certain, 1.0, (size - certain.sum()) * measure / measure[~certain].sum())
    return pi


def systematic(generator: np.random.Generator, pi: np.ndarray) -> np.ndarray:
    """Return a draw of fixed size, systematic from a shuffled list."""
    order = np.argsort(generator.random(len(pi)))
    edge = np.concatenate([[0.0], np.cumsum(pi[order])])
    edge[-1] = np.rint(edge[-1])
    start = generator.random()
    return order[np.floor(edge[1:] - start + 1e-12) > np.floor(edge[:-1] - start + 1e-12)]


def _poisson(generator: np.random.Generator, stratum_N: np.ndarray, chance_N: np.ndarray) -> Drawing:
    units = np.flatnonzero(generator.random(len(chance_N)) < chance_N)
    return _drawing("poisson", units, chance_N, stratum_N, np.arange(len(chance_N)), np.bincount(stratum_N))


def _drawing(
    method: str,
    units: np.ndarray,
    chance_N: np.ndarray,
    stratum_N: np.ndarray,
    unit_N: np.ndarray,
    units_H: np.ndarray,
) -> Drawing:
    at = np.flatnonzero(np.isin(unit_N, units))
    strata = len(units_H)
    return Drawing(
        (method,) * strata,
        at,
        chance_N[at],
        np.ones(len(at)),
        stratum_N[at],
        unit_N[at],
        units_H,
        np.bincount(stratum_N, minlength=strata),
        chance_N,
    )


def _joined(first: Drawing, second: Drawing) -> Drawing:
    """Return two audits' draws, creatives shared out by the odds of their probabilities, a certain draw taking all."""
    both = (first, second)
    pi_aN = np.stack([drawing.chance_N for drawing in both])
    part = []
    for a, drawing in enumerate(both):
        for i in drawing.creative_d:
            mine, other = pi_aN[a, i], pi_aN[1 - a, i]
            if other == 1.0:
                part.append(0.5 if mine == 1.0 else 0.0)
            else:
                part.append(1.0 if mine == 1.0 else mine / (1 - mine) / (mine / (1 - mine) + other / (1 - other)))
    return Drawing(
        first.method_H + second.method_H,
        np.concatenate([d.creative_d for d in both]),
        np.concatenate([d.chance_d for d in both]),
        np.array(part),
        np.concatenate([first.stratum_d, second.stratum_d + len(first.method_H)]),
        np.concatenate([d.unit_d for d in both]),
        np.concatenate([d.units_H for d in both]),
        np.concatenate([d.population_H for d in both]),
        np.concatenate([d.chance_N for d in both]),
    )
