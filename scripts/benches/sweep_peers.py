"""NumPy, DuckDB, Polars and a plain compiled loop on the sweeps of the replay bench, each in the ways its users know.

All but the loop are given the codes of scores for nothing: small integers instead of floats. `grouped` ways first add
up creatives with equal codes, and are timed with it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import polars as pl
from numba import njit
from numpy.typing import NDArray
from sweeps import COLUMNS, LEVELS, SUMMED, Sweep, World, cells_of, members

from engine.records import F32, F64, I64, Flags

_BLOCK = 1 << 14
_TOGETHER = 25  # strategies in one query or matrix


@dataclass(frozen=True)
class Task:
    """A sweep over a world in codes: a score reaches threshold s of column p where code_PN[p] >= at_SP[s, p]."""

    sweep: Sweep
    world: World
    code_PN: NDArray[np.unsignedinteger]
    at_SP: I64
    cell_N: I64
    cells: int

    def part(self, count: int) -> Task:
        """Return the task of the first strategies alone."""
        return Task(self.sweep.part(count), self.world, self.code_PN, self.at_SP[:count], self.cell_N, self.cells)

    def allowed_SC(self) -> Flags | None:
        """Return in which cells a strategy rejects, None where everywhere."""
        if not self.sweep.allowed:
            return None
        sizes = tuple(LEVELS.values())
        level_KC = np.unravel_index(np.arange(self.cells), sizes)
        return np.logical_and.reduce([t[:, levels] for t, levels in zip(self.sweep.allowed, level_KC, strict=True)])

    def by_segment(self, sum_SC3: I64) -> I64:
        """Keep what a strategy rejects and add cells up to segments."""
        allowed = self.allowed_SC()
        kept = sum_SC3 if allowed is None else sum_SC3 * allowed[:, :, None]
        return np.einsum("scw,gc->sgw", kept, members(self.sweep).astype(np.int64), optimize=True)


Way = Callable[[Task], I64]


def as_task(sweep: Sweep, world: World) -> Task:
    """Find the codes."""
    dtype = np.uint8 if sweep.kind == "grid" else np.uint16  # thresholds of a column are at most a few thousand
    code_PN = np.empty(world.score_PN.shape, dtype)
    at_SP = np.empty(sweep.threshold_SP.shape, np.int64)
    for p in range(COLUMNS):
        edges = np.unique(sweep.threshold_SP[:, p])
        code_PN[p] = np.searchsorted(edges, world.score_PN[p], side="right")
        at_SP[:, p] = np.searchsorted(edges, sweep.threshold_SP[:, p]) + 1
    return Task(sweep, world, code_PN, at_SP, *cells_of(sweep, world))


# --- NumPy -----------------------------------------------------------------------------------------------------------


def numpy_rows(task: Task) -> I64:
    """Compare in blocks that stay in cache, on all cores; sums by matrix products, exact below 2^53."""
    if task.cells == 1:
        return _numpy(task, task.code_PN, task.cell_N, task.world.weight_NW[:, SUMMED].astype(np.float64))
    order = np.argsort(task.cell_N, kind="stable")
    weight_N3 = task.world.weight_NW[order][:, SUMMED].astype(np.float64)
    return _numpy(task, task.code_PN[:, order], task.cell_N[order], weight_N3)


def numpy_grouped(task: Task) -> I64:
    """The same over groups of equal codes."""
    first_U, weight_U3 = _numpy_groups(task)
    return _numpy(task, task.code_PN[:, first_U], task.cell_N[first_U], weight_U3)


def numpy_bitmaps(task: Task) -> I64:
    """Groups; one packed bitmap per threshold, joined for every strategy; sums by matrix products."""
    if task.sweep.kind != "grid":
        raise NotImplementedError("a bitmap per threshold and row does not fit in memory")
    first_U, weight_U3 = _numpy_groups(task)
    steps = np.arange(int(task.at_SP.max()) + 1, dtype=np.uint8)[:, None]
    bitmaps = [np.packbits(code_U >= steps, axis=1) for code_U in task.code_PN[:, first_U]]
    size = bitmaps[0].shape[1]
    weight_B3 = np.zeros((8 * size, 3))
    weight_B3[: len(weight_U3)] = weight_U3

    def block(start: int) -> I64:
        at = slice(start, min(start + _BLOCK // 8, size))
        sums = []
        for _, at_SP in _portions(task):
            joined = bitmaps[0][at_SP[:, 0], at]
            for p in range(1, COLUMNS):
                joined |= bitmaps[p][at_SP[:, p], at]
            sums.append(np.unpackbits(joined, axis=1).astype(np.float64) @ weight_B3[8 * at.start : 8 * at.stop])
        return np.concatenate(sums).astype(np.int64)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return np.sum(list(pool.map(block, range(0, size, _BLOCK // 8))), axis=0)[:, None]


def _numpy_groups(task: Task) -> tuple[I64, F64]:
    """Return one row of every group, and the group's weights."""
    codes = int(task.code_PN.max()) + 1
    if task.cells * codes**COLUMNS >= 1 << 64:
        raise NotImplementedError("a key of codes and cell does not fit 64 bits")
    key_N = task.cell_N.astype(np.uint64)
    for code_N in task.code_PN:
        key_N *= np.uint64(codes)
        key_N += code_N
    _, first_U, group_N = np.unique(key_N, return_index=True, return_inverse=True)
    weights = [np.bincount(group_N, np.ascontiguousarray(task.world.weight_NW[:, w])) for w in SUMMED]
    return first_U, np.stack(weights, axis=1)


def _numpy(task: Task, code_PN: NDArray[np.unsignedinteger], cell_N: I64, weight_N3: F64) -> I64:
    """Rows come in the order of their cells; where a strategy rejects nothing of a cell it is not compared."""
    bounds = np.searchsorted(cell_N, np.arange(task.cells + 1))
    stretches = [
        (cell, slice(first, min(first + _BLOCK, bounds[cell + 1])))
        for cell in range(task.cells)
        for first in range(bounds[cell], bounds[cell + 1], _BLOCK)
    ]
    allowed_SC = task.allowed_SC()
    at_SP = task.at_SP.astype(code_PN.dtype)

    def block(stretch: tuple[int, slice]) -> I64:
        cell, at = stretch
        chosen = np.arange(len(at_SP)) if allowed_SC is None else np.flatnonzero(allowed_SC[:, cell])
        sum_S3 = np.zeros((len(at_SP), 3), np.int64)
        sum_S3[chosen] = _numpy_block(at_SP[chosen], code_PN[:, at], weight_N3[at])
        return sum_S3

    sum_SC3 = np.zeros((len(at_SP), task.cells, 3), np.int64)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for (cell, _), sum_S3 in zip(stretches, pool.map(block, stretches), strict=True):
            sum_SC3[:, cell] += sum_S3
    return task.by_segment(sum_SC3)


def _numpy_block(at_SP: NDArray[np.unsignedinteger], code_PB: NDArray[np.unsignedinteger], weight_B3: F64) -> I64:
    size = code_PB.shape[1]
    mask_B, other_B = np.empty(size, bool), np.empty(size, bool)
    flags_SB = np.empty((_TOGETHER, size), np.float64)
    sum_S3 = np.empty((len(at_SP), 3), np.int64)
    for start in range(0, len(at_SP), _TOGETHER):
        chosen = at_SP[start : start + _TOGETHER]
        for s, at_P in enumerate(chosen):
            np.greater_equal(code_PB[0], at_P[0], out=mask_B)
            for p in range(1, COLUMNS):
                np.greater_equal(code_PB[p], at_P[p], out=other_B)
                np.logical_or(mask_B, other_B, out=mask_B)
            flags_SB[s] = mask_B
        sum_S3[start : start + len(chosen)] = flags_SB[: len(chosen)] @ weight_B3
    return sum_S3


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
        for start, at_SP in _portions(task):
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
    for start, at_SP in _portions(task):
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


def _portions(task: Task) -> Iterator[tuple[int, I64]]:
    for start in range(0, len(task.sweep), _TOGETHER):
        yield start, task.at_SP[start : start + _TOGETHER]


PEERS: dict[str, tuple[Way, ...]] = {
    "numpy": (numpy_rows, numpy_grouped, numpy_bitmaps),
    "duckdb": (duckdb_rows, duckdb_grouped, duckdb_joined),
    "polars": (polars_rows, polars_grouped),
}
