"""Columns of a lake → columns of the engine."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.errors import DataError
from engine.records import F64, Column


def plain_column(table: pa.Table, name: str) -> pa.Array:
    """Return one flat array, dictionaries decoded."""
    column = table.column(name).combine_chunks()
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def text_column(table: pa.Table, name: str) -> pa.Array:
    """Return a column as text; integers in digits."""
    return plain_column(table, name).cast(pa.string())


def time_column(table: pa.Table, name: str, source: str) -> pa.Array:
    """Return a column as UTC microseconds; finer clocks are cut.

    Raises
    ------
    DataError : a time that microseconds since 1970 cannot hold.
    """
    options = pc.CastOptions(pa.timestamp("us", tz="UTC"), allow_time_truncate=True)
    try:
        return plain_column(table, name).cast(options=options)
    except pa.ArrowInvalid as error:
        raise DataError(f"{source}: column {name}: {error}") from None


def attribute_column(table: pa.Table, name: str, source: str) -> pa.Array:
    """Return an attribute: numbers as float64, everything else as text.

    Raises
    ------
    DataError : an integer that float64 cannot hold exactly.
    """
    column = plain_column(table, name)
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        try:
            return column.cast(pa.float64())
        except pa.ArrowInvalid as error:
            raise DataError(f"{source}: column {name}: {error}; bring it as text") from None
    if pa.types.is_boolean(kind):
        return pc.if_else(column, "true", "false")
    return text_column(table, name)


def exposure_column(table: pa.Table, column: str, unit: float, delivered: F64) -> pa.Array:
    """Return integers in `unit`; what a LIMIT delivered is divided by its share; null where nothing was delivered."""
    values = plain_column(table, column).cast(pa.float64(), safe=False)
    number = pc.fill_null(values, np.nan).to_numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        whole = np.rint(number / unit / delivered)
    missing = ~np.isfinite(whole) | (delivered <= 0)
    return pa.array(np.where(missing, 0, whole).astype(np.int64), mask=missing)


def propensity_column(table: pa.Table, column: str, source: str) -> pa.Array:
    """Return the probability with which history took its decision; 1 where it is null: that was not randomised.

    Raises
    ------
    DataError : one that is no number in (0, 1].
    """
    number = pc.fill_null(plain_column(table, column).cast(pa.float64()), 1.0).to_numpy()
    bad = ~((number > 0) & (number <= 1))
    if bad.any():
        raise DataError(
            f"{source}: column {column} (creatives.columns.propensity) has {int(bad.sum())} values outside (0, 1] "
            f"(first: {number[bad][0]:g}); null says that a decision was not randomised"
        )
    return pa.array(number)


def as_column(name: str, values: pa.Array | pa.ChunkedArray) -> Column:
    """Turn an Arrow column into what rules read: codes and levels for text, floats for numbers."""
    flat = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if not pa.types.is_string(flat.type):
        if pa.types.is_floating(flat.type) and flat.null_count:
            flat = pc.fill_null(flat, np.nan)
        return Column(name, flat.to_numpy(zero_copy_only=False))
    encoded = flat.dictionary_encode()
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int32)
    return Column(name, codes, tuple(encoded.dictionary.to_pylist()))


def checked_scores(column: pa.Array, where: str, missing_allowed: bool) -> pa.Array:
    """Return brought scores in their own float dtype, NaN where missing.

    Raises
    ------
    DataError : a missing score that no rule covers, or one outside [0, 1].
    """
    values = pc.fill_null(column, np.nan) if column.null_count else column
    number = values.to_numpy(zero_copy_only=False)
    missing = np.isnan(number)
    if missing.any() and not missing_allowed:
        row = int(np.flatnonzero(missing)[0])
        raise DataError(
            f"{where} has {int(missing.sum())} missing scores (NaN or null; first in row {row} of the shard); "
            "mend them or set creatives.on_missing_score: review"
        )
    outside = ~missing & ~((number >= 0) & (number <= 1))
    if outside.any():
        worst = number[outside][0]
        raise DataError(f"{where} has {int(outside.sum())} scores outside [0, 1] (first: {worst}); bring probabilities")
    return values
