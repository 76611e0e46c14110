from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.score.packing import Tile, plan_tiles

lengths = st.lists(st.integers(1, 200), max_size=150).map(lambda some: np.array(some, np.int32))
sizes = st.sampled_from([1, 16, 100, 1024])
thorough = settings(derandomize=True, deadline=None, max_examples=100)


@thorough
@given(lengths, sizes)
def test_every_content_stands_in_exactly_one_tile_longest_first(length_U: np.ndarray, size: int) -> None:
    plan = plan_tiles(length_U, size)
    index = [u for tile in plan for u in tile.index_S]
    assert sorted(index) == list(range(len(length_U)))
    assert [length_U[u] for u in index] == sorted(length_U, reverse=True)


@thorough
@given(lengths, sizes)
def test_only_a_content_longer_than_a_tile_exceeds_it_and_no_two_neighbours_would_fit_one(
    length_U: np.ndarray, size: int
) -> None:
    plan = plan_tiles(length_U, size)
    assert all(tile.tokens <= size or len(tile.index_S) == 1 for tile in plan)
    assert all(a.tokens + b.length_S[0] > size for a, b in pairwise(plan))


@thorough
@given(lengths, sizes)
def test_products_get_whole_blocks_of_16_rows_and_fewer_than_16_of_zeros(length_U: np.ndarray, size: int) -> None:
    for tile in plan_tiles(length_U, size):
        assert tile.rows % 16 == 0
        assert 0 <= tile.rows - tile.tokens < 16


def test_runs_are_the_contents_of_one_length_and_know_their_rows() -> None:
    tile = Tile(np.arange(6), np.array([7, 4, 4, 4, 1, 1]))
    assert [(run.first, run.count, run.length) for run in tile.runs()] == [(0, 1, 7), (7, 3, 4), (19, 2, 1)]
    assert [run.rows for run in tile.runs()] == [slice(0, 7), slice(7, 19), slice(19, 21)]
    assert tile.first_S.tolist() == [0, 7, 11, 15, 19, 20]
