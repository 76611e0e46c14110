"""Creatives that an expert judged beside the audit's reviewers → how often those reviewers are right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.errors import DataError
from engine.read.audits import Audit
from engine.read.labelled import with_any
from engine.read.labels import asked_by, pile_of
from engine.read.resolution import RULES, resolve
from engine.records import ANY, F64, I8, ReviewerError

EXPERT = "expert"


def double_labelled(
    labels: pa.Table, policies: Sequence[str], audits: Sequence[Audit], source: str, rule: str = RULES[0]
) -> Mapping[str, ReviewerError]:
    """Return sensitivity and specificity of the audits' labels by policy and, where there are several, for `any`.

    A label of source `expert` is taken as the truth about its creative. Where experts saw some creatives rather than
    others (all that the audit called violating, say), their `inclusion_probability` says with what chance each audited
    creative came to them; null is the same chance for all. Sizes are then effective ones (Kish).

    Raises
    ------
    DataError : a policy without any expert label on an audited creative that violates, or on one that complies.
    """
    labels = labels.filter(pc.is_in(labels["policy"], pa.array(policies, pa.string())))
    creative_id = labels["creative_id"].combine_chunks().dictionary_encode()
    row_k, shape = creative_id.indices.to_numpy().astype(np.int64), (len(creative_id.dictionary), len(policies))
    pile = pile_of(labels, row_k, policies)
    expert_k = pc.equal(labels["source"], EXPERT).to_numpy(zero_copy_only=False)
    said_nQ = with_any(resolve(pile.where(asked_by(labels, audits)), rule, shape))
    true_nQ = with_any(resolve(pile.where(expert_k), rule, shape))
    chance_k = labels["inclusion_probability"].fill_null(1.0).to_numpy()[expert_k]
    if not ((chance_k > 0) & (chance_k <= 1)).all():
        raise DataError(f"{source}: an expert's label has an inclusion_probability that is not above 0 and at most 1")
    weight_n = np.ones(shape[0])
    np.maximum.at(weight_n, row_k[expert_k], 1 / chance_k)
    named = policies if len(policies) == 1 else (*policies, ANY)
    return {policy: _rates(policy, said_nQ[:, q], true_nQ[:, q], weight_n, source) for q, policy in enumerate(named)}


def _rates(policy: str, said_n: I8, true_n: I8, weight_n: F64, source: str) -> ReviewerError:
    found = []
    for truth, word in ((1, "violates"), (0, "complies")):
        mine_n = (true_n == truth) & (said_n >= 0)
        if not mine_n.any():
            raise DataError(
                f"{source}: labels.reviewer_error: no audited creative of {policy} {word} by an expert's label, so "
                "that nobody knows how often the audit's reviewers are right about those"
            )
        weight = weight_n[mine_n]
        found.append((float(weight[said_n[mine_n] == truth].sum() / weight.sum()), _kish(weight)))
    (sensitivity, violating), (specificity, compliant) = found
    return ReviewerError(sensitivity, specificity, violating, compliant)


def _kish(weight: F64) -> float:
    return float(weight.sum() ** 2 / (weight**2).sum())
