"""One sweep, every contestant: all ways of every peer on a few strategies, the promising ones on all of them.

A way whose trials promise more than twice the seconds that another took in full is not run in full; what it
promised is shown. Ours runs before every peer, and its median counts.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sweep_peers import PEERS, plain_loop
from sweep_task import Task, Way, as_task
from sweeps import Sweep, World, as_creatives, as_table, rejected, replay_sweep

from engine.records import I64

_TRIALS = (20, 60)
_HOPELESS = 2.0


@dataclass
class SweepRace:
    """Seconds of one sweep. promised : of every way, what its trials promise for all strategies."""

    kind: str
    strategies: int
    rows: int
    groups: int = 0
    compile_s: float = 0.0
    ours: list[float] = field(default_factory=list)
    promised: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    plain_s: float | None = None

    @property
    def ours_s(self) -> float:
        """Our median."""
        return statistics.median(self.ours)

    @property
    def ratio(self) -> float | None:
        """How many times as long as ours the best peer takes."""
        return min(self.seconds.values()) / self.ours_s if self.seconds else None

    def lines(self) -> list[str]:
        """Return what a person reads."""
        share = self.groups / self.rows
        head = f"{self.kind}: {self.rows:,} creatives x {self.strategies:,} strategies, walked/N {share:.3f}"
        lines = [head, f"  ours            {self.ours_s:8.3f} s   (first call {self.compile_s:.1f} s)"]
        for way, promised in self.promised.items():
            took = self.seconds.get(way)
            shown = (
                f"{took:8.2f} s   {took / self.ours_s:6.1f} x" if took is not None else f"{promised:8.1f} s promised"
            )
            lines.append(f"  {way:<15} {shown}")
        if self.plain_s is not None:
            lines.append(f"  {'plain loop':<15} {self.plain_s:8.2f} s   {self.plain_s / self.ours_s:6.1f} x")
        return lines

    def raw(self) -> dict[str, Any]:
        """Return the figures for the JSON."""
        return {
            "rows": self.rows,
            "strategies": self.strategies,
            "walked_over_rows": self.groups / self.rows,
            "ours_s": self.ours,
            "first_call_s": self.compile_s,
            "promised_s": self.promised,
            "in_full_s": self.seconds,
            "plain_loop_s": self.plain_s,
            "ratio": self.ratio,
        }


def run_sweep_race(sweep: Sweep, world: World, threads: int) -> SweepRace:
    """Time everybody; every result must be ours.

    Raises
    ------
    AssertionError : a contestant finds other sums.
    """
    race = SweepRace(sweep.kind, len(sweep), len(world))
    table, creatives = as_table(sweep), as_creatives(sweep, world)

    def ours() -> I64:
        start = time.perf_counter()
        replayed = replay_sweep(table, creatives, sweep, threads)
        race.ours.append(time.perf_counter() - start)
        race.groups = replayed.groups
        return rejected(replayed)

    wanted = ours()
    race.compile_s = race.ours.pop()
    task = as_task(sweep, world)
    for ways in PEERS.values():
        _try(race, ways, task, wanted)
    ways_by_name = {way.__name__: way for ways in PEERS.values() for way in ways}
    for name in sorted(race.promised, key=lambda name: race.promised[name]):
        if race.promised[name] < _HOPELESS * min(race.seconds.values(), default=float("inf")):
            ours()
            race.seconds[name] = _timed(ways_by_name[name], task, wanted)
    race.plain_s = _timed(plain_loop, task, wanted)
    ours()
    return race


def _try(race: SweepRace, ways: tuple[Way, ...], task: Task, wanted: I64) -> None:
    few, more = (min(count, len(task.sweep)) for count in _TRIALS)
    for way in ways:
        try:
            first, second = (_timed(way, task.part(n), wanted[:n]) for n in (few, more))
        except NotImplementedError:
            continue
        slope = max(second - first, 0.0) / max(more - few, 1)
        race.promised[way.__name__] = second + slope * (len(task.sweep) - more)


def _timed(way: Way, task: Task, wanted: I64) -> float:
    start = time.perf_counter()
    found = way(task)
    seconds = time.perf_counter() - start
    if not np.array_equal(found, wanted):
        raise AssertionError(f"{getattr(way, '__name__', way)} finds other sums than ours")
    return seconds
