"""The replay stage: creatives and scores → exact totals and the rows that estimators read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from engine import store
from engine.execute import Needs
from engine.read.creatives import ROW
from engine.read.segments import Medians, categorical, find_medians, find_segments, overall
from engine.records import I16, WEIGHTS, Segments, Shard, Totals
from engine.stages.events import Events, collect_events
from engine.stages.read import Creatives, creatives_plan
from engine.stages.run import Run, read_identified
from engine.stages.score import Scored
from engine.stages.units import list_units
from engine.strategy import StrategyTable
from engine.tasks.replay import ReplayPlan, ReplayTask, kept_path, read_totals
from engine.tasks.stateful import StatefulPlan, StatefulTask, codes_of, read_sums


@dataclass(frozen=True, eq=False)
class Ground:
    """What every replay of a run stands on.

    medians : exposure of refused creatives by cell, where a model fills it. events : where some strategy remembers.
    """

    segments: Segments
    medians: Medians | None
    events: Events | None


_LARGE = 1 << 28


@dataclass(frozen=True)
class Wanted:
    """One replay.

    name : folder of its outputs below cells/. pair : indices of the strategies that are also counted jointly.
    keep_all : keep the outcomes of every creative, not of the labelled ones alone (where the truth is known).
    keep_identity : of what decides which rows are kept. whole : sums over all creatives alone, no segments.
    cuts : instants, rising, in microseconds since 1970 UTC, at which a whole is cut: each piece is a segment.
    """

    table: StrategyTable
    name: str = ""
    pair: tuple[int, int] | None = None
    keep_all: bool = False
    keep_identity: str = ""
    whole: bool = False
    cuts: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Replayed:
    """What a replay found: merged totals and the kept rows of all shards."""

    wanted: Wanted
    totals: Totals
    segments: Segments
    kept: pa.Table


def find_ground(run: Run, creatives: Creatives, scored: Scored) -> Ground:
    """Look at all creatives once: cells of attributes, what exposure refused ones would have had, their order."""
    config, attributes = run.config, list(run.prepared.spec.attributes)
    texts = categorical(next(run.tables()).schema, attributes)
    shown = config.estimate.segments if config.estimate.segments is not None else texts
    segments = find_segments(run.tables(texts or [ROW]), texts, shown, config.limits.cells)
    medians = _medians(run, segments)
    remembers = any(strategy.memory for strategy in run.prepared.asking.strategies)
    events = collect_events(run, creatives, scored, segments, medians) if remembers else None
    return Ground(segments, medians, events)


def replay_stage(run: Run, creatives: Creatives, scored: Scored, ground: Ground, wanted: Wanted) -> Replayed:
    """Replay strategies over all creatives of the period: rules by shard, then those that remember over all events."""
    table = _with_memory(run, wanted.table)
    segments = overall(ground.segments, wanted.cuts) if wanted.whole else ground.segments
    plan = ReplayPlan(
        creatives=creatives_plan(run, creatives),
        table=table,
        segments=ground.segments,
        medians=ground.medians,
        scores=scored.tables,
        kept_ids=None if wanted.keep_all or run.prepared.spec.sample else run.labelled,
        pair=wanted.pair,
        whole=wanted.whole,
        cuts=wanted.cuts,
        folded=_folds(table, segments),
        threads=run.config.execute.threads_per_worker,
    )
    kept_by = [wanted.keep_all, wanted.keep_identity]
    asked = [*kept_by, wanted.pair, wanted.whole, wanted.cuts, repr(table.rules), repr(table.struck)]
    identity = store.fingerprint([run.identity, asked, [repr(s.memory) for s in table.strategies], scored.hashes])
    folder = run.directory.path / "cells" / wanted.name
    run.map("replay", ReplayTask(folder, identity), run.shards, Needs(cpus=float(plan.threads)), plan)
    outcomes, cells = table.outcomes, len(segments.cell_level_CK)
    parts = len(segments.name) if plan.folded else cells
    sums = np.zeros((len(table.strategies), outcomes, 2, parts, len(WEIGHTS)), np.int64)
    swap = np.zeros((outcomes, outcomes, cells, len(WEIGHTS)) if wanted.pair else (0, 0, 0, 0), np.int64)
    tables = [read_identified(store.shard_path(folder, s.number), identity) for s in run.shards]
    kept = pa.concat_tables(read_identified(kept_path(folder, s.number), identity) for s in run.shards)
    whole = np.zeros((2, cells, len(WEIGHTS)), np.int64)
    totals = read_totals(tables, Totals(sums, swap, whole, plan.folded))
    replayed = Replayed(replace(wanted, table=table), totals, segments, kept)
    if not any(strategy.memory for strategy in table.strategies):
        return replayed
    assert ground.events is not None
    return _remember(run, ground.events, replayed, folder / "remembered", identity)


def _with_memory(run: Run, table: StrategyTable) -> StrategyTable:
    """Return the table whose outcomes are what can come of a creative: more than rules, where a strategy remembers."""
    policies = tuple(run.config.policies)
    rules = [
        codes_of(table, s, policies).meaning if strategy.memory else table.rules[s]
        for s, strategy in enumerate(table.strategies)
    ]
    return replace(table, rules=tuple(rules))


def _folds(table: StrategyTable, segments: Segments) -> bool:
    """Say whether sums by cell would take more than 256 MiB, and those by segment less; memory is counted by cell."""
    cells = len(segments.cell_level_CK)
    size = len(table.strategies) * table.outcomes * 2 * len(WEIGHTS) * 8
    remembers = any(strategy.memory for strategy in table.strategies)
    return size * cells > _LARGE and len(segments.name) < cells and not remembers


def _medians(run: Run, segments: Segments) -> Medians | None:
    refused = run.config.exposure.refused
    if refused == "zero":
        zero = np.zeros(len(segments.cell_level_CK), np.int64)
        return Medians(zero, zero)
    return find_medians(run.tables(), segments) if refused == "segment_median" else None


def _remember(run: Run, events: Events, replayed: Replayed, folder: Path, identity: str) -> Replayed:
    """Replay the strategies that remember, and put their totals and outcomes in the place of those of their rules."""
    table, totals = replayed.wanted.table, replayed.totals
    every = replayed.wanted.keep_all or run.prepared.spec.sample is not None
    mine = [s for s, strategy in enumerate(table.strategies) if strategy.memory]
    pair = replayed.wanted.pair
    asked = [(s,) for s in mine] + ([pair] if pair and set(pair) & set(mine) else [])
    units, part_KN = list_units(events.table, table.strategies, asked)
    plan = StatefulPlan(
        events=events.table.by_piece(replayed.wanted.cuts) if replayed.wanted.whole else events.table,
        strategies=table.strategies,
        policies=tuple(run.config.policies),
        missing_to_review=run.prepared.spec.missing_score_allowed,
        outcomes=table.outcomes,
        cells=totals.sum_SOFCW.shape[3],
        kept_n=events.kept(every=every),
        units=tuple(units),
        part_KN=tuple(part_KN),
    )
    work = [Shard(u, "", (), int((part_KN[unit.split] == unit.part).sum()), 0) for u, unit in enumerate(units)]
    run.map("remember", StatefulTask(folder, identity), work, Needs(beside=True), plan)
    outcome_nS = (
        replayed.kept["outcome"].combine_chunks().flatten().to_numpy().reshape(-1, len(table.strategies)).copy()
    )
    totals.sum_SOFCW[mine] = 0
    if len(asked) > len(mine):
        totals.swap_OQCW[:] = 0
    for u, unit in enumerate(units):
        found = read_identified(store.shard_path(folder, u), identity)
        if len(unit.strategies) == 2:
            totals.swap_OQCW[:] += read_sums(found, totals.swap_OQCW.shape)[0]
            continue
        sums, outcome_n = read_sums(found, totals.sum_SOFCW.shape[1:])
        totals.sum_SOFCW[unit.strategies[0]] += sums
        outcome_nS[plan.keeps(unit), unit.strategies[0]] = outcome_n
    kept = _with_outcomes(replayed.kept, outcome_nS)
    return replace(replayed, kept=kept)


def _with_outcomes(kept: pa.Table, outcome_nS: I16) -> pa.Table:
    flat = pa.array(np.ascontiguousarray(outcome_nS).reshape(-1), pa.int16())
    column = pa.FixedSizeListArray.from_arrays(flat, outcome_nS.shape[1])
    return kept.set_column(kept.column_names.index("outcome"), "outcome", column)
