"""Creatives and scores of a shard → what the difference estimator sums over all creatives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine import store
from engine.estimate.predictions import CODES, FOLDS, Predictor, codes_of, sum_predicted
from engine.read.sampling import uniform
from engine.read.segments import Medians
from engine.records import F64, I64, NOT_ASKED, WEIGHTINGS, WEIGHTS, Column, Receipt, ScoreTable, Segments, Shard
from engine.replay.replay import decide
from engine.strategy import StrategyTable
from engine.tasks.creatives import CreativesPlan
from engine.tasks.replay import as_creatives
from engine.tasks.work import Work


@dataclass(frozen=True)
class PredictPlan:
    """What every worker shares.

    predictors : by readable policy. names : score columns that they read by number. seed : of the folds.
    strategies : indices into the table of those that are summed. since : creatives submitted before lie inside a
        model's training and are left out, None where none do.
    """

    creatives: CreativesPlan
    table: StrategyTable
    segments: Segments
    medians: Medians | None
    scores: tuple[ScoreTable, ...]
    predictors: tuple[Predictor | None, ...]
    names: tuple[str, ...]
    strategies: tuple[int, ...]
    seed: int
    since: datetime | None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the sums: policies, strategies, outcomes, codes, segments, WEIGHTINGS."""
        sizes = len(self.predictors), len(self.strategies), self.table.outcomes, CODES, len(self.segments.name)
        return (*sizes, len(WEIGHTINGS))


@dataclass(frozen=True)
class PredictTask:
    """Creatives and scores of a shard → predicted/: exposure by policy, strategy, outcome, code and segment."""

    folder: Path
    identity: str

    def open(self, shared: PredictPlan) -> Work:
        """Return the work on one shard."""
        return lambda shard: self._sum(shard, shared)

    def _sum(self, shard: Shard, plan: PredictPlan) -> Receipt:
        path = store.shard_path(self.folder, shard.number)
        done = store.find_committed(path, self.identity)
        if done is None:
            flat = sum_of(plan.creatives.read(shard.number), plan).reshape(-1)
            at = np.flatnonzero(flat)
            done = store.commit_table(path, pa.table({"at": at, "sum": flat[at]}), self.identity)
        return Receipt(shard.number, str(done.path), shard.rows, done.hash)


def sum_of(table: pa.Table, plan: PredictPlan) -> I64:
    """Return the sums over the creatives that some audit could have drawn, shape `plan.shape`."""
    creatives = as_creatives(table, plan.creatives, plan.scores, plan.segments, plan.medians)
    counted_N = creatives.frame_N > 0
    if plan.since is not None:
        submitted = table["submitted_at"]
        counted_N &= pc.greater_equal(submitted, pa.scalar(plan.since, submitted.type)).to_numpy()
    at = np.flatnonzero(counted_N)
    fold_n = folds(table["advertiser_id"].combine_chunks().take(pa.array(at)), plan.seed)
    outcome_Sn = decide(plan.table, creatives.columns, at)[list(plan.strategies)]
    code_Qn = codes_of(plan.predictors, scores_of(creatives.columns, plan.names)[:, at], fold_n)
    exposure_nW = exposures(creatives.weight_NW[at])
    return sum_predicted(outcome_Sn, code_Qn, creatives.cell_N[at], exposure_nW, plan.segments, plan.table.outcomes)


def folds(advertiser_id: pa.Array, seed: int) -> I64:
    """Return the fold of every creative, by a hash of its advertiser: the same in every shard."""
    return np.asarray(uniform(advertiser_id, seed) * FOLDS).astype(np.int64)


def scores_of(columns: Sequence[Column], names: Sequence[str]) -> F64:
    """Return scores by name, float64 (K, N), NaN where there is none."""
    by_name = {column.name: column.values_N for column in columns}
    score_KN = np.stack([by_name[name].astype(np.float64) for name in names])
    return np.where(score_KN == NOT_ASKED, np.nan, score_KN)


def exposures(weight_NW: I64) -> I64:
    """Return known + imputed exposure by WEIGHTINGS of rows by WEIGHTS."""
    parts = [
        sum(weight_NW[:, WEIGHTS.index(part)] for part in (name, f"{name}_imputed") if part in WEIGHTS)
        for name in WEIGHTINGS
    ]
    return np.stack(parts, axis=1)
