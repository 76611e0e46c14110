"""History's own decisions as codes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.errors import DataError
from engine.read.columns import text_column
from engine.read.spec import CreativesSpec
from engine.records import F64, I16, I64


def logged_codes(table: pa.Table, spec: CreativesSpec, source: str) -> tuple[I16, F64, int]:
    """Return history's code (machine value × (values + 1) + final value), delivered share, and how many were scaled.

    Without decision columns everything counts as delivered. -1: no logged decision.
    """
    rows, size = table.num_rows, len(spec.logged)
    if "logged_decision" not in spec.columns:
        return np.full(rows, -1, np.int16), np.ones(rows), 0
    machine = _codes(table, spec.columns["logged_decision"], spec, source)
    final = np.full(rows, -1, np.int64)
    if "logged_final" in spec.columns:
        final = _codes(table, spec.columns["logged_final"], spec, source)
    code = np.where(machine < 0, -1, machine * (size + 1) + np.where(final < 0, size, final))
    share = np.array([value.delivered for value in spec.logged] + [0.0])
    delivered = share[np.where(final < 0, machine, final)]
    return code.astype(np.int16), delivered, int(((delivered > 0) & (delivered < 1)).sum())


def _codes(table: pa.Table, column: str, spec: CreativesSpec, source: str) -> I64:
    known = [value.value for value in spec.logged]
    text = text_column(table, column)
    codes = pc.index_in(text, pa.array(known, pa.string()))
    strange = pc.unique(text.filter(pc.and_(pc.is_null(codes), pc.is_valid(text)))).to_pylist()
    if strange:
        raise DataError(
            f"{source}: column {column} holds {strange[0]!r}, which creatives.decisions does not map "
            f"(it maps {', '.join(known)})"
        )
    return pc.fill_null(codes, -1).to_numpy(zero_copy_only=False).astype(np.int64)
