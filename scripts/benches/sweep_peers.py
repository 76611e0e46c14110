"""NumPy, DuckDB, Polars and a plain compiled loop on the sweeps of the replay bench, each in the ways its users know.

All but the loop are given the codes of scores for nothing: small integers instead of floats. `grouped` ways first add
up creatives with equal codes, and are timed with it.
"""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import polars as pl
from numba import njit
from numpy_ways import numpy_bitmaps, numpy_grouped, numpy_rows
from sweep_task import Task, Way, portions
from sweeps import COLUMNS, SUMMED

from engine.records import F32, I64

# --- DuckDB ----------------------------------------------------------------------------------------------------------


def duckdb_rows(task: Task) -> I64:
    """Filtered aggregates, many strategies a scan."""
    return _duckdb(task, grouped=False)


def duckdb_grouped(task: Task) -> I64:
    """The same over groups of equal codes."""
    return _duckdb(task, grouped=True)


def duckdb_joined(task: Task) -> I64:
    """Groups joined with a table of strategies."""
    with _open_duckdb(task, grouped=True) as base:
        cells = "".join(f", {name}" for name in _cell_names(task))
        at = pl.DataFrame({"s": np.arange(len(task.sweep)), **{f"t{p}": task.at_SP[:, p] for p in range(COLUMNS)}})
        base.register("given", at.to_arrow())
        base.execute("CREATE TABLE strategies AS SELECT * FROM given")
        reached = " OR ".join(f"p{p} >= t{p}" for p in range(COLUMNS))
        sums = "sum(w0)::BIGINT, sum(w1)::BIGINT, sum(w2)::BIGINT"
        query = f"SELECT s{cells}, {sums} FROM creatives, strategies WHERE {reached} GROUP BY ALL"
        found = base.execute(query).fetchnumpy()
    columns = [np.asarray(values) for values in found.values()]
    sum_SC3 = np.zeros((len(task.sweep), task.cells, 3), np.int64)
    cell = columns[1] if cells else np.zeros(len(columns[0]), np.int64)
    sum_SC3[columns[0], cell] = np.stack(columns[-3:], axis=1)
    return task.by_segment(sum_SC3)


def _duckdb(task: Task, *, grouped: bool) -> I64:
    sum_SC3 = np.zeros((len(task.sweep), task.cells, 3), np.int64)
    by = "".join(f"{name}, " for name in _cell_names(task))
    with _open_duckdb(task, grouped=grouped) as base:
        for start, at_SP in portions(task):
            reached = [" OR ".join(f"p{p} >= {t}" for p, t in enumerate(at_P)) for at_P in at_SP.tolist()]
            sums = [f"coalesce(sum(w{w}) FILTER (WHERE {x}), 0)::BIGINT" for x in reached for w in range(3)]
            found = base.execute(
                f"SELECT {by}{', '.join(sums)} FROM creatives {'GROUP BY cell' if by else ''}"
            ).fetchall()
            for row in found:
                cell, values = (row[0], row[1:]) if by else (0, row)
                sum_SC3[start : start + len(at_SP), cell] = np.array(values, np.int64).reshape(-1, 3)
    return task.by_segment(sum_SC3)


def _open_duckdb(task: Task, *, grouped: bool) -> duckdb.DuckDBPyConnection:
    base = duckdb.connect()
    base.register("given", _frame(task).to_arrow())
    if grouped:
        keys = ", ".join([*_cell_names(task), *(f"p{p}" for p in range(COLUMNS))])
        sums = ", ".join(f"sum(w{w})::BIGINT AS w{w}" for w in range(3))
        base.execute(f"CREATE TABLE creatives AS SELECT {keys}, {sums} FROM given GROUP BY {keys}")
    else:
        base.execute("CREATE VIEW creatives AS SELECT * FROM given")
    return base


# --- Polars ----------------------------------------------------------------------------------------------------------


def polars_rows(task: Task) -> I64:
    """Masked sums, many strategies a scan."""
    return _polars(task, _frame(task))


def polars_grouped(task: Task) -> I64:
    """The same over groups of equal codes."""
    keys = [*_cell_names(task), *(f"p{p}" for p in range(COLUMNS))]
    return _polars(task, _frame(task).group_by(keys).agg(pl.col(f"w{w}").sum() for w in range(3)))


def _polars(task: Task, frame: pl.DataFrame) -> I64:
    sum_SC3 = np.zeros((len(task.sweep), task.cells, 3), np.int64)
    for start, at_SP in portions(task):
        sums = []
        for s, at_P in enumerate(at_SP.tolist()):
            reached = pl.any_horizontal(pl.col(f"p{p}") >= at for p, at in enumerate(at_P))
            sums += [pl.col(f"w{w}").filter(reached).sum().alias(f"{s}.{w}") for w in range(3)]
        if task.cells == 1:
            sum_SC3[start : start + len(at_SP), 0] = frame.lazy().select(sums).collect().to_numpy().reshape(-1, 3)
            continue
        found = frame.lazy().group_by("cell").agg(sums).collect()
        values = found.drop("cell").to_numpy().reshape(len(found), -1, 3)
        sum_SC3[start : start + len(at_SP), found["cell"].to_numpy()] = values.transpose(1, 0, 2)
    return task.by_segment(sum_SC3)


# --- A plain loop ----------------------------------------------------------------------------------------------------


def plain_loop(task: Task) -> I64:
    """One compiled loop over strategies and creatives, scores as they come."""
    sum_SC3 = np.zeros((len(task.sweep), task.cells, 3), np.int64)
    weight_N3 = np.ascontiguousarray(task.world.weight_NW[:, SUMMED])
    _loop(np.ascontiguousarray(task.world.score_PN.T), task.sweep.threshold_SP, task.cell_N, weight_N3, sum_SC3)
    return task.by_segment(sum_SC3)


@njit(nogil=True)
def _loop(score_NP: F32, threshold_SP: F32, cell_N: I64, weight_N3: I64, sum_SC3: I64) -> None:
    for s in range(len(threshold_SP)):
        for n in range(len(score_NP)):
            for p in range(score_NP.shape[1]):
                if score_NP[n, p] >= threshold_SP[s, p]:
                    for w in range(3):
                        sum_SC3[s, cell_N[n], w] += weight_N3[n, w]
                    break


def _frame(task: Task) -> pl.DataFrame:
    columns: dict[str, Any] = {f"p{p}": code_N for p, code_N in enumerate(task.code_PN)}
    columns |= {f"w{i}": np.ascontiguousarray(task.world.weight_NW[:, w]) for i, w in enumerate(SUMMED)}
    return pl.DataFrame(columns | ({"cell": task.cell_N.astype(np.int32)} if task.cells > 1 else {}))


def _cell_names(task: Task) -> list[str]:
    return ["cell"] if task.cells > 1 else []


PEERS: dict[str, tuple[Way, ...]] = {
    "numpy": (numpy_rows, numpy_grouped, numpy_bitmaps),
    "duckdb": (duckdb_rows, duckdb_grouped, duckdb_joined),
    "polars": (polars_rows, polars_grouped),
}
