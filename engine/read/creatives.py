"""One shard of a lake → creatives in the engine's own columns, without text.

Every later stage reads these columns alone. Exposures are integers: impressions, and spend in units of `spend_unit`;
null where history did not deliver the creative. A row that cannot be used is quarantined with its reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from engine.errors import DataError
from engine.expression import ExpressionError, evaluate
from engine.read.columns import (
    as_column,
    attribute_column,
    checked_scores,
    exposure_column,
    plain_column,
    propensity_column,
    text_column,
    time_column,
)
from engine.read.history import logged_codes
from engine.read.identity import content_ids
from engine.read.images import Check, read_pictures
from engine.read.shards import read_shard_columns
from engine.read.spec import CreativesSpec
from engine.read.text import count_text, raw_fields
from engine.records import I64, LOGGED, Flags, Shard

ROW = "row"
IN_FRAME = "in_frame"
SAMPLED = "sampled"  # drawn for scoring; only where a run scores a sample
PROPENSITY = "propensity"  # of history's own decision
REFUSED = "refused_impressions"  # what a user's column says a refused creative would have got
_EXACT = 2.0**53


@dataclass(frozen=True)
class ReadShard:
    """`creatives`: rows of the period. `quarantine`: schema.QUARANTINE. counts: every row read is in one of them.

    earlier : rows from before the period whose labels calibrate or that warm up state, in the same columns.
    """

    creatives: pa.Table
    earlier: pa.Table
    quarantine: pa.Table
    counts: dict[str, int]


def read_creatives(shard: Shard, spec: CreativesSpec, check: Check | None = None, most_bytes: int = 0) -> ReadShard:
    """Read one shard.

    Parameters
    ----------
    check : why a file is no usable picture; needed where a reading has pictures. most_bytes : read of one at a path.

    Raises
    ------
    DataError : unreadable file, a score that is no number in [0, 1], an unknown logged decision.
    """
    table = read_shard_columns(shard, spec.lake_columns())
    submitted = time_column(table, spec.columns["submitted_at"], shard.path)
    reason = _reasons(table, spec, submitted)
    shown = [reading for reading in spec.readings if reading.kind == "images"]
    pictures = None
    if shown:
        assert check is not None
        pictures = read_pictures(shard, shown, check, most_bytes, skip=spec.bad_image_allowed)
        reason = np.where(reason == "", pictures.reason_N, reason)
        for reading in shown:
            table = table.append_column(reading.id_column, pictures.ids[reading.number])
    bad = reason != ""
    when = pc.fill_null(submitted, 0).cast(pa.int64()).to_numpy()
    kept = ~bad & (when >= spec.since) & (when < spec.until)
    counts = {
        "read": table.num_rows,
        "kept": int(kept.sum()),
        "warm_up": int((~bad & (when >= spec.warm_up) & (when < spec.since)).sum()),
        "outside_period": int((~bad & ((when < spec.warm_up) | (when >= spec.until))).sum()),
        "quarantined": int(bad.sum()),
    }
    creatives, text_counts = _chosen(table, kept, spec, shard)
    needed = _is_in(table, spec.columns["id"], spec.earlier) | (spec.remembers & (when >= spec.warm_up))
    before = ~bad & (when < spec.since) & needed
    earlier, _ = _chosen(table, before, spec, shard)
    quarantine = _quarantine(table, spec, shard, reason, bad)
    picture_counts = pictures.counts if pictures else {}
    return ReadShard(creatives, earlier, quarantine, counts | text_counts | picture_counts)


def _chosen(table: pa.Table, chosen: Flags, spec: CreativesSpec, shard: Shard) -> tuple[pa.Table, dict[str, int]]:
    rows = shard.first_row + np.flatnonzero(chosen)
    columns, counts = _columns(table.filter(pa.array(chosen)), spec, rows, shard.path)
    return pa.table(columns), counts


def _is_in(table: pa.Table, column: str, ids: pa.Array | None) -> Flags:
    if ids is None:
        return np.zeros(table.num_rows, bool)
    return np.asarray(pc.is_in(text_column(table, column), ids).to_numpy(zero_copy_only=False))


def _columns(
    table: pa.Table, spec: CreativesSpec, rows: I64, source: str
) -> tuple[dict[str, pa.Array], dict[str, int]]:
    logged, delivered, scaled = logged_codes(table, spec, source)
    columns: dict[str, pa.Array] = {
        ROW: pa.array(rows),
        "creative_id": text_column(table, spec.columns["id"]),
        "advertiser_id": text_column(table, spec.columns["advertiser"]),
        "submitted_at": time_column(table, spec.columns["submitted_at"], source),
    }
    fields = dict(zip(spec.text, raw_fields(table, spec.text), strict=True))
    counts = asdict(count_text(list(fields.values()), spec.text_bytes)) if spec.text else {}
    for reading in spec.readings:
        columns[reading.id_column] = (
            content_ids([fields[column] for column in reading.columns])
            if reading.kind == "text"
            else table[reading.id_column].combine_chunks()
        )
    if spec.sample:
        columns[SAMPLED] = pa.array(spec.sample.drawn(columns["creative_id"], columns["advertiser_id"]))
    for name in spec.attributes:
        columns[name] = attribute_column(table, name, source)
    for key, unit in (("impressions", 1.0), ("spend", spec.spend_unit)):
        if key in spec.columns:
            columns[key] = exposure_column(table, spec.columns[key], unit, delivered)
    if spec.refused_column:
        columns[REFUSED] = exposure_column(table, spec.refused_column, 1.0, np.ones(table.num_rows))
    if PROPENSITY in spec.columns:
        columns[PROPENSITY] = propensity_column(table, spec.columns[PROPENSITY], source)
    columns[LOGGED] = pa.array(logged)
    columns[IN_FRAME] = pa.array(_in_frame(columns, spec, table.num_rows))
    for name, column in spec.scores.items():
        columns[name] = checked_scores(
            plain_column(table, column), f"{source}: column {column}", spec.missing_score_allowed
        )
    for brought in spec.brought:
        columns |= brought.look_up(columns["creative_id"], source, spec.missing_score_allowed)
    return columns, counts | {"limited_exposure_scaled": scaled}


def _in_frame(columns: Mapping[str, pa.Array], spec: CreativesSpec, rows: int) -> Flags:
    inside = np.zeros(rows, bool)
    if spec.framed is not None:
        inside |= pc.is_in(columns["creative_id"], spec.framed).to_numpy(zero_copy_only=False)
    if spec.stratum_when:
        known = {name: as_column(name, columns[name]) for name in spec.attributes}
        for when in spec.stratum_when:
            try:
                inside |= evaluate(when, known, rows)
            except (ExpressionError, KeyError) as error:
                raise DataError(f"audits: stratum_when reads {error.args[0]}; add it to creatives.attributes") from None
    return inside


def _reasons(table: pa.Table, spec: CreativesSpec, submitted: pa.Array) -> NDArray[np.object_]:
    """Return why each row cannot be used, "" where it can."""
    reason = np.full(table.num_rows, "", object)
    for key in ("impressions", "spend"):
        if key in spec.columns:
            number = pc.fill_null(
                plain_column(table, spec.columns[key]).cast(pa.float64(), safe=False), np.nan
            ).to_numpy()
            unit = spec.spend_unit if key == "spend" else 1.0
            with np.errstate(over="ignore"):
                reason[(number < 0) | (number / unit >= _EXACT)] = f"{key} is negative, infinite or too large"
    for key in ("logged_decision", "submitted_at", "advertiser", "id"):
        if key not in spec.columns:
            continue
        column = submitted if key == "submitted_at" else plain_column(table, spec.columns[key])
        reason[column.is_null().to_numpy(zero_copy_only=False)] = f"{key} is null"
    return reason


def _quarantine(
    table: pa.Table, spec: CreativesSpec, shard: Shard, reason: NDArray[np.object_], bad: Flags
) -> pa.Table:
    at = np.flatnonzero(bad)
    return pa.table(
        {
            "creative_id": text_column(table, spec.columns["id"]).take(pa.array(at)),
            "file": pa.array([shard.path] * len(at), pa.string()),
            "row": pa.array(shard.first_row + at),
            "reason": pa.array([reason[i] for i in at], pa.string()),
        }
    )
