"""The five stages: each maps its task over the shards and gathers what the next one needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from engine import store
from engine.config.sections import Config
from engine.errors import DataError
from engine.execute import Executor, Needs, Task
from engine.prepare import Prepared
from engine.progress import Progress
from engine.read.creatives import CONTENT_ID, ROW
from engine.read.duplicates import dropped_rows
from engine.read.identity import id_halves, owned_rows
from engine.read.segments import Medians, categorical, find_medians, find_segments
from engine.records import U64, WEIGHTS, ScoreTable, Segments, Shard, Totals
from engine.score.open import open_scorer
from engine.strategy import Strategy, columns_read
from engine.tasks import (
    ModelPlan,
    ReadTask,
    ReplayPlan,
    ReplayTask,
    ScoreTask,
    kept_path,
    quarantine_path,
    read_totals,
)

_SHOWN_QUARANTINE = 3


@dataclass(frozen=True)
class Run:
    """One run under way: its config, what was checked, where it writes and runs."""

    config: Config
    prepared: Prepared
    directory: store.RunDirectory
    identity: str
    executor: Executor
    progress: Progress

    @property
    def creatives(self) -> Path:
        return self.directory.path / "creatives"

    @property
    def shards(self) -> tuple[Shard, ...]:
        return self.prepared.source.shards

    def tables(self, columns: list[str] | None = None) -> Iterator[pa.Table]:
        """Yield the creatives of each shard, in order."""
        for shard in self.shards:
            table = _committed(store.shard_path(self.creatives, shard.number), self.identity)
            yield table if columns is None else table.select(columns)


@dataclass(frozen=True)
class Creatives:
    """What the read stage found. dropped: rows of duplicate ids that on_duplicate leaves out."""

    counts: dict[str, int]
    dropped: np.ndarray
    quarantine: pa.Table


@dataclass(frozen=True)
class Scored:
    """Scores of the contents of the run, and how many were scored now rather than found."""

    table: ScoreTable
    contents: int
    scored_now: dict[str, int]


@dataclass(frozen=True)
class Replayed:
    """Merged totals and the kept rows of all shards."""

    totals: Totals
    segments: Segments
    kept: pa.Table


def read_stage(run: Run) -> Creatives:
    """Read every shard; refuse duplicates and too many quarantined rows.

    Raises
    ------
    DataError : more quarantined than limits.quarantine_share, or duplicate ids under on_duplicate: stop.
    """
    task = ReadTask(run.creatives, run.identity)
    _map(run, "read", task, run.shards, Needs(), run.prepared.spec)
    counts: dict[str, int] = {}
    for table in (_committed(store.shard_path(run.creatives, s.number), run.identity) for s in run.shards):
        for name, count in store.facts_of(table).items():
            counts[name] = counts.get(name, 0) + count
    bad = [_committed(quarantine_path(run.creatives, s.number), run.identity) for s in run.shards]
    quarantine = pa.concat_tables(bad)
    _check_quarantine(run, counts, quarantine)
    if not counts.get("kept"):
        raise DataError(
            f"{run.config.creatives.path}: none of {counts.get('read', 0)} creatives lies in the period "
            f"({run.config.period.from_:%Y-%m-%d} until {run.config.period.until:%Y-%m-%d})"
        )
    ids = pa.concat_tables(run.tables(["creative_id", ROW]))
    dropped = dropped_rows(ids, run.config.creatives.on_duplicate, run.config.creatives.path)
    if len(dropped):
        counts["kept"] -= len(dropped)
    counts["duplicates_dropped"] = len(dropped)
    return Creatives(counts, dropped, quarantine)


def score_stage(run: Run, creatives: Creatives, *, scores_exist: bool = False) -> Scored:
    """Score every distinct content once, by every model that a strategy reads; the first creative owns a content.

    Raises
    ------
    DataError : `scores_exist` was promised and a shard has none.
    """
    plans = _model_plans(run)
    if not plans:
        return Scored(_no_scores(), 0, {})
    owned = _own_contents(run, creatives)
    todo = [shard for shard in run.shards if any(plan.committed(shard.number) is None for plan in plans)]
    if todo and scores_exist:
        raise DataError(f"{run.directory.path}: {len(todo)} shards have no scores yet; run `backtest score` first")
    now = {p.name: sum(_owned_by(owned, s) for s in todo if p.committed(s.number) is None) for p in plans}
    config = run.config
    spec, owners = run.prepared.spec, run.creatives / "owned.parquet"
    task = ScoreTask(plans, spec.text, spec.text_bytes, spec.missing_score_allowed, owners)
    needs = Needs(cpus=float(config.execute.threads_per_worker), gpus=config.execute.gpus_per_worker, apart=True)
    _map(run, "score", task, todo, needs, None)
    return Scored(_score_table(run, plans), owned.num_rows, now)


def replay_stage(run: Run, creatives: Creatives, scored: Scored, *, keep_all: bool, keep_identity: str) -> Replayed:
    """Replay all strategies over all creatives of the period.

    Parameters
    ----------
    keep_all : keep the outcomes of every creative, not of the labelled ones alone (where the truth is known).
    """
    prepared, config = run.prepared, run.config
    attributes = list(prepared.spec.attributes)
    texts = categorical(next(run.tables()).schema, attributes)
    shown = config.estimate.segments if config.estimate.segments is not None else texts
    segments = find_segments(run.tables(texts or [ROW]), texts, shown, config.limits.cells)
    ids = prepared.labels.creative_id if prepared.labels else ()
    plan = ReplayPlan(
        table=prepared.table,
        segments=segments,
        medians=_medians(run, segments),
        scores=scored.table,
        attributes=tuple(attributes),
        brought=prepared.brought,
        kept_ids=None if keep_all else pa.array(ids, pa.string()),
        dropped=creatives.dropped,
        pair=compared(run),
    )
    identity = store.fingerprint([run.identity, keep_all, keep_identity])
    folder = run.directory.path / "cells"
    _map(run, "replay", ReplayTask(run.creatives, run.identity, folder, identity), run.shards, Needs(), plan)
    outcomes = prepared.table.outcomes
    cells = len(segments.cell_level_CK)
    sums = np.zeros((len(prepared.table.strategies), outcomes, 2, cells, len(WEIGHTS)), np.int64)
    swap = np.zeros((outcomes, outcomes, cells, len(WEIGHTS)) if plan.pair else (0, 0, 0, 0), np.int64)
    tables = [_committed(store.shard_path(folder, s.number), identity) for s in run.shards]
    kept = pa.concat_tables(_committed(kept_path(folder, s.number), identity) for s in run.shards)
    return Replayed(read_totals(tables, Totals(sums, swap)), segments, kept)


def compared(run: Run) -> tuple[int, int] | None:
    """Return the indices of baseline and candidate, if two strategies are compared."""
    compare, names = run.config.compare, run.prepared.table.names
    return (names.index(compare.baseline), names.index(compare.candidate)) if compare else None


def sources_read(strategy: Strategy) -> set[str]:
    """Return the models and brought scores whose columns a strategy's rules read."""
    return {column.partition(".")[0] for column in columns_read(strategy) if "." in column}


def models_read(config: Config, strategy: Strategy) -> set[str]:
    """Return the models that have to score for a strategy."""
    return sources_read(strategy) & set(config.models)


def _map(run: Run, stage: str, task: Task[Any], shards: Sequence[Shard], needs: Needs, shared: object) -> None:
    with run.progress.stage(stage, len(shards)) as step:
        for receipt in run.executor.map(task, shards, needs=needs, shared=shared):
            step(receipt.rows)


def _committed(path: Path, identity: str) -> pa.Table:
    found = store.find_committed(path, identity)
    if found is None:
        raise DataError(f"{path}: is not there or of another run; run the stage that makes it")
    return store.read_committed(found)


def _check_quarantine(run: Run, counts: dict[str, int], quarantine: pa.Table) -> None:
    if quarantine.num_rows > run.config.limits.quarantine_share * counts["read"]:
        shown = [
            f"{row['file']}: row {row['row']}: {row['reason']}"
            for row in quarantine.slice(0, _SHOWN_QUARANTINE).to_pylist()
        ]
        raise DataError(
            f"{quarantine.num_rows} of {counts['read']} creatives cannot be used, more than limits.quarantine_share "
            f"({run.config.limits.quarantine_share:.1%}) allows",
            *shown,
        )


def _own_contents(run: Run, creatives: Creatives) -> pa.Table:
    """Commit and return which row owns which content."""
    table = pa.concat_tables(run.tables([ROW, CONTENT_ID])).combine_chunks()
    if len(creatives.dropped):
        table = table.filter(~np.isin(table[ROW].to_numpy(), creatives.dropped))
    owned = table.take(pa.array(owned_rows(*id_halves(table[CONTENT_ID]))))
    store.commit_table(run.creatives / "owned.parquet", owned, run.identity)
    return owned


def _owned_by(owned: pa.Table, shard: Shard) -> int:
    first, last = np.searchsorted(owned[ROW].to_numpy(), [shard.first_row, shard.first_row + shard.rows])
    return int(last - first)


def _model_plans(run: Run) -> tuple[ModelPlan, ...]:
    """Return the models that some strategy reads."""
    config, prepared = run.config, run.prepared
    read = {name for strategy in prepared.table.strategies for name in models_read(config, strategy)}
    plans = []
    for name, folder in prepared.folders.items():
        if name in read:
            made_by = prepared.fingerprints[name]
            opened = partial(
                open_scorer,
                folder,
                device=config.execute.device,
                threads=config.execute.threads_per_worker,
                separator=config.models[name].separator,
            )
            place = run.directory.path / "scores" / name
            plans.append(ModelPlan(name, place, store.fingerprint([run.identity, made_by]), made_by, opened))
    return tuple(plans)


def _no_scores() -> ScoreTable:
    none: U64 = np.zeros(0, np.uint64)
    return ScoreTable(none, none, (), ())


def _score_table(run: Run, plans: tuple[ModelPlan, ...]) -> ScoreTable:
    """Gather the committed scores of all models, sorted by content id."""
    names: list[str] = []
    values: list[np.ndarray] = []
    order = high = low = None
    for plan in plans:
        paths = [store.shard_path(plan.folder, shard.number) for shard in run.shards]
        table = pa.concat_tables(_committed(path, plan.identity) for path in paths).combine_chunks()
        if order is None:
            high, low = id_halves(table[CONTENT_ID])
            order = np.lexsort((low, high))
        for policy in table.column_names[1:]:
            names.append(f"{plan.name}.{policy}")
            values.append(table[policy].to_numpy()[order])
    assert high is not None and low is not None and order is not None  # noqa: PT018
    return ScoreTable(high[order], low[order], tuple(names), tuple(values))


def _medians(run: Run, segments: Segments) -> Medians | None:
    refused = run.config.exposure.refused
    if refused == "zero":
        zero = np.zeros(len(segments.cell_level_CK), np.int64)
        return Medians(zero, zero)
    return find_medians(run.tables(), segments) if refused == "segment_median" else None
