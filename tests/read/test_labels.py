"""Labels: the latest that concludes, the way the audit drew it, and every fault of a probability."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from generators import START, examples, label_table
from hypothesis import given
from hypothesis import strategies as st
from oracles import latest_label, resolved_label

from engine.errors import DataError
from engine.read.audits import Audit
from engine.read.labels import label_columns, labels_before, resolve_labels
from engine.read.resolution import RULES
from engine.records import LabelTable, StratumAnswers


def audit(*population: int, method: str = "srs") -> Audit:
    size = np.array(population, np.int64)
    strata = tuple(f"s{h + 1}" for h in range(len(population)))
    return Audit("a1", strata, (method,) * len(population), size, size, (), None, "")


def resolve(
    *labels: dict[str, Any], by: Audit | None = None, policies: tuple[str, ...] = ("scam",), rule: str = "latest"
) -> LabelTable:
    rows = label_columns(label_table(*labels), {}, "labels.parquet")
    return resolve_labels(rows, policies, (by,) if by else (), "labels.parquet", rule)


def review(**label: Any) -> dict[str, Any]:
    plain = {"source": "review", "audit_id": None, "stratum": None, "inclusion_probability": None}
    return plain | label


# --- What a creative is ----------------------------------------------------------------------------------------------


def test_labels_become_a_row_per_creative_and_a_column_per_policy() -> None:
    found = resolve(
        {"creative_id": "b", "label": "COMPLIANT"},
        {"creative_id": "a", "label": "VIOLATING"},
        {"creative_id": "a", "label": "COMPLIANT", "policy": "adult"},
        review(creative_id="c", label="VIOLATING", policy="adult"),
        by=audit(4),
        policies=("scam", "adult"),
    )
    assert found.creative_id == ("a", "b", "c")
    assert found.y_nP.tolist() == [[1, 0], [0, -1], [-1, -1]]
    assert found.naive_nP.tolist() == [[1, 0], [0, -1], [-1, 1]]
    assert found.pi_n.tolist()[:2] == [0.5, 0.5]
    assert np.isnan(found.pi_n[2])
    assert found.stratum_n.tolist() == [0, 0, -1]
    assert found.y_nP.dtype == found.naive_nP.dtype == np.int8


def test_the_latest_label_wins_and_reviewers_break_ties() -> None:
    later = START + timedelta(seconds=1)
    assert resolve({"known_at": later}, {"label": "COMPLIANT"}, by=audit(2)).y_nP.tolist() == [[1]]
    assert resolve({"label": "COMPLIANT", "known_at": later}, {}, by=audit(2)).y_nP.tolist() == [[0]]
    assert resolve({"reviewer_id": "r2"}, {"label": "COMPLIANT"}, by=audit(2)).y_nP.tolist() == [[1]]


def test_a_label_known_at_an_unknown_time_is_never_the_latest() -> None:
    assert resolve({"label": "COMPLIANT", "known_at": None}, {}, by=audit(2)).y_nP.tolist() == [[1]]
    assert resolve({"label": "COMPLIANT", "known_at": None}, by=audit(2)).y_nP.tolist() == [[0]]


def test_unknown_and_unanswered_conclude_nothing_and_overrule_nothing() -> None:
    later = START + timedelta(days=1)
    for label in ("UNKNOWN", None):
        assert resolve({"label": label}, by=audit(2)).y_nP.tolist() == [[-1]]
        assert resolve({}, {"label": label, "known_at": later}, by=audit(2)).y_nP.tolist() == [[1]]


LABELS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.none() | st.integers(0, 5),
        st.sampled_from(["r1", "r2", "r3", "r4"]),
        st.sampled_from(["VIOLATING", "COMPLIANT", "UNKNOWN", None]),
    ),
    max_size=12,
    unique_by=lambda label: label[:3],
)


@examples(80)
@given(labels=LABELS)
def test_any_pile_of_labels_resolves_as_by_hand_in_any_order(labels: list[tuple[Any, ...]]) -> None:
    def rows(pile: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
        times = [None if at is None else START + timedelta(days=at) for _, at, _, _ in pile]
        return [
            review(creative_id=name, known_at=time, reviewer_id=reviewer, label=label)
            for (name, _, reviewer, label), time in zip(pile, times, strict=True)
        ]

    found, reversed_ = resolve(*rows(labels)), resolve(*rows(labels[::-1]))
    ids = sorted({label[0] for label in labels})
    assert list(found.creative_id) == ids
    assert found.naive_nP[:, 0].tolist() == [latest_label([x[1:] for x in labels if x[0] == name]) for name in ids]
    assert found.naive_nP.tolist() == reversed_.naive_nP.tolist()
    assert (found.y_nP == -1).all()


PILES = st.lists(
    st.tuples(
        st.none() | st.integers(1, 3),
        st.sampled_from(["r1", "r2", "r3", None]),
        st.sampled_from(["VIOLATING", "VIOLATING", "COMPLIANT", "COMPLIANT", "UNKNOWN", None]),
    ),
    max_size=7,
)


@pytest.mark.parametrize("rule", RULES)
@examples(80)
@given(pile=PILES)
def test_every_rule_resolves_any_pile_as_by_hand_in_any_order(rule: str, pile: list[tuple[Any, ...]]) -> None:
    rows = [
        {"known_at": None if at is None else START + timedelta(days=at), "reviewer_id": reviewer, "label": label}
        for at, reviewer, label in pile
    ]
    other = {"creative_id": "c2", "label": "COMPLIANT"}
    expected = resolved_label(rule, pile)
    for shown in (rows, rows[::-1]):
        found = resolve(*shown, {"label": None}, other, by=audit(4), rule=rule)
        assert found.y_nP.tolist() == [[expected], [0]]
        assert found.naive_nP.tolist() == found.y_nP.tolist()


def test_the_rules_differ_where_they_should() -> None:
    days = [{"known_at": START + timedelta(days=i), "reviewer_id": f"r{i}"} for i in range(4)]
    pile = [days[0] | {"label": "COMPLIANT"}, days[1], days[2] | {"label": "COMPLIANT"}, days[3]]
    found = {rule: resolve(*pile, by=audit(2), rule=rule).y_nP.item() for rule in RULES}
    assert found == {"latest": 1, "first": 0, "majority": 1, "strictest": 1}
    assert resolve(*pile[:3], by=audit(2), rule="majority").y_nP.item() == 0


def test_what_each_stratum_drew_and_heard_adds_up() -> None:
    found = resolve(
        {},
        {"creative_id": "c2", "label": "UNKNOWN"},
        {"creative_id": "c3", "label": None},
        {"creative_id": "c4", "stratum": "s2", "label": "COMPLIANT"},
        {"creative_id": "c4", "stratum": "s2", "label": "UNKNOWN", "reviewer_id": "r2"},
        by=audit(6, 2),
    )
    assert found.strata == (
        StratumAnswers("a1", "s1", "srs", 6, drawn=3, answered=1, unknown=1, waiting=1),
        StratumAnswers("a1", "s2", "srs", 2, drawn=1, answered=1, unknown=0, waiting=0),
    )


def test_only_the_audit_speaks_for_the_audit() -> None:
    found = resolve(
        {},
        review(label="COMPLIANT", known_at=START + timedelta(days=1)),
        {"creative_id": "c2", "audit_id": "a2"},
        by=audit(2),
    )
    assert found.y_nP.tolist() == [[1], [-1]]
    assert found.naive_nP.tolist() == [[0], [1]]
    assert found.stratum_n.tolist() == [0, -1]


def test_without_an_audit_nothing_is_drawn() -> None:
    found = resolve({"inclusion_probability": 7.0})
    assert found.stratum_n.tolist() == [-1]
    assert np.isnan(found.pi_n).all()
    assert found.naive_nP.tolist() == [[1]]


def test_no_labels_at_all_are_an_empty_table() -> None:
    found = resolve()
    assert found.creative_id == ()
    assert found.y_nP.shape == (0, 1)
    with pytest.raises(DataError, match="stratum s1: Σ 1/π over 0 drawn"):
        resolve(by=audit(2))


def test_labels_and_appeals_are_counted() -> None:
    found = resolve(
        {"creative_id": "a"},
        {"creative_id": "a", "policy": "adult", "label": "COMPLIANT"},
        {"creative_id": "b", "label": None},
        {"creative_id": "c", "label": "UNKNOWN"},
        {"creative_id": "c", "policy": "adult", "label": "COMPLIANT"},
        review(creative_id="d"),
        review(creative_id="e", source="appeal", label="COMPLIANT"),
        review(creative_id="f", source="appeal", label="VIOLATING"),
        review(creative_id="g", source="appeal", label=None),
        review(creative_id="h", source="report"),
        by=audit(6),
        policies=("scam", "adult"),
    )
    assert dict(found.counts) == {
        "audit": 5,
        "review": 1,
        "appeal": 3,
        "report": 1,
        "audit_drawn": 3,
        "audit_answered": 1,
        "audit_unanswered": 2,
        "audit_unknown": 1,
        "appeals_decided": 2,
        "appeals_overturned": 1,
    }


@pytest.mark.parametrize("rule", RULES)
def test_labels_from_before_the_period_follow_the_rule_too(rule: str) -> None:
    days = [START + timedelta(days=i) for i in range(4)]
    pile = [(days[0], "COMPLIANT"), (days[1], "COMPLIANT"), (days[2], "VIOLATING"), (days[3], "COMPLIANT")]
    rows = [{"known_at": at, "label": label} for at, label in pile]
    other = {"creative_id": "c2", "label": "COMPLIANT", "inclusion_probability": 0.25}
    table = label_columns(label_table(*rows, other), {}, "l")
    found = labels_before(table, ("scam",), days[3], "l", rule)
    assert found.creative_id == ("c1", "c2")
    expected = {"latest": 1, "first": 0, "majority": 0, "strictest": 1}[rule]
    assert found.y_n.tolist() == [expected, 0]
    assert found.weight_n.tolist() == [2.0, 4.0]


# --- How the audit drew ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("probability", [None, 0.0, -0.5, 1.0000001, float("nan"), float("inf")])
def test_an_audit_label_without_a_probability_above_0_and_at_most_1_is_refused(probability: float | None) -> None:
    with pytest.raises(DataError, match=r"labels\.parquet: column inclusion_probability is .* for creative 'c2'"):
        resolve({}, {"creative_id": "c2", "inclusion_probability": probability}, by=audit(4))


def test_rules_about_probabilities_apply_to_the_audit_alone() -> None:
    found = resolve({}, review(creative_id="c2", inclusion_probability=7.0), by=audit(2))
    assert np.isnan(found.pi_n[1])


@pytest.mark.parametrize(("stratum", "hint"), [("s11", 'did you mean "s1"'), (None, "known: s1")])
def test_a_stratum_that_the_audits_table_does_not_have_is_refused(stratum: str | None, hint: str) -> None:
    with pytest.raises(DataError, match=rf"labels\.parquet: stratum '?{stratum}'? is not in the audits table.*{hint}"):
        resolve({"stratum": stratum}, by=audit(2))


@pytest.mark.parametrize("second", [{"stratum": "s2"}, {"inclusion_probability": 0.25}])
def test_a_creative_drawn_twice_is_refused(second: dict[str, Any]) -> None:
    again = {"reviewer_id": "r2"} | second
    with pytest.raises(DataError, match=r"labels\.parquet: creative 'c1' was drawn with two strata or probabilities"):
        resolve({}, again, by=audit(2, 2))


def test_a_creative_labelled_twice_is_drawn_once() -> None:
    later = {"reviewer_id": "r2", "label": "COMPLIANT", "known_at": START + timedelta(days=1)}
    found = resolve({}, later, {"policy": "adult"}, by=audit(2), policies=("scam", "adult"))
    assert found.pi_n.tolist() == [0.5]
    assert found.counts["audit_drawn"] == 1


def test_a_draw_that_does_not_add_up_to_its_population_is_refused_per_stratum() -> None:
    labels = [{"creative_id": f"c{i}", "stratum": f"s{1 + i % 2}"} for i in range(8)]
    resolve(*labels, by=audit(8, 8))
    with pytest.raises(DataError) as error:
        resolve(*labels, by=audit(9, 7))
    assert len(error.value.faults) == 2
    resolve(*labels, by=audit(9, 7, method="poisson"))


def test_who_was_drawn_and_not_answered_adds_up_too() -> None:
    found = resolve({}, {"creative_id": "c2", "label": None}, by=audit(4))
    assert found.y_nP.tolist() == [[1], [-1]]
    assert found.pi_n.tolist() == [0.5, 0.5]


# --- Columns ---------------------------------------------------------------------------------------------------------


def test_columns_are_found_under_the_lakes_own_names() -> None:
    table = label_table({}).rename_columns({"label": "outcome", "creative_id": "ad"})
    found = label_columns(table, {"label": "outcome", "creative_id": "ad"}, "l")
    assert found["label"].to_pylist() == ["VIOLATING"]
    assert found["creative_id"].to_pylist() == ["c1"]


def test_optional_columns_that_are_not_there_are_null() -> None:
    found = label_columns(label_table({}).select(["creative_id", "policy", "label", "source"]), {}, "l")
    assert found["known_at"].null_count == found["inclusion_probability"].null_count == 1


def test_missing_columns_and_unknown_names_are_all_named() -> None:
    table = label_table({}).drop_columns(["label", "source"])
    with pytest.raises(DataError) as error:
        label_columns(table, {"polcy": "policy", "creative_id": "ad"}, "labels.parquet")
    assert len(error.value.faults) == 4
    text = str(error.value)
    assert "labels.parquet: column label (labels.columns.label) is missing" in text
    assert "column ad (labels.columns.creative_id) is missing" in text
    assert 'labels.columns.polcy: unknown (did you mean "policy"?)' in text


@pytest.mark.parametrize(
    ("label", "fault"),
    [
        ({"label": "GUILTY"}, r"column label holds \['GUILTY'\]; it must be one of VIOLATING, COMPLIANT, UNKNOWN"),
        ({"source": "hunch"}, r"column source holds \['hunch'\]"),
        ({"source": None}, "column source holds null"),
        ({"creative_id": None}, "column creative_id is null in 1 rows"),
        ({"policy": None}, "column policy is null in 1 rows"),
    ],
)
def test_words_that_are_none_of_the_known_ones_are_refused(label: dict[str, Any], fault: str) -> None:
    with pytest.raises(DataError, match=rf"labels\.parquet: {fault}"):
        resolve({}, label)


@pytest.mark.parametrize(
    ("column", "values"), [("inclusion_probability", pa.array(["half"])), ("known_at", pa.array(["yesterday"]))]
)
def test_a_column_of_the_wrong_type_is_named(column: str, values: pa.Array) -> None:
    table = label_table({})
    table = table.set_column(table.schema.names.index(column), column, values)
    with pytest.raises(DataError, match=rf"labels\.parquet: column {column}: "):
        label_columns(table, {}, "labels.parquet")


def test_integer_ids_are_read_in_digits() -> None:
    table = label_table({}, {})
    table = table.set_column(0, "creative_id", pa.array([12, 7]))
    found = resolve_labels(label_columns(table, {}, "l"), ("scam",), (), "l")
    assert found.creative_id == ("12", "7")
