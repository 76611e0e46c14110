"""Pictures of creatives: encoded files in binary columns, or at paths; one or a list of them per column.

They are streamed, a few rows at a time: a shard of pictures does not fit into memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.read.identity import ID_BYTES, content_id
from engine.read.shards import read_bytes, stream_shard_columns
from engine.records import Reading, Shard

Check = Callable[[bytes | None], str | None]
NO_PICTURE = content_id(())  # what creatives without any picture have in common
ROWS = 64  # read at once
UNREAD = "image file cannot be read"


@dataclass(frozen=True)
class ReadPictures:
    """ids: the content id of each row of a shard, per image reading. reason_N: why a row cannot be used, "" if it can.

    counts : pictures looked at, creatives without any, pictures left out by their reason.
    """

    ids: dict[int, pa.Array]
    reason_N: NDArray[np.object_]
    counts: dict[str, int]


def picture_rows(table: pa.Table, columns: Sequence[str], most: int | None = None) -> list[tuple[bytes | None, ...]]:
    """Return the files of each row, those of a list one after the other; a null value or an empty list is no picture.

    most : bytes; of a longer file at a path only so many (and one more) are read.
    """
    rows: list[list[bytes | None]] = [[] for _ in range(table.num_rows)]
    for column in columns:
        for row, value in zip(rows, table[column].to_pylist(), strict=True):
            values = value if isinstance(value, list) else [value]
            row += [_file(each, most) for each in values if each is not None]
    return [tuple(row) for row in rows]


def read_pictures(shard: Shard, readings: Sequence[Reading], check: Check, most: int, *, skip: bool) -> ReadPictures:
    """Identify and check the pictures of every row of a shard.

    Parameters
    ----------
    check : why a file is no usable picture, None where it is. skip : leave a bad picture out instead of its creative.
    """
    ids: dict[int, list[bytes]] = {reading.number: [] for reading in readings}
    reasons: list[str] = []
    counts = {"pictures": 0, "no_picture": 0}
    columns = list(dict.fromkeys(column for reading in readings for column in reading.columns))
    for table in stream_shard_columns(shard, columns, ROWS):
        every = picture_rows(table, columns, most)
        bad = [[found for picture in row if (found := _why(picture, check)) is not None] for row in every]
        counts["pictures"] += sum(map(len, every))
        counts["no_picture"] += sum(not row for row in every)
        for found in (reason for row in bad for reason in row):
            counts[found] = counts.get(found, 0) + 1
        reasons += [row[0] if row and not skip else "" for row in bad]
        for reading in readings:
            rows = every if list(reading.columns) == columns else picture_rows(table, reading.columns, most)
            ids[reading.number] += [content_id(row) for row in rows]
    arrays = {number: pa.array(found, pa.binary(ID_BYTES)) for number, found in ids.items()}
    return ReadPictures(arrays, np.array(reasons, object), counts)


def _why(picture: bytes | None, check: Check) -> str | None:
    return UNREAD if picture is None else check(picture)


def _file(value: bytes | str, most: int | None) -> bytes | None:
    """Return the bytes of a picture, None where its path cannot be read."""
    return value if isinstance(value, bytes) else read_bytes(value, most)
