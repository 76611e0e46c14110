"""A plan as tables: what annotators fill in, whom the draw could have reached, and its rows of the audits table.

The plan is a labels table (schema.LABELS) whose labels are still null, "drawn, not yet answered", but for those that an
earlier audit knows; a further column says why each was drawn. Once `label` is filled in, it is read as it is, together
with the frame and the audits beside it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.errors import UsageError
from engine.labelling.allocation import Allocation
from engine.read.sampling import uniform
from engine.records import F64, I8, I64
from engine.schema import AUDITS, FRAME, LABELS
from engine.store import fingerprint, write_whole

WHY = {1: "swap set: the candidate counts it more", -1: "swap set: the candidate counts it less", 0: "both count alike"}


@dataclass(frozen=True)
class Files:
    """Where the three tables of a plan lie."""

    plan: Path
    frame: Path
    audits: Path


def draw(found: Allocation, number_N: F64) -> I64:
    """Return the places of the drawn creatives, rising: in each stratum those with the least numbers."""
    order = np.lexsort((number_N, found.stratum_N))
    first_h = np.cumsum(found.size_h) - found.size_h
    drawn = [order[first : first + take] for first, take in zip(first_h, found.take_h, strict=True)]
    return np.sort(np.concatenate(drawn))


def draw_numbers(creative_id: pa.Array, seed: int, audit_id: str) -> F64:
    """Return a number in [0, 1) of each creative, the same in every run, independent of those of any other audit."""
    return uniform(creative_id, int(fingerprint([seed, audit_id])[:15], 16))


def stratum_names(found: Allocation) -> list[str]:
    """Return a name for each stratum."""
    kind = {1: "gained", -1: "lost", 0: "same"}
    return [f"{kind[int(swap)]}-{h + 1:02d}" for h, swap in enumerate(found.swap_h)]


def plan_table(
    creative_id: pa.Array,
    found: Allocation,
    drawn: I64,
    swap_N: I8,
    known_NP: I8,
    audit_id: str,
    policies: Sequence[str],
    texts: pa.Table | None,
) -> pa.Table:
    """Return the plan: a row per drawn creative and policy.

    swap_N : as in Influence. known_NP : what earlier audits concluded (-1 nothing): such labels are filled in already.
    texts : columns to show to annotators, a row per drawn creative.
    """
    at = np.repeat(drawn, len(policies))
    stratum = found.stratum_N[at]
    count = len(at)
    columns = {field.name: pa.nulls(count, field.type) for field in LABELS} | {
        "creative_id": creative_id.take(pa.array(at)),
        "policy": pa.array(list(policies) * len(drawn), pa.string()),
        "source": pa.array(["audit"] * count, pa.string()),
        "audit_id": pa.array([audit_id] * count, pa.string()),
        "stratum": pa.array(stratum_names(found), pa.string()).take(pa.array(stratum)),
        "inclusion_probability": pa.array(found.chance_N[at]),
        "reason": pa.array([WHY[int(swap)] for swap in swap_N[at]], pa.string()),
        "label": pa.array(["COMPLIANT", "VIOLATING", None], pa.string()).take(pa.array(known_NP[drawn].ravel() % 3)),
    }
    if texts is not None:
        shown = texts.take(pa.array(np.repeat(np.arange(len(drawn)), len(policies))))
        columns |= {name: shown[name] for name in shown.column_names if name not in columns}
    return pa.table(columns)


def frame_table(creative_id: pa.Array, found: Allocation) -> pa.Table:
    """Return every creative that the draw could have reached, with its probability."""
    names = pa.array(stratum_names(found), pa.string())
    columns = [creative_id, names.take(pa.array(found.stratum_N)), pa.array(found.chance_N)]
    return pa.table([*columns, pa.nulls(len(creative_id), pa.string())], schema=FRAME)


def audits_table(earlier: pa.Table, found: Allocation, audit_id: str, frame: str, frame_path: Path) -> pa.Table:
    """Return the audits table with a row for each stratum of the plan; `drawn_at` is left to who sends it out."""
    held = {name: earlier[name].cast(kind) for name, kind in _fields() if name in earlier.column_names}
    held |= {name: pa.nulls(earlier.num_rows, kind) for name, kind in _fields() if name not in held}
    strata = len(found.take_h)
    mine = {field.name: pa.nulls(strata, field.type) for field in AUDITS} | {
        "audit_id": [audit_id] * strata,
        "stratum": stratum_names(found),
        "frame": [frame] * strata,
        "frame_path": [str(frame_path)] * strata,
        "method": ["srs"] * strata,
        "population_size": found.size_h,
        "sample_size": found.take_h,
    }
    return pa.concat_tables([pa.table(held, schema=AUDITS), pa.table(mine, schema=AUDITS)])


def check_target(path: Path, read: Mapping[str, Sequence[str]]) -> None:
    """Refuse a plan's FILE that can only be a folder, or lies in one that is read as a whole.

    read : config key → its paths.

    Raises
    ------
    UsageError : so it is.
    """
    if path.is_dir():
        raise UsageError(f"--out: {path} is a folder; name a file in it")
    for key, folders in read.items():
        for folder in map(Path, folders):
            if folder.is_dir() and path.resolve().is_relative_to(folder.resolve()):
                raise UsageError(
                    f"--out: {path} lies in {folder}, all of which is read as {key}; name a file elsewhere"
                )


def write_files(files: Files, plan: pa.Table, frame: pa.Table, audits: pa.Table) -> None:
    """Write the three tables, the plan last; a file that holds the same bytes already is left alone.

    Raises
    ------
    UsageError : a file is there and holds something else, as labels that annotators filled in; then none is written.
    """
    found = {files.frame: _bytes(frame), files.audits: _bytes(audits), files.plan: _bytes(plan)}
    wanted = {target: data for target, data in found.items() if not _holds(target, data)}
    taken = [target for target in wanted if os.path.lexists(target)]
    if taken:
        raise UsageError(
            *(
                f"{target}: is there and differs from what this plan would write, labels filled in or another audit's; "
                "nothing was written: name another FILE with --out (and --audit-id for a further audit), or remove it"
                for target in taken
            )
        )
    for target, data in wanted.items():
        write_whole(target, data)


def files_of(path: Path) -> Files:
    """Return the three files of a plan: FILE, and beside it FILE's name with `.frame` and `.audits`."""
    return Files(path, *(path.with_name(f"{path.stem}.{what}.parquet") for what in ("frame", "audits")))


def _bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, write_page_checksum=True)
    return bytes(sink.getvalue().to_pybytes())


def _holds(target: Path, data: bytes) -> bool:
    """Return whether a file is there and holds these bytes; of one that cannot be read nobody knows, so it does not."""
    try:
        return target.stat().st_size == len(data) and target.read_bytes() == data
    except OSError:
        return False


def _fields() -> list[tuple[str, pa.DataType]]:
    return [(field.name, field.type) for field in AUDITS]
