"""The audits table: whom each audit could have drawn, and how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from engine.errors import DataError, did_you_mean
from engine.expression import Expression, ExpressionError, columns_read, is_feature, parameters, parse
from engine.read.frame import Frame, read_frame
from engine.read.shards import read_table, require_columns
from engine.records import I64
from engine.schema import AUDITS

METHODS = ("srs", "poisson", "pps", "cluster")
ALL = "all"


@dataclass(frozen=True)
class Audit:
    """One audit of a history. H strata; `when` : expressions that tell the strata that no frame file lists.

    population_H : creatives. sample_H : creatives, or clusters where those are drawn.
    """

    audit_id: str
    strata: tuple[str, ...]
    method_H: tuple[str, ...]
    population_H: I64
    sample_H: I64
    when: tuple[Expression, ...]
    frame: Frame | None
    identity: str


def read_audits(path: str, use: str | Sequence[str] | None) -> tuple[Audit, ...]:
    """Read the audits table and the frames of the audits that are used.

    Raises
    ------
    DataError : missing columns, an unknown method, no rule for which audits to use, or several without frame files.
    """
    table, digest = read_table(path, "audits.path")
    needed = ("audit_id", "stratum", "method", "population_size", "sample_size")
    faults = require_columns(table.schema, {f"audits.{name}": name for name in needed}, path)
    if faults:
        raise DataError(*faults)
    table = _named(table, path)
    names = _used(table, path, use)
    audits = tuple(_audit(table.filter(pc.equal(table["audit_id"], name)), path, digest) for name in names)
    if len(audits) > 1:
        lacking = [audit.audit_id for audit in audits if audit.frame is None or audit.when]
        if lacking:
            raise DataError(
                f"{path}: audits {', '.join(names)} can only be combined by their frame files, which tell how each "
                f"could have drawn what another drew; {', '.join(lacking)} has strata without frame_path"
            )
    return audits


def _audit(table: pa.Table, path: str, digest: str) -> Audit:
    strata = tuple(table["stratum"].to_pylist())
    methods = tuple(table["method"].to_pylist())
    if len(set(strata)) < len(strata):
        raise DataError(f"{path}: an audit names a stratum twice; one row per audit and stratum")
    for method in methods:
        if method not in METHODS:
            raise DataError(f"{path}: method {method!r} cannot be estimated; the engine knows {', '.join(METHODS)}")
    when = _expressions(table, path)
    paths = [x for x in pc.unique(table["frame_path"]).to_pylist() if x] if "frame_path" in table.column_names else []
    frame, frame_digest = read_frame(paths, strata, path) if paths else (None, "")
    if frame is None and not when:
        raise DataError(f"{path}: the audit has neither stratum_when nor frame_path; one must say whom it could draw")
    for h, method in enumerate(methods):
        if method in ("pps", "cluster") and (frame is None or not (frame.stratum_F == h).any()):
            raise DataError(f"{path}: stratum {strata[h]}: {method} needs a frame file that lists whom it could draw")
    population, sample = (_sizes(table, name, path) for name in ("population_size", "sample_size"))
    audit_id = table["audit_id"][0].as_py()
    return Audit(audit_id, strata, methods, population, sample, when, frame, digest + frame_digest)


def _named(table: pa.Table, path: str) -> pa.Table:
    """Return the table with audits and strata as text; integers in digits."""
    for name in ("audit_id", "stratum"):
        if table[name].null_count:
            raise DataError(
                f"{path}: column {name} is null in {table[name].null_count} rows; name every audit and stratum"
            )
        table = table.set_column(table.column_names.index(name), name, table[name].cast(pa.string()))
    return table


def _used(table: pa.Table, path: str, use: str | Sequence[str] | None) -> list[str]:
    """Return the names of the audits to use, in the order of the table."""
    known = pc.unique(table["audit_id"]).to_pylist()
    if use is None and len(known) != 1:
        raise DataError(
            f"{path}: holds {len(known)} audits; name one of {', '.join(map(str, known))} in audits.use, several or all"
        )
    wanted = known if use in (None, ALL) else [use] if isinstance(use, str) else list(use or ())
    for name in wanted:
        if name not in known:
            raise DataError(f"{path}: audits.use: unknown audit {name}{did_you_mean(name, known)}")
    if not wanted:
        raise DataError(f"{path}: holds no audit")
    return [name for name in known if name in wanted]


def _sizes(table: pa.Table, name: str, path: str) -> I64:
    try:
        sizes: I64 = table[name].cast(pa.int64()).combine_chunks().to_numpy()  # refuses nulls
    except pa.ArrowInvalid as error:
        raise DataError(f"{path}: column {name}: {error}; it must be a whole number") from None
    return sizes


def _expressions(table: pa.Table, path: str) -> tuple[Expression, ...]:
    if AUDITS.field("stratum_when").name not in table.column_names:
        return ()
    found = []
    for text in table["stratum_when"].to_pylist():
        if text is not None:
            try:
                found.append(parse(text))
            except ExpressionError as error:
                raise DataError(f"{path}: column stratum_when: {error}") from None
            derived = [name for name in columns_read(found[-1]) if is_feature(name)]
            for name in (*derived, *(f"${name}" for name in parameters(found[-1]))):
                raise DataError(f"{path}: column stratum_when reads {name}; a stratum is told by attributes alone")
    return tuple(found)
