"""Raw text fields of creatives as a model may read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from engine.records import Contents


@dataclass(frozen=True)
class TextCounts:
    """How many creatives fell under each rule for text (they are scored all the same)."""

    null_text: int
    empty_text: int
    clipped_text: int
    invalid_utf8: int


def raw_fields(table: pa.Table, columns: Sequence[str]) -> list[list[bytes | None]]:
    """Return the bytes of each text column, valid UTF-8 or not."""
    return [_binary(table.column(name)).to_pylist() for name in columns]


def count_text(fields: Sequence[Sequence[bytes | None]], limit: int) -> TextCounts:
    """Count creatives whose text is all null, all empty, longer than `limit` bytes, or broken UTF-8."""
    null = empty = clipped = broken = 0
    for row in zip(*fields, strict=True):
        null += all(field is None for field in row)
        empty += any(field is not None for field in row) and not any(row)
        clipped += any(field is not None and len(field) > limit for field in row)
        broken += any(field is not None and not field.isascii() and not _is_utf8(field) for field in row)
    return TextCounts(null, empty, clipped, broken)


def as_contents(fields: Sequence[Sequence[bytes | None]], limit: int) -> Contents:
    """Decode what a model reads: cut to `limit` bytes, broken bytes replaced, null kept as None."""
    return Contents(tuple(tuple(_decode(field, limit) for field in row) for row in zip(*fields, strict=True)))


def _decode(field: bytes | None, limit: int) -> str | None:
    return None if field is None else field[:limit].decode("utf-8", errors="replace")


def _is_utf8(field: bytes) -> bool:
    try:
        field.decode()
    except UnicodeDecodeError:
        return False
    return True


def _binary(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.cast(pa.large_binary())
