"""Stateless sweeps: ours beside NumPy, DuckDB, Polars and a plain compiled loop, equal sums asserted; growth; memory.

Sweeps: `grid`, 37 thresholds a column; `random`, a threshold of its own for every strategy and column; `segments`, as
random with three attributes and sums by 21 segments. Peers are given the codes of scores; ours starts from floats.
With more than 20 million rows ours runs alone, over shards that are made and forgotten one by one.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from events import SIZES, Figures, events_bars, events_table, measure_events
from record import Bar, Bench, at_least
from sweep_memory import measure_peak
from sweep_race import SweepRace, run_sweep_race
from sweeps import KINDS, Kind, as_creatives, as_table, make_sweep, make_world, replay_sweep

SHARD = 2_000_000
HELD = 20_000_000  # rows that are held at once
_SEED = 1
_GROWING_ROWS = (200_000, 2_000_000, 20_000_000)
_GROWING_STRATEGIES = (10, 100, 1_000, 10_000)


def measure(arguments: Sequence[str]) -> Bench:
    """Run the parts that are asked for and hold them against the bars."""
    options = _options(arguments)
    described = {name: value for name, value in vars(options).items() if value is not None}
    if options.rows > HELD:
        shards = {kind: _shards(kind, options) for kind in KINDS if options.only in (None, kind)}
        return Bench("replay", described, {"shards": shards}, _bars({}, None, []))
    races: dict[str, SweepRace] = {}
    if options.only not in ("growth", "events"):
        world = make_world(options.rows, _SEED)
        for kind in _raced(options.only):
            races[kind] = run_sweep_race(make_sweep(kind, options.strategies, _SEED + 1), world, options.threads)
            _show(races[kind].lines())
        del world
    raw: dict[str, Any] = {"sweeps": {kind: race.raw() for kind, race in races.items()}}
    memory = None
    if options.only is None:
        peaks = {kind: measure_peak(kind, options.rows, options.strategies, options.threads) for kind in KINDS}
        ratios = {kind: peak.ratio for kind, peak in peaks.items() if peak is not None}
        memory = max(ratios.values(), default=None)
        raw["memory"] = {kind: vars(peak) | {"ratio": peak.ratio} for kind, peak in peaks.items() if peak is not None}
        _show([f"memory, {kind}: {ratio:.2f} x the input columns" for kind, ratio in ratios.items()])
    if options.only in (None, "growth"):
        raw["growth"] = _growth(options.threads)
    events: list[Figures] = []
    if options.only in (None, "events"):
        events = measure_events(list(SIZES))
        raw["events"] = {str(each.events): asdict(each) for each in events}
        _show(events_table(events))
    return Bench("replay", described, raw, _bars(races, memory, events), [""])


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench replay", description=__doc__)
    parser.add_argument(
        "--only", choices=("grid", "random", "growth", "events"), help="one part; random is with segments"
    )
    parser.add_argument("--rows", type=int, default=SHARD)
    parser.add_argument("--strategies", type=int, default=1_000)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of ours and of NumPy (default: all)")
    return parser.parse_args(arguments)


def _raced(only: str | None) -> tuple[Kind, ...]:
    return {None: KINDS, "grid": KINDS[:1], "random": KINDS[1:]}[only]


def _growth(threads: int) -> list[dict[str, Any]]:
    """Time ours as rows and strategies grow; the thresholds are random, the sums by segment."""
    grown = []
    sizes = [(rows, 1_000) for rows in _GROWING_ROWS]
    sizes += [(SHARD, strategies) for strategies in _GROWING_STRATEGIES if (SHARD, strategies) not in sizes]
    for rows, strategies in sizes:
        for kind in KINDS[1:]:
            sweep = make_sweep(kind, strategies, _SEED + 1)
            table, creatives = as_table(sweep), as_creatives(sweep, make_world(rows, _SEED))
            replay_sweep(table, as_creatives(sweep, make_world(1_000, _SEED)), sweep, threads)  # loads the kernels
            start = time.perf_counter()
            replay_sweep(table, creatives, sweep, threads)
            seconds = time.perf_counter() - start
            grown.append({"kind": kind, "rows": rows, "strategies": strategies, "seconds": seconds})
            rate = rows * strategies / seconds / 1e9
            _show([f"growth, {kind}: {rows:>10,} x {strategies:>6,}  {seconds:8.3f} s  {rate:6.2f} G decisions/s"])
    return grown


def _shards(kind: Kind, options: argparse.Namespace) -> dict[str, Any]:
    """Replay shard after shard; sums add up."""
    sweep = make_sweep(kind, options.strategies, _SEED + 1)
    table = as_table(sweep)
    seconds = 0.0
    found = None
    for number, first in enumerate(range(0, options.rows, SHARD)):
        creatives = as_creatives(sweep, make_world(min(SHARD, options.rows - first), _SEED + number))
        start = time.perf_counter()
        replayed = replay_sweep(table, creatives, sweep, options.threads)
        found = replayed.totals if found is None else found + replayed.totals
        seconds += time.perf_counter() - start
    peak = _peak_gigabytes()
    size = f"{options.rows:,} x {options.strategies:,}"
    _show([f"{kind}: {size} in shards of {SHARD:,}  {seconds:.1f} s of replay, peak {peak} GB"])
    assert found is not None
    counted = int(found.whole_FCW[..., 0].sum())
    if counted != options.rows:
        raise AssertionError(f"{counted} of {options.rows} creatives were counted")
    return {"seconds": seconds, "peak_gb": peak, "rows": counted}


def _peak_gigabytes() -> float | None:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1e6 for line in lines if line.startswith("VmHWM:")), None)


def _show(lines: Sequence[str]) -> None:
    """Print at once: the whole bench takes minutes."""
    print("\n".join(lines), flush=True)


def _bars(races: dict[str, SweepRace], memory: float | None, events: Sequence[Figures]) -> list[Bar]:
    """Bars of sweeps hold for 2 million rows and 1,000 strategies."""
    grid = races["grid"].ratio if "grid" in races else None
    others = [races[kind].ratio for kind in KINDS[1:] if kind in races]
    worse = min((ratio for ratio in others if ratio is not None), default=None) if len(others) == 2 else None
    return [
        at_least("replay.vs_best_peer.grid", grid, 100),
        at_least("replay.vs_best_peer.random", worse, 20),
        Bar("replay.memory", memory, "< 3", memory is not None and memory < 3),
        *events_bars(events),
    ]
