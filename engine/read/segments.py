"""Cells, segments and the exposure that refused creatives would have had: one look at all creatives, no text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.errors import DataError
from engine.records import I64, Segments

ALL = "all"
PIECE = "piece"  # what segments by time are by
MISSING_LEVEL = "(missing)"


@dataclass(frozen=True)
class Medians:
    """Median known exposure per cell, in the integer units of the creatives table; -1 where a cell has none at all.

    The lower median, so that it is a value that occurred and sums stay integers; a cell without known exposure
    takes the median over all cells.
    """

    impressions_C: I64
    spend_C: I64


def categorical(schema: pa.Schema, attributes: Sequence[str]) -> list[str]:
    """Return the attributes that make segments: those that are text."""
    return [name for name in attributes if pa.types.is_string(schema.field(name).type)]


def find_segments(tables: Iterable[pa.Table], attributes: Sequence[str], shown: Sequence[str], limit: int) -> Segments:
    """Collect the observed combinations of attributes (cells) and the segments they form.

    Parameters
    ----------
    shown : the attributes that get segments, each singly; `all` comes first.

    Raises
    ------
    DataError : more cells than `limits.cells`.
    """
    cells: set[tuple[str, ...]] = set()
    for table in tables:
        if not attributes:
            break
        groups = table.select(list(attributes)).group_by(list(attributes)).aggregate([])
        cells.update(zip(*(fill(groups[name]).to_pylist() for name in attributes), strict=True))
        if len(cells) > limit:
            raise DataError(
                f"creatives.attributes: {', '.join(attributes)} form more than {limit} combinations; "
                "drop one or raise limits.cells"
            )
    ordered = sorted(cells) if attributes else [()]
    levels = tuple(tuple(sorted({cell[k] for cell in ordered})) for k in range(len(attributes)))
    code = np.array([[levels[k].index(cell[k]) for k in range(len(attributes))] for cell in ordered], np.int32)
    code = code.reshape(len(ordered), len(attributes))
    by, name, member = [ALL], [ALL], [np.ones(len(ordered), bool)]
    for k, attribute in enumerate(attributes):
        for level, text in enumerate(levels[k]) if attribute in shown else ():
            by.append(attribute)
            name.append(text)
            member.append(code[:, k] == level)
    return Segments(tuple(attributes), levels, code, tuple(by), tuple(name), np.array(member))


def cell_codes(table: pa.Table, segments: Segments) -> I64:
    """Return the cell of every creative, shape (N,)."""
    radix = np.cumprod([1, *(len(levels) for levels in segments.levels)])[:-1].astype(np.int64)
    key_C = segments.cell_level_CK.astype(np.int64) @ radix
    key_N = np.zeros(table.num_rows, np.int64)
    for attribute, levels, step in zip(segments.attributes, segments.levels, radix, strict=True):
        key_N += pc.index_in(fill(table[attribute]), pa.array(levels, pa.string())).to_numpy().astype(np.int64) * step
    order = np.argsort(key_C)
    return order[np.searchsorted(key_C[order], key_N)].astype(np.int64)


def overall(segments: Segments, cuts: Sequence[int] = ()) -> Segments:
    """Return the one segment of all creatives, as one cell; where time is cut, a cell and a segment for each piece.

    Pieces are segments by `piece`, named by their number; `piece_codes` are their cells.
    """
    numbers = range(len(cuts) + 1) if cuts else ()
    every = np.ones((1, max(len(numbers), 1)), bool)
    return replace(
        segments,
        attributes=(),
        levels=(),
        cell_level_CK=np.zeros((every.size, 0), np.int32),
        by=(*segments.by[:1], *(PIECE for _ in numbers)),
        name=(*segments.name[:1], *map(str, numbers)),
        member_GC=np.concatenate([every, np.eye(len(numbers), dtype=bool)]) if cuts else every,
    )


def piece_codes(time_N: I64, cuts: Sequence[int]) -> I64:
    """Return which piece of time each creative lies in: 0 before the first cut; a cut belongs to what follows it.

    time_N, cuts : microseconds since 1970 UTC; cuts rise.
    """
    return np.searchsorted(np.asarray(cuts, np.int64), time_N, "right").astype(np.int64)


def find_medians(tables: Iterable[pa.Table], segments: Segments) -> Medians:
    """Return the median known exposure of every cell."""
    known: dict[str, list[pa.Table]] = {"impressions": [], "spend": []}
    for table in tables:
        cells = pa.array(cell_codes(table, segments))
        for key, counts in known.items():
            if key in table.column_names:
                pair = pa.table({"cell": cells, "value": table[key]}).filter(pc.is_valid(table[key]))
                counts.append(pair.group_by(["cell", "value"]).aggregate([([], "count_all")]))
    sizes = len(segments.cell_level_CK)
    return Medians(*(_medians(known[key], sizes) for key in ("impressions", "spend")))


def fill(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Name the missing level."""
    return pc.fill_null(column, MISSING_LEVEL)


def _medians(counts: list[pa.Table], cells: int) -> I64:
    out = np.full(cells, -1, np.int64)
    if not counts or not sum(table.num_rows for table in counts):
        return out
    table = pa.concat_tables(counts).group_by(["cell", "value"]).aggregate([("count_all", "sum")])
    cell, value, count = (table[name].to_numpy() for name in ("cell", "value", "count_all_sum"))
    out[:] = _lower_median(value, count)
    for c in np.unique(cell):
        out[c] = _lower_median(value[cell == c], count[cell == c])
    return out


def _lower_median(value: I64, count: I64) -> int:
    order = np.argsort(value)
    below = np.cumsum(count[order])
    return int(value[order][np.searchsorted(below, (below[-1] + 1) // 2)])
