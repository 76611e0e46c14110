"""What a worker does with a shard. Here and in `pipeline` stages meet; nowhere else.

Each task commits its output and hands back a receipt; a shard whose output is already committed costs one look.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from engine import store
from engine.errors import DataError
from engine.read.columns import as_column
from engine.read.creatives import CONTENT_ID, IN_FRAME, REFUSED, ROW, read_creatives
from engine.read.identity import id_halves, positions
from engine.read.segments import Medians, cell_codes
from engine.read.shards import read_shard_columns
from engine.read.spec import CreativesSpec
from engine.read.text import as_contents, raw_fields
from engine.records import I16, I64, LOGGED, WEIGHTS, Receipt, ScoreTable, Segments, Shard, Totals
from engine.replay.replay import Creatives, replay
from engine.replay.weights import Exposure, impute, stack_weights
from engine.score.open import machine_facts
from engine.score.text import HuggingFaceText
from engine.strategy import StrategyTable

Work = Callable[[Shard], Receipt]


@dataclass(frozen=True)
class ReadTask:
    """Lake → creatives/shard-00000.parquet (and quarantined rows beside it)."""

    folder: Path
    identity: str

    def open(self, shared: CreativesSpec) -> Work:
        """Return the work on one shard."""
        return lambda shard: self._read(shard, shared)

    def _read(self, shard: Shard, spec: CreativesSpec) -> Receipt:
        path = store.shard_path(self.folder, shard.number)
        done = store.find_committed(path, self.identity)
        if done is None:
            read = read_creatives(shard, spec)
            store.commit_table(quarantine_path(self.folder, shard.number), read.quarantine, self.identity)
            done = store.commit_table(path, read.creatives, self.identity, read.counts)
        return done.receipt(shard.number)


def quarantine_path(folder: Path, number: int) -> Path:
    """Return where the quarantined rows of a shard lie."""
    return folder / f"quarantine-{number:05d}.parquet"


@dataclass(frozen=True)
class ModelPlan:
    """A model of the run: where its scores go, what makes them, and how a worker opens it."""

    name: str
    folder: Path
    identity: str
    fingerprint: str
    open: Callable[[], HuggingFaceText]

    def committed(self, number: int) -> store.Committed | None:
        """Return the committed scores of a shard, if any."""
        return store.find_committed(store.shard_path(self.folder, number), self.identity)


@dataclass(frozen=True)
class ScoreTask:
    """Contents that a shard owns → scores/<model>/shard-00000.parquet, for every model of the run."""

    models: tuple[ModelPlan, ...]
    text: tuple[str, ...]
    text_bytes: int
    missing_allowed: bool
    owned: Path

    def open(self, shared: None) -> Work:  # noqa: ARG002 - workers read what they own from disk
        """Load the models; return the work on one shard."""
        scorers = [(plan, plan.open()) for plan in self.models]
        for plan, scorer in scorers:
            plan.folder.mkdir(parents=True, exist_ok=True)
            store.write_whole(worker_path(plan.folder), json.dumps(machine_facts(scorer)).encode())
        owned = pq.read_table(self.owned)
        return lambda shard: self._score(shard, scorers, owned)

    def _score(self, shard: Shard, scorers: list[tuple[ModelPlan, HuggingFaceText]], owned: pa.Table) -> Receipt:
        row = owned[ROW].to_numpy()
        first, last = np.searchsorted(row, [shard.first_row, shard.first_row + shard.rows])
        mine = owned.slice(first, last - first)
        table = read_shard_columns(shard, list(self.text)).take(pa.array(row[first:last] - shard.first_row))
        contents = as_contents(raw_fields(table, self.text), self.text_bytes)
        hashes = []
        for plan, scorer in scorers:
            done = plan.committed(shard.number)
            if done is None:
                cut = scorer.facts().cut
                score_UP = scorer.score(contents)
                if np.isnan(score_UP).any() and not self.missing_allowed:
                    raise DataError(
                        f"model {plan.name} ({scorer.folder.path}) gave {int(np.isnan(score_UP).sum())} NaN scores; "
                        "mend the model or set creatives.on_missing_score: review"
                    )
                columns = {CONTENT_ID: mine[CONTENT_ID]}
                columns |= {policy: pa.array(score_UP[:, p]) for p, policy in enumerate(scorer.policies)}
                facts = {"fingerprint": plan.fingerprint, "model": plan.name, "cut": scorer.facts().cut - cut}
                path = store.shard_path(plan.folder, shard.number)
                done = store.commit_table(path, pa.table(columns), plan.identity, facts)
            hashes.append(done.hash)
        return Receipt(shard.number, str(self.models[0].folder.parent), len(contents), store.fingerprint(hashes))


def worker_path(folder: Path) -> Path:
    """Return where a worker writes down what its machine does to a model's scores."""
    return folder / "worker.json"


@dataclass(frozen=True)
class ReplayPlan:
    """What every worker of the replay shares. kept_ids: creatives whose outcomes are kept, None for all.

    dropped : rows that are left out (duplicates), sorted.
    """

    table: StrategyTable
    segments: Segments
    medians: Medians | None
    scores: ScoreTable
    attributes: tuple[str, ...]
    brought: tuple[str, ...]
    kept_ids: pa.Array | None
    dropped: I64
    pair: tuple[int, int] | None


@dataclass(frozen=True)
class ReplayTask:
    """Creatives and scores of a shard → cells/: exact totals, and the rows that estimators need."""

    creatives: Path
    creatives_identity: str
    folder: Path
    identity: str

    def open(self, shared: ReplayPlan) -> Work:
        """Return the work on one shard."""
        return lambda shard: self._replay(shard, shared)

    def _replay(self, shard: Shard, plan: ReplayPlan) -> Receipt:
        path = store.shard_path(self.folder, shard.number)
        done = store.find_committed(path, self.identity)
        if done is None:
            source = store.find_committed(store.shard_path(self.creatives, shard.number), self.creatives_identity)
            assert source is not None, "the read stage came first"
            table = store.read_committed(source)
            if len(plan.dropped):
                table = table.filter(pa.array(~np.isin(table[ROW].to_numpy(), plan.dropped)))
            creatives = as_creatives(table, plan)
            kept = np.arange(table.num_rows)
            if plan.kept_ids is not None:
                kept = np.flatnonzero(pc.is_in(table["creative_id"], plan.kept_ids).to_numpy())
            replayed = replay(plan.table, creatives, len(plan.segments.cell_level_CK), kept, plan.pair)
            rows = _kept_rows(table, creatives, plan, kept, replayed.outcome_Sn)
            store.commit_table(kept_path(self.folder, shard.number), rows, self.identity)
            done = store.commit_table(path, _totals_table(replayed.totals), self.identity)
        return Receipt(shard.number, str(done.path), shard.rows, done.hash)


def kept_path(folder: Path, number: int) -> Path:
    """Return where the kept rows of a shard lie."""
    return folder / f"kept-{number:05d}.parquet"


def as_creatives(table: pa.Table, plan: ReplayPlan) -> Creatives:
    """Turn a creatives table into what the replay reads: scores joined by content, exposures imputed."""
    rows = table.num_rows
    columns = [as_column(name, table[name]) for name in (*plan.attributes, *plan.brought, LOGGED)]
    columns = [c if c.name != LOGGED else as_column(LOGGED, table[LOGGED].cast(pa.float64())) for c in columns]
    if plan.scores.names:
        at = positions(plan.scores.key_high_U, plan.scores.key_low_U, *id_halves(table[CONTENT_ID]))
        assert (at >= 0).all(), "every content was scored"
        columns += [
            as_column(name, pa.array(values[at]))
            for name, values in zip(plan.scores.names, plan.scores.values_KU, strict=True)
        ]
    cell_N = cell_codes(table, plan.segments)
    parts = {
        name: impute(_exposure(table, name), _guess(table, name, plan, cell_N)) for name in ("impressions", "spend")
    }
    frame_N = table[IN_FRAME].to_numpy().astype(np.uint8)
    return Creatives(tuple(columns), cell_N, frame_N, stack_weights(parts, rows))


def read_totals(tables: list[pa.Table], shape: Totals) -> Totals:
    """Merge the totals of shards; `shape` is a zero of the right shape."""
    for table in tables:
        for part, sums in enumerate((shape.sum_SOFCW, shape.swap_OQCW)):
            chosen = table.filter(pc.equal(table["part"], part))
            np.add.at(sums.reshape(-1), chosen["at"].to_numpy(), chosen["sum"].to_numpy())
    return shape


def _totals_table(totals: Totals) -> pa.Table:
    """Return the sums that are not 0: part 0 is sum_SOFCW, part 1 swap_OQCW, `at` the flat index."""
    parts = [sums.reshape(-1) for sums in (totals.sum_SOFCW, totals.swap_OQCW)]
    at = [np.flatnonzero(flat) for flat in parts]
    return pa.table(
        {
            "part": np.repeat(np.arange(2, dtype=np.int8), [len(x) for x in at]),
            "at": np.concatenate(at),
            "sum": np.concatenate([flat[x] for flat, x in zip(parts, at, strict=True)]),
        }
    )


def _exposure(table: pa.Table, name: str) -> Exposure:
    if name not in table.column_names:
        return Exposure(np.zeros(table.num_rows, np.int64), np.ones(table.num_rows, bool))
    column = table[name].combine_chunks()
    return Exposure(pc.fill_null(column, 0).to_numpy(), column.is_null().to_numpy(zero_copy_only=False))


def _guess(table: pa.Table, name: str, plan: ReplayPlan, cell_N: I64) -> I64 | None:
    if name == "impressions" and REFUSED in table.column_names:
        return np.asarray(pc.fill_null(table[REFUSED], -1).to_numpy())
    if plan.medians is None or name not in table.column_names:
        return None
    return (plan.medians.impressions_C if name == "impressions" else plan.medians.spend_C)[cell_N]


def _kept_rows(table: pa.Table, creatives: Creatives, plan: ReplayPlan, kept: I64, outcome_Sn: I16) -> pa.Table:
    chosen = table.select(["creative_id", "advertiser_id", "submitted_at"]).take(pa.array(kept))
    columns = {name: chosen[name] for name in chosen.column_names}
    columns["cell"] = pa.array(creatives.cell_N[kept])
    columns |= {name: pa.array(creatives.weight_NW[kept, w]) for w, name in enumerate(WEIGHTS)}
    scores = {column.name: column.values_N for column in creatives.columns if "." in column.name}
    columns |= {name: pa.array(values[kept]) for name, values in scores.items()}
    flat = pa.array(np.ascontiguousarray(outcome_Sn.T).reshape(-1), pa.int16())
    columns["outcome"] = pa.FixedSizeListArray.from_arrays(flat, len(plan.table.strategies))
    return pa.table(columns)
