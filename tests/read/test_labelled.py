"""Labels joined with what every strategy did to the labelled creatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from engine.read.audits import Audit
from engine.read.labelled import census, join_labels, read_truth, with_any
from engine.records import WEIGHTS, LabelTable

SIZES = np.array([4, 6])
AUDIT = (Audit("a1", ("s1", "s2"), ("srs", "poisson"), SIZES, SIZES // 2, (), None, ""),)


def kept(*ids: str, **columns: Any) -> pa.Table:
    """Make kept rows of a replay under two strategies; every number tells its row."""
    rows = np.arange(len(ids))
    weights = {name: 100 * w + rows for w, name in enumerate(WEIGHTS)}
    weights |= {"creatives": np.ones(len(ids), np.int64), "impressions_missing": rows % 2, "spend_missing": 0 * rows}
    outcome = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(2 * len(ids)), pa.int16()), 2)
    plain = {
        "creative_id": pa.array(ids, pa.string()),
        "advertiser_id": pa.array([f"adv{i % 2}" for i in rows], pa.string()),
        "cell": rows * 10,
        **weights,
        "v1.scam": pa.array(rows / 10, pa.float32()),
        "outcome": outcome,
    }
    return pa.table(plain | columns)


LABELS = LabelTable(
    creative_id=("a", "b", "c", "out of period"),
    y_nP=np.array([[1, 0], [-1, 0], [-1, -1], [0, 0]], np.int8),
    naive_nP=np.array([[1, 0], [1, 0], [0, -1], [0, 0]], np.int8),
    pi_n=np.array([0.5, 0.25, np.nan, 0.5]),
    stratum_n=np.array([0, 1, -1, 0], np.int32),
    counts={},
)


def test_labelled_creatives_of_the_period_are_joined_in_the_order_of_the_lake() -> None:
    rows = join_labels(kept("c", "x", "a", "b"), LABELS, AUDIT)
    assert rows.y_nQ.tolist() == [[-1, -1, -1], [1, 0, 1], [-1, 0, -1]]
    assert rows.naive_nQ.tolist() == [[0, -1, -1], [1, 0, 1], [1, 0, 1]]
    assert rows.pi_n.tolist()[1:] == [0.5, 0.25]
    assert np.isnan(rows.pi_n[0])
    assert rows.stratum_n.tolist() == [-1, 0, 1]
    assert rows.cell_n.tolist() == [0, 20, 30]
    assert rows.outcome_Sn.tolist() == [[0, 4, 6], [1, 5, 7]]
    assert rows.advertiser_n.tolist() == [0, 0, 1]
    assert rows.score_Kn.tolist() == [[0.0, np.float32(0.2), np.float32(0.3)]]


def test_a_missing_exposure_is_nan_and_never_its_zero() -> None:
    rows = join_labels(kept("c", "b", "a"), LABELS, AUDIT)
    assert rows.known_Wn.tolist()[0] == [1.0, 1.0, 1.0]
    assert np.isnan(rows.known_Wn[1]).tolist() == [False, True, False]
    assert rows.known_Wn[2].tolist() == [400.0, 401.0, 402.0]
    assert rows.imputed_Wn.tolist() == [[0, 0, 0], [200, 201, 202], [500, 501, 502]]


def test_the_design_counts_all_that_were_drawn_in_the_period_or_not() -> None:
    design = join_labels(kept("a"), LABELS, AUDIT).design
    assert design.method_H == ("srs", "poisson")
    assert design.population_H.tolist() == [4, 6]
    assert design.drawn_H.tolist() == [2, 1]
    assert design.answered_HQ.tolist() == [[2, 2, 2], [0, 1, 0]]


def test_without_an_audit_the_design_is_empty() -> None:
    nobody = LabelTable(
        ("a",),
        np.array([[-1]], np.int8),
        np.array([[1]], np.int8),
        np.array([np.nan]),
        np.array([-1], np.int32),
        {},
    )
    rows = join_labels(kept("a"), nobody, ())
    assert rows.design.method_H == ()
    assert rows.design.drawn_H.tolist() == []
    assert rows.naive_nQ.tolist() == [[1]]


def test_nobody_labelled_gives_no_rows_of_the_right_shape() -> None:
    rows = join_labels(kept("x", "y"), LABELS, AUDIT)
    assert rows.outcome_Sn.shape == (2, 0)
    assert rows.known_Wn.shape == (3, 0)


@pytest.mark.parametrize(
    ("y", "any_"),
    [
        ([1, 1], 1),
        ([1, 0], 1),
        ([1, -1], -1),
        ([-1, 1], -1),
        ([0, 0], 0),
        ([0, -1], -1),
        ([-1, -1], -1),
    ],
)
def test_any_is_violated_by_one_policy_and_needs_every_policy_answered(y: list[int], any_: int) -> None:
    assert with_any(np.array([y], np.int8)).tolist() == [[*y, any_]]


def test_one_policy_needs_no_any() -> None:
    assert with_any(np.array([[1], [-1]], np.int8)).tolist() == [[1], [-1]]


def test_a_census_is_an_audit_that_drew_everybody() -> None:
    rows = census(kept("a", "b", "c"), pa.array(["c", "a", "z"]), np.array([[1], [0], [1]], np.int8))
    assert rows.y_nQ.tolist() == rows.naive_nQ.tolist() == [[0], [1]]
    assert rows.pi_n.tolist() == [1.0, 1.0]
    assert rows.stratum_n.tolist() == [0, 0]
    assert rows.design.population_H.tolist() == rows.design.drawn_H.tolist() == [2]
    assert rows.design.answered_HQ.tolist() == [[2]]


def test_the_truth_is_read_per_policy() -> None:
    truth = pa.table(
        {
            "creative_id": ["a", "b", "b", "a"],
            "policy": ["scam", "scam", "adult", "adult"],
            "label": ["VIOLATING", "COMPLIANT", "VIOLATING", "COMPLIANT"],
        }
    )
    ids, y_nP = read_truth(truth, ["scam", "adult"])
    assert dict(zip(ids.to_pylist(), y_nP.tolist(), strict=True)) == {"a": [1, 0], "b": [0, 1]}
