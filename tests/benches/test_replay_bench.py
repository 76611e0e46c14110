"""The replay bench: every contestant finds our sums, and what it reports can be checked."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("duckdb")
pytest.importorskip("polars")

from replay_bench import measure
from sweep_memory import Peak
from sweep_peers import PEERS, plain_loop
from sweep_race import SweepRace, run_sweep_race
from sweep_task import as_task
from sweeps import KINDS, Kind, as_creatives, as_table, make_sweep, make_world, rejected, replay_sweep


@pytest.mark.parametrize("kind", KINDS)
def test_every_way_of_every_peer_finds_our_sums(kind: Kind) -> None:
    world, sweep = make_world(3_000, 1), make_sweep(kind, 30, 2)
    wanted = rejected(replay_sweep(as_table(sweep), as_creatives(sweep, world), sweep, 2))
    assert (wanted[:, 0, 0] > 0).sum() > 20
    assert wanted[:, 0, 0].max() < len(world)
    task, ran = as_task(sweep, world), 0
    for way in [way for ways in PEERS.values() for way in ways] + [plain_loop]:
        try:
            found = way(task)
        except NotImplementedError:
            continue
        ran += 1
        assert found.tolist() == wanted.tolist(), way.__name__
    assert ran >= 7


def test_a_segment_is_all_creatives_or_those_of_one_level() -> None:
    world, sweep = make_world(2_000, 1), make_sweep("segments", 5, 2)
    sum_SG3 = rejected(replay_sweep(as_table(sweep), as_creatives(sweep, world), sweep, 1))
    assert sum_SG3.shape == (5, 21, 3)
    for first, last in ((1, 11), (11, 17), (17, 21)):
        assert sum_SG3[:, first:last].sum(1).tolist() == sum_SG3[:, 0].tolist()


def test_a_wrong_peer_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PEERS, "numpy", (lambda task: np.zeros((len(task.sweep), 1, 3), np.int64),))
    with pytest.raises(AssertionError, match="other sums than ours"):
        run_sweep_race(make_sweep("random", 5, 2), make_world(500, 1), 1)


def test_the_ratio_is_the_fastest_peer_over_our_median() -> None:
    race = SweepRace("grid", 10, 100, ours=[1.0, 2.0, 9.0], seconds={"a": 8.0, "b": 30.0})
    assert race.ratio == 4.0
    assert SweepRace("grid", 10, 100, ours=[1.0]).ratio is None


def test_memory_counts_the_inputs_and_not_the_totals() -> None:
    assert Peak(inputs=100, outputs=30, grown=130).ratio == 2.0


def test_a_small_bench_leaves_all_bars_in_its_json(tmp_path) -> None:
    bench = measure(["--only", "grid", "--rows", "3000", "--strategies", "40"])
    bench.write(tmp_path / "bench.json")
    written = json.loads((tmp_path / "bench.json").read_text())
    bars = {bar["name"]: bar for bar in written["bars"]}
    assert sorted(bars) == [
        "replay.events_per_core.20m",
        "replay.events_per_core.2m",
        "replay.memory",
        "replay.vs_best_peer.grid",
        "replay.vs_best_peer.random",
    ]
    assert bars["replay.vs_best_peer.random"]["value"] is None
    assert not bars["replay.vs_best_peer.random"]["holds"]
    assert written["raw"]["sweeps"]["grid"]["rows"] == 3000
