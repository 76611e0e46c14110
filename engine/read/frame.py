"""The frame of an audit, creative by creative: who could be drawn, with which probability, in which cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.errors import DataError
from engine.read.shards import read_table, require_columns
from engine.records import F64, I32, I64
from engine.schema import FRAME

SAME = 1e-9


@dataclass(frozen=True)
class Frame:
    """The F creatives that an audit could have drawn.

    stratum_F : code of the audit's strata, -1 for one that it does not have. chance_F : inclusion probability, above 0.
    cluster_F : what stratum and cluster make together, numbered from 0; -1 where none is given.
    """

    creative_id: pa.Array
    stratum_F: I32
    chance_F: F64
    cluster_F: I64

    def places(self, creative_id: pa.Array) -> I64:
        """Return where each creative stands in the frame, -1 where it does not."""
        return pc.fill_null(pc.index_in(creative_id, self.creative_id), -1).to_numpy().astype(np.int64)


def read_frame(paths: Sequence[str], strata: Sequence[str], source: str) -> tuple[Frame, str]:
    """Return the frame in some files, and the identity of what was read.

    Raises
    ------
    DataError : a missing column, a probability above 1, or a creative that stands there twice.
    """
    parts, digests = [], []
    for path in paths:
        table, digest = read_table(path, f"{source}: frame_path")
        faults = require_columns(table.schema, {f"frame.{field}": field for field in FRAME.names[:3]}, path)
        if faults:
            raise DataError(*faults)
        if "cluster" not in table.column_names:
            table = table.append_column("cluster", pa.nulls(table.num_rows, pa.string()))
        part = pa.table({field.name: table[field.name].cast(field.type) for field in FRAME})
        parts.append(part.filter(pc.greater(part["inclusion_probability"].fill_null(0.0), 0.0)))
        digests.append(digest)
        if (pc.max(part["inclusion_probability"]).as_py() or 0.0) > 1.0:
            raise DataError(f"{path}: column inclusion_probability holds values above 1")
    whole = pa.concat_tables(parts).combine_chunks()
    if pc.count_distinct(whole["creative_id"]).as_py() < whole.num_rows:
        twice = pc.value_counts(whole["creative_id"]).to_pylist()
        name = next(entry["values"] for entry in twice if entry["counts"] > 1)
        raise DataError(f"{source}: creative {name!r} stands in the frame twice; an audit has one way to draw it")
    return _frame(whole, strata), "".join(digests)


def _frame(table: pa.Table, strata: Sequence[str]) -> Frame:
    stratum = pc.fill_null(pc.index_in(table["stratum"], pa.array(strata, pa.string())), -1).to_numpy()
    name = table["cluster"].combine_chunks().dictionary_encode()
    code = pc.fill_null(name.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    both = np.where((code >= 0) & (stratum >= 0), code * len(strata) + stratum, -1)
    cluster = np.unique(np.append(both, -1), return_inverse=True)[1][:-1] - 1
    chance = table["inclusion_probability"].to_numpy()
    return Frame(table["creative_id"].combine_chunks(), stratum.astype(np.int32), chance, cluster.astype(np.int64))
