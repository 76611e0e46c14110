"""The creatives of one shard as rules read them: attributes, brought scores, and model scores joined by content."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine import store
from engine.read.columns import as_column
from engine.read.creatives import ROW, SAMPLED
from engine.read.identity import id_halves, positions
from engine.records import I64, LOGGED, NOT_ASKED, Column, ScoreTable
from engine.tasks.read import earlier_path


def features_path(folder: Path, number: int) -> Path:
    """Return where the derived columns of a shard's creatives lie."""
    return folder / f"features-{number:05d}.parquet"


@dataclass(frozen=True)
class CreativesPlan:
    """Which creatives a run works on, and what its rules read of them.

    folder, identity : what the read stage committed. dropped : rows that are left out (duplicates), sorted.
    labelled : ids of creatives with a label, which a sampled run always works on.
    attributes, brought : columns that rules may read beside `logged` and the scores of models.
    features : columns that the engine derived (see engine.stages.features); features_identity : of their files.
    warm_up : microseconds since 1970 UTC from which on earlier creatives matter, None where none do.
    remembers : they move state, so that rules are asked about them.
    """

    folder: Path
    identity: str
    dropped: I64
    labelled: pa.Array
    attributes: tuple[str, ...]
    brought: tuple[str, ...]
    warm_up: int | None = None
    remembers: bool = False
    features: tuple[str, ...] = ()
    features_identity: str = ""

    def read(self, shard: int) -> pa.Table:
        """Read the creatives of a shard, duplicates left out."""
        found = store.find_committed(store.shard_path(self.folder, shard), self.identity)
        assert found is not None, "the read stage came first"
        return self._with_features(self.without_duplicates(store.read_committed(found)), shard)

    def asked(self, shard: int) -> pa.Table:
        """Read the creatives of a shard that rules are asked about."""
        return self.history(shard) if self.remembers else self.read(shard)

    def history(self, shard: int) -> pa.Table:
        """Read the creatives of a shard: the warm-up's, then those of the period."""
        period = self.read(shard)
        return period if self.warm_up is None else pa.concat_tables([self.warming(shard), period])

    def warming(self, shard: int) -> pa.Table:
        """Read the creatives of a shard that only warm up state."""
        assert self.warm_up is not None
        found = store.find_committed(earlier_path(self.folder, shard), self.identity)
        assert found is not None, "the read stage came first"
        table = self.without_duplicates(store.read_committed(found))
        table = table.filter(pc.greater_equal(table["submitted_at"].cast(pa.int64()), self.warm_up))
        return self._with_features(table, shard)

    def _with_features(self, table: pa.Table, shard: int) -> pa.Table:
        if not self.features:
            return table
        found = store.find_committed(features_path(self.folder, shard), self.features_identity)
        assert found is not None, "the read stage came first"
        derived = store.read_committed(found)
        at = pc.index_in(table[ROW], derived[ROW])
        for name in self.features:
            table = table.append_column(name, derived[name].take(at))
        return table

    def without_duplicates(self, table: pa.Table) -> pa.Table:
        """Leave out rows whose id another row keeps."""
        return table.filter(pa.array(~np.isin(table[ROW].to_numpy(), self.dropped))) if len(self.dropped) else table

    def scored(self, table: pa.Table) -> pa.Table:
        """Leave out what is neither drawn nor labelled, where the run scores a sample."""
        if SAMPLED not in table.column_names:
            return table
        return table.filter(pc.or_(table[SAMPLED], pc.is_in(table["creative_id"], self.labelled)))

    def columns(self, table: pa.Table, scores: tuple[ScoreTable, ...]) -> tuple[Column, ...]:
        """Return the columns that rules read; a content without a score gets NOT_ASKED."""
        columns = [as_column(name, table[name]) for name in (*self.attributes, *self.features, *self.brought)]
        columns.append(as_column(LOGGED, table[LOGGED].cast(pa.float64())))
        for held in scores:
            at = positions(held.key_high_U, held.key_low_U, *id_halves(table[held.id_column]))
            for name, values in zip(held.names, held.values_KU, strict=True):
                scored = np.append(values, values.dtype.type(NOT_ASKED))[at]  # -1, nowhere, takes the last
                columns.append(as_column(name, pa.array(scored)))
        return tuple(columns)
