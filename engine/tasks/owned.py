"""The rows of a shard at which contents are first seen: what has to be read of their text, a portion at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from engine.read.creatives import ROW
from engine.read.shards import stream_shard_columns
from engine.records import Shard


@dataclass(frozen=True)
class Portions:
    """Rows to do in a portion: few at first, so that work starts soon, then twice as many, up to `most`.

    read : rows of the lake in memory at once; a portion may hold so many more.
    """

    first: int
    most: int
    read: int = 4096


def stream_owned(
    shard: Shard, owned: pa.Table, columns: list[str], portions: Portions
) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Yield the rows to do, a portion at a time: their columns of the lake, and their rows of `owned`.

    owned : `row`, counted over the lake and rising, and whatever goes with it.
    """
    row = owned[ROW].to_numpy()
    base, size, start, end = shard.first_row, portions.first, 0, 0
    held = list[pa.Table]()
    for table in stream_shard_columns(shard, columns, portions.read):
        here = end
        end = int(np.searchsorted(row, base + table.num_rows))
        held.append(table.take(pa.array(row[here:end] - base)))
        base += table.num_rows
        if end - start >= size:
            yield pa.concat_tables(held), owned.slice(start, end - start)
            held, start, size = [], end, min(2 * size, portions.most)
    if end > start:
        yield pa.concat_tables(held), owned.slice(start, end - start)
