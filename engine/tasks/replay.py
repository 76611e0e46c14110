"""Creatives and scores of a shard → exact totals, and the rows that estimators need."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine import store
from engine.read.creatives import IN_FRAME, PROPENSITY, REFUSED
from engine.read.segments import Medians, cell_codes, piece_codes
from engine.records import I16, I64, LOGGED, NOT_ASKED, WEIGHTS, Receipt, ScoreTable, Segments, Shard, Totals
from engine.replay.replay import Creatives, replay, sum_whole
from engine.replay.weights import Exposure, impute, stack_weights
from engine.strategy import StrategyTable
from engine.tasks.creatives import CreativesPlan
from engine.tasks.work import Work


@dataclass(frozen=True)
class ReplayPlan:
    """What every worker of the replay shares.

    kept_ids : creatives whose outcomes are kept, None for all. whole : sum over all creatives alone, as one cell.
    cuts : instants at which the whole is cut into cells; exposure is filled by cell of attributes all the same.
    folded : sums by strategy are kept by segment, not by cell. threads : of one worker.
    """

    creatives: CreativesPlan
    table: StrategyTable
    segments: Segments
    medians: Medians | None
    scores: tuple[ScoreTable, ...]
    kept_ids: pa.Array | None
    pair: tuple[int, int] | None
    whole: bool = False
    cuts: tuple[int, ...] = ()
    folded: bool = False
    threads: int = 1

    @property
    def cells(self) -> int:
        """How many cells the totals have."""
        return len(self.cuts) + 1 if self.whole else len(self.segments.cell_level_CK)


@dataclass(frozen=True)
class ReplayTask:
    """Creatives and scores of a shard → cells/: exact totals, and the rows that estimators need."""

    folder: Path
    identity: str

    def open(self, shared: ReplayPlan) -> Work:
        """Return the work on one shard."""
        return lambda shard: self._replay(shard, shared)

    def _replay(self, shard: Shard, plan: ReplayPlan) -> Receipt:
        path = store.shard_path(self.folder, shard.number)
        done = store.find_committed(path, self.identity)
        if done is None:
            everything = plan.creatives.read(shard.number)
            table = plan.creatives.scored(everything)
            creatives = _as_creatives(table, plan)
            whole = None if table is everything else sum_whole(_as_creatives(everything, plan), plan.cells)
            kept = np.arange(table.num_rows)
            if plan.kept_ids is not None:
                kept = np.flatnonzero(pc.is_in(table["creative_id"], plan.kept_ids).to_numpy())
            members = plan.segments.member_GC if plan.folded else None
            replayed = replay(
                plan.table, creatives, plan.cells, kept, plan.pair, whole, member_GC=members, threads=plan.threads
            )
            rows = _kept_rows(table, creatives, plan, kept, replayed.outcome_Sn)
            store.commit_table(kept_path(self.folder, shard.number), rows, self.identity)
            done = store.commit_table(path, _totals_table(replayed.totals), self.identity)
        return Receipt(shard.number, str(done.path), shard.rows, done.hash)


def kept_path(folder: Path, number: int) -> Path:
    """Return where the kept rows of a shard lie."""
    return folder / f"kept-{number:05d}.parquet"


def as_creatives(
    table: pa.Table,
    plan: CreativesPlan,
    scores: tuple[ScoreTable, ...],
    segments: Segments,
    medians: Medians | None,
) -> Creatives:
    """Turn a creatives table into what the replay reads: scores joined by content, exposures imputed."""
    cell_N = cell_codes(table, segments)
    parts = {
        name: impute(_exposure(table, name), _guess(table, name, medians, cell_N)) for name in ("impressions", "spend")
    }
    frame_N = table[IN_FRAME].to_numpy().astype(np.uint8)
    return Creatives(plan.columns(table, scores), cell_N, frame_N, stack_weights(parts, table.num_rows))


def known_weights(table: pa.Table) -> I64:
    """Return the exposures that history knows, by records.WEIGHTS; nothing is filled in."""
    parts = {name: impute(_exposure(table, name), None) for name in ("impressions", "spend")}
    return stack_weights(parts, table.num_rows)


def read_totals(tables: list[pa.Table], shape: Totals) -> Totals:
    """Merge the totals of shards; `shape` is a zero of the right shape."""
    for table in tables:
        for part, sums in enumerate((shape.sum_SOFCW, shape.swap_OQCW, shape.whole_FCW)):
            chosen = table.filter(pc.equal(table["part"], part))
            np.add.at(sums.reshape(-1), chosen["at"].to_numpy(), chosen["sum"].to_numpy())
    return shape


def _as_creatives(table: pa.Table, plan: ReplayPlan) -> Creatives:
    found = as_creatives(table, plan.creatives, plan.scores, plan.segments, plan.medians)
    if not plan.whole:
        return found
    return replace(found, cell_N=piece_codes(table["submitted_at"].cast(pa.int64()).to_numpy(), plan.cuts))


def _totals_table(totals: Totals) -> pa.Table:
    """Return the sums that are not 0: part 0 is sum_SOFCW, 1 swap_OQCW, 2 whole_FCW, `at` the flat index."""
    parts = [sums.reshape(-1) for sums in (totals.sum_SOFCW, totals.swap_OQCW, totals.whole_FCW)]
    at = [np.flatnonzero(flat) for flat in parts]
    return pa.table(
        {
            "part": np.repeat(np.arange(3, dtype=np.int8), [len(x) for x in at]),
            "at": np.concatenate(at),
            "sum": np.concatenate([flat[x] for flat, x in zip(parts, at, strict=True)]),
        }
    )


def _exposure(table: pa.Table, name: str) -> Exposure:
    if name not in table.column_names:
        return Exposure(np.zeros(table.num_rows, np.int64), np.ones(table.num_rows, bool))
    column = table[name].combine_chunks()
    return Exposure(pc.fill_null(column, 0).to_numpy(), column.is_null().to_numpy(zero_copy_only=False))


def _guess(table: pa.Table, name: str, medians: Medians | None, cell_N: I64) -> I64 | None:
    if name == "impressions" and REFUSED in table.column_names:
        return np.asarray(pc.fill_null(table[REFUSED], -1).to_numpy())
    if medians is None or name not in table.column_names:
        return None
    return (medians.impressions_C if name == "impressions" else medians.spend_C)[cell_N]


def _kept_rows(table: pa.Table, creatives: Creatives, plan: ReplayPlan, kept: I64, outcome_Sn: I16) -> pa.Table:
    randomised = [PROPENSITY, LOGGED] if PROPENSITY in table.column_names else []
    chosen = table.select(["creative_id", "advertiser_id", "submitted_at", *randomised]).take(pa.array(kept))
    columns = {name: chosen[name] for name in chosen.column_names}
    columns["cell"] = pa.array(creatives.cell_N[kept])
    columns |= {name: pa.array(creatives.weight_NW[kept, w]) for w, name in enumerate(WEIGHTS)}
    scores = {column.name: column.values_N for column in creatives.columns if "." in column.name}
    columns |= {name: pa.array(np.where(v[kept] == NOT_ASKED, np.nan, v[kept])) for name, v in scores.items()}
    flat = pa.array(np.ascontiguousarray(outcome_Sn.T).reshape(-1), pa.int16())
    columns["outcome"] = pa.FixedSizeListArray.from_arrays(flat, len(plan.table.strategies))
    return pa.table(columns)
