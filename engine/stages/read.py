"""The read stage: the lake → creatives, counted, duplicates and quarantine held against their limits."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from engine import store
from engine.errors import DataError
from engine.execute import Needs
from engine.prepare import picture_limits
from engine.read.creatives import ROW
from engine.read.duplicates import dropped_rows
from engine.records import I64
from engine.stages.features import derive_features, features_identity
from engine.stages.run import Run, earlier_tables, read_identified
from engine.tasks.creatives import CreativesPlan
from engine.tasks.read import ReadTask, quarantine_path

_SHOWN_QUARANTINE = 3


@dataclass(frozen=True)
class Creatives:
    """What the read stage found. dropped: rows of duplicate ids that on_duplicate leaves out."""

    counts: dict[str, int]
    dropped: I64
    quarantine: pa.Table


def read_stage(run: Run) -> Creatives:
    """Read every shard; refuse duplicates and too many quarantined rows.

    Raises
    ------
    DataError : more quarantined than limits.quarantine_share, or duplicate ids under on_duplicate: stop.
    """
    task = ReadTask(run.creatives, run.identity, picture_limits(run.config))
    run.map("read", task, run.shards, Needs(), run.prepared.spec)
    counts: dict[str, int] = {}
    for table in (read_identified(store.shard_path(run.creatives, s.number), run.identity) for s in run.shards):
        for name, count in store.facts_of(table).items():
            counts[name] = counts.get(name, 0) + count
    bad = [read_identified(quarantine_path(run.creatives, s.number), run.identity) for s in run.shards]
    quarantine = pa.concat_tables(bad)
    _check_quarantine(run, counts, quarantine)
    if not counts.get("kept"):
        raise DataError(
            f"{run.config.creatives.path}: none of {counts.get('read', 0)} creatives lies in the period "
            f"({run.config.period.from_:%Y-%m-%d} until {run.config.period.until:%Y-%m-%d})"
        )
    kept = pa.concat_tables(run.tables(["creative_id", ROW]))
    earlier = pa.concat_tables(table.select(["creative_id", ROW]) for table in earlier_tables(run))
    ids = pa.concat_tables([kept, earlier]).sort_by(ROW)
    dropped = dropped_rows(ids, run.config.creatives.on_duplicate, run.config.creatives.path)
    counts["duplicates_dropped"] = int(np.isin(kept[ROW].to_numpy(), dropped).sum())
    counts["kept"] -= counts["duplicates_dropped"]
    found = Creatives(counts, dropped, quarantine)
    if run.prepared.features:
        plain = replace(creatives_plan(run, found), features=())
        derive_features(run, plain, run.prepared.features)
    return found


def creatives_plan(run: Run, creatives: Creatives) -> CreativesPlan:
    """Return which creatives the later stages work on, and what rules read of them."""
    prepared = run.prepared
    return CreativesPlan(
        folder=run.creatives,
        identity=run.identity,
        dropped=creatives.dropped,
        labelled=run.labelled,
        attributes=prepared.spec.attributes,
        brought=prepared.brought,
        warm_up=prepared.spec.warm_up if prepared.spec.remembers else None,
        remembers=any(strategy.memory for strategy in prepared.asking.strategies),
        features=prepared.features,
        features_identity=features_identity(run.identity, prepared.features),
    )


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
