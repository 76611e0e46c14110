"""The replay stage: creatives and scores → exact totals and the rows that estimators read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from engine import store
from engine.execute import Needs
from engine.read.creatives import ROW
from engine.read.segments import Medians, categorical, find_medians, find_segments
from engine.records import WEIGHTS, Segments, Totals
from engine.stages.read import Creatives, creatives_plan
from engine.stages.run import Run, compared, read_identified
from engine.stages.score import Scored
from engine.strategy import StrategyTable
from engine.tasks.replay import ReplayPlan, ReplayTask, kept_path, read_totals

_LARGE = 1 << 28


@dataclass(frozen=True)
class Replayed:
    """Merged totals and the kept rows of all shards."""

    totals: Totals
    segments: Segments
    kept: pa.Table


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
    plan = ReplayPlan(
        creatives=creatives_plan(run, creatives),
        table=prepared.table,
        segments=segments,
        medians=_medians(run, segments),
        scores=scored.tables,
        kept_ids=None if keep_all or prepared.spec.sample else run.labelled,
        pair=compared(run),
        folded=_folds(prepared.table, segments),
        threads=config.execute.threads_per_worker,
    )
    identity = store.fingerprint([run.identity, keep_all, keep_identity, scored.hashes])
    folder = run.directory.path / "cells"
    run.map("replay", ReplayTask(folder, identity), run.shards, Needs(cpus=float(plan.threads)), plan)
    outcomes = prepared.table.outcomes
    cells = len(segments.cell_level_CK)
    parts = len(segments.name) if plan.folded else cells
    sums = np.zeros((len(prepared.table.strategies), outcomes, 2, parts, len(WEIGHTS)), np.int64)
    swap = np.zeros((outcomes, outcomes, cells, len(WEIGHTS)) if plan.pair else (0, 0, 0, 0), np.int64)
    tables = [read_identified(store.shard_path(folder, s.number), identity) for s in run.shards]
    kept = pa.concat_tables(read_identified(kept_path(folder, s.number), identity) for s in run.shards)
    whole = np.zeros((2, cells, len(WEIGHTS)), np.int64)
    return Replayed(read_totals(tables, Totals(sums, swap, whole, plan.folded)), segments, kept)


def _folds(table: StrategyTable, segments: Segments) -> bool:
    """Say whether sums by cell would take more than 256 MiB, and those by segment less."""
    cells = len(segments.cell_level_CK)
    size = len(table.strategies) * table.outcomes * 2 * len(WEIGHTS) * 8
    return size * cells > _LARGE and len(segments.name) < cells


def _medians(run: Run, segments: Segments) -> Medians | None:
    refused = run.config.exposure.refused
    if refused == "zero":
        zero = np.zeros(len(segments.cell_level_CK), np.int64)
        return Medians(zero, zero)
    return find_medians(run.tables(), segments) if refused == "segment_median" else None
