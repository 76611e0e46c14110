"""Scores that somebody else computed, in a file keyed by creative."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from engine.errors import DataError
from engine.read.columns import checked_scores
from engine.read.shards import read_table, require_columns


@dataclass(frozen=True)
class BroughtScores:
    """A scores file: creative ids, and float columns by the engine's names (`v1.scam`)."""

    path: str
    creative_id: pa.Array
    columns: Mapping[str, pa.Array]
    identity: str

    def look_up(self, creative_id: pa.Array, source: str, missing_allowed: bool) -> dict[str, pa.Array]:
        """Return the scores of creatives, each in its own dtype.

        Raises
        ------
        DataError : a creative without a score, a NaN or a score outside [0, 1].
        """
        at = pc.index_in(creative_id, self.creative_id)
        where = f"{self.path}: column"
        return {
            name: checked_scores(values.take(at), f"{where} {name} (for creatives of {source})", missing_allowed)
            for name, values in self.columns.items()
        }


def read_brought(path: str, key: str, columns: Mapping[str, str], config_key: str) -> BroughtScores:
    """Read a scores file. columns: the engine's name → the file's.

    Raises
    ------
    DataError : missing columns, scores that are no floats, or a creative scored twice.
    """
    table, digest = read_table(path, f"{config_key}.path")
    faults = require_columns(
        table.schema, {f"{config_key}.key": key} | {f"{config_key}.{k}": c for k, c in columns.items()}, path
    )
    if faults:
        raise DataError(*faults)
    ids = table[key].cast(pa.string()).combine_chunks()
    if len(pc.unique(ids)) < len(ids):
        raise DataError(f"{path}: column {key} holds a creative twice; bring one score per creative")
    chosen = {}
    for name, column in columns.items():
        values = table[column].combine_chunks()
        if values.type not in (pa.float32(), pa.float64()):
            raise DataError(f"{path}: column {column} is {values.type}; scores are float32 or float64")
        chosen[name] = values
    return BroughtScores(path, ids, chosen, digest)
