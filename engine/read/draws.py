"""Audit labels → who was drawn by which audit, and how much of a creative each audit stands for.

A creative that several independent audits could have drawn is shared out among them: of the weight 1/π_a of a draw by
audit a counts the part π_a/(1 − π_a) over the sum of that of all audits whose frame holds the creative, and a certain
draw takes all. The parts are fixed before anybody draws and add up to 1, so that Σ over audits of their own weighted
sums is unbiased, and its variance is the sum of the audits' own, whatever their designs: a multiple-frame estimator in
the manner of Hartley (1962), with parts per creative as in Kalton and Anderson (1986, J. R. Stat. Soc. A 149, 65–82),
to whose π_a/Σπ the odds come down where π is small; under Poisson sampling the odds make Σ part²(1 − π)/π least.
What two audits both drew is one creative: its draws add up to one weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.errors import DataError, did_you_mean
from engine.read.audits import Audit
from engine.read.balance import check_draw
from engine.read.frame import SAME
from engine.read.resolution import NOT_CONCLUDED, RULES, Pile, resolve
from engine.records import F64, I32, I64, Draws, Flags


def audit_draws(labels: pa.Table, pile: Pile, shape: tuple[int, int], audits: Sequence[Audit], source: str) -> Draws:
    """Return the draws of all audits, ordered by creative.

    labels, pile : the same label rows, `audit` of their source. shape : creatives, policies.

    Raises
    ------
    DataError : a label without a probability in (0, 1], in two strata, or a draw that contradicts the audits table or
        the frame.
    """
    parts, first, clusters = [], 0, 0
    for audit in audits:
        mine = pc.equal(labels["audit_id"], audit.audit_id).fill_null(False)
        rows = labels.filter(mine)
        heard = pile.where(mine.to_numpy(zero_copy_only=False))
        part = _drawn(rows, heard, shape, audit, source)
        cluster_d = np.where(part.cluster_d >= 0, part.cluster_d + clusters, -1)
        parts.append(replace(part, stratum_d=part.stratum_d + np.int32(first), cluster_d=cluster_d))
        first += len(audit.strata)
        clusters = int(cluster_d.max(initial=clusters - 1)) + 1
    whole = Draws(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Draws)))
    return whole.take(np.argsort(whole.row_d, kind="stable"))


def combined_chance(draws: Draws, size: int) -> tuple[F64, I32]:
    """Return per creative 1 over its weight of all draws, and the stratum of the first; NaN, -1 of one nobody drew."""
    weight_n = np.bincount(draws.row_d, draws.part_d / draws.chance_d, size)
    with np.errstate(divide="ignore"):
        chance_n = np.where(weight_n > 0, 1.0 / weight_n, np.nan)
    alone = (np.bincount(draws.row_d, minlength=size)[draws.row_d] == 1) & (draws.part_d == 1.0)
    chance_n[draws.row_d[alone]] = draws.chance_d[alone]  # to the last bit
    stratum_n = np.full(size, -1, np.int32)
    stratum_n[draws.row_d[::-1]] = draws.stratum_d[::-1]
    return chance_n, stratum_n


def shared_parts(chance_dA: F64, drawer_d: I64) -> F64:
    """Return the part of each creative that the audit that drew it stands for.

    chance_dA : inclusion probability under every audit, 0 where its frame lacks the creative.
    """
    certain_dA = chance_dA >= 1.0
    odds_dA = chance_dA / np.where(certain_dA, 1.0, 1.0 - chance_dA)
    odds_dA = np.where(certain_dA.any(1, keepdims=True), certain_dA, odds_dA)
    each = np.arange(len(drawer_d))
    return np.asarray(odds_dA[each, drawer_d] / odds_dA.sum(1))


def share_out(draws: Draws, creative_id: pa.Array, audits: Sequence[Audit]) -> Draws:
    """Return the draws with the part of each audit, from the audits' frames."""
    if len(audits) < 2:
        return draws
    drawn = creative_id.take(pa.array(draws.row_d))
    chance_dA = np.zeros((len(draws.row_d), len(audits)))
    for a, audit in enumerate(audits):
        assert audit.frame is not None
        chance_dA[:, a] = np.append(audit.frame.chance_F, 0.0)[audit.frame.places(drawn)]
    first_A = np.cumsum([0, *(len(audit.strata) for audit in audits)])
    drawer_d = np.searchsorted(first_A, draws.stratum_d, side="right") - 1
    return replace(draws, part_d=shared_parts(chance_dA, drawer_d))


def _drawn(labels: pa.Table, pile: Pile, shape: tuple[int, int], audit: Audit, source: str) -> Draws:
    chance_k, stratum_k = _chances(labels, source), _strata(labels, audit, source)
    row_d, first_d, entry_k = np.unique(pile.row_k, return_index=True, return_inverse=True)
    chance_d, stratum_d = chance_k[first_d], stratum_k[first_d]
    twice = (stratum_d[entry_k] != stratum_k) | (np.abs(chance_d[entry_k] - chance_k) > SAME)
    if twice.any():
        name = labels["creative_id"][int(np.flatnonzero(twice)[0])].as_py()
        raise DataError(
            f"{source}: creative {name!r} was drawn with two strata or probabilities; one audit draws it once"
        )
    drawn = labels["creative_id"].combine_chunks().take(pa.array(first_d))
    cluster_d = check_draw(audit, drawn, chance_d, stratum_d)
    answered: Flags = np.asarray(resolve(pile, RULES[0], shape)[row_d] != NOT_CONCLUDED)
    return Draws(row_d, stratum_d, chance_d, np.ones(len(row_d)), cluster_d, answered)


def _chances(labels: pa.Table, source: str) -> F64:
    chance_k: F64 = labels["inclusion_probability"].fill_null(np.nan).to_numpy()
    bad = ~((chance_k > 0) & (chance_k <= 1))
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        raise DataError(
            f"{source}: column inclusion_probability is {chance_k[at]} for creative "
            f"{labels['creative_id'][at].as_py()!r} ({int(bad.sum())} audit labels in all); a drawn creative has a "
            "probability above 0 and at most 1"
        )
    return chance_k


def _strata(labels: pa.Table, audit: Audit, source: str) -> I32:
    stratum = pc.index_in(labels["stratum"], pa.array(audit.strata, pa.string()))
    if stratum.null_count:
        name = labels["stratum"].filter(stratum.is_null())[0].as_py()
        raise DataError(f"{source}: stratum {name!r} is not in the audits table{did_you_mean(str(name), audit.strata)}")
    return stratum.to_numpy().astype(np.int32)
