"""The replay stage: creatives and scores → exact totals and the rows that estimators read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from engine import store
from engine.execute import Needs
from engine.read.creatives import ROW
from engine.read.segments import Medians, categorical, find_medians, find_segments, overall
from engine.records import WEIGHTS, Segments, Totals
from engine.stages.read import Creatives, creatives_plan
from engine.stages.run import Run, read_identified
from engine.stages.score import Scored
from engine.strategy import StrategyTable
from engine.tasks.replay import ReplayPlan, ReplayTask, kept_path, read_totals


@dataclass(frozen=True)
class Ground:
    """What every replay of a run stands on. medians : exposure of refused creatives by cell, where a model fills it."""

    segments: Segments
    medians: Medians | None


@dataclass(frozen=True)
class Wanted:
    """One replay.

    name : folder of its outputs below cells/. pair : indices of the strategies that are also counted jointly.
    keep_all : keep the outcomes of every creative, not of the labelled ones alone (where the truth is known).
    keep_identity : of what decides which rows are kept. whole : sums over all creatives alone, no segments.
    """

    table: StrategyTable
    name: str = ""
    pair: tuple[int, int] | None = None
    keep_all: bool = False
    keep_identity: str = ""
    whole: bool = False


@dataclass(frozen=True)
class Replayed:
    """What a replay found: merged totals and the kept rows of all shards."""

    wanted: Wanted
    totals: Totals
    segments: Segments
    kept: pa.Table


def find_ground(run: Run) -> Ground:
    """Look at all creatives once: cells of attributes, and what exposure refused ones would have had."""
    config, attributes = run.config, list(run.prepared.spec.attributes)
    texts = categorical(next(run.tables()).schema, attributes)
    shown = config.estimate.segments if config.estimate.segments is not None else texts
    segments = find_segments(run.tables(texts or [ROW]), texts, shown, config.limits.cells)
    return Ground(segments, _medians(run, segments))


def replay_stage(run: Run, creatives: Creatives, scored: Scored, ground: Ground, wanted: Wanted) -> Replayed:
    """Replay strategies over all creatives of the period."""
    plan = ReplayPlan(
        creatives=creatives_plan(run, creatives),
        table=wanted.table,
        segments=ground.segments,
        medians=ground.medians,
        scores=scored.tables,
        kept_ids=None if wanted.keep_all or run.prepared.spec.sample else run.labelled,
        pair=wanted.pair,
        whole=wanted.whole,
    )
    asked = [wanted.keep_all, wanted.keep_identity, wanted.pair, wanted.whole, repr(wanted.table.rules)]
    identity = store.fingerprint([run.identity, asked, scored.hashes])
    folder = run.directory.path / "cells" / wanted.name
    run.map("replay", ReplayTask(folder, identity), run.shards, Needs(), plan)
    segments = overall(ground.segments) if wanted.whole else ground.segments
    outcomes, cells = wanted.table.outcomes, len(segments.cell_level_CK)
    sums = np.zeros((len(wanted.table.strategies), outcomes, 2, cells, len(WEIGHTS)), np.int64)
    swap = np.zeros((outcomes, outcomes, cells, len(WEIGHTS)) if wanted.pair else (0, 0, 0, 0), np.int64)
    tables = [read_identified(store.shard_path(folder, s.number), identity) for s in run.shards]
    kept = pa.concat_tables(read_identified(kept_path(folder, s.number), identity) for s in run.shards)
    whole = np.zeros((2, cells, len(WEIGHTS)), np.int64)
    return Replayed(wanted, read_totals(tables, Totals(sums, swap, whole)), segments, kept)


def _medians(run: Run, segments: Segments) -> Medians | None:
    refused = run.config.exposure.refused
    if refused == "zero":
        zero = np.zeros(len(segments.cell_level_CK), np.int64)
        return Medians(zero, zero)
    return find_medians(run.tables(), segments) if refused == "segment_median" else None
