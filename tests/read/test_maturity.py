"""Which labels count: known early enough, old enough, under the guideline. A draw stays a draw whatever its label."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from generators import START, label_table

from engine.errors import DataError
from engine.read.labels import label_columns
from engine.read.maturity import LabelRule, counted_labels, submission_times
from engine.read.shards import find_source

DAY = timedelta(days=1)


def counted(rule: LabelRule, *labels: dict[str, Any], born: dict[str, Any] | None = None) -> tuple[list[Any], Any]:
    """Return the labels that are left, None for one that does not count, and how many do not by reason."""
    submitted = None
    if born is not None:
        times = pa.array(list(born.values()), pa.timestamp("us", tz="UTC"))
        submitted = pa.table({"creative_id": pa.array(list(born), pa.string()), "submitted_at": times})
    table = label_columns(label_table(*labels), {}, "labels.parquet")
    found, counts = counted_labels(table, rule, submitted, "labels.parquet")
    assert found.num_rows == len(labels)
    return found["label"].to_pylist(), counts


def test_without_a_rule_every_label_counts() -> None:
    assert counted(LabelRule(), {}, {"label": None}) == (["VIOLATING", None], {})


def test_a_label_counts_if_it_was_known_by_then_to_the_microsecond() -> None:
    labels = [
        {"known_at": START},
        {"known_at": START + timedelta(microseconds=1)},
        {"known_at": None},
        {"known_at": START + DAY, "label": None},
    ]
    assert counted(LabelRule(known_by=START), *labels) == (["VIOLATING", None, None, None], {"labels_late": 2})


def test_a_label_counts_once_it_is_old_enough_after_its_creative() -> None:
    labels = [
        {"creative_id": "a", "known_at": START + 14 * DAY},
        {"creative_id": "b", "known_at": START + 14 * DAY},
        {"creative_id": "nowhere", "known_at": START + 14 * DAY},
        {"creative_id": "a", "known_at": None},
    ]
    rule = LabelRule(older_than=14 * 86_400.0)
    born = {"a": START, "b": START + timedelta(microseconds=1)}
    assert counted(rule, *labels, born=born) == (["VIOLATING", None, None, None], {"labels_young": 3})


def test_labels_of_another_guideline_are_left_out_and_counted() -> None:
    labels = [{"guideline_version": name} for name in ("v9", "v10", "v9", None)]
    assert counted(LabelRule(guideline="v9"), *labels) == (
        ["VIOLATING", None, "VIOLATING", None],
        {"labels_other_guideline": 2},
    )
    with pytest.raises(DataError, match=r"labels\.parquet: labels\.guideline: no label is under 'v99'.*v9"):
        counted(LabelRule(guideline="v99"), *labels)


def test_the_latest_guideline_is_the_one_that_came_into_use_last() -> None:
    """Not the last in the alphabet, nor that of the last label: some reviewers keep to the old one."""
    labels = [
        {"guideline_version": "v9", "known_at": START},
        {"guideline_version": "v10", "known_at": START + 2 * DAY},
        {"guideline_version": "v9", "known_at": START + 5 * DAY},
    ]
    assert counted(LabelRule(guideline="latest"), *labels)[0] == [None, "VIOLATING", None]
    with pytest.raises(DataError, match=r"latest: v10, v9 came into use at once; name one"):
        counted(LabelRule(guideline="latest"), labels[0], labels[1] | {"known_at": START})
    with pytest.raises(DataError, match="no label names a version"):
        counted(LabelRule(guideline="latest"), {})


def test_a_label_is_left_out_for_one_reason_alone() -> None:
    label = {"guideline_version": "old", "known_at": START + DAY}
    rule = LabelRule(known_by=START, guideline="new")
    assert counted(rule, label, {"guideline_version": "new"})[1] == {"labels_other_guideline": 1, "labels_late": 0}


def test_submission_times_are_those_of_the_lake_and_the_later_of_two(tmp_path: Path) -> None:
    for name, ids, days in (("a", ["1", "2"], [1, 2]), ("b", ["2", "3"], [9, 3])):
        times = pa.array([START + day * DAY for day in days], pa.timestamp("ns", tz="UTC"))
        pq.write_table(pa.table({"ad": ids, "at": times}), tmp_path / f"{name}.parquet")
    found = submission_times(find_source(str(tmp_path), 100), "ad", "at", ["2", "3", "gone"])
    born = dict(zip(found["creative_id"].to_pylist(), found["submitted_at"].to_pylist(), strict=True))
    assert born == {"2": START + 9 * DAY, "3": START + 3 * DAY}
