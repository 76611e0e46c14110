"""Which labels count: known early enough, old enough, under the right guideline. One that does not leaves its draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from engine.errors import DataError, did_you_mean
from engine.read.columns import text_column, time_column
from engine.read.resolution import RULES
from engine.read.shards import Source, read_shard_columns
from engine.records import I64

LATEST = "latest"
_MICROSECONDS = 1_000_000
_UTC = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class LabelRule:
    """Which labels count, and which of several holds.

    known_by : labels known later do not count. older_than : seconds after submission from which a label counts.
    guideline : the version whose labels count, or `latest`: the one that came into use last.
    """

    resolve: str = RULES[0]
    known_by: datetime | None = None
    older_than: float | None = None
    guideline: str | None = None


def counted_labels(
    labels: pa.Table, rule: LabelRule, submitted: pa.Table | None, source: str
) -> tuple[pa.Table, dict[str, int]]:
    """Return the labels, null where one does not count, and how many do not for each reason.

    submitted : `creative_id` and `submitted_at` of labelled creatives; needed where labels have to be of an age. Where
    a time is asked for, a label whose own or whose creative's nobody knows does not count.

    Raises
    ------
    DataError : no label is under the guideline, or two versions came into use at once and none is named.
    """
    counts: dict[str, int] = {}
    checks = []
    if rule.guideline is not None:
        version = _version(labels, rule.guideline, source)
        checks.append(("labels_other_guideline", pc.equal(labels["guideline_version"], version)))
    if rule.known_by is not None:
        checks.append(("labels_late", pc.less_equal(labels["known_at"], pa.scalar(rule.known_by, _UTC))))
    if rule.older_than is not None:
        assert submitted is not None
        checks.append(("labels_young", _old_enough(labels, submitted, rule.older_than)))
    for reason, known in checks:
        counting = pc.fill_null(known, False)
        counts[reason] = int(pc.sum(pc.and_(pc.is_valid(labels["label"]), pc.invert(counting))).as_py() or 0)
        label = pc.if_else(counting, labels["label"], pa.scalar(None, pa.string()))
        labels = labels.set_column(labels.column_names.index("label"), "label", label)
    return labels, counts


def submission_times(source: Source, id_column: str, time_name: str, ids: Sequence[str]) -> pa.Table:
    """Return `creative_id` and `submitted_at` of some creatives; two columns of the whole lake are read for it.

    Of an id that stands there twice, the later time: a label has to be old enough for both.
    """
    wanted, found = pa.array(ids, pa.string()), []
    for shard in source.shards:
        table = read_shard_columns(shard, [id_column, time_name])
        part = pa.table(
            {"creative_id": text_column(table, id_column), "submitted_at": time_column(table, time_name, shard.path)}
        )
        found.append(part.filter(pc.is_in(part["creative_id"], wanted)))
    latest = pa.concat_tables(found).group_by("creative_id").aggregate([("submitted_at", "max")])
    return pa.table({"creative_id": latest["creative_id"], "submitted_at": latest["submitted_at_max"]})


def _old_enough(labels: pa.Table, submitted: pa.Table, seconds: float) -> pa.Array:
    at = pc.index_in(labels["creative_id"], submitted["creative_id"].combine_chunks())
    born = submitted["submitted_at"].take(at)
    age = pc.subtract(labels["known_at"].cast(pa.int64()), born.cast(pa.int64()))
    return pc.greater_equal(age, round(seconds * _MICROSECONDS))


def _version(labels: pa.Table, guideline: str, source: str) -> str:
    """Return the guideline version to count; of `latest`, the one whose first label is the most recent."""
    said = labels.filter(pc.is_valid(labels["guideline_version"]))
    versions = sorted(pc.unique(said["guideline_version"]).to_pylist())
    if guideline != LATEST:
        if guideline not in versions:
            raise DataError(
                f"{source}: labels.guideline: no label is under {guideline!r}{did_you_mean(guideline, versions)}"
            )
        return guideline
    first = said.group_by("guideline_version").aggregate([("known_at", "min")])
    start: I64 = pc.fill_null(first["known_at_min"].cast(pa.int64()), -(2**63)).to_numpy()
    newest = first["guideline_version"].filter(pa.array(start == start.max(initial=-(2**63)))).to_pylist()
    if len(newest) != 1:
        told = f"{', '.join(sorted(newest))} came into use at once; name one" if newest else "no label names a version"
        raise DataError(f"{source}: labels.guideline: latest: {told}")
    return str(newest[0])
