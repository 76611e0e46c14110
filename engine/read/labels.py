"""Labels and audits → what each labelled creative says, and how the audit drew it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.errors import DataError, did_you_mean
from engine.read.audits import Audit
from engine.read.shards import require_columns
from engine.records import F64, I8, I32, I64, EarlierLabels, Flags, LabelTable
from engine.schema import LABELS

VIOLATING, COMPLIANT, NOT_CONCLUDED = 1, 0, -1
_VALUES = {"VIOLATING": VIOLATING, "COMPLIANT": COMPLIANT, "UNKNOWN": NOT_CONCLUDED}
_CONCLUDED = ["VIOLATING", "COMPLIANT"]
SOURCES = ("audit", "review", "appeal", "report")
_NEEDED = ("creative_id", "policy", "label", "source")
_REPORTED_TOLERANCE = 1e-9
_NEVER = -(2**63)


def label_columns(table: pa.Table, names: Mapping[str, str], source: str) -> pa.Table:
    """Return the labels under the engine's names; optional columns that are not there are null.

    Raises
    ------
    DataError : a column is missing, or a value is none of the words.
    """
    lake = {field: names.get(field, field) for field in LABELS.names}
    faults = require_columns(table.schema, {f"labels.columns.{x}": lake[x] for x in _NEEDED}, source)
    unknown = set(names) - set(LABELS.names)
    faults += [f"{source}: labels.columns.{name}: unknown{did_you_mean(name, LABELS.names)}" for name in unknown]
    if faults:
        raise DataError(*faults)
    columns = {}
    for field in LABELS:
        if lake[field.name] in table.column_names:
            try:
                columns[field.name] = table.column(lake[field.name]).cast(field.type)
            except pa.ArrowException as error:
                raise DataError(f"{source}: column {lake[field.name]}: {error}") from None
        else:
            columns[field.name] = pa.nulls(table.num_rows, field.type)
    labels = pa.table(columns)
    for name in ("creative_id", "policy"):
        if labels[name].null_count:
            raise DataError(
                f"{source}: column {lake[name]} is null in {labels[name].null_count} rows; name each label's"
            )
    _check_words(labels, "label", tuple(_VALUES), source)
    _check_words(labels, "source", SOURCES, source)
    return labels


def rejected_in_review(labels: pa.Table) -> pa.Table:
    """Return `creative_id` and the earliest `known_at` of every creative that a review label calls violating."""
    chosen = pc.and_(pc.equal(labels["source"], "review"), pc.equal(labels["label"], "VIOLATING"))
    found = labels.filter(chosen).group_by("creative_id").aggregate([("known_at", "min")])
    return pa.table({"creative_id": found["creative_id"], "known_at": found["known_at_min"]})


def resolve_labels(labels: pa.Table, policies: Sequence[str], audit: Audit | None, source: str) -> LabelTable:
    """Resolve several labels of one creative and policy to the latest known, and join how the audit drew it.

    Raises
    ------
    DataError : an audit label without a probability in (0, 1], in two strata, or one that contradicts the frame.
    """
    labels = labels.filter(pc.is_in(labels["policy"], pa.array(policies, pa.string())))
    known_at = pc.fill_null(labels["known_at"].cast(pa.int64()), _NEVER)  # an unknown time is never the latest
    labels = labels.append_column("known_order", known_at)
    labels = labels.sort_by([("creative_id", "ascending"), ("known_order", "ascending"), ("reviewer_id", "ascending")])
    ids, row_of = _factorize(labels["creative_id"])
    policy_at = pc.index_in(labels["policy"], pa.array(policies, pa.string())).to_numpy()
    value = pc.index_in(labels["label"], pa.array(list(_VALUES))).fill_null(len(_VALUES)).to_numpy()
    y = np.array([*_VALUES.values(), NOT_CONCLUDED], np.int8)[value]
    sources = labels["source"].to_numpy(zero_copy_only=False)
    drawn = sources == "audit"
    if audit is not None:
        drawn &= pc.equal(labels["audit_id"], audit.audit_id).fill_null(False).to_numpy(zero_copy_only=False)
    else:
        drawn &= False
    counts = {name: int((sources == name).sum()) for name in SOURCES}
    pi_n, stratum_n = np.full(len(ids), np.nan), np.full(len(ids), -1, np.int32)
    if audit is not None:
        pi_n, stratum_n = _drawn(labels.filter(pa.array(drawn)), row_of[drawn], len(ids), audit, source)
    shape = (len(ids), len(policies))
    y_nP = _latest(shape, row_of[drawn], policy_at[drawn], y[drawn])
    counts |= _audit_counts(y_nP, stratum_n >= 0, labels.filter(pa.array(drawn)))
    appealed = (sources == "appeal") & (y >= 0)
    counts |= {"appeals_decided": int(appealed.sum()), "appeals_overturned": int((appealed & (y == COMPLIANT)).sum())}
    return LabelTable(tuple(ids), y_nP, _latest(shape, row_of, policy_at, y), pi_n, stratum_n, counts)


def labels_before(labels: pa.Table, policies: Sequence[str], moment: datetime, source: str) -> EarlierLabels:
    """Return what audits concluded before a moment; of several labels of one creative and policy the latest known.

    Raises
    ------
    DataError : one of them has no probability in (0, 1].
    """
    chosen = pc.and_(pc.equal(labels["source"], "audit"), pc.is_in(labels["label"], pa.array(_CONCLUDED)))
    chosen = pc.and_(chosen, pc.is_in(labels["policy"], pa.array(policies, pa.string())))
    early = labels.filter(pc.and_(chosen, pc.less(labels["known_at"], pa.scalar(moment, labels["known_at"].type))))
    early = early.sort_by([("creative_id", "ascending"), ("policy", "ascending"), ("known_at", "ascending")])
    pi_n = early["inclusion_probability"].fill_null(np.nan).to_numpy()
    if not ((pi_n > 0) & (pi_n <= 1)).all():
        raise DataError(
            f"{source}: {int((~((pi_n > 0) & (pi_n <= 1))).sum())} audit labels known before the period have no "
            "inclusion_probability above 0 and at most 1; calibration needs it"
        )
    ids = early["creative_id"].to_pylist()
    policy_n = pc.index_in(early["policy"], pa.array(policies, pa.string())).to_numpy().astype(np.int64)
    last = [i for i in range(len(ids)) if i + 1 == len(ids) or (ids[i], policy_n[i]) != (ids[i + 1], policy_n[i + 1])]
    y_n = pc.equal(early["label"], "VIOLATING").to_numpy(zero_copy_only=False).astype(np.int8)
    return EarlierLabels(tuple(ids[i] for i in last), policy_n[last], y_n[last], 1 / pi_n[last])


def _check_words(labels: pa.Table, column: str, words: Sequence[str], source: str) -> None:
    strange = [x for x in pc.unique(labels[column]).to_pylist() if x is not None and x not in words]
    if strange or (column == "source" and labels[column].null_count):
        raise DataError(
            f"{source}: column {column} holds {strange[:1] or 'null'}; it must be one of {', '.join(words)}"
        )


def _factorize(column: pa.ChunkedArray) -> tuple[list[str], I64]:
    """Return the distinct values of a sorted column and each row's place among them."""
    encoded = column.combine_chunks().dictionary_encode()
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy().astype(np.int64)


def _latest(shape: tuple[int, int], row_n: I64, policy_n: I64, y: I8) -> I8:
    """Return per creative and policy the last label that concluded (rows come sorted by known_at)."""
    out = np.full(shape, NOT_CONCLUDED, np.int8)
    concluded = y >= 0
    out[row_n[concluded], policy_n[concluded]] = y[concluded]  # of equal places numpy keeps the last
    return out


def _audit_counts(y_nP: I8, drawn_n: Flags, labels: pa.Table) -> dict[str, int]:
    answered = drawn_n & (y_nP >= 0).all(1)
    unknown = int(pc.sum(pc.equal(labels["label"], "UNKNOWN")).as_py() or 0)
    return {
        "audit_drawn": int(drawn_n.sum()),
        "audit_answered": int(answered.sum()),
        "audit_unanswered": int(drawn_n.sum() - answered.sum()),
        "audit_unknown": unknown,
    }


def _drawn(labels: pa.Table, row_n: I64, size: int, audit: Audit, source: str) -> tuple[F64, I32]:
    pi = labels["inclusion_probability"].fill_null(np.nan).to_numpy()
    bad = ~((pi > 0) & (pi <= 1))
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        raise DataError(
            f"{source}: column inclusion_probability is {pi[at]} for creative {labels['creative_id'][at].as_py()!r} "
            f"({int(bad.sum())} audit labels in all); a drawn creative has a probability above 0 and at most 1"
        )
    stratum = pc.index_in(labels["stratum"], pa.array(audit.strata, pa.string()))
    if stratum.null_count:
        name = labels["stratum"].filter(stratum.is_null())[0].as_py()
        raise DataError(f"{source}: stratum {name!r} is not in the audits table{did_you_mean(str(name), audit.strata)}")
    pi_n, stratum_n = np.full(size, np.nan), np.full(size, -1, np.int32)
    pi_n[row_n], stratum_n[row_n] = pi, stratum.to_numpy()
    twice = (stratum_n[row_n] != stratum.to_numpy()) | (np.abs(pi_n[row_n] - pi) > _REPORTED_TOLERANCE)
    if twice.any():
        name = labels["creative_id"][int(np.flatnonzero(twice)[0])].as_py()
        raise DataError(
            f"{source}: creative {name!r} was drawn with two strata or probabilities; one audit draws it once"
        )
    audit.check_sizes(pi_n, stratum_n)
    audit.check_frame(labels["creative_id"].combine_chunks(), pi)
    return pi_n, stratum_n
