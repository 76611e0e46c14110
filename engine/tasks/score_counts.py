"""Creatives and scores of a shard → how many have a score of each bin, by group of advertisers and piece of time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from engine import store
from engine.read.sampling import uniform
from engine.read.segments import piece_codes
from engine.records import F64, I64, UNCALIBRATED, Receipt, ScoreTable, Shard
from engine.tasks.creatives import CreativesPlan
from engine.tasks.work import Work

GROUPS = 64  # of advertisers, by their hash: what the noise of counts is read from
BINS = 256
_EDGES: F64 = 1 / (1 + np.exp(-np.linspace(-12, 12, BINS - 1)))  # equally wide in log-odds


@dataclass(frozen=True)
class ScoreCountsPlan:
    """What every worker shares. cuts : instants between pieces. seed : of the hash of advertisers."""

    creatives: CreativesPlan
    scores: tuple[ScoreTable, ...]
    cuts: tuple[int, ...]
    seed: int


@dataclass(frozen=True)
class ScoreCountsTask:
    """Creatives → drift/shard-00000.parquet: counts that are not 0; creatives without a score are left out."""

    folder: Path
    identity: str

    def open(self, shared: ScoreCountsPlan) -> Work:
        """Return the work on one shard."""
        return lambda shard: self._count(shard, shared)

    def _count(self, shard: Shard, plan: ScoreCountsPlan) -> Receipt:
        path = store.shard_path(self.folder, shard.number)
        done = store.find_committed(path, self.identity)
        if done is None:
            done = store.commit_table(path, _counts(plan.creatives.read(shard.number), plan), self.identity)
        return Receipt(shard.number, str(done.path), shard.rows, done.hash)


def read_counts(tables: list[pa.Table], pieces: int) -> dict[str, I64]:
    """Return the counts of all shards by score column, int64, shape (GROUPS, pieces, BINS)."""
    found: dict[str, I64] = {}
    for table in tables:
        for name in table.column_names:
            into = found.setdefault(name, np.zeros((GROUPS, pieces, BINS), np.int64))
            at, count = table[name].combine_chunks().flatten().to_numpy().reshape(-1, 2).T
            into.reshape(-1)[at] += count
    return found


def _counts(table: pa.Table, plan: ScoreCountsPlan) -> pa.Table:
    """Return one row: for each score column a list of flat index, count, flat index, count and so on."""
    group_N = (uniform(table["advertiser_id"].combine_chunks(), plan.seed) * GROUPS).astype(np.int64)
    piece_N = piece_codes(table["submitted_at"].cast(pa.int64()).to_numpy(), plan.cuts)
    home_N = group_N * (len(plan.cuts) + 1) + piece_N
    columns = {}
    for column in plan.creatives.columns(table, plan.scores):
        if "." not in column.name or column.name.startswith(UNCALIBRATED) or column.levels is not None:
            continue
        value_N = column.values_N.astype(np.float64)
        given = value_N >= 0  # neither NaN nor NOT_ASKED
        bin_n = np.searchsorted(_EDGES, value_N[given], "right")
        at, count = np.unique(home_N[given] * BINS + bin_n, return_counts=True)
        columns[column.name] = pa.array([np.stack([at, count], axis=1).reshape(-1)], pa.list_(pa.int64()))
    return pa.table(columns)
