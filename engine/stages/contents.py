"""The distinct contents of a run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from engine.read.creatives import ROW
from engine.read.identity import id_halves, owned_rows, positions
from engine.records import I64, U64


@dataclass(frozen=True, eq=False)
class ContentList:
    """The U distinct contents of a reading, sorted by id; row_U : where the first creative that has it lies."""

    ids: pa.Array
    high_U: U64
    low_U: U64
    row_U: I64

    def __len__(self) -> int:
        return len(self.row_U)

    def find(self, ids: pa.Array | pa.ChunkedArray) -> I64:
        """Return where ids stand in the list, -1 where they do not."""
        return positions(self.high_U, self.low_U, *id_halves(ids))


def list_contents(table: pa.Table, id_column: str) -> ContentList:
    """Return the contents of some creatives (`row` and the id column, in file order); the first one owns a content."""
    owned = table.take(pa.array(owned_rows(*id_halves(table[id_column]))))
    ids = owned[id_column].combine_chunks()
    high, low = id_halves(ids)
    order = np.lexsort((low, high))
    return ContentList(ids.take(pa.array(order)), high[order], low[order], owned[ROW].to_numpy()[order])
