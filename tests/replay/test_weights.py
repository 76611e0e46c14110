"""Exposure of creatives: known, imputed or missing, always whole numbers."""

from __future__ import annotations

import numpy as np
from generators import examples
from hypothesis import given
from hypothesis import strategies as st
from oracles import weights

from engine.records import WEIGHTS
from engine.replay.weights import Exposure, impute, stack_weights

EXPOSURES = st.lists(
    st.tuples(st.none() | st.integers(0, 2**53), st.none() | st.integers(0, 10**6)), min_size=0, max_size=20
)


def exposure(known: list[int | None]) -> Exposure:
    """Missing places hold rubbish, which must not be read."""
    value_N = np.array([77 if x is None else x for x in known], np.int64)
    return Exposure(value_N, np.array([x is None for x in known], bool))


@examples(60)
@given(rows=EXPOSURES)
def test_a_guess_fills_only_what_is_missing(rows: list[tuple[int | None, int | None]]) -> None:
    known, guesses = [row[0] for row in rows], [row[1] for row in rows]
    guess_N = np.array([-1 if guess is None else guess for guess in guesses], np.int64)
    found = impute(exposure(known), guess_N)
    assert list(zip(*(part.tolist() for part in found), strict=True)) == [weights(*row) for row in rows]
    assert found[0].dtype == found[1].dtype == np.int64


@examples(30)
@given(rows=EXPOSURES)
def test_without_a_model_what_is_missing_stays_missing_and_is_not_zero(rows: list[tuple[int | None, None]]) -> None:
    known = [row[0] for row in rows]
    value, imputed, missing = impute(exposure(known), None)
    assert value.tolist() == [x or 0 for x in known]
    assert not imputed.any()
    assert missing.tolist() == [x is None for x in known]


def test_a_guess_of_zero_is_a_guess() -> None:
    assert [part.tolist() for part in impute(exposure([None]), np.array([0]))] == [[0], [0], [False]]


def test_weights_stand_where_their_names_say() -> None:
    one = np.array([5, 0]), np.array([0, 7]), np.array([False, False])
    two = np.array([0, 9]), np.array([0, 0]), np.array([True, False])
    weight_NW = stack_weights({"impressions": one, "spend": two}, 2)
    assert weight_NW.dtype == np.int64
    assert dict(zip(WEIGHTS, weight_NW.T.tolist(), strict=True)) == {
        "creatives": [1, 1],
        "impressions": [5, 0],
        "impressions_imputed": [0, 7],
        "impressions_missing": [0, 0],
        "spend": [0, 9],
        "spend_imputed": [0, 0],
        "spend_missing": [1, 0],
    }


def test_every_creative_counts_once_even_where_it_has_no_exposure() -> None:
    assert stack_weights({}, 3).tolist() == [[1, 0, 0, 0, 0, 0, 0]] * 3
