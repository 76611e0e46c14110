"""Creative ids that appear more than once, and which of their rows count."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.errors import DataError
from engine.read.creatives import ROW
from engine.records import I64


def dropped_rows(table: pa.Table, rule: str, source: str) -> I64:
    """Return the rows that `creatives.on_duplicate` leaves out, sorted.

    table : creative_id and row of all creatives, by rising row. rule : stop, first or last.

    Raises
    ------
    DataError : an id appears twice and the rule is stop.
    """
    counts = pc.value_counts(table["creative_id"])
    twice = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")
    if not len(twice):
        return np.zeros(0, np.int64)
    if rule == "stop":
        raise DataError(
            f"{source}: {len(twice)} ids appear more than once (first: {twice[0].as_py()!r}); "
            "mend the data or set creatives.on_duplicate: first or last"
        )
    rows = table.filter(pc.is_in(table["creative_id"], twice))
    ids, row = rows["creative_id"].to_numpy(zero_copy_only=False), rows[ROW].to_numpy()
    order = range(len(row)) if rule == "last" else range(len(row) - 1, -1, -1)
    winner = {ids[i]: row[i] for i in order}
    return np.sort(row[[winner[name] != at for name, at in zip(ids, row, strict=True)]])
