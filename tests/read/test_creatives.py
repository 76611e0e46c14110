"""One shard of a lake → creatives: counts that add up, quarantine, exposures, frames, scores."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import oracles
import pyarrow as pa
import pytest
from generators import DECISIONS, SPEC, START, examples, lake_table, write_lake
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import DataError
from engine.expression import parse
from engine.read.creatives import ReadShard, read_creatives
from engine.read.shards import find_source
from engine.read.spec import CreativesSpec
from engine.records import LOGGED
from engine.schema import QUARANTINE

INSIDE = START + timedelta(days=10)
ONE = {
    "creative_id": "c1",
    "advertiser_id": 7,
    "submitted_at": INSIDE,
    "title": "win",
    "body": "a phone",
    "region": "US",
    "tier": 2,
    "new": True,
    "impressions": 100,
    "spend": 1.5,
    "decision": "approved",
    "v1_scam": 0.25,
    "v2_scam": 0.5,
}


def lake(*rows: dict[str, Any]) -> pa.Table:
    """Make a lake of ONE with changes."""
    schema = lake_table(0, 0).schema
    return pa.Table.from_pylist([ONE | row for row in rows], schema)


def read(folder: Path, table: pa.Table, spec: CreativesSpec = SPEC) -> ReadShard:
    write_lake(table, folder / "lake.parquet", row_group=max(table.num_rows, 1))
    (shard,) = find_source(str(folder / "lake.parquet"), 10**6).shards
    return read_creatives(shard, spec)


def only(**changes: Any) -> CreativesSpec:
    """Return a spec that reads no optional columns but these."""
    columns = {key: SPEC.columns[key] for key in ("id", "advertiser", "submitted_at")}
    plain = replace(SPEC, columns=columns, readings=(), attributes=(), scores={}, logged=())
    return replace(plain, **changes)


# --- Rows ------------------------------------------------------------------------------------------------------------


@examples(12)
@given(seed=st.integers(0, 10**6), rows=st.sampled_from([1, 40, 150]))
def test_every_row_is_counted_once(tmp_path_factory: pytest.TempPathFactory, seed: int, rows: int) -> None:
    found = read(tmp_path_factory.mktemp("lake"), lake_table(seed, rows))
    counts = found.counts
    assert counts["read"] == rows
    assert rows == counts["kept"] + counts["warm_up"] + counts["outside_period"] + counts["quarantined"]
    assert counts["kept"] == found.creatives.num_rows
    assert counts["quarantined"] == found.quarantine.num_rows
    assert found.quarantine.schema.equals(QUARANTINE)


def test_rows_are_kept_and_refused_as_by_hand(tmp_path: Path) -> None:
    table = lake_table(5, 300)
    found = read(tmp_path, table)
    kept, refused = [], []
    for at, row in enumerate(table.to_pylist()):
        null = [key for key, column in SPEC.columns.items() if key in NEVER_NULL and row[column] is None]
        if null or (row["impressions"] or 0) < 0:
            refused.append(at)
        elif START + timedelta(days=7) <= row["submitted_at"] < START + timedelta(days=28):
            kept.append(at)
    assert found.creatives["row"].to_pylist() == kept
    assert found.quarantine["row"].to_pylist() == refused
    assert len(kept) > 100
    assert len(refused) > 5


NEVER_NULL = ("id", "advertiser", "submitted_at", "logged_decision")


def test_shards_count_rows_over_the_whole_lake_and_their_creatives_add_up(tmp_path: Path) -> None:
    table = lake_table(8, 200)
    write_lake(table, tmp_path / "cut" / "a.parquet", tmp_path / "cut" / "b.parquet", row_group=30)
    parts = [read_creatives(shard, SPEC) for shard in find_source(str(tmp_path / "cut"), 60).shards]
    whole = read(tmp_path, table)
    assert len(parts) > 2
    joined = pa.concat_tables(part.creatives for part in parts)
    assert str(joined.to_pylist()) == str(whole.creatives.to_pylist())
    assert {key: sum(part.counts[key] for part in parts) for key in whole.counts} == whole.counts


@pytest.mark.parametrize(
    ("moment", "count"),
    [
        (timedelta(days=0, microseconds=-1), "outside_period"),
        (timedelta(days=0), "warm_up"),
        (timedelta(days=7, microseconds=-1), "warm_up"),
        (timedelta(days=7), "kept"),
        (timedelta(days=28, microseconds=-1), "kept"),
        (timedelta(days=28), "outside_period"),
    ],
)
def test_the_period_holds_its_first_moment_and_not_its_last(tmp_path: Path, moment: timedelta, count: str) -> None:
    counts = read(tmp_path, lake({"submitted_at": START + moment})).counts
    places = ("kept", "warm_up", "outside_period", "quarantined")
    assert {place: counts[place] for place in places} == dict.fromkeys(places, 0) | {count: 1}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"creative_id": None}, "id is null"),
        ({"advertiser_id": None}, "advertiser is null"),
        ({"submitted_at": None}, "submitted_at is null"),
        ({"decision": None}, "logged_decision is null"),
        ({"impressions": -1}, "impressions is negative, infinite or too large"),
        ({"impressions": 2**53}, "impressions is negative, infinite or too large"),
        ({"spend": -0.01}, "spend is negative, infinite or too large"),
        ({"spend": float("inf")}, "spend is negative, infinite or too large"),
        ({"spend": 1e308}, "spend is negative, infinite or too large"),
        ({"spend": 1e14}, "spend is negative, infinite or too large"),
        ({"creative_id": None, "spend": -1.0, "submitted_at": None}, "id is null"),
    ],
)
def test_a_row_that_cannot_be_used_is_quarantined_with_its_reason(
    tmp_path: Path, row: dict[str, Any], reason: str
) -> None:
    found = read(tmp_path, lake({}, row))
    assert found.creatives["creative_id"].to_pylist() == ["c1"]
    path = str(tmp_path / "lake.parquet")
    wanted = {"creative_id": row.get("creative_id", "c1"), "file": path, "row": 1, "reason": reason}
    assert found.quarantine.to_pylist() == [wanted]


def test_a_shard_of_which_nothing_is_kept_has_every_column_all_the_same(tmp_path: Path) -> None:
    some = read(tmp_path, lake({})).creatives
    none = read(tmp_path, lake({"submitted_at": START - timedelta(days=9)})).creatives
    assert none.num_rows == 0
    assert none.schema.equals(some.schema)


# --- Columns ---------------------------------------------------------------------------------------------------------


def test_columns_come_under_the_engines_names_and_types(tmp_path: Path) -> None:
    found = read(tmp_path, lake({})).creatives
    (row,) = found.to_pylist()
    assert row == {
        "row": 0,
        "creative_id": "c1",
        "advertiser_id": "7",
        "submitted_at": INSIDE,
        "content_id": oracles.content_id([b"win", b"a phone"]),
        "region": "US",
        "tier": 2.0,
        "new": "true",
        "impressions": 100,
        "spend": 150,
        LOGGED: 0 * 5 + 4,
        "in_frame": False,
        "v1.scam": 0.25,
        "v2.scam": 0.5,
    }
    assert found.schema.field("v1.scam").type == pa.float32()
    assert found.schema.field("v2.scam").type == pa.float64()
    assert found.schema.field("submitted_at").type == pa.timestamp("us", tz="UTC")


def test_attributes_keep_their_nulls(tmp_path: Path) -> None:
    (row,) = read(tmp_path, lake({"region": None, "tier": None, "new": None})).creatives.to_pylist()
    assert (row["region"], row["tier"], row["new"]) == (None, None, None)


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        (pa.array(["a", None]).dictionary_encode(), ["a", None]),
        (pa.array(["a", None], pa.large_string()), ["a", None]),
        (pa.array([3, None], pa.int8()), [3.0, None]),
        (pa.array([2.5, None], pa.float32()), [2.5, None]),
        (pa.array([True, None]), ["true", None]),
        (pa.array([Decimal(1), None], pa.decimal128(20, 2)), [1.0, None]),
    ],
)
def test_an_attribute_is_a_text_or_a_number_whatever_its_type_on_disk(
    tmp_path: Path, values: pa.Array, kept: list[object]
) -> None:
    table = lake({}, {}).append_column("extra", values)
    assert read(tmp_path, table, only(attributes=("extra",))).creatives["extra"].to_pylist() == kept


def test_an_integer_that_float64_cannot_hold_is_refused_as_an_attribute(tmp_path: Path) -> None:
    table = lake({}).append_column("account", pa.array([2**53 + 1]))
    with pytest.raises(DataError, match=r"lake\.parquet: column account: .*bring it as text"):
        read(tmp_path, table, only(attributes=("account",)))


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_of_any_clock_and_zone_are_utc_microseconds(tmp_path: Path, unit: str) -> None:
    moments = pa.array([INSIDE], pa.timestamp("us", "UTC")).cast(pa.timestamp(unit, "Asia/Kolkata"))
    table = lake({}).set_column(2, "submitted_at", moments)
    assert read(tmp_path, table).creatives["submitted_at"].to_pylist() == [INSIDE]


def test_nanoseconds_are_cut_to_the_microsecond(tmp_path: Path) -> None:
    whole = round(INSIDE.timestamp()) * 10**9
    table = lake({}).set_column(2, "submitted_at", pa.array([whole + 1999], pa.timestamp("ns", "UTC")))
    assert read(tmp_path, table).creatives["submitted_at"].to_pylist() == [INSIDE + timedelta(microseconds=1)]


def test_a_time_that_no_microsecond_counts_is_a_data_error(tmp_path: Path) -> None:
    table = lake({}).set_column(2, "submitted_at", pa.array([2**62], pa.timestamp("ms", "UTC")))
    with pytest.raises(DataError, match=r"lake\.parquet: column submitted_at"):
        read(tmp_path, table)


def test_contents_are_hashed_raw_and_null_is_not_empty(tmp_path: Path) -> None:
    rows = [("ab", "c"), ("a", "bc"), (None, "x"), ("", "x"), ("ünï", None), (None, None), ("ab", "c")]
    found = read(tmp_path, lake(*({"title": title, "body": body} for title, body in rows)))
    raw = [[None if x is None else x.encode() for x in row] for row in rows]
    assert found.creatives["content_id"].to_pylist() == [oracles.content_id(row) for row in raw]
    assert len(set(found.creatives["content_id"].to_pylist())) == 6


def test_odd_texts_are_kept_and_counted(tmp_path: Path) -> None:
    table = lake(*({} for _ in range(6)))
    bodies = pa.array([None, b"", b"\xff\xfe", b"x" * 1001, b"fine", "ü".encode()], pa.binary())
    table = table.set_column(4, "body", bodies).set_column(
        3, "title", pa.array([None, "", "", "", "", ""], pa.string())
    )
    found = read(tmp_path, table)
    assert found.creatives.num_rows == 6
    counts = {key: found.counts[key] for key in ("null_text", "empty_text", "invalid_utf8", "clipped_text")}
    assert counts == {"null_text": 1, "empty_text": 1, "invalid_utf8": 1, "clipped_text": 1}


def test_without_text_there_is_no_content(tmp_path: Path) -> None:
    found = read(tmp_path, lake({}), only())
    assert "content_id" not in found.creatives.column_names
    assert "null_text" not in found.counts


# --- Exposure --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("decision", "impressions", "spend"),
    [("approved", 100, 150), ("limited", 400, 600), ("queued", None, None), ("rejected", None, None)],
)
def test_exposure_of_a_limit_is_divided_by_its_share_and_that_of_a_refusal_is_missing_not_zero(
    tmp_path: Path, decision: str, impressions: int | None, spend: int | None
) -> None:
    found = read(tmp_path, lake({"decision": decision}))
    (row,) = found.creatives.to_pylist()
    assert (row["impressions"], row["spend"]) == (impressions, spend)
    assert found.counts["limited_exposure_scaled"] == (decision == "limited")


@pytest.mark.parametrize(
    ("decision", "final", "impressions"),
    [
        ("queued", "approved", 100),
        ("queued", "limited", 400),
        ("queued", None, None),
        ("approved", "rejected", None),
        ("approved", None, 100),
        ("limited", "approved", 100),
    ],
)
def test_what_was_delivered_follows_the_final_decision_where_there_is_one(
    tmp_path: Path, decision: str, final: str | None, impressions: int | None
) -> None:
    spec = replace(SPEC, columns={**SPEC.columns, "logged_final": "final"})
    table = lake({"decision": decision}).append_column("final", pa.array([final], pa.string()))
    (row,) = read(tmp_path, table, spec).creatives.to_pylist()
    values = list(DECISIONS)
    assert row["impressions"] == impressions
    assert row[LOGGED] == values.index(decision) * 5 + (4 if final is None else values.index(final))


def test_without_logged_decisions_all_that_is_there_counts_as_delivered(tmp_path: Path) -> None:
    spec = replace(
        SPEC, columns={key: name for key, name in SPEC.columns.items() if key != "logged_decision"}, logged=()
    )
    (row,) = read(tmp_path, lake({"decision": "rejected"}), spec).creatives.to_pylist()
    assert row["impressions"] == 100
    assert row[LOGGED] == -1


@pytest.mark.parametrize("value", [None, float("nan")])
def test_an_exposure_that_is_null_or_nan_is_missing_and_no_fault(tmp_path: Path, value: float | None) -> None:
    table = lake({}).set_column(8, "impressions", pa.array([value], pa.float64()))
    found = read(tmp_path, table)
    assert found.creatives["impressions"].to_pylist() == [None]
    assert found.counts["quarantined"] == 0


def test_an_exposure_of_zero_is_zero(tmp_path: Path) -> None:
    (row,) = read(tmp_path, lake({"impressions": 0, "spend": 0.0})).creatives.to_pylist()
    assert (row["impressions"], row["spend"]) == (0, 0)


@pytest.mark.parametrize(("unit", "units"), [(0.01, 1999), (0.001, 19990), (1.0, 20), (0.05, 400)])
def test_spend_is_counted_in_whole_units(tmp_path: Path, unit: float, units: int) -> None:
    (row,) = read(tmp_path, lake({"spend": 19.99}), replace(SPEC, spend_unit=unit)).creatives.to_pylist()
    assert row["spend"] == units


def test_spend_of_a_decimal_column_is_counted_exactly(tmp_path: Path) -> None:
    cents = [0, 1, 29, 1999, 100_000_007]
    spend = pa.array([Decimal(cent) / 100 for cent in cents], pa.decimal128(20, 2))
    table = lake(*({} for _ in cents)).set_column(9, "spend", spend)
    assert read(tmp_path, table).creatives["spend"].to_pylist() == cents


def test_a_users_column_says_what_a_refused_creative_would_have_got(tmp_path: Path) -> None:
    table = lake({"decision": "rejected"}, {}).append_column("guess", pa.array([12.4, None]))
    found = read(tmp_path, table, replace(SPEC, refused_column="guess")).creatives
    assert found["refused_impressions"].to_pylist() == [12, None]


@pytest.mark.parametrize("column", ["decision", "final"])
def test_a_logged_value_that_is_not_mapped_is_refused_with_file_column_and_value(tmp_path: Path, column: str) -> None:
    spec = replace(SPEC, columns={**SPEC.columns, "logged_final": "final"})
    table = lake({}).append_column("final", pa.array(["approved"]))
    at = table.schema.names.index(column)
    with pytest.raises(DataError, match=rf"lake\.parquet: column {column} holds 'shadow banned', which creatives.dec"):
        read(tmp_path, table.set_column(at, column, pa.array(["shadow banned"])), spec)


# --- Frame -----------------------------------------------------------------------------------------------------------

FRAMED = [
    {"creative_id": "a", "region": "US", "tier": 1},
    {"creative_id": "b", "region": "DE", "tier": 3},
    {"creative_id": "c", "region": None, "tier": None},
    {"creative_id": "d", "region": "DE", "tier": None},
]


@pytest.mark.parametrize(
    ("when", "framed", "inside"),
    [
        ((), None, []),
        (('region == "US"',), None, ["a"]),
        (('region == "US"', "tier >= 3"), None, ["a", "b"]),
        (("missing(region)",), None, ["c"]),
        ((), ["b", "d", "x"], ["b", "d"]),
        (('region == "US"',), ["d"], ["a", "d"]),
        ((), [], []),
    ],
)
def test_a_creative_is_in_the_frame_that_a_rule_or_a_file_describes(
    tmp_path: Path, when: tuple[str, ...], framed: list[str] | None, inside: list[str]
) -> None:
    ids = None if framed is None else pa.array(framed, pa.string())
    spec = replace(SPEC, stratum_when=tuple(parse(text) for text in when), framed=ids)
    found = read(tmp_path, lake(*FRAMED), spec).creatives
    assert [row["creative_id"] for row in found.to_pylist() if row["in_frame"]] == inside


@pytest.mark.parametrize("when", ["v1.scam >= 0.5", 'vertical == "x"', "region >= 1"])
def test_a_frame_over_columns_that_are_no_attributes_is_a_data_error(tmp_path: Path, when: str) -> None:
    with pytest.raises(DataError, match="audits: stratum_when reads"):
        read(tmp_path, lake({}), replace(SPEC, stratum_when=(parse(when),)))


# --- Scores that lie beside the creatives ----------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, float("nan")])
def test_a_missing_score_stops_the_run_unless_a_rule_covers_it(tmp_path: Path, value: float | None) -> None:
    table = lake({}, {"v1_scam": value})
    with pytest.raises(
        DataError, match=r"lake\.parquet: column v1_scam has 1 missing scores .*row 1 of .*on_missing_score"
    ):
        read(tmp_path, table, replace(SPEC, missing_score_allowed=False))
    scores = read(tmp_path, table).creatives["v1.scam"].to_numpy()
    assert np.isnan(scores).tolist() == [False, True]


@pytest.mark.parametrize("value", [-0.001, 1.001, float("inf"), float("-inf")])
@pytest.mark.parametrize("allowed", [False, True])
def test_a_score_outside_0_and_1_stops_the_run(tmp_path: Path, value: float, allowed: bool) -> None:
    with pytest.raises(DataError, match=r"lake\.parquet: column v2_scam has 1 scores outside \[0, 1\]"):
        read(tmp_path, lake({}, {"v2_scam": value}), replace(SPEC, missing_score_allowed=allowed))


def test_scores_of_0_and_1_are_scores(tmp_path: Path) -> None:
    found = read(tmp_path, lake({"v1_scam": 0.0}, {"v1_scam": 1.0})).creatives
    assert found["v1.scam"].to_pylist() == [0.0, 1.0]


def test_a_score_outside_the_period_is_not_looked_at(tmp_path: Path) -> None:
    table = lake({}, {"v1_scam": 7.0, "submitted_at": datetime(2020, 1, 1, tzinfo=START.tzinfo)})
    assert read(tmp_path, table).counts["kept"] == 1
