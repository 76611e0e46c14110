"""Labels joined with what every strategy did to the labelled creatives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.read.audits import Audit
from engine.records import I8, I64, WEIGHTINGS, Design, Flags, LabelledRows, LabelTable, ScoredSample, single_draws


def join_labels(kept: pa.Table, labels: LabelTable, audits: Sequence[Audit]) -> LabelledRows:
    """Return the labelled creatives of the period.

    kept : rows of the replay: creative_id, advertiser_id, cell, weights, scores, outcome.
    """
    at = pc.index_in(kept["creative_id"], pa.array(labels.creative_id, pa.string()))
    return _join(kept.filter(pc.is_valid(at)), pc.drop_null(at).to_numpy().astype(np.int64), labels, audits)


def scored_sample(
    kept: pa.Table, labels: LabelTable, audits: Sequence[Audit], share: float, *, clustered: bool
) -> ScoredSample:
    """Return the scored creatives as a sample of all: a labelled one stands for itself, any other for 1/share.

    Which creatives are labelled is taken as given, so the hash that drew the rest is all that is random. With share 0
    there is no rest, and the audit's draw, each creative standing for 1/π, is the only sample there is.
    """
    at = pc.index_in(kept["creative_id"], pa.array(labels.creative_id, pa.string()))
    at_n = pc.fill_null(at, -1).to_numpy().astype(np.int64)
    if share == 0.0:
        drawn = (at_n >= 0) & (labels.stratum_n[at_n] >= 0 if len(labels.stratum_n) else False)
        rows = _join(kept.filter(pa.array(drawn)), at_n[drawn], labels, audits)
        return ScoredSample(rows, 1.0 / rows.pi_n, share, clustered)
    rows = _join(kept, at_n, labels, audits)
    return ScoredSample(rows, np.where(at_n >= 0, 1.0, 1.0 / share), share, clustered)


def _join(kept: pa.Table, at_n: I64, labels: LabelTable, audits: Sequence[Audit]) -> LabelledRows:
    """Return kept rows with the label at `at_n`, none where it is -1."""
    y_nQ = with_any(labels.y_nP)
    draws = labels.draws or single_draws(labels.stratum_n, labels.pi_n, labels.y_nP >= 0)
    answered_dQ = _with_every(draws.answered_dQ)
    strata = sum(len(audit.strata) for audit in audits)
    design = Design(
        tuple(method for audit in audits for method in audit.method_H),
        np.concatenate([np.zeros(0, np.int64), *(audit.population_H for audit in audits)]),
        _count(draws.stratum_d, strata),
        np.stack([_count(draws.stratum_d[answered_d], strata) for answered_d in answered_dQ.T], axis=1),
    )
    pi_n = np.append(labels.pi_n, np.nan)[at_n]  # -1, nowhere, takes the last
    stratum_n = np.append(labels.stratum_n, np.int32(-1))[at_n]
    none = np.full((1, y_nQ.shape[1]), -1, np.int8)
    y_at, naive_at = (np.concatenate([y, none])[at_n] for y in (y_nQ, with_any(labels.naive_nP)))
    rows = _rows(kept, design, pi_n, stratum_n, y_at, naive_at)
    place_n = np.full(len(labels.pi_n), -1, np.int64)
    place_n[at_n[at_n >= 0]] = np.flatnonzero(at_n >= 0)
    moved = replace(draws, row_d=place_n[draws.row_d], answered_dQ=answered_dQ)
    order = np.argsort(moved.row_d, kind="stable")  # as the rows stand
    return replace(rows, draws=moved.take(order))


def census(kept: pa.Table, creative_id: pa.Array, y_nP: I8) -> LabelledRows:
    """Return all creatives of the period with their true labels, as an audit that drew everybody."""
    at = pc.index_in(kept["creative_id"], creative_id)
    kept = kept.filter(pc.is_valid(at))
    y_nQ = with_any(y_nP[pc.drop_null(at).to_numpy().astype(np.int64)])
    size = np.array([len(y_nQ)], np.int64)
    design = Design(("srs",), size, size, np.repeat(size[:, None], y_nQ.shape[1], axis=1))
    return _rows(kept, design, np.ones(len(y_nQ)), np.zeros(len(y_nQ), np.int32), y_nQ, y_nQ)


def read_truth(table: pa.Table, policies: Sequence[str]) -> tuple[pa.Array, I8]:
    """Return ids and y_nP of a truth table (schema.TRUTH)."""
    first = table.filter(pc.equal(table["policy"], policies[0]))
    ids = first["creative_id"].combine_chunks()
    columns = []
    for policy in policies:
        chosen = table.filter(pc.equal(table["policy"], policy))
        at = pc.index_in(ids, chosen["creative_id"].combine_chunks())
        label = chosen["label"].combine_chunks().take(at)
        columns.append(pc.equal(label, "VIOLATING").cast(pa.int8()).fill_null(-1).to_numpy(zero_copy_only=False))
    return ids, np.stack(columns, axis=1).astype(np.int8)


def _with_every(answered_dP: Flags) -> Flags:
    """Append `any` where there are several policies: answered once all are."""
    if answered_dP.shape[1] == 1:
        return answered_dP
    return np.concatenate([answered_dP, answered_dP.all(1, keepdims=True)], axis=1)


def with_any(y_nP: I8) -> I8:
    """Append `any` where there are several policies: violating when one is, once all are concluded."""
    if y_nP.shape[1] == 1:
        return y_nP
    whole = (y_nP >= 0).all(1)  # counting a part-labelled creative only when it violates would favour violations
    any_n = np.where(whole, (y_nP == 1).any(1), -1).astype(np.int8)
    return np.concatenate([y_nP, any_n[:, None]], axis=1)


def _rows(
    kept: pa.Table, design: Design, pi_n: np.ndarray, stratum_n: np.ndarray, y_nQ: I8, naive_nQ: I8
) -> LabelledRows:
    known, imputed = [], []
    for name in WEIGHTINGS:
        value = kept[name].to_numpy().astype(np.float64)
        if name == "creatives":
            known.append(value)
            imputed.append(np.zeros_like(value))
            continue
        known.append(np.where(kept[f"{name}_missing"].to_numpy() > 0, np.nan, value))
        imputed.append(kept[f"{name}_imputed"].to_numpy().astype(np.float64))
    scores = [name for name in kept.column_names if "." in name]
    outcome = kept["outcome"].combine_chunks()
    flat = outcome.flatten().to_numpy().reshape(kept.num_rows, outcome.type.list_size)
    return LabelledRows(
        design=design,
        pi_n=pi_n,
        stratum_n=stratum_n,
        cell_n=kept["cell"].to_numpy(),
        advertiser_n=np.unique(kept["advertiser_id"].to_numpy(zero_copy_only=False), return_inverse=True)[1],
        y_nQ=y_nQ,
        naive_nQ=naive_nQ,
        known_Wn=np.stack(known),
        imputed_Wn=np.stack(imputed),
        outcome_Sn=np.ascontiguousarray(flat.T),
        score_Kn=np.stack([kept[name].to_numpy().astype(np.float64) for name in scores])
        if scores
        else np.zeros((0, kept.num_rows)),
    )


def _count(code_n: np.ndarray, size: int) -> I64:
    return np.bincount(code_n, minlength=size).astype(np.int64)
