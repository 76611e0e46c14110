"""Labels and audits → what each labelled creative says, and how the audits drew it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.errors import DataError, did_you_mean
from engine.read.audits import Audit
from engine.read.draws import audit_draws, combined_chance, share_out
from engine.read.resolution import COMPLIANT, NOT_CONCLUDED, RULES, UNTIMED, VIOLATING, Pile, resolve
from engine.read.shards import read_table, require_columns
from engine.records import I8, I64, Draws, EarlierLabels, Flags, LabelTable, StratumAnswers
from engine.schema import LABELS

_VALUES = {"VIOLATING": VIOLATING, "COMPLIANT": COMPLIANT, "UNKNOWN": NOT_CONCLUDED}
_CONCLUDED = ["VIOLATING", "COMPLIANT"]
SOURCES = ("audit", "review", "appeal", "report")
_EXPERT = "expert"  # the truth about a creative, which measures the audit's reviewers and is no label of a history
_NEEDED = ("creative_id", "policy", "label", "source")


def read_labels(paths: Sequence[str], names: Mapping[str, str]) -> tuple[pa.Table, str]:
    """Read the labels of every path, one after the other, under the engine's names, and their content hash.

    Raises
    ------
    DataError : nothing there, unreadable, a column is missing, or a value is none of the words.
    """
    found = [(path, *read_table(path, "labels.path")) for path in paths]
    tables = [label_columns(table, names, path) for path, table, _ in found]
    return pa.concat_tables(tables), "".join(digest for *_, digest in found)


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
    _check_words(labels, "source", (*SOURCES, _EXPERT), source)
    return labels


def rejected_in_review(labels: pa.Table) -> pa.Table:
    """Return `creative_id` and the earliest `known_at` of every creative that a review label calls violating."""
    chosen = pc.and_(pc.equal(labels["source"], "review"), pc.equal(labels["label"], "VIOLATING"))
    found = labels.filter(chosen).group_by("creative_id").aggregate([("known_at", "min")])
    return pa.table({"creative_id": found["creative_id"], "known_at": found["known_at_min"]})


def resolve_labels(
    labels: pa.Table,
    policies: Sequence[str],
    audits: Sequence[Audit],
    source: str,
    rule: str = RULES[0],
    left_out: Mapping[str, int] = MappingProxyType({}),
) -> LabelTable:
    """Resolve several labels of one creative and policy by a rule of `resolution`, and join how the audits drew it.

    A label speaks for the audits when one of them asked for it; of several audits' labels the rule picks as of several
    labels of one. left_out : labels that do not count, by reason, to report.

    Raises
    ------
    DataError : an audit label without a probability in (0, 1], in two strata, or one that contradicts the frame.
    """
    labels = labels.filter(pc.is_in(labels["policy"], pa.array(policies, pa.string()))).sort_by("creative_id")
    creative_id = labels["creative_id"].combine_chunks().dictionary_encode()
    pile = pile_of(labels, creative_id.indices.to_numpy().astype(np.int64), policies)
    shape = (len(creative_id.dictionary), len(policies))
    sources, asked = labels["source"].to_numpy(zero_copy_only=False), asked_by(labels, audits)
    y_nP = resolve(pile.where(asked), rule, shape)
    draws = None
    pi_n, stratum_n = np.full(shape[0], np.nan), np.full(shape[0], -1, np.int32)
    if audits:
        draws = audit_draws(labels.filter(pa.array(asked)), pile.where(asked), shape, audits, source)
        draws = share_out(draws, creative_id.dictionary, audits)
        pi_n, stratum_n = combined_chance(draws, shape[0])
    unknown = asked & pc.equal(labels["label"], "UNKNOWN").fill_null(False).to_numpy(zero_copy_only=False)
    counts = {name: int((sources == name).sum()) for name in SOURCES}
    counts |= _audit_counts(y_nP, stratum_n >= 0) | {"audit_unknown": int(unknown.sum())} | dict(left_out)
    counts |= _appeal_counts(pile.y_k[sources == "appeal"])
    return LabelTable(
        creative_id=tuple(creative_id.dictionary.to_pylist()),
        y_nP=y_nP,
        naive_nP=resolve(pile.where(sources != _EXPERT), rule, shape),
        pi_n=pi_n,
        stratum_n=stratum_n,
        counts=counts,
        strata=_answers(draws, audits, np.unique(pile.row_k[unknown])) if draws else (),
        draws=draws,
    )


def labels_before(
    labels: pa.Table, policies: Sequence[str], moment: datetime, source: str, rule: str = RULES[0]
) -> EarlierLabels:
    """Return what audits concluded before a moment, several labels of one creative and policy resolved by a rule.

    Raises
    ------
    DataError : one of them has no probability in (0, 1].
    """
    chosen = pc.and_(pc.equal(labels["source"], "audit"), pc.is_in(labels["label"], pa.array(_CONCLUDED)))
    chosen = pc.and_(chosen, pc.is_in(labels["policy"], pa.array(policies, pa.string())))
    early = labels.filter(pc.and_(chosen, pc.less(labels["known_at"], pa.scalar(moment, labels["known_at"].type))))
    early = early.sort_by([("creative_id", "ascending"), ("policy", "ascending"), ("known_at", "ascending")])
    pi_k = early["inclusion_probability"].fill_null(np.nan).to_numpy()
    if not ((pi_k > 0) & (pi_k <= 1)).all():
        raise DataError(
            f"{source}: {int((~((pi_k > 0) & (pi_k <= 1))).sum())} audit labels known before the period have no "
            "inclusion_probability above 0 and at most 1; calibration needs it"
        )
    creative_id = early["creative_id"].combine_chunks().dictionary_encode()
    pile = pile_of(early, creative_id.indices.to_numpy().astype(np.int64), policies)
    y_nP = resolve(pile, rule, (len(creative_id.dictionary), len(policies)))
    key_k = pile.row_k * len(policies) + pile.policy_k
    last = np.flatnonzero(np.append(key_k[1:] != key_k[:-1], True)) if len(key_k) else np.zeros(0, np.int64)
    row_n, policy_n = pile.row_k[last], pile.policy_k[last]
    ids = creative_id.dictionary.take(pa.array(row_n)).to_pylist()
    return EarlierLabels(tuple(ids), policy_n, y_nP[row_n, policy_n], 1 / pi_k[last])


def _check_words(labels: pa.Table, column: str, words: Sequence[str], source: str) -> None:
    strange = [x for x in pc.unique(labels[column]).to_pylist() if x is not None and x not in words]
    if strange or (column == "source" and labels[column].null_count):
        raise DataError(
            f"{source}: column {column} holds {strange[:1] or 'null'}; it must be one of {', '.join(words)}"
        )


def pile_of(labels: pa.Table, row_k: I64, policies: Sequence[str]) -> Pile:
    """Return labels as a pile; row_k : which creative each is about."""
    value = pc.index_in(labels["label"], pa.array(list(_VALUES))).fill_null(len(_VALUES)).to_numpy()
    names = pc.unique(labels["reviewer_id"]).drop_null().sort()
    return Pile(
        row_k=row_k,
        policy_k=pc.index_in(labels["policy"], pa.array(policies, pa.string())).to_numpy().astype(np.int64),
        y_k=np.array([*_VALUES.values(), NOT_CONCLUDED], np.int8)[value],
        time_k=pc.fill_null(labels["known_at"].cast(pa.int64()), UNTIMED).to_numpy(),
        reviewer_k=pc.index_in(labels["reviewer_id"], names).fill_null(len(names)).to_numpy().astype(np.int64),
    )


def asked_by(labels: pa.Table, audits: Sequence[Audit]) -> Flags:
    """Return the labels that one of the audits asked for."""
    named = pc.is_in(labels["audit_id"], pa.array([audit.audit_id for audit in audits], pa.string()))
    return np.asarray(pc.and_(pc.equal(labels["source"], "audit"), named).to_numpy(zero_copy_only=False))


def _audit_counts(y_nP: I8, drawn_n: Flags) -> dict[str, int]:
    answered = drawn_n & (y_nP >= 0).all(1)
    return {
        "audit_drawn": int(drawn_n.sum()),
        "audit_answered": int(answered.sum()),
        "audit_unanswered": int(drawn_n.sum() - answered.sum()),
    }


def _appeal_counts(y_k: I8) -> dict[str, int]:
    return {"appeals_decided": int((y_k >= 0).sum()), "appeals_overturned": int((y_k == COMPLIANT).sum())}


def _answers(draws: Draws, audits: Sequence[Audit], unknown_n: I64) -> tuple[StratumAnswers, ...]:
    """Return what every stratum drew and heard. unknown_n : creatives of which some label is UNKNOWN."""
    answered_d = draws.answered_dQ.all(1)
    unknown_d = ~answered_d & np.isin(draws.row_d, unknown_n)
    size = sum(len(audit.strata) for audit in audits)
    drawn, answered, unknown = (
        np.bincount(draws.stratum_d[chosen], minlength=size).tolist() for chosen in (slice(None), answered_d, unknown_d)
    )
    named = [
        (audit.audit_id, name, method, int(population))
        for audit in audits
        for name, method, population in zip(audit.strata, audit.method_H, audit.population_H, strict=True)
    ]
    return tuple(
        StratumAnswers(*named[h], drawn[h], answered[h], unknown[h], drawn[h] - answered[h] - unknown[h])
        for h in range(size)
    )
