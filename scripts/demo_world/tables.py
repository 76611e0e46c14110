"""Tables that the makers leave on disk: columns from arrays, files beside their target and then renamed."""

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from demo_world.arrays import F64, I64, Bool, Words
from demo_world.audit import AUDIT_ID, DRAWN_AT, Audit
from demo_world.moderation import UNANSWERED, LabelRows

MOMENT = pa.timestamp("us", tz="UTC")
LABEL_WORDS = ("COMPLIANT", "VIOLATING", "UNKNOWN")
POLICY = "scam"
NEW_GUIDELINE_FROM = np.datetime64("2026-02-01", "us").astype(np.int64)


def words(names: tuple[str, ...], code_N: I64, missing_N: Bool | None = None) -> pa.Array:
    """A string column from codes; null where `missing_N`."""
    word_N = np.array(names, dtype=object)[np.maximum(code_N, 0)]
    return pa.array(word_N, pa.string(), mask=missing_N)


def moments(time_N: I64, missing_N: Bool | None = None) -> pa.Array:
    """A UTC timestamp column from microseconds; null where `missing_N`."""
    return pa.array(time_N, pa.int64(), mask=missing_N).cast(MOMENT)


def whole_or_null(value_N: F64) -> pa.Array:
    """An int64 column; null where NaN."""
    missing_N = np.isnan(value_N)
    return pa.array(np.where(missing_N, 0, value_N).astype(np.int64), mask=missing_N)


def number_or_null(value_N: F64) -> pa.Array:
    """A float64 column; null where NaN."""
    return pa.array(value_N, mask=np.isnan(value_N))


def label_table(sources: Iterable[LabelRows], audit: Audit, id_N: Words) -> pa.Table:
    """All label rows, the audit's last; probabilities and strata stand only on the audit's."""
    observed = [_label_rows(rows, None, id_N) for rows in sources]
    return pa.concat_tables([*observed, _label_rows(audit.rows, audit, id_N)])


def audit_table(audit: Audit, frame: str, frame_path: str | None, when_H: tuple[str | None, ...]) -> pa.Table:
    """One row per stratum; either a frame file or an expression per stratum says who is in it."""
    count = len(audit.plan.stratum_H)
    columns = {
        "audit_id": pa.array([AUDIT_ID] * count),
        "stratum": pa.array(audit.plan.stratum_H),
        "frame": pa.array([frame] * count),
        "stratum_when": pa.array(when_H, pa.string()),
        "frame_path": pa.array([frame_path] * count, pa.string()),
        "method": pa.array(["srs"] * count),
        "population_size": pa.array(audit.population_H),
        "sample_size": pa.array(audit.sample_H),
        "drawn_at": moments(np.full(count, DRAWN_AT)),
    }
    return pa.table(columns)


def frame_table(audit: Audit, id_N: Words) -> pa.Table:
    """Stratum and inclusion probability of every creative; no clusters were drawn."""
    columns = {
        "creative_id": pa.array(id_N, pa.string()),
        "stratum": words(audit.plan.stratum_H, audit.stratum_N),
        "inclusion_probability": pa.array(audit.inclusion_N),
        "cluster": pa.nulls(len(id_N), pa.string()),
    }
    return pa.table(columns)


def truth_table(violating_N: Bool, id_N: Words) -> pa.Table:
    """The true label of every creative: for judging estimates, never read by them."""
    columns = {
        "creative_id": pa.array(id_N, pa.string()),
        "policy": pa.array([POLICY] * len(id_N)),
        "label": words(LABEL_WORDS, violating_N.astype(np.int64)),
    }
    return pa.table(columns)


def write_table(table: pa.Table, path: Path, rows_per_group: int = 100_000) -> None:
    """Write a table beside its target and rename it, page checksums on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    pq.write_table(table, partial, rows_per_group, compression="zstd", write_page_checksum=True)
    partial.rename(path)


def write_json(content: Mapping[str, object], path: Path) -> None:
    """Write a JSON file beside its target and rename it."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    partial.rename(path)


def is_complete(out: Path, identity: Mapping[str, object]) -> bool:
    """Whether `out` was finished with this identity and every file is still there with its size."""
    marker = out / "complete.json"
    if not marker.exists():
        return False
    told = json.loads(marker.read_text(encoding="utf-8"))
    sizes: dict[str, int] = told["bytes"]
    files = {out / name: size for name, size in sizes.items()}
    there = all(file.is_file() and file.stat().st_size == size for file, size in files.items())
    return there and told["identity"] == identity


def clear(out: Path, children: Iterable[str]) -> None:
    """Remove what an earlier or interrupted run left, the marker first; other files stay."""
    for name in ("complete.json", *children):
        child = out / name
        if child.is_dir():
            shutil.rmtree(child)
        else:
            child.unlink(missing_ok=True)


def mark_complete(out: Path, identity: Mapping[str, object], children: Iterable[str]) -> None:
    """Write `complete.json` last: what was asked for, and the size of every file that was made."""
    made = [path for name in children for path in (out / name, *(out / name).rglob("*"))]
    sizes = {path.relative_to(out).as_posix(): path.stat().st_size for path in sorted(made) if path.is_file()}
    write_json({"identity": identity, "bytes": sizes}, out / "complete.json")


def _label_rows(rows: LabelRows, audit: Audit | None, id_N: Words) -> pa.Table:
    count = len(rows.creative_n)
    open_n = rows.label_n == UNANSWERED
    plain = {name: pa.nulls(count, kind) for name, kind in (("s", pa.string()), ("f", pa.float64()))}
    stratum_n = plain["s"] if audit is None else words(audit.plan.stratum_H, audit.stratum_N[rows.creative_n])
    inclusion_n = plain["f"] if audit is None else pa.array(audit.inclusion_N[rows.creative_n])
    reviewer = np.array([f"r{number:02d}" for number in rows.reviewer_n.tolist()], dtype=object)
    guideline_n = (rows.known_at_n >= NEW_GUIDELINE_FROM).astype(np.int64)
    columns = {
        "creative_id": pa.array(id_N[rows.creative_n], pa.string()),
        "policy": pa.array([POLICY] * count, pa.string()),
        "label": words(LABEL_WORDS, rows.label_n, open_n),
        "source": pa.array([rows.source] * count, pa.string()),
        "audit_id": plain["s"] if audit is None else pa.array([AUDIT_ID] * count),
        "stratum": stratum_n,
        "inclusion_probability": inclusion_n,
        "known_at": moments(rows.known_at_n, open_n),
        "reviewer_id": pa.array(reviewer, pa.string(), mask=open_n),
        "guideline_version": words(("2025-07", "2026-02"), guideline_n, open_n),
    }
    return pa.table(columns)
