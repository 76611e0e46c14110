"""Creatives and scores of a shard → events of a stateful replay: what rules read, what totals need, who and when."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine import store
from engine.read.segments import Medians
from engine.records import WEIGHTS, Receipt, ScoreTable, Segments, Shard
from engine.tasks.creatives import CreativesPlan
from engine.tasks.replay import as_creatives, known_weights
from engine.tasks.work import Work

COUNTED, KEPT, CELL, FRAME = "counted", "kept", "cell", "frame"  # of the period; labelled
RULE = "rule "  # before the name of a column that rules read


@dataclass(frozen=True)
class EventsPlan:
    """What every worker shares. labelled : ids of creatives with a label."""

    creatives: CreativesPlan
    segments: Segments
    medians: Medians | None
    scores: tuple[ScoreTable, ...]
    labelled: pa.Array


@dataclass(frozen=True)
class EventsTask:
    """Creatives → events/shard-00000.parquet, warm-up first, in file order; rule columns keep their names."""

    folder: Path
    identity: str

    def open(self, shared: EventsPlan) -> Work:
        """Return the work on one shard."""
        return lambda shard: self._collect(shard, shared)

    def _collect(self, shard: Shard, plan: EventsPlan) -> Receipt:
        path = store.shard_path(self.folder, shard.number)
        done = store.find_committed(path, self.identity)
        if done is None:
            everything = plan.creatives.scored(plan.creatives.history(shard.number))
            counted = plan.creatives.scored(plan.creatives.read(shard.number)).num_rows
            events = _events(everything, everything.num_rows - counted, plan)
            done = store.commit_table(path, events, self.identity)
        return Receipt(shard.number, str(done.path), shard.rows, done.hash)


def _events(table: pa.Table, warming: int, plan: EventsPlan) -> pa.Table:
    counted = as_creatives(table.slice(warming), plan.creatives, plan.scores, plan.segments, plan.medians)
    ids = [reading for reading in table.column_names if reading.startswith("content_id")]
    columns = {name: table[name] for name in ("creative_id", "advertiser_id", "submitted_at", *ids)}
    columns[COUNTED] = pa.array(np.arange(table.num_rows) >= warming)
    columns[KEPT] = pc.is_in(table["creative_id"], plan.labelled)
    columns[CELL] = pa.array(_after(warming, counted.cell_N))
    columns[FRAME] = pa.array(_after(warming, counted.frame_N))
    weight_NW = np.concatenate([known_weights(table.slice(0, warming)), counted.weight_NW])  # queues go by exposure
    columns |= {name: pa.array(weight_NW[:, w]) for w, name in enumerate(WEIGHTS)}
    for column in plan.creatives.columns(table, plan.scores):
        columns[RULE + column.name] = table[column.name] if column.levels is not None else pa.array(column.values_N)
    return pa.table(columns)


def _after(warming: int, values: np.ndarray) -> np.ndarray:
    """Return values of the period behind zeros for the warm-up, which no total counts."""
    return np.concatenate([np.zeros(warming, values.dtype), values])
