"""Settings: grids, draws, finer grids."""

from __future__ import annotations

import pytest

from engine.search.space import Axis, Interval, Space, evenly, name_of, neighbours


def test_a_grid_tries_every_combination_once_in_order() -> None:
    space = Space((Axis("t", (0.1, 0.2)), Axis("u", ("a", "b", "c"))))
    found = [tuple(setting.values()) for setting in space.settings()]
    assert found == [(0.1, "a"), (0.1, "b"), (0.1, "c"), (0.2, "a"), (0.2, "b"), (0.2, "c")]
    assert space.size == len(found)


def test_draws_are_seeded_and_stay_inside() -> None:
    parameters = (Interval("t", 0.2, 0.4), Interval("u", 1e-4, 1.0, log=True), Axis("v", (1.0, 2.0)))
    settings = Space(parameters, draws=500, seed=3).settings()
    assert settings == Space(parameters, draws=500, seed=3).settings()
    assert settings != Space(parameters, draws=500, seed=4).settings()
    assert all(0.2 <= float(s["t"]) <= 0.4 and 1e-4 <= float(s["u"]) <= 1.0 for s in settings)
    assert {s["v"] for s in settings} == {1.0, 2.0}
    assert 0.4 < sum(float(s["u"]) < 1e-2 for s in settings) / 500 < 0.6  # half of the decades


def test_even_values_are_short_decimals() -> None:
    assert evenly(0.1, 0.7, 7) == (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
    assert evenly(0.5, 0.5, 3) == (0.5,)


@pytest.mark.parametrize(
    ("at", "low", "high"), [(0.2, 0.1, 0.3), (0.1, 0.1, 0.2), (0.3, 0.2, 0.3)], ids=["inside", "first", "last"]
)
def test_neighbours_lie_between_the_values_tried_beside_one(at: float, low: float, high: float) -> None:
    found = neighbours((0.3, 0.1, 0.2), at, 5)
    assert (found[0], found[-1]) == (low, high)
    assert at in found
    assert 5 <= len(found) <= 6


@pytest.mark.parametrize("log", [False, True])
def test_around_a_drawn_value_stays_in_its_interval(log: bool) -> None:
    interval = Interval("t", 0.01, 1.0, log)
    found = interval.around(0.02, 0.25, 5)
    assert found[0] >= 0.01 - 1e-12
    assert 0.02 in found
    assert found[-1] < 1.0
    assert list(found) == sorted(set(found))


def test_a_strategy_is_named_by_its_setting() -> None:
    assert name_of("candidate", {"t": 0.5, "kind": "US"}) == "candidate t=0.5 kind=US"
