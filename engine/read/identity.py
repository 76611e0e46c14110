"""Content identity: which creatives show a model the same thing, and which of them owns it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from blake3 import blake3
from numpy.typing import NDArray

from engine.records import I64, U64

ID_BYTES = 16
_NULL, _TEXT = b"\0", b"\1"


def content_id(fields: Sequence[bytes | None]) -> bytes:
    """Return 16 bytes of blake3 over the length-prefixed raw fields; null is not empty."""
    digest = blake3()
    for field in fields:
        if field is None:
            digest.update(_NULL)
        else:
            digest.update(_TEXT + len(field).to_bytes(8, "little") + field)
    return digest.digest(ID_BYTES)


def content_ids(fields: Sequence[Sequence[bytes | None]]) -> pa.FixedSizeBinaryArray:
    """Return the id of every creative; `fields` holds one column of raw values per text field."""
    return pa.array([content_id(row) for row in zip(*fields, strict=True)], pa.binary(ID_BYTES))


def id_halves(ids: pa.ChunkedArray | pa.Array) -> tuple[U64, U64]:
    """Split ids into two big-endian uint64 halves, whose order is the order of the bytes."""
    flat = ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids
    assert flat.type == pa.binary(ID_BYTES)
    assert not flat.null_count
    raw = flat.buffers()[1] if len(flat) else b""
    halves: NDArray[np.uint64] = (
        np.frombuffer(raw, ">u8", 2 * len(flat), ID_BYTES * flat.offset).astype(np.uint64).reshape(-1, 2)
    )
    return np.ascontiguousarray(halves[:, 0]), np.ascontiguousarray(halves[:, 1])


def owned_rows(high_N: U64, low_N: U64) -> I64:
    """Return, in order, the positions at which a content appears for the first time (file order owns it)."""
    order = np.lexsort((low_N, high_N))  # stable: among equal contents the first stays first
    high, low = high_N[order], low_N[order]
    first = np.ones(len(order), bool)
    first[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
    return np.sort(order[first]).astype(np.int64)


def positions(table_high_U: U64, table_low_U: U64, high_N: U64, low_N: U64) -> I64:
    """Return where each wanted id stands in a table sorted by (high, low), -1 where it does not."""
    found = np.full(len(high_N), -1, np.int64)
    pending = np.arange(len(high_N))
    at = np.searchsorted(table_high_U, high_N).astype(np.int64)
    while len(pending):
        here = at[pending]
        inside = here < len(table_high_U)
        pending, here = pending[inside], here[inside]
        same_high = table_high_U[here] == high_N[pending]
        pending, here = pending[same_high], here[same_high]
        match = table_low_U[here] == low_N[pending]
        found[pending[match]] = here[match]
        pending = pending[~match]
        at[pending] += 1  # two contents that share the first half: look at the next entry
    return found
