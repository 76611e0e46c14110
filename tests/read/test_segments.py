"""Cells, segments and medians against plain Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from generators import examples
from hypothesis import given
from hypothesis import strategies as st
from oracles import medians

from engine.errors import DataError
from engine.read.segments import ALL, MISSING_LEVEL, categorical, cell_codes, find_medians, find_segments

ATTRIBUTES = ["region", "tier"]
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["US", "GB", None]),
        st.sampled_from(["gold", "ü", "", None]),
        st.none() | st.integers(0, 9),
        st.none() | st.integers(0, 2**53 - 1),
    ),
    max_size=30,
)


def table(rows: list[tuple[Any, ...]]) -> pa.Table:
    kinds = (pa.string(), pa.string(), pa.int64(), pa.int64())
    names = (*ATTRIBUTES, "impressions", "spend")
    columns = [[row[k] for row in rows] for k in range(4)]
    return pa.table({name: pa.array(x, kind) for name, x, kind in zip(names, columns, kinds, strict=True)})


def level(value: str | None) -> str:
    return MISSING_LEVEL if value is None else value


@examples(60)
@given(one=ROWS, two=ROWS)
def test_every_creative_lies_in_the_segments_of_its_attributes(
    one: list[tuple[Any, ...]], two: list[tuple[Any, ...]]
) -> None:
    shards = [table(one), table(two)]
    segments = find_segments(shards, ATTRIBUTES, ATTRIBUTES, 100)
    rows = [*one, *two]
    assert len(segments.cell_level_CK) == len({(level(r[0]), level(r[1])) for r in rows})
    assert list(zip(segments.by, segments.name, strict=True)) == [
        (ALL, ALL),
        *(("region", name) for name in sorted({level(r[0]) for r in rows})),
        *(("tier", name) for name in sorted({level(r[1]) for r in rows})),
    ]
    cells = [cell for shard in shards for cell in cell_codes(shard, segments).tolist()]
    for row, cell in zip(rows, cells, strict=True):
        inside = {(b, n) for b, n, g in zip(segments.by, segments.name, segments.member_GC[:, cell], strict=True) if g}
        assert inside == {(ALL, ALL), ("region", level(row[0])), ("tier", level(row[1]))}


@examples(60)
@given(one=ROWS, two=ROWS)
def test_medians_are_lower_medians_per_cell_over_all_shards(
    one: list[tuple[Any, ...]], two: list[tuple[Any, ...]]
) -> None:
    shards = [table(one), table(two)]
    segments = find_segments(shards, ATTRIBUTES, ATTRIBUTES, 100)
    found = find_medians(shards, segments)
    rows = [*one, *two]
    cells = [cell for shard in shards for cell in cell_codes(shard, segments).tolist()]
    for values, mine in ((found.impressions_C, [r[2] for r in rows]), (found.spend_C, [r[3] for r in rows])):
        assert values.dtype == np.int64
        assert dict(enumerate(values.tolist())) == medians(cells, mine)


def test_of_two_middle_values_the_smaller_is_the_median() -> None:
    shard = table([("US", "a", x, None) for x in (4, 1, 3, 2)])
    segments = find_segments([shard], ATTRIBUTES, [], 10)
    found = find_medians([shard], segments)
    assert found.impressions_C.tolist() == [2]
    assert found.spend_C.tolist() == [-1]


def test_exposures_that_are_not_there_have_no_median() -> None:
    shard = table([("US", "a", 1, 1)]).select(ATTRIBUTES)
    found = find_medians([shard], find_segments([shard], ATTRIBUTES, [], 10))
    assert found.impressions_C.tolist() == found.spend_C.tolist() == [-1]


def test_only_attributes_that_are_shown_make_segments() -> None:
    segments = find_segments([table([("US", "a", 1, 1), ("GB", "a", 1, 1)])], ATTRIBUTES, ["tier"], 10)
    assert segments.by == (ALL, "tier")
    assert segments.member_GC.tolist() == [[True, True], [True, True]]


def test_without_attributes_there_is_one_cell_and_one_segment() -> None:
    shard = table([("US", "a", 1, 1), ("GB", "b", 1, 1)])
    segments = find_segments([shard], [], [], 10)
    assert (segments.by, segments.name, segments.member_GC.tolist()) == ((ALL,), (ALL,), [[True]])
    assert cell_codes(shard, segments).tolist() == [0, 0]


def test_without_creatives_there_are_no_cells() -> None:
    segments = find_segments([table([])], ATTRIBUTES, ATTRIBUTES, 10)
    assert segments.member_GC.shape == (1, 0)
    assert cell_codes(table([]), segments).tolist() == []


def test_more_cells_than_the_limit_are_refused_with_the_key_to_raise() -> None:
    shard = table([(f"r{i}", "a", 1, 1) for i in range(11)])
    find_segments([shard], ATTRIBUTES, [], 11)
    with pytest.raises(DataError, match=r"creatives\.attributes: region, tier form more than 10 .*limits\.cells"):
        find_segments([shard], ATTRIBUTES, [], 10)


def test_cells_do_not_depend_on_the_order_of_shards() -> None:
    shards = [table([("US", "a", 1, 1), (None, "b", 1, 1)]), table([("GB", None, 1, 1)])]
    one, other = (
        find_segments(shards, ATTRIBUTES, ATTRIBUTES, 9),
        find_segments(shards[::-1], ATTRIBUTES, ATTRIBUTES, 9),
    )
    assert one.levels == other.levels
    assert one.cell_level_CK.tolist() == other.cell_level_CK.tolist()


def test_text_makes_segments_and_numbers_do_not() -> None:
    schema = pa.schema([("region", pa.string()), ("age", pa.float64()), ("new", pa.string())])
    assert categorical(schema, ["new", "age", "region"]) == ["new", "region"]
