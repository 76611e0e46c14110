"""The bench of events: its world is the mix that its bars speak of, and every figure is there."""

from __future__ import annotations

import pytest
from events import events_bars, events_table, make_world, measure_events, replay
from events import features as memories


def test_the_world_is_seeded_and_has_the_stated_mix():
    world, again = make_world(20_000), make_world(20_000)
    assert world.time_N.tobytes() == again.time_N.tobytes()
    (figures,) = measure_events([20_000], rounds=1)
    assert figures.shares["copies"] >= 0.3
    assert figures.shares["to review"] == pytest.approx(0.05, abs=0.01)
    assert figures.shares["rejected"] <= 0.2
    assert set(figures.million_a_second) == set(memories(20_000))
    assert all(rate > 0 for rate in figures.million_a_second.values())
    assert any("all" in line for line in events_table([figures]))
    assert [bar.value for bar in events_bars([figures])] == [None, None]  # of sizes that were not measured


def test_each_memory_changes_what_becomes_of_events():
    world = make_world(5_000)
    plain, _ = replay(world, memories(5_000)["nothing"])
    for name, memory in memories(5_000).items():
        assert (replay(world, memory)[0].tobytes() == plain.tobytes()) == (name == "nothing")
