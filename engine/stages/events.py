"""All creatives that move state, in time order: what every worker of a stateful replay shares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine import store
from engine.calendar import midnights
from engine.execute import Needs
from engine.read.columns import as_column
from engine.read.sampling import uniform
from engine.read.segments import Medians
from engine.records import I32, I64, U8, U64, WEIGHTS, Flags, Segments
from engine.replay.history import make_history
from engine.stages.read import Creatives, creatives_plan
from engine.stages.run import Run, read_identified
from engine.stages.score import Scored
from engine.tasks.events import CELL, COUNTED, FRAME, KEPT, RULE, EventsPlan, EventsTask
from engine.tasks.stateful import EventTable

_NEVER = 2**62


@dataclass(frozen=True, eq=False)
class Events:
    """The events of a run, and which of them stand for the creatives of the period, in file order.

    labelled_N : per creative of the period, whether it is kept for the estimators whatever else is.
    """

    table: EventTable
    period_N: I64
    labelled_N: Flags

    def kept(self, *, every: bool) -> I64:
        """Return the events that are kept, in file order."""
        return self.period_N if every else self.period_N[self.labelled_N]


def collect_events(
    run: Run, creatives: Creatives, scored: Scored, segments: Segments, medians: Medians | None
) -> Events:
    """Collect the events of all shards and sort them; ids are forgotten on the way."""
    plan = EventsPlan(creatives_plan(run, creatives), segments, medians, scored.tables, run.labelled)
    identity = store.fingerprint([run.identity, "events", scored.hashes])
    folder = run.directory.path / "events"
    run.map("events", EventsTask(folder, identity), run.shards, Needs(), plan)
    table = pa.concat_tables(read_identified(store.shard_path(folder, s.number), identity) for s in run.shards)
    order = pc.sort_indices(table, sort_keys=[("submitted_at", "ascending"), ("creative_id", "ascending")]).to_numpy()
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))

    def sorted_by_time(name: str) -> pa.Array:
        return table[name].combine_chunks().take(pa.array(order))

    def numbers(name: str) -> np.ndarray:
        return np.asarray(sorted_by_time(name).to_numpy(zero_copy_only=False))

    contents = [name for name in table.column_names if name.startswith("content_id")]
    rules = [name for name in table.column_names if name.startswith(RULE)]
    time_N = sorted_by_time("submitted_at").cast(pa.int64()).to_numpy()
    rejects_N, known_N = _reviewed(run, sorted_by_time("creative_id"))
    period = np.flatnonzero(table[COUNTED].to_numpy())
    history = make_history(
        time_N=time_N,
        advertiser_N=_codes(sorted_by_time("advertiser_id")),
        content_N=_codes(sorted_by_time(contents[0])) if contents else np.zeros(0, np.int32),
        midnight_D=_midnights(run, time_N),
        until=run.prepared.spec.until,
    )
    found = EventTable(
        history=history,
        columns=tuple(as_column(name.removeprefix(RULE), sorted_by_time(name)) for name in rules),
        counted_N=numbers(COUNTED),
        cell_N=numbers(CELL),
        frame_N=numbers(FRAME),
        weight_NW=np.stack([numbers(name) for name in WEIGHTS], axis=1),
        rejects_N=rejects_N,
        known_N=known_N,
        key_N=_keys(run, sorted_by_time("creative_id")),
        seed=run.config.seed,
    )
    return Events(found, rank[period], table[KEPT].to_numpy()[period])


def _keys(run: Run, ids: pa.Array) -> U64:
    """Return what each creative's draws start from; empty where nothing is drawn."""
    if not any(strategy.memory.outcome == "drawn" for strategy in run.prepared.asking.strategies):
        return np.zeros(0, np.uint64)
    return uniform(ids, 0).view(np.uint64)


def _midnights(run: Run, time_N: I64) -> I64:
    """Return the ends of the team's days, from the first event to the end of the period."""
    first = int(time_N[0]) if len(time_N) else run.prepared.spec.since
    return midnights(first, run.prepared.spec.until, run.config.period.time_zone)


def _reviewed(run: Run, ids: pa.Array) -> tuple[U8, I64]:
    """Return which creatives history's own reviewers found violating, and since when that was known (else never)."""
    held = run.prepared.reviewed
    if held is None:
        return np.zeros(len(ids), np.uint8), np.zeros(len(ids), np.int64)
    at = pc.index_in(ids, held["creative_id"])
    known = pc.fill_null(held["known_at"].take(at).cast(pa.int64()), _NEVER).to_numpy()
    return at.is_valid().to_numpy(zero_copy_only=False).astype(np.uint8), known


def _codes(values: pa.Array) -> I32:
    return np.asarray(values.dictionary_encode().indices.to_numpy(), np.int32)
