"""Scores that somebody else computed, in a file keyed by creative."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from generators import SPEC, lake_table, write_lake

from engine.errors import DataError
from engine.read.brought import BroughtScores, read_brought
from engine.read.creatives import read_creatives
from engine.read.shards import find_source

NAMES = {"v3.scam": "p", "v3.adult": "q"}


def brought(folder: Path, columns: Mapping[str, Any], names: Mapping[str, str] = NAMES) -> BroughtScores:
    pq.write_table(pa.table(dict(columns)), folder / "scores.parquet")
    return read_brought(str(folder / "scores.parquet"), "id", names, "scores.v3")


def plain(**columns: Any) -> dict[str, Any]:
    return {
        "id": ["a", "b", "c"],
        "p": pa.array([0.1, 0.2, 0.3], pa.float32()),
        "q": pa.array([0.9, 0.8, 0.7], pa.float64()),
    } | columns


def look_up(scores: BroughtScores, ids: list[str], *, missing_allowed: bool = False) -> dict[str, pa.Array]:
    return scores.look_up(pa.array(ids), "lake.parquet", missing_allowed)


def test_scores_are_found_by_creative_each_in_its_own_dtype(tmp_path: Path) -> None:
    found = look_up(brought(tmp_path, plain()), ["c", "a", "c"])
    assert list(found) == ["v3.scam", "v3.adult"]
    assert found["v3.scam"].type == pa.float32()
    assert found["v3.scam"].to_pylist() == [np.float32(0.3), np.float32(0.1), np.float32(0.3)]
    assert found["v3.adult"].to_pylist() == [0.7, 0.9, 0.7]


def test_integer_ids_meet_ids_in_digits(tmp_path: Path) -> None:
    found = look_up(brought(tmp_path, plain(id=[10, 20, 30])), ["30"])
    assert found["v3.adult"].to_pylist() == [0.7]


def test_a_creative_without_a_score_stops_the_run_unless_a_rule_covers_it(tmp_path: Path) -> None:
    scores = brought(tmp_path, plain())
    with pytest.raises(DataError, match=r"scores\.parquet: column v3\.scam .*lake\.parquet.* 1 missing scores"):
        look_up(scores, ["a", "zz"])
    found = look_up(scores, ["a", "zz"], missing_allowed=True)
    assert np.isnan(found["v3.adult"].to_numpy()).tolist() == [False, True]


@pytest.mark.parametrize("value", [None, float("nan")])
def test_a_null_and_a_nan_are_missing_scores(tmp_path: Path, value: float | None) -> None:
    scores = brought(tmp_path, plain(q=pa.array([0.9, value, 0.7])))
    with pytest.raises(DataError, match=r"column v3\.adult .* 1 missing scores .*on_missing_score: review"):
        look_up(scores, ["a", "b"])
    assert np.isnan(look_up(scores, ["b"], missing_allowed=True)["v3.adult"].to_numpy()).all()
    assert look_up(scores, ["a", "c"])["v3.adult"].to_pylist() == [0.9, 0.7]  # nobody asked for b


@pytest.mark.parametrize("value", [-0.1, 1.1, 55.0, float("inf")])
def test_a_score_outside_0_and_1_is_refused_with_its_file_and_column(tmp_path: Path, value: float) -> None:
    scores = brought(tmp_path, plain(p=pa.array([0.1, value, 0.3])))
    with pytest.raises(DataError, match=r"scores\.parquet: column v3\.scam .* 1 scores outside \[0, 1\] \(first: "):
        look_up(scores, ["a", "b"], missing_allowed=True)


def test_a_creative_scored_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"scores\.parquet: column id holds a creative twice"):
        brought(tmp_path, plain(id=["a", "b", "a"]))


def test_missing_columns_are_all_named_with_their_keys(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        brought(tmp_path, {"ids": ["a"], "p": [0.1]})
    assert [fault.split(" is missing")[0].split("scores.parquet: ")[1] for fault in error.value.faults] == [
        "column id (scores.v3.key)",
        "column q (scores.v3.v3.adult)",
    ]


@pytest.mark.parametrize("values", [pa.array([1, 0, 1]), pa.array(["0.1"] * 3), pa.array([0.5] * 3, pa.float16())])
def test_scores_are_floats(tmp_path: Path, values: pa.Array) -> None:
    with pytest.raises(DataError, match=r"scores\.parquet: column p is .*; scores are float32 or float64"):
        brought(tmp_path, plain(p=values))


def test_the_identity_is_that_of_the_bytes(tmp_path: Path) -> None:
    one = brought(tmp_path, plain()).identity
    assert brought(tmp_path, plain()).identity == one
    assert brought(tmp_path, plain(id=["a", "b", "d"])).identity != one


def test_brought_scores_join_the_creatives_of_a_shard(tmp_path: Path) -> None:
    table = lake_table(4, 60)
    write_lake(table, tmp_path / "lake.parquet", row_group=60)
    (shard,) = find_source(str(tmp_path / "lake.parquet"), 100).shards
    ids = [name for name in table["creative_id"].to_pylist() if name is not None]
    score = {name: i / len(ids) for i, name in enumerate(ids)}
    scores = brought(tmp_path, {"id": ids[::-1], "p": [score[name] for name in ids[::-1]]}, {"v3.scam": "p"})
    found = read_creatives(shard, replace(SPEC, brought=(scores,))).creatives
    assert found.num_rows > 20
    assert found["v3.scam"].to_pylist() == [score[name] for name in found["creative_id"].to_pylist()]
