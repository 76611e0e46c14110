"""A lake whose columns are missing or of a kind that cannot be read is refused before any work."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest
from generators import SPEC, lake_table

from engine.errors import DataError
from engine.read.spec import check_schema
from engine.records import Reading

SCHEMA = lake_table(0, 0).schema


def with_type(column: str, kind: pa.DataType) -> pa.Schema:
    return SCHEMA.set(SCHEMA.names.index(column), pa.field(column, kind))


def test_a_lake_that_has_everything_passes() -> None:
    check_schema(SCHEMA, SPEC, "lake/")


def test_all_that_is_missing_or_wrong_is_named_at_once_with_the_nearest_column() -> None:
    schema = with_type("spend", pa.string()).remove(SCHEMA.names.index("region"))
    spec = replace(SPEC, readings=(Reading(0, ("titel", "body")),), refused_column="guess")
    with pytest.raises(DataError) as error:
        check_schema(schema, spec, "lake/")
    assert list(error.value.faults) == [
        'lake/: column titel (creatives.columns.text.0) is missing (did you mean "title"?)',
        "lake/: column region (creatives.attributes.0) is missing (known: " + ", ".join(sorted(schema.names)) + ")",
        "lake/: column guess (exposure.refused) is missing (known: " + ", ".join(sorted(schema.names)) + ")",
        "lake/: column spend (creatives.columns.spend) is string; it must be a number",
    ]
    assert error.value.exit_code == 3


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        ("submitted_at", pa.timestamp("us")),
        ("submitted_at", pa.date32()),
        ("submitted_at", pa.string()),
        ("submitted_at", pa.int64()),
        ("creative_id", pa.float64()),
        ("creative_id", pa.binary()),
        ("advertiser_id", pa.list_(pa.string())),
        ("title", pa.int64()),
        ("title", pa.list_(pa.string())),
        ("region", pa.list_(pa.string())),
        ("region", pa.date32()),
        ("region", pa.null()),
        ("impressions", pa.string()),
        ("spend", pa.bool_()),
        ("decision", pa.bool_()),
        ("v1_scam", pa.float16()),
        ("v1_scam", pa.int64()),
        ("v1_scam", pa.string()),
        ("v1_scam", pa.decimal128(5, 4)),
    ],
)
def test_a_column_of_a_kind_that_cannot_be_read_is_named_with_what_it_must_be(column: str, kind: pa.DataType) -> None:
    with pytest.raises(DataError, match=rf"lake/: column {column} \(.*\) is .*; it must be"):
        check_schema(with_type(column, kind), SPEC, "lake/")


def test_a_time_without_a_zone_is_refused_because_it_does_not_say_when() -> None:
    with pytest.raises(DataError, match=r"submitted_at .* is timestamp\[us\]; .*a naive one does not say when"):
        check_schema(with_type("submitted_at", pa.timestamp("us")), SPEC, "lake/")


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        ("submitted_at", pa.timestamp("ns", "Europe/Berlin")),
        ("creative_id", pa.int64()),
        ("creative_id", pa.large_string()),
        ("advertiser_id", pa.dictionary(pa.int32(), pa.string())),
        ("title", pa.binary()),
        ("title", pa.dictionary(pa.int8(), pa.large_string())),
        ("region", pa.bool_()),
        ("region", pa.decimal128(9, 2)),
        ("tier", pa.float32()),
        ("impressions", pa.float32()),
        ("spend", pa.decimal128(12, 2)),
        ("decision", pa.int8()),
        ("v1_scam", pa.float64()),
    ],
)
def test_a_column_of_a_kind_that_can_be_read_passes(column: str, kind: pa.DataType) -> None:
    check_schema(with_type(column, kind), SPEC, "lake/")


def test_every_column_is_read_once() -> None:
    spec = replace(SPEC, attributes=("region", "region", "tier"), refused_column="impressions")
    assert sorted(spec.lake_columns()) == sorted({*SCHEMA.names} - {"new"})
