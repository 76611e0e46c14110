"""Content identity: same content, same id; one owner each; found again by its two halves."""

from __future__ import annotations

import numpy as np
import oracles
import pyarrow as pa
import pytest
from generators import examples
from hypothesis import given
from hypothesis import strategies as st

from engine.read.identity import content_id, content_ids, id_halves, owned_rows, positions

FIELDS = st.lists(st.none() | st.binary(max_size=4), min_size=1, max_size=4)


@examples(100)
@given(fields=FIELDS)
def test_an_id_is_plain_blake3_over_length_prefixed_fields(fields: list[bytes | None]) -> None:
    assert content_id(fields) == oracles.content_id(fields)
    assert len(content_id(fields)) == 16


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([b"ab", b"c"], [b"a", b"bc"]),
        ([b"abc", b""], [b"", b"abc"]),
        ([None], [b""]),
        ([None, b""], [b"", None]),
        ([None, None], [None]),
        ([b"", b""], [b""]),
        ([b"\0"], [None]),
        ([b"\1" + b"\0" * 8], [b"", b""]),
        ([b"a"], [b"a", None]),
        ([b"a"], [b"A"]),
    ],
)
def test_different_contents_have_different_ids(one: list[bytes | None], other: list[bytes | None]) -> None:
    assert content_id(one) != content_id(other)


@examples(100)
@given(one=FIELDS, other=FIELDS)
def test_only_equal_contents_share_an_id(one: list[bytes | None], other: list[bytes | None]) -> None:
    assert (content_id(one) == content_id(other)) == (one == other)


def test_ids_of_columns_are_those_of_their_rows() -> None:
    found = content_ids([[b"ab", None, b"a"], [b"c", b"", b"bc"]])
    assert found.type == pa.binary(16)
    assert found.to_pylist() == [content_id([b"ab", b"c"]), content_id([None, b""]), content_id([b"a", b"bc"])]


@examples(40)
@given(ids=st.lists(st.binary(min_size=16, max_size=16), max_size=20))
def test_halves_sort_as_the_bytes_do_and_put_together_are_the_id(ids: list[bytes]) -> None:
    high, low = id_halves(pa.chunked_array([pa.array(ids[:3], pa.binary(16)), pa.array(ids[3:], pa.binary(16))]))
    pairs = list(zip(high.tolist(), low.tolist(), strict=True))
    assert [a.to_bytes(8, "big") + b.to_bytes(8, "big") for a, b in pairs] == ids
    assert [ids[i] for i in np.lexsort((low, high))] == sorted(ids)


@st.composite
def crowded_ids(draw: st.DrawFn, size: int = 40) -> list[bytes]:
    """Draw ids that often share a half, or all of it."""
    halves = [b"\0" * 8, b"\0" * 7 + b"\1", b"\x7f" + b"\xff" * 7, b"\x80" + b"\0" * 7, b"\xff" * 8]
    half = st.sampled_from(halves)
    return draw(st.lists(st.tuples(half, half).map(b"".join), max_size=size))


@examples(80)
@given(ids=crowded_ids())
def test_a_content_belongs_to_the_first_creative_that_has_it(ids: list[bytes]) -> None:
    found = owned_rows(*id_halves(pa.array(ids, pa.binary(16))))
    assert found.dtype == np.int64
    assert found.tolist() == oracles.owned(ids)


@examples(80)
@given(table=crowded_ids(), wanted=crowded_ids())
def test_every_wanted_id_is_found_as_in_a_dictionary(table: list[bytes], wanted: list[bytes]) -> None:
    entries = sorted(set(table))
    place = {content: at for at, content in enumerate(entries)}
    halves = id_halves(pa.array(entries, pa.binary(16)))
    found = positions(*halves, *id_halves(pa.array(wanted, pa.binary(16))))
    assert found.tolist() == [place.get(content, -1) for content in wanted]


def test_real_ids_are_found_as_in_a_dictionary() -> None:
    contents = [content_id([str(i % 700).encode()]) for i in range(2000)]
    entries = sorted(set(contents[:1500:2]))
    place = {content: at for at, content in enumerate(entries)}
    halves = id_halves(pa.array(entries, pa.binary(16)))
    found = positions(*halves, *id_halves(pa.array(contents, pa.binary(16))))
    assert found.tolist() == [place.get(content, -1) for content in contents]
    assert owned_rows(*id_halves(pa.array(contents, pa.binary(16)))).tolist() == list(range(700))
