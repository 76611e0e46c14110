"""Creatives and the scores so far → the contents about which some strategy may ask a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from engine import store
from engine.records import Reading, Receipt, ScoreTable, Shard
from engine.replay.asking import asks
from engine.strategy import StrategyTable
from engine.tasks.creatives import CreativesPlan
from engine.tasks.work import Work


@dataclass(frozen=True)
class AskPlan:
    """What every worker shares. models : those asked about, with what they read. unscored : all without scores."""

    creatives: CreativesPlan
    table: StrategyTable
    scores: tuple[ScoreTable, ...]
    models: tuple[tuple[str, Reading], ...]
    unscored: frozenset[str]


@dataclass(frozen=True)
class AskTask:
    """Creatives of a shard → asked/shard-00000.parquet: a row per model and content that may be asked for."""

    folder: Path
    identity: str

    def open(self, shared: AskPlan) -> Work:
        """Return the work on one shard."""
        return lambda shard: self._ask(shard, shared)

    def _ask(self, shard: Shard, plan: AskPlan) -> Receipt:
        path = store.shard_path(self.folder, shard.number)
        done = store.find_committed(path, self.identity)
        if done is None:
            table = plan.creatives.scored(plan.creatives.asked(shard.number))
            columns = plan.creatives.columns(table, plan.scores)
            parts = []
            for number, (model, reading) in enumerate(plan.models):
                wanted_N = asks(plan.table, columns, table.num_rows, model, plan.unscored)
                ids = table[reading.id_column].filter(pa.array(wanted_N)).unique()
                parts.append(pa.table({"model": np.full(len(ids), number, np.int8), "content_id": ids}))
            done = store.commit_table(path, pa.concat_tables(parts), self.identity)
        return Receipt(shard.number, str(path), shard.rows, done.hash)
