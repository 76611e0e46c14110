"""All creatives that move state, in time order: what every worker of a stateful replay shares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine import store
from engine.execute import Needs
from engine.read.columns import as_column
from engine.records import I32, I64, U8, WEIGHTS, Column, Flags
from engine.stages.run import Run, read_identified
from engine.tasks.events import CELL, COUNTED, FRAME, KEPT, RULE, EventsTask
from engine.tasks.replay import ReplayPlan


@dataclass(frozen=True)
class EventTable:
    """N events by (submitted_at, creative_id).

    time_N : microseconds since 1970 UTC. advertiser_N, content_N : codes; content_N is empty where no text is mapped.
    columns : what rules read. counted_N : in the period. cell_N, frame_N, weight_NW : as in replay.Creatives, 0 where
    not counted. kept_n : events that are kept for the estimators, in file order.
    """

    time_N: I64
    advertiser_N: I32
    content_N: I32
    columns: tuple[Column, ...]
    counted_N: Flags
    cell_N: I64
    frame_N: U8
    weight_NW: I64
    kept_n: I64


def collect_events(run: Run, plan: ReplayPlan, identity: str) -> EventTable:
    """Collect the events of all shards and sort them; ids are forgotten on the way."""
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
    return EventTable(
        time_N=sorted_by_time("submitted_at").cast(pa.int64()).to_numpy(),
        advertiser_N=_codes(sorted_by_time("advertiser_id")),
        content_N=_codes(sorted_by_time(contents[0])) if contents else np.zeros(0, np.int32),
        columns=tuple(as_column(name.removeprefix(RULE), sorted_by_time(name)) for name in rules),
        counted_N=numbers(COUNTED),
        cell_N=numbers(CELL),
        frame_N=numbers(FRAME),
        weight_NW=np.stack([numbers(name) for name in WEIGHTS], axis=1),
        kept_n=rank[np.flatnonzero(table[KEPT].to_numpy())],
    )


def _codes(values: pa.Array) -> I32:
    return np.asarray(values.dictionary_encode().indices.to_numpy(), np.int32)
