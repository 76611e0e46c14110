"""The audits table and its frame: whom the audit could have drawn, and how."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.errors import DataError, did_you_mean
from engine.expression import Expression, ExpressionError, columns_read, is_feature, parameters, parse
from engine.read.shards import read_table, require_columns
from engine.records import F64, I32, I64
from engine.schema import AUDITS, FRAME

METHODS = ("srs", "poisson")
_STANDARD_ERRORS = 5.0
_SAME = 1e-9


@dataclass(frozen=True)
class Audit:
    """One audit of a history. H strata; framed, framed_pi : ids and probabilities of the frame file, or
    None, and then `when` holds expressions.
    """

    audit_id: str
    strata: tuple[str, ...]
    method_H: tuple[str, ...]
    population_H: I64
    sample_H: I64
    when: tuple[Expression, ...]
    framed: pa.Array | None
    framed_pi: F64
    identity: str

    def check_frame(self, creative_id: pa.Array, pi_n: F64) -> None:
        """Refuse drawn creatives that the frame does not hold, or holds with another probability.

        Raises
        ------
        DataError : names the first such creative.
        """
        if self.framed is None:
            return
        at = pc.index_in(creative_id, self.framed)
        if at.null_count:
            name = creative_id.filter(at.is_null())[0].as_py()
            raise DataError(f"audit {self.audit_id}: creative {name!r} was drawn and is not in the frame file")
        frame = self.framed_pi[at.to_numpy()]
        off = np.abs(frame - pi_n) > _SAME
        if off.any():
            i = int(np.flatnonzero(off)[0])
            raise DataError(
                f"audit {self.audit_id}: creative {creative_id[i].as_py()!r} has π = {pi_n[i]} in the "
                f"labels and {frame[i]} in the frame file; they must agree"
            )

    def check_sizes(self, pi_n: F64, stratum_n: I32) -> None:
        """Refuse a draw whose Σ 1/π is not the size of its stratum: exactly for srs, else within 5 standard errors.

        Raises
        ------
        DataError : one line per stratum.
        """
        faults = []
        for h, name in enumerate(self.strata):
            pi = pi_n[stratum_n == h]
            total, population = float((1 / pi).sum()), int(self.population_H[h])
            allowed = 1e-6 * max(population, 1)
            if self.method_H[h] == "poisson":
                allowed += _STANDARD_ERRORS * float(np.sqrt(((1 - pi) / pi**2).sum()))
                if not len(pi):
                    continue  # Poisson sampling may draw nobody; the estimators say that nothing stands for the stratum
            elif len(pi) and float(np.ptp(pi)) > _SAME:
                faults.append(
                    f"audit {self.audit_id}, stratum {name}: srs drew {len(pi)} creatives with π from {pi.min()} to "
                    f"{pi.max()}; it has one π per stratum (unequal ones are poisson)"
                )
                continue
            if abs(total - population) > allowed:
                faults.append(
                    f"audit {self.audit_id}, stratum {name}: Σ 1/π over {len(pi)} drawn creatives is {total:.2f}, "
                    f"the audits table says {population}; bring every drawn creative, answered or not, once"
                )
        if faults:
            raise DataError(*faults)


def read_audit(path: str, use: str | None) -> Audit:
    """Read the audits table and the frame of one audit.

    Raises
    ------
    DataError : missing columns, an unknown method, or no rule for which audit to use.
    """
    table, digest = read_table(path, "audits.path")
    needed = ("audit_id", "stratum", "method", "population_size", "sample_size")
    faults = require_columns(table.schema, {f"audits.{name}": name for name in needed}, path)
    if faults:
        raise DataError(*faults)
    table = _chosen(_named(table, path), path, use)
    strata = tuple(table["stratum"].to_pylist())
    methods = tuple(table["method"].to_pylist())
    if len(set(strata)) < len(strata):
        raise DataError(f"{path}: an audit names a stratum twice; one row per audit and stratum")
    for method in methods:
        if method not in METHODS:
            raise DataError(f"{path}: method {method!r} cannot be estimated yet; the engine knows {', '.join(METHODS)}")
    when = _expressions(table, path)
    framed, framed_pi, frame_digest = _frame(table, path)
    if framed is None and not when:
        raise DataError(f"{path}: the audit has neither stratum_when nor frame_path; one must say whom it could draw")
    population, sample = (_sizes(table, name, path) for name in ("population_size", "sample_size"))
    return Audit(
        audit_id=table["audit_id"][0].as_py(),
        strata=strata,
        method_H=methods,
        population_H=population,
        sample_H=sample,
        when=when,
        framed=framed,
        framed_pi=framed_pi,
        identity=digest + frame_digest,
    )


def _named(table: pa.Table, path: str) -> pa.Table:
    """Return the table with audits and strata as text; integers in digits."""
    for name in ("audit_id", "stratum"):
        if table[name].null_count:
            raise DataError(
                f"{path}: column {name} is null in {table[name].null_count} rows; name every audit and stratum"
            )
        table = table.set_column(table.column_names.index(name), name, table[name].cast(pa.string()))
    return table


def _chosen(table: pa.Table, path: str, use: str | None) -> pa.Table:
    known = pc.unique(table["audit_id"]).to_pylist()
    if use is None and len(known) != 1:
        raise DataError(f"{path}: holds {len(known)} audits; name one of {', '.join(map(str, known))} in audits.use")
    if use is not None and use not in known:
        raise DataError(f"{path}: audits.use: unknown audit {use}{did_you_mean(use, known)}")
    return table.filter(pc.equal(table["audit_id"], use or known[0]))


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


def _frame(table: pa.Table, path: str) -> tuple[pa.Array | None, F64, str]:
    if "frame_path" not in table.column_names:
        return None, np.zeros(0), ""
    paths = [name for name in pc.unique(table["frame_path"]).to_pylist() if name]
    ids, pis, digests = [], [np.zeros(0)], []
    for name in paths:
        frame, digest = read_table(name, f"{path}: frame_path")
        faults = require_columns(frame.schema, {f"frame.{field}": field for field in FRAME.names[:3]}, name)
        if faults:
            raise DataError(*faults)
        possible = frame.filter(pc.greater(frame["inclusion_probability"].fill_null(0.0), 0.0))
        ids.append(possible["creative_id"].cast(pa.string()).combine_chunks())
        pis.append(possible["inclusion_probability"].cast(pa.float64()).to_numpy())
        digests.append(digest)
    return (pa.concat_arrays(ids) if ids else None), np.concatenate(pis), "".join(digests)
