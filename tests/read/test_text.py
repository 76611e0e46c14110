"""Raw text fields: kept as bytes, counted under named rules, decoded for models."""

from __future__ import annotations

import pyarrow as pa
import pytest
from generators import examples
from hypothesis import given
from hypothesis import strategies as st

from engine.read.text import TextCounts, as_contents, count_text, raw_fields

COLUMN = st.lists(st.none() | st.binary(max_size=6), min_size=4, max_size=4)


def is_utf8(field: bytes) -> bool:
    try:
        field.decode()
    except UnicodeDecodeError:
        return False
    return True


@examples(80)
@given(one=COLUMN, two=COLUMN)
def test_odd_texts_are_counted_as_by_hand(one: list[bytes | None], two: list[bytes | None]) -> None:
    rows = [[field for field in row if field is not None] for row in zip(one, two, strict=True)]
    assert count_text([one, two], 4) == TextCounts(
        null_text=sum(not row for row in rows),
        empty_text=sum(bool(row) and not any(row) for row in rows),
        clipped_text=sum(any(len(field) > 4 for field in row) for row in rows),
        invalid_utf8=sum(any(not is_utf8(field) for field in row) for row in rows),
    )


def test_a_model_reads_clipped_text_with_broken_bytes_replaced_and_null_kept() -> None:
    contents = as_contents([[b"abcdef", None, b"", b"a\xffb"], ["ü".encode() * 3, b"x", None, b"y"]], 4)
    assert contents.fields == (("abcd", "üü"), (None, "x"), ("", None), ("a\ufffdb", "y"))
    assert len(contents) == 4


def test_a_letter_cut_in_half_is_replaced() -> None:
    assert as_contents([["üü".encode()]], 3).fields == (("ü\ufffd",),)


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["ü", None, ""]),
        pa.array(["ü", None, ""], pa.large_string()),
        pa.array(["ü".encode(), None, b""], pa.binary()),
        pa.array(["ü", None, ""]).dictionary_encode(),
    ],
)
def test_text_of_any_type_on_disk_is_the_same_bytes(column: pa.Array) -> None:
    assert raw_fields(pa.table({"a": column, "b": column}), ["b", "a"]) == [["ü".encode(), None, b""]] * 2
