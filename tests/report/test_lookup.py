"""Numbers by key, and the cells they become."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pyarrow as pa

from engine.report.cells import Notes, number_cell, phrase, written
from engine.report.lookup import NOT_ESTIMATED, Key, Number, Numbers, numbers_of, segment_numbers

KEY = Key("live", "scam", "leakage_rate", "creatives", "machine")
Run = tuple[dict[str, Any], pa.Table, pa.Table | None]


def test_a_number_that_no_file_holds_says_it_was_not_estimated() -> None:
    assert Numbers().get(KEY).null_reason == NOT_ESTIMATED


def test_of_two_rows_with_one_key_the_first_counts(run: Run) -> None:
    first = run[0]["headline"][0]
    found = numbers_of([first, first | {"estimate": 0.5}])
    assert [number.estimate for number in found] == [first["estimate"]]


def test_nan_and_infinity_are_no_numbers_to_show(run: Run) -> None:
    row = run[0]["headline"][0] | {"estimate": float("nan"), "high": float("inf")}
    (number,) = numbers_of([row])
    assert number.estimate is None
    assert number.high is None


def test_segments_are_looked_up_with_their_truth(run: Run) -> None:
    _, estimates, truth = run
    asked = [("region", "US"), ("region", "DE")]
    found = segment_numbers(estimates, truth, [KEY], asked)
    assert [(number.key.segment_by, number.key.segment) for number in found] == asked
    for number in found:
        assert number.truth is not None
        assert number.estimate is not None
        assert abs(number.truth - 1.04 * number.estimate) < 1e-12


def test_segments_without_a_known_truth_have_none(make: Callable[..., Run]) -> None:
    _, estimates, _ = make(known=False)
    assert all(number.truth is None for number in segment_numbers(estimates, None, [KEY], [("region", "US")]))


def test_a_rate_is_a_percentage_a_difference_is_in_points_and_cost_is_an_amount() -> None:
    number = Number(KEY, estimate=0.2434, low=0.2112, high=0.2781, truth=0.2531)
    assert written(number) == ("24.3 %", "[21.1, 27.8]", "25.3 %")
    paired = replace(number, key=replace(KEY, baseline="old"), estimate=-0.045, low=-0.068, high=-0.022)
    assert written(paired) == ("−4.5 pp", "[−6.8, −2.2]", "+25.3 pp")
    cost = Number(replace(KEY, metric="cost"), estimate=5400.0, low=2000.0, high=9000.0)
    assert written(cost) == ("5,400", "[2,000, 9,000]", "")


def test_a_known_total_is_exact_and_needs_no_truth_beside_it() -> None:
    review = replace(KEY, metric="review_rate")
    number = Number(review, estimate=0.0366, low=0.0366, high=0.0366, truth=0.0366)
    assert written(number) == ("3.66 %", "exact", "")
    assert written(replace(number, truth=0.05)) == ("3.66 %", "exact", "5.00 %")


def test_a_null_number_is_a_dash_with_its_reason() -> None:
    notes = Notes()
    cell = number_cell(Number(KEY, null_reason="nobody looked"), notes)
    again = number_cell(Number(KEY, null_reason="nobody looked", warning="thin"), notes)
    assert (cell.text, cell.notes) == ("—", (1,))
    assert again.notes == (1, 2)
    assert notes.texts == ["nobody looked", "thin"]
    assert phrase(Number(KEY, null_reason="nobody looked")) == "— (nobody looked)"
    assert phrase(Number(KEY)) == "— (no reason given)"
