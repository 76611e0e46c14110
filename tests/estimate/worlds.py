"""Small worlds with known truth: a population, strategies on a score, and audits drawn from it by seed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from engine.estimate.predictions import FOLDS, Predictions, codes_of, fit_predictors, sum_predicted
from engine.estimate.question import Question
from engine.expression import Atom
from engine.read.labelled import with_any
from engine.records import WEIGHTS, Column, Decision, Design, Estimate, LabelledRows, ScoredSample, Segments
from engine.replay.replay import Creatives, Replayed, replay
from engine.strategy import Review, Rule, Strategy, StrategyTable, build_table


@dataclass(frozen=True)
class World:
    """A population of N creatives; everything about it is known."""

    score_N: np.ndarray
    y_N: np.ndarray
    advertiser_N: np.ndarray
    region_N: np.ndarray
    exposure_WN: np.ndarray
    stratum_N: np.ndarray

    def __len__(self) -> int:
        return len(self.y_N)

    def take(self, at: np.ndarray) -> World:
        return World(
            self.score_N[at],
            self.y_N[at],
            self.advertiser_N[at],
            self.region_N[at],
            self.exposure_WN[:, at],
            self.stratum_N[at],
        )


def make_world(seed: int, size: int = 4000, advertisers: int = 300, share: float = 0.15, useful: float = 2.0) -> World:
    """Draw a world: heavy-tailed exposure, advertisers with their own ways, an old score that strata follow."""
    generator = np.random.default_rng(seed)
    tendency = generator.beta(0.6, 0.6 * (1 - share) / share, advertisers)
    advertiser = generator.choice(advertisers, size, p=_zipf(advertisers))
    y = (generator.random(size) < tendency[advertiser]).astype(np.int8)
    latent = useful * y + generator.normal(size=size) + 0.5 * generator.normal(size=advertisers)[advertiser]
    score = (1 / (1 + np.exp(-latent + 1))).astype(np.float32)
    exposure = np.stack(
        [np.ones(size), np.rint(np.exp(generator.normal(4, 1, size))), np.rint(np.exp(generator.normal(3, 1.2, size)))]
    )
    stratum = np.digitize(score, [0.3, 0.6]).astype(np.int64)
    return World(score, y, advertiser, generator.integers(0, 3, size), exposure, stratum)


def _zipf(count: int) -> np.ndarray:
    p = 1 / (np.arange(count) + 5.0)
    return p / p.sum()


def strategies(*, sensitivity: float = 0.9, specificity: float = 0.95, hold: float = 0.1) -> StrategyTable:
    """Three strategies on the score: lenient, strict, and one with a LIMIT."""
    review = Review(sensitivity, specificity, hold)

    def rules(reject: float, low: float, other: Decision, share: float = 1.0) -> tuple[Rule, ...]:
        return (
            Rule(Atom("m.p", ">=", reject), Decision.REJECT, policy="p"),
            Rule(Atom("m.p", ">=", low), other, share, policy="p"),
        )

    last = Rule(Atom("m.p", ">=", 0.0), Decision.APPROVE, policy="p")
    return build_table(
        [
            Strategy("lenient", rules(0.8, 0.6, Decision.REVIEW), last, review=review),
            Strategy("strict", rules(0.7, 0.5, Decision.REVIEW), last, review=review),
            Strategy("limits", rules(0.75, 0.4, Decision.LIMIT, 0.3), last, review=review),
        ]
    )


def segments() -> Segments:
    """Cells and segments of the three regions."""
    member = np.vstack([np.ones(3, bool), np.eye(3, dtype=bool)])
    names = ("a", "b", "c")
    return Segments(
        ("region",), (names,), np.arange(3, dtype=np.int32)[:, None], ("all", *["region"] * 3), ("all", *names), member
    )


def replayed(world: World, table: StrategyTable, framed: np.ndarray | None = None) -> Replayed:
    """Replay the strategies over the whole world, every outcome kept."""
    weight = np.zeros((len(world), len(WEIGHTS)), np.int64)
    for w, name in enumerate(("creatives", "impressions", "spend")):
        weight[:, WEIGHTS.index(name)] = world.exposure_WN[w]
    frame = np.ones(len(world), np.uint8) if framed is None else framed.astype(np.uint8)
    creatives = Creatives((Column("m.p", world.score_N),), world.region_N.astype(np.int64), frame, weight)
    return replay(table, creatives, 3, np.arange(len(world)), (0, 1))


def audit_rows(
    world: World, outcome_SN: np.ndarray, rate_H: tuple[float, ...], seed: int, method: str = "srs"
) -> LabelledRows:
    """Draw an audit by stratum and label it rightly."""
    at, pi = draw_audit(world, rate_H, seed, method)
    return rows_at(world, outcome_SN, at, pi, len(rate_H), method)


def draw_audit(
    world: World, rate_H: tuple[float, ...], seed: int, method: str = "srs"
) -> tuple[np.ndarray, np.ndarray]:
    """Return who is drawn, sorted, and everybody's inclusion probability."""
    generator = np.random.default_rng(seed)
    drawn, pi = [], np.zeros(len(world))
    for h, rate in enumerate(rate_H):
        members = np.flatnonzero(world.stratum_N == h)
        if method == "poisson":
            drawn.append(members[generator.random(len(members)) < rate])
            pi[members] = rate
        else:
            count = min(len(members), max(2, round(rate * len(members)))) if len(members) else 0
            drawn.append(generator.choice(members, count, replace=False))
            pi[members] = count / max(1, len(members))
    return np.sort(np.concatenate(drawn)), pi


def scored_rows(
    world: World, outcome_SN: np.ndarray, rate_H: tuple[float, ...], seed: int, share: float, clustered: bool
) -> tuple[LabelledRows, ScoredSample]:
    """Draw an audit and a sample for scoring; return the labelled rows and the sample that stands for all."""
    at, pi = draw_audit(world, rate_H, seed)
    rows = rows_at(world, outcome_SN, at, pi, len(rate_H), "srs")
    if share == 0:
        return rows, ScoredSample(rows, 1 / rows.pi_n, share, clustered)
    unit_N = world.advertiser_N if clustered else np.arange(len(world))
    chance_N = np.random.default_rng([seed, 9]).random(unit_N.max() + 1)[unit_N]
    labelled_N = np.zeros(len(world), bool)
    labelled_N[at] = True
    scored = np.flatnonzero(labelled_N | (chance_N < share))
    every = rows_at(world, outcome_SN, scored, pi, len(rate_H), "srs")
    mine_N = labelled_N[scored]
    every = replace(
        every,
        pi_n=np.where(mine_N, every.pi_n, np.nan),
        stratum_n=np.where(mine_N, every.stratum_n, -1).astype(np.int32),
        y_nQ=np.where(mine_N[:, None], every.y_nQ, -1).astype(np.int8),
        design=rows.design,
    )
    return rows, ScoredSample(every, np.where(mine_N, 1.0, 1 / share), share, clustered)


def census_rows(world: World, outcome_SN: np.ndarray) -> LabelledRows:
    """Label everybody."""
    return rows_at(world, outcome_SN, np.arange(len(world)), np.ones(len(world)), 3, "srs")


def rows_at(
    world: World, outcome_SN: np.ndarray, at: np.ndarray, pi_N: np.ndarray, strata: int, method: str
) -> LabelledRows:
    """Return the labelled rows of some creatives."""
    stratum = world.stratum_N[at].astype(np.int32)
    drawn = np.bincount(stratum, minlength=strata)
    y = with_any(world.y_N[at][:, None].astype(np.int8))
    design = Design((method,) * strata, np.bincount(world.stratum_N, minlength=strata), drawn, drawn[:, None])
    return LabelledRows(
        design=design,
        pi_n=pi_N[at],
        stratum_n=stratum,
        cell_n=world.region_N[at].astype(np.int64),
        advertiser_n=world.advertiser_N[at].astype(np.int64),
        y_nQ=y,
        naive_nQ=y,
        known_Wn=world.exposure_WN[:, at],
        imputed_Wn=np.zeros((3, len(at))),
        outcome_Sn=outcome_SN[:, at],
        score_Kn=world.score_N[None, at].astype(np.float64),
    )


def question(_world: World, rows: LabelledRows, found: Replayed, table: StrategyTable, **more: object) -> Question:
    """Return what the estimators are asked, lenient against strict."""
    return Question(table, ("p",), segments(), found.totals, rows, pair=(0, 1), **more)  # type: ignore[arg-type]


def predictions(world: World, rows: LabelledRows, found: Replayed, *, guarded: bool = True) -> Predictions:
    """Return what the difference estimator leans on: m fitted on the rows, sums over the world."""
    fold_N, fold_n = (advertiser * 2654435761 // 64 % FOLDS for advertiser in (world.advertiser_N, rows.advertiser_n))
    predictors = fit_predictors(rows, segments(), [(0,)], fold_n)
    code_QN = codes_of(predictors, world.score_N[None].astype(np.float64), fold_N)
    exposure_NW = world.exposure_WN.T.astype(np.int64)
    outcome_SN = found.outcome_Sn
    sums = sum_predicted(outcome_SN, code_QN, world.region_N, exposure_NW, segments(), int(outcome_SN.max()) + 1)
    code_Qn = codes_of(predictors, rows.score_Kn, fold_n)
    return Predictions(predictors, code_Qn, sums, np.ones(len(outcome_SN), bool), guarded)


def assert_same_to_rounding(one: Estimate, other: Estimate) -> None:
    """Two estimates are one: from rows, or from their sums, which differ by how they are rounded."""
    for name in Estimate._fields:
        mine, theirs = getattr(one, name), getattr(other, name)
        assert mine == (pytest.approx(theirs, rel=1e-9, abs=1e-12) if isinstance(theirs, float) else theirs), name
