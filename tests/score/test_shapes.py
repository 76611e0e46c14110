from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.score.shapes import DUMMY, Shapes, plan_batches

lengths = st.lists(st.integers(1, 300), max_size=200).map(lambda some: np.array(some, np.int32))
shapes = st.builds(Shapes, tile=st.sampled_from([1, 64, 1000, 4096]), ragged=st.booleans())
thorough = settings(derandomize=True, deadline=None, max_examples=150)


@thorough
@given(lengths, shapes)
def test_every_content_stands_in_exactly_one_row_of_its_own_length(length_U: np.ndarray, closed: Shapes) -> None:
    plan = plan_batches(length_U, closed)
    rows = [u for batch in plan for u in batch.index_B if u != DUMMY]
    assert sorted(rows) == list(range(len(length_U)))
    assert all(length_U[u] == batch.length for batch in plan for u in batch.index_B if u != DUMMY)


@thorough
@given(lengths, shapes)
def test_every_batch_has_a_shape_from_the_closed_set(length_U: np.ndarray, closed: Shapes) -> None:
    for batch in plan_batches(length_U, closed):
        rows, full = len(batch.index_B), closed.full_rows(batch.length)
        assert full == 1 or full * batch.length <= closed.tile
        assert 1 <= rows <= full if closed.ragged else rows == full


@thorough
@given(lengths, shapes)
def test_only_the_tail_of_a_length_holds_dummies_and_none_where_shapes_are_ragged(
    length_U: np.ndarray, closed: Shapes
) -> None:
    plan = plan_batches(length_U, closed)
    filled = [batch.length for batch in plan if DUMMY in batch.index_B]
    assert len(filled) == len(set(filled))
    assert not (filled and closed.ragged)
    assert all(batch.index_B[0] != DUMMY for batch in plan)


def test_longest_contents_come_first_and_equal_ones_keep_their_order_in_even_batches() -> None:
    plan = plan_batches(np.array([3, 9, 3, 9, 3, 3], np.int32), Shapes(tile=12, ragged=True))
    assert [(batch.length, batch.index_B.tolist()) for batch in plan] == [(9, [1]), (9, [3]), (3, [0, 2, 4, 5])]
    assert [len(batch.index_B) for batch in plan_batches(np.full(5, 3, np.int32), Shapes(12, ragged=True))] == [3, 2]


def test_a_tail_is_filled_where_rows_follow_from_the_length_alone() -> None:
    plan = plan_batches(np.array([5, 5, 5, 5, 5], np.int32), Shapes(tile=20, ragged=False))
    assert [batch.index_B.tolist() for batch in plan] == [[0, 1, 2, 3], [4, DUMMY, DUMMY, DUMMY]]


def test_nothing_to_score_is_an_empty_plan() -> None:
    none = np.zeros(0, np.int32)
    assert plan_batches(none, Shapes(1024, ragged=True)) == ()
