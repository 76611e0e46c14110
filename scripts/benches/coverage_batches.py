"""Repetitions of a world as one question: each is a segment of its own, so that the engine computes many at once.

Segments share nothing but outcomes that may occur: strata, advertisers, totals and rows are each repetition's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from coverage_worlds import F64, I64, POLICY, History, Look, World, strategies

from engine.estimate.interval import kish
from engine.estimate.question import Question
from engine.estimate.sample import FUTURE, HISTORY
from engine.estimate.truth import true_values
from engine.records import (
    WEIGHTINGS,
    WEIGHTS,
    Column,
    Design,
    Estimate,
    LabelledRows,
    ReviewerError,
    Segments,
    Totals,
)
from engine.replay.replay import Creatives, Replayed, replay

TABLE = strategies()
WEIGHTED = ("creatives", "impressions")
PAIR = (0, 1)
Key = tuple[str, bool, str, str, str]


def key_of(row: Estimate) -> Key:
    """Return what an estimate is about: strategy, paired or not, weighting, reading, metric."""
    return row.strategy, row.baseline is not None, row.weighting, row.reading, row.metric


@dataclass(frozen=True)
class Batch:
    """A question whose segments are repetitions. clusters_WR : effective advertisers (Kish) of each, by WEIGHTED."""

    question: Question
    clusters_WR: F64

    def told(self, errors: Mapping[str, ReviewerError]) -> Batch:
        """Return the batch whose question knows how reviewers err."""
        return replace(self, question=replace(self.question, reviewer_error=errors))


@dataclass(frozen=True)
class Draw:
    """What an audit drew of a history: n rows, their strata and what its reviewers said (-1 nothing)."""

    at_n: I64
    stratum_n: I64
    said_n: I64
    population_H: I64


def look_at(history: History, look: Look, generator: np.random.Generator) -> Draw:
    """Draw an audit of a history."""
    stratum_N = np.digitize(history.old_N, look.edges)
    chosen = []
    for h, size in enumerate(look.sizes):
        members = np.flatnonzero(stratum_N == h)
        chosen.append(generator.choice(members, min(size, len(members)), replace=False))
    at_n = np.concatenate(chosen)
    said_n = history.y_N[at_n]
    right_n = generator.random(len(at_n)) < np.where(said_n == 1, look.sensitivity, look.specificity)
    said_n = np.where(right_n, said_n, 1 - said_n)
    if look.answering:
        silent_n = generator.random(len(at_n)) >= np.array(look.answering)[stratum_N[at_n]]
        said_n = np.where(silent_n, -1, said_n)
    return Draw(at_n, stratum_N[at_n], said_n, np.bincount(stratum_N, minlength=len(look.sizes)))


class OneHistory:
    """`history`: a history of a world, one of many by `number`; its audit is drawn anew in every repetition."""

    inference = HISTORY

    def __init__(self, world: World, seed: int, number: int = 0) -> None:
        self.world = world
        self.history = world.draw(np.random.default_rng([seed, 1, number]))
        self.found = decide([self.history], [self.history.exposure_N], np.arange(len(self.history.y_N)))
        sums = _sums([self.history.exposure_N], [self.history], self.found.outcome_Sn)
        self.truth = _truth(sums, self.found)

    def batch(self, generators: Sequence[np.random.Generator]) -> Batch:
        """Return repetitions, one for each generator."""
        draws = [look_at(self.history, self.world.look, generator) for generator in generators]
        size, one = len(draws), self.found.totals
        totals = Totals(
            np.repeat(one.sum_SOFCW, size, axis=3),
            np.repeat(one.swap_OQCW, size, axis=2),
            np.repeat(one.whole_FCW, size, axis=1),
        )
        outcome_Sn = self.found.outcome_Sn[:, np.concatenate([draw.at_n for draw in draws])]
        batch = _batch([self.history] * size, draws, totals, outcome_Sn, self.inference)
        return batch.told(_errors(self.world.look, generators))


class ManyHistories:
    """`future`: the superpopulation of a world, a history and an audit drawn anew in every repetition.

    Its truth is the ratio of means over histories: that of many with `creatives` in all, with expected exposure.
    """

    inference = FUTURE

    def __init__(self, world: World, seed: int, creatives: int) -> None:
        self.world = world
        generator = np.random.default_rng([seed, 2])
        sums, found, left = None, None, creatives
        while left > 0:
            histories = [world.draw(generator) for _ in range(10)]
            exposure = [history.expected_N for history in histories]
            size = sum(len(x) for x in exposure)
            found = decide(histories, exposure, np.arange(size), together=True)
            more = _sums(exposure, histories, found.outcome_Sn)
            sums = more if sums is None else sums + more
            left -= size
        assert sums is not None
        assert found is not None
        self.truth = _truth(sums, found)

    def batch(self, generators: Sequence[np.random.Generator]) -> Batch:
        """Return repetitions, one for each generator."""
        histories = [self.world.draw(generator) for generator in generators]
        look = self.world.look
        draws = [look_at(history, look, generator) for history, generator in zip(histories, generators, strict=True)]
        start = np.cumsum([0, *(len(history.y_N) for history in histories)])
        kept = np.concatenate([first + draw.at_n for first, draw in zip(start[:-1], draws, strict=True)])
        found = decide(histories, [history.exposure_N for history in histories], kept)
        batch = _batch(histories, draws, found.totals, found.outcome_Sn, self.inference)
        return batch.told(_errors(look, generators))


def _errors(look: Look, generators: Sequence[np.random.Generator]) -> Mapping[str, ReviewerError]:
    """Return how reviewers err as it is counted, once for all repetitions: a question knows of one count alone."""
    return look.count_errors(generators[0])


def decide(histories: Sequence[History], exposure: Sequence[F64], keep_n: I64, *, together: bool = False) -> Replayed:
    """Replay the strategies over histories, each a cell of its own unless they are taken `together`."""
    sizes = [len(history.y_N) for history in histories]
    cell_N = np.repeat(0 if together else np.arange(len(sizes)), sum(sizes) if together else sizes)
    weight_NW = np.zeros((len(cell_N), len(WEIGHTS)), np.int64)
    weight_NW[:, WEIGHTS.index("creatives")] = 1
    weight_NW[:, WEIGHTS.index("impressions")] = np.rint(np.concatenate(exposure))
    columns = (
        Column("old.p", np.concatenate([history.old_N for history in histories])),
        Column("new.p", np.concatenate([history.new_N for history in histories])),
    )
    creatives = Creatives(columns, cell_N.astype(np.int64), np.ones(len(cell_N), np.uint8), weight_NW)
    return replay(TABLE, creatives, 1 if together else len(sizes), keep_n, PAIR)


def _batch(
    histories: Sequence[History], draws: Sequence[Draw], totals: Totals, outcome_Sn: np.ndarray, inference: str
) -> Batch:
    """Return the question whose segment r is repetition r."""
    strata, lengths = len(draws[0].population_H), [len(draw.at_n) for draw in draws]
    cell_n = np.repeat(np.arange(len(draws)), lengths)
    stratum_n = cell_n * strata + np.concatenate([draw.stratum_n for draw in draws])
    population_H = np.concatenate([draw.population_H for draw in draws])
    y_n = np.concatenate([draw.said_n for draw in draws])
    drawn_H, answered_H = (
        np.bincount(stratum_n[chosen], minlength=len(population_H)) for chosen in (y_n >= -1, y_n >= 0)
    )
    exposure_n, advertiser_n = (
        np.concatenate([getattr(history, name)[draw.at_n] for history, draw in zip(histories, draws, strict=True)])
        for name in ("exposure_N", "advertiser_N")
    )
    known_Wn = np.zeros((len(WEIGHTINGS), len(cell_n)))
    known_Wn[0], known_Wn[1] = 1.0, exposure_n
    design = Design(("srs",) * len(population_H), population_H, drawn_H, answered_H[:, None])
    pi_n = (drawn_H / np.maximum(population_H, 1))[stratum_n]
    rows = _rows(design, pi_n, stratum_n, cell_n, advertiser_n, y_n, known_Wn, outcome_Sn)
    clusters_WR = np.stack([_clusters(value_n / pi_n, cell_n, advertiser_n) for value_n in known_Wn[:2]])
    return Batch(_question(rows, totals, len(draws), inference), clusters_WR)


def _clusters(weight_n: F64, cell_n: I64, advertiser_n: I64) -> F64:
    """Return the effective number of advertisers of each repetition, by what their rows stand for."""
    size = int(advertiser_n.max()) + 1
    total_RA = np.bincount(cell_n * size + advertiser_n, weight_n, (int(cell_n[-1]) + 1) * size).reshape(-1, size)
    return kish(total_RA.sum(1), (total_RA**2).sum(1))


def _question(rows: LabelledRows, totals: Totals, cells: int, inference: str) -> Question:
    names = tuple(str(r) for r in range(cells))
    level_CK = np.arange(cells, dtype=np.int32)[:, None]
    segments = Segments(("repetition",), (names,), level_CK, ("repetition",) * cells, names, np.eye(cells, dtype=bool))
    return Question(TABLE, (POLICY,), segments, totals, rows, pair=PAIR, inferences=(inference,), weightings=WEIGHTED)


def _rows(
    design: Design,
    pi_n: F64,
    stratum_n: I64,
    cell_n: I64,
    advertiser_n: I64,
    y_n: I64,
    known_Wn: F64,
    outcome_Sn: np.ndarray,
) -> LabelledRows:
    y_nQ = y_n[:, None].astype(np.int8)
    return LabelledRows(
        design=design,
        pi_n=pi_n,
        stratum_n=stratum_n.astype(np.int32),
        cell_n=cell_n.astype(np.int64),
        advertiser_n=advertiser_n.astype(np.int64),
        y_nQ=y_nQ,
        naive_nQ=y_nQ,
        known_Wn=known_Wn,
        imputed_Wn=np.zeros_like(known_Wn),
        outcome_Sn=outcome_Sn,
        score_Kn=np.zeros((0, len(cell_n))),
    )


def _sums(exposure: Sequence[F64], histories: Sequence[History], outcome_SN: np.ndarray) -> F64:
    """Return creatives and exposure by outcome under both strategies and truth, shape (O, O, 2, W)."""
    y_N = np.concatenate([history.y_N for history in histories])
    key_N = (outcome_SN[0].astype(np.int64) * TABLE.outcomes + outcome_SN[1]) * 2 + y_N
    shape = (TABLE.outcomes, TABLE.outcomes, 2)
    parts = [
        np.bincount(key_N, weight, int(np.prod(shape))).reshape(shape) for weight in (None, np.concatenate(exposure))
    ]
    return np.stack(parts, axis=-1).astype(np.float64)


def _truth(sums_OQYW: F64, found: Replayed) -> dict[Key, float | None]:
    """Return every number's true value: one row stands for all creatives of equal outcomes and truth."""
    before_n, after_n, y_n = np.nonzero(sums_OQYW[..., 0])
    size = len(y_n)
    none = np.zeros(size, np.int64)
    known_Wn = np.zeros((len(WEIGHTINGS), size))
    known_Wn[:2] = sums_OQYW[before_n, after_n, y_n].T
    all_H = np.array([size])
    design = Design(("srs",), all_H, all_H, all_H[:, None])
    outcome_Sn = np.stack([before_n, after_n]).astype(np.int16)
    rows = _rows(design, np.ones(size), none, none, none, y_n, known_Wn, outcome_Sn)
    question = _question(rows, _whole(sums_OQYW, found.totals), 1, HISTORY)
    return {key_of(row): row.estimate for row in true_values(question)}


def _whole(sums_OQYW: F64, like: Totals) -> Totals:
    """Return the totals of what the sums hold, everything inside the frame, in one cell."""
    swap_OQW = np.zeros((*sums_OQYW.shape[:2], len(WEIGHTS)), np.int64)
    for w, name in enumerate(WEIGHTED):
        swap_OQW[..., WEIGHTS.index(name)] = np.rint(sums_OQYW[..., w].sum(2))
    sum_SOFCW = np.zeros((*like.sum_SOFCW.shape[:3], 1, len(WEIGHTS)), np.int64)
    whole_FCW = np.zeros((2, 1, len(WEIGHTS)), np.int64)
    sum_SOFCW[0, :, 1, 0], sum_SOFCW[1, :, 1, 0] = swap_OQW.sum(1), swap_OQW.sum(0)
    whole_FCW[1, 0] = swap_OQW.sum((0, 1))
    return Totals(sum_SOFCW, swap_OQW[:, :, None, :], whole_FCW)


def alone(batch: Batch, repetition: int) -> Question:
    """Return one repetition of a batch as a question of its own."""
    asked = batch.question
    rows, r = asked.rows, repetition
    mine_n = rows.cell_n == r
    strata = len(rows.design.method_H) // len(asked.segments.name)
    own = slice(r * strata, (r + 1) * strata)
    design = Design(
        rows.design.method_H[own],
        rows.design.population_H[own],
        rows.design.drawn_H[own],
        rows.design.answered_HQ[own],
    )
    cut = replace(
        rows,
        design=design,
        pi_n=rows.pi_n[mine_n],
        stratum_n=(rows.stratum_n[mine_n] - r * strata).astype(np.int32),
        cell_n=np.zeros(int(mine_n.sum()), np.int64),
        advertiser_n=rows.advertiser_n[mine_n],
        y_nQ=rows.y_nQ[mine_n],
        naive_nQ=rows.naive_nQ[mine_n],
        known_Wn=rows.known_Wn[:, mine_n],
        imputed_Wn=rows.imputed_Wn[:, mine_n],
        outcome_Sn=rows.outcome_Sn[:, mine_n],
        score_Kn=rows.score_Kn[:, mine_n],
    )
    t = asked.totals
    totals = Totals(t.sum_SOFCW[:, :, :, [r]], t.swap_OQCW[:, :, [r]], t.whole_FCW[:, [r]])
    return _question(cut, totals, 1, asked.inferences[0])
