"""Columns that the engine derives from when a creative was submitted and by whom, for the rules that read them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine import store
from engine.calendar import hour_column, weekday_column
from engine.expression.features import ADVERTISER_AGE, HOUR, WEEKDAY, velocity_hours
from engine.read.creatives import ROW
from engine.records import F64, I64
from engine.replay.history import History, advertiser_age, make_history, velocity
from engine.stages.run import Run
from engine.tasks.creatives import CreativesPlan, features_path

_READ = [ROW, "creative_id", "advertiser_id", "submitted_at"]


def derive_features(run: Run, plan: CreativesPlan, names: tuple[str, ...]) -> None:
    """Write the features of every creative, shard by shard; what is there already is kept.

    Parameters
    ----------
    plan : which creatives, without features. names : see engine.expression.features.
    """
    paths = [features_path(plan.folder, shard.number) for shard in run.shards]
    identity = features_identity(run.identity, names)
    if all(store.find_committed(path, identity) for path in paths):
        return
    with run.progress.stage("features", len(paths)) as step:
        tables = [plan.history(shard.number).select(_READ) for shard in run.shards]
        table = pa.concat_tables(tables)
        columns = _derived(table, names, run.config.period.time_zone)
        start = 0
        for path, part in zip(paths, tables, strict=True):
            rows = slice(start, start + part.num_rows)
            values = {name: pa.array(column[rows]) for name, column in columns.items()}
            store.commit_table(path, pa.table({ROW: part[ROW], **values}), identity)
            start += part.num_rows
            step(part.num_rows)


def features_identity(identity: str, names: tuple[str, ...]) -> str:
    """Return the identity of a run's features."""
    return store.fingerprint([identity, "features", names])


def _derived(table: pa.Table, names: tuple[str, ...], time_zone: str) -> dict[str, F64]:
    at_N: I64 = table["submitted_at"].cast(pa.int64()).to_numpy()
    found: dict[str, F64] = {}
    if HOUR in names:
        found[HOUR] = hour_column(at_N, time_zone).values_N.astype(np.float64)
    if WEEKDAY in names:
        found[WEEKDAY] = weekday_column(at_N, time_zone).values_N.astype(np.float64)
    past = [name for name in names if name not in found]
    if past:
        order = pc.sort_indices(table, sort_keys=[("submitted_at", "ascending"), ("creative_id", "ascending")])
        order_N = order.to_numpy()
        who = table["advertiser_id"].combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int32)
        history = make_history(at_N[order_N], who[order_N], np.zeros(0, np.int32), np.zeros(0, np.int64), 0)
        for name in past:
            found[name] = np.empty(len(at_N))
            found[name][order_N] = _of_the_past(history, name)
    return found


def _of_the_past(history: History, name: str) -> F64:
    if name == ADVERTISER_AGE:
        return advertiser_age(history)
    hours = velocity_hours(name)
    assert hours is not None, name
    return velocity(history, hours)
