"""The seeded worlds of the replay bench: scores, exposures, attributes, and thousands of strategies.

A strategy rejects a creative when any of six scores reaches its threshold; with attributes, only in some regions,
verticals and tiers. What is wanted of each: rejected creatives, impressions and spend, by segment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from engine.expression import ALWAYS, And, Atom, Expression, Or
from engine.records import F32, I64, WEIGHTS, Column, Decision, Flags
from engine.replay.replay import Creatives, Replayed, replay
from engine.strategy import Rule, Strategy, StrategyTable, build_table

Kind = Literal["grid", "random", "segments"]
KINDS: tuple[Kind, ...] = ("grid", "random", "segments")
COLUMNS = 6
GRID = 37
LEVELS = {"region": 10, "vertical": 6, "tier": 4}  # 20 segments of one attribute each
SUMMED = tuple(WEIGHTS.index(name) for name in ("creatives", "impressions", "spend"))


@dataclass(frozen=True)
class World:
    """N creatives. score_PN : float32. level_KN : int32 codes of the attributes. weight_NW : int64 by WEIGHTS."""

    score_PN: F32
    level_KN: I64
    weight_NW: I64

    def __len__(self) -> int:
        return self.score_PN.shape[1]


@dataclass(frozen=True)
class Sweep:
    """S strategies. threshold_SP : float32. allowed : per attribute, bool (S, levels); empty without attributes."""

    kind: Kind
    threshold_SP: F32
    allowed: tuple[Flags, ...] = ()

    def __len__(self) -> int:
        return len(self.threshold_SP)

    def part(self, count: int) -> Sweep:
        """Return the first strategies."""
        return Sweep(self.kind, self.threshold_SP[:count], tuple(table[:count] for table in self.allowed))


def make_world(rows: int, seed: int) -> World:
    """Draw creatives: scores share a cause, most are low; exposures are skewed."""
    rng = np.random.default_rng(seed)
    cause_N = rng.standard_normal(rows, np.float32)
    score_PN = np.empty((COLUMNS, rows), np.float32)
    for score_N in score_PN:
        score_N[:] = 1 / (1 + np.exp(4.0 - 1.5 * cause_N - 0.7 * rng.standard_normal(rows, np.float32)))
    weight_NW = np.zeros((rows, len(WEIGHTS)), np.int64)
    weight_NW[:, SUMMED[0]] = 1
    weight_NW[:, SUMMED[1]] = rng.lognormal(6, 1.5, rows)
    weight_NW[:, SUMMED[2]] = weight_NW[:, SUMMED[1]] * rng.uniform(0.1, 1, rows)
    level_KN = np.array([rng.integers(0, count, rows, np.int32) for count in LEVELS.values()])
    return World(score_PN, level_KN, weight_NW)


def make_sweep(kind: Kind, strategies: int, seed: int) -> Sweep:
    """Draw strategies: thresholds from a grid of 37 a column, or anywhere."""
    rng = np.random.default_rng(seed)
    shape = (strategies, COLUMNS)
    if kind == "grid":
        return Sweep(kind, (rng.integers(1, GRID + 1, shape) / (GRID + 1)).astype(np.float32))
    allowed = tuple(rng.random((strategies, count)) < 0.7 for count in LEVELS.values())
    return Sweep(kind, rng.random(shape, np.float32), allowed if kind == "segments" else ())


def cells_of(sweep: Sweep, world: World) -> tuple[I64, int]:
    """Return the cell of every creative, and how many there are: 1 without attributes."""
    if not sweep.allowed:
        return np.zeros(len(world), np.int64), 1
    sizes = tuple(LEVELS.values())
    return np.ravel_multi_index(tuple(world.level_KN), sizes), int(np.prod(sizes))


def members(sweep: Sweep) -> Flags:
    """Return which cells make up a segment: everything, then every level of every attribute."""
    if not sweep.allowed:
        return np.ones((1, 1), bool)
    sizes = tuple(LEVELS.values())
    level_KC = np.array(np.unravel_index(np.arange(np.prod(sizes)), sizes))
    of_levels = [level_KC[k] == level for k, size in enumerate(sizes) for level in range(size)]
    return np.array([np.ones(level_KC.shape[1], bool), *of_levels])


def as_table(sweep: Sweep) -> StrategyTable:
    """Compile the strategies as the engine does."""
    return build_table([_strategy(sweep, s) for s in range(len(sweep))])


def as_creatives(sweep: Sweep, world: World) -> Creatives:
    """Return what the engine replays."""
    columns = [Column(f"v1.p{p}", score_N) for p, score_N in enumerate(world.score_PN)]
    for k, (name, count) in enumerate(LEVELS.items() if sweep.allowed else ()):
        columns.append(Column(name, world.level_KN[k], tuple(f"{name}{level}" for level in range(count))))
    return Creatives(tuple(columns), cells_of(sweep, world)[0], np.ones(len(world), np.uint8), world.weight_NW)


def replay_sweep(table: StrategyTable, creatives: Creatives, sweep: Sweep, threads: int) -> Replayed:
    """Run the engine: sums by segment, no row kept."""
    member_GC = members(sweep)
    nobody = np.zeros(0, np.int64)
    return replay(table, creatives, member_GC.shape[1], nobody, None, member_GC=member_GC, threads=threads)


def rejected(replayed: Replayed) -> I64:
    """Return what a contestant must find: rejected creatives, impressions, spend; int64, shape (S, G, 3)."""
    return replayed.totals.sum_SOFCW[:, 0].sum(1)[:, :, SUMMED]


def _strategy(sweep: Sweep, s: int) -> Strategy:
    any_score: Expression = Or(
        tuple(Atom(f"v1.p{p}", ">=", float(threshold)) for p, threshold in enumerate(sweep.threshold_SP[s]))
    )
    parts = [any_score]
    for name, allowed_SL in zip(LEVELS, sweep.allowed, strict=False):
        parts.append(Atom(name, "in", tuple(f"{name}{level}" for level in np.flatnonzero(allowed_SL[s]))))
    when = And(tuple(parts)) if len(parts) > 1 else any_score
    return Strategy(f"s{s}", (Rule(when, Decision.REJECT),), Rule(ALWAYS, Decision.APPROVE))
