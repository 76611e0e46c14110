"""How often reviewers are right, counted on creatives that an expert judged as well."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from engine.errors import DataError
from engine.read.audits import Audit
from engine.read.double_labels import double_labelled
from engine.read.labels import resolve_labels
from engine.schema import LABELS


def audit() -> Audit:
    one = np.array([100], np.int64)
    return Audit("a1", ("s",), ("srs",), one, one // 5, (), None, "")


def table(rows: list[tuple]) -> pa.Table:
    """Return labels of (creative, policy, label, source, inclusion probability)."""
    names = ("creative_id", "policy", "label", "source", "inclusion_probability")
    drawn = {"audit_id": "a1", "stratum": "s"}
    plain = [
        dict.fromkeys(LABELS.names) | dict(zip(names, row, strict=True)) | (drawn if row[3] == "audit" else {})
        for row in rows
    ]
    return pa.Table.from_pylist(plain, schema=LABELS)


def both(pairs: list[tuple[str, str, float | None]], policy: str = "p", first: int = 0) -> list[tuple]:
    """Return the audit's and the expert's label of each creative; (reviewer, expert, chance of the expert)."""
    out = []
    for i, (said, true, chance) in enumerate(pairs, first):
        out += [(f"c{i:03d}", policy, said, "audit", 0.2), (f"c{i:03d}", policy, true, "expert", chance)]
    return out


V, C = "VIOLATING", "COMPLIANT"


def test_rates_are_shares_of_what_experts_say():
    rows = both([(V, V, None)] * 9 + [(C, V, None)] + [(C, C, None)] * 19 + [(V, C, None)])
    rows += [("alone", "p", V, "audit", 0.2), ("expert only", "p", C, "expert", None)]
    found = double_labelled(table(rows), ["p"], [audit()], "labels")["p"]
    assert (found.sensitivity, found.specificity) == (pytest.approx(0.9), pytest.approx(0.95))
    assert (found.violating, found.compliant) == (pytest.approx(10), pytest.approx(20))


def test_a_second_look_at_some_counts_each_for_how_many_it_stands():
    # experts saw everything that was called violating, and one in ten of the rest
    rows = both([(V, V, 1.0)] * 9 + [(V, C, 1.0)] * 2 + [(C, V, 0.1)] + [(C, C, 0.1)] * 9)
    found = double_labelled(table(rows), ["p"], [audit()], "labels")["p"]
    assert found.sensitivity == pytest.approx(9 / 19)
    assert found.specificity == pytest.approx(90 / 92)
    assert found.violating == pytest.approx(19**2 / 109)


def test_any_is_counted_on_both_policies_together():
    rows = both([(V, V, None), (C, C, None), (C, V, None)]) + both([(C, C, None), (C, C, None), (V, V, None)], "q")
    found = double_labelled(table(rows), ["p", "q"], [audit()], "labels")
    assert set(found) == {"p", "q", "any"}
    assert found["p"].sensitivity == pytest.approx(0.5)
    assert (found["any"].sensitivity, found["any"].violating) == (1.0, pytest.approx(2))  # the third is q's


def test_without_an_expert_on_a_truth_nobody_knows_the_rate():
    with pytest.raises(DataError, match="no audited creative of p violates"):
        double_labelled(table(both([(C, C, None)])), ["p"], [audit()], "labels")
    with pytest.raises(DataError, match="inclusion_probability"):
        double_labelled(table(both([(V, V, 0.0), (C, C, None)])), ["p"], [audit()], "labels")


def test_experts_labels_neither_answer_an_audit_nor_count_naively():
    rows = [(f"c{i:03d}", "p", C if i else None, "audit", 0.2) for i in range(20)]
    plain = resolve_labels(table(rows), ["p"], [audit()], "labels")
    seen = resolve_labels(table([*rows, ("c000", "p", V, "expert", None)]), ["p"], [audit()], "labels")
    assert seen.y_nP.tolist() == plain.y_nP.tolist()
    assert seen.naive_nP.tolist() == plain.naive_nP.tolist()
    assert seen.counts == plain.counts
    assert seen.strata == plain.strata
