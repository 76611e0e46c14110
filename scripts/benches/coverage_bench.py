"""Do 95 % intervals contain the truth? Worlds in which it is known, both questions, every number of the engine.

`history` redraws the audits of many histories, some of each (`Look.together`), and compares with the truth of that
one; `future` redraws history and audit every time.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from typing import Any

import numpy as np
from coverage_batches import ManyHistories, OneHistory
from coverage_cells import Cell, Tally, bars_of
from coverage_worlds import WORLDS, World
from record import Bar, Bench

from engine.estimate.estimates import estimate_all
from engine.estimate.naive import naive_counts
from engine.estimate.sample import FUTURE, HISTORY

DEMO = "demo"
_POOLED = 5_000_000
_SHOWN = 8


@dataclass(frozen=True)
class Simulation:
    """What one process is asked. pooled : creatives of the superpopulation that a truth is taken from."""

    world: str
    question: str
    repetitions: int
    seed: int
    pooled: int | None = None


@dataclass(frozen=True)
class Naive:
    """Mean errors of one rate: the engine's, and that of the count over labelled rows."""

    world: str
    question: str
    strategy: str
    metric: str
    true: float
    engine: float
    count: float


def measure(arguments: Sequence[str]) -> Bench:
    """Simulate the worlds and count how often intervals contain the truth."""
    names = [world.name for world in WORLDS]
    parser = argparse.ArgumentParser(prog="scripts/bench coverage")
    parser.add_argument("--repetitions", type=int, default=1000, help="of every generated world and question")
    parser.add_argument("--demo-repetitions", type=int, default=200, help="of the demo world, whose run must be there")
    parser.add_argument("--worlds", nargs="+", choices=[*names, DEMO], default=[*names, DEMO])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    asked = [
        Simulation(name, question, options.repetitions, options.seed)
        for name in options.worlds
        if name != DEMO
        for question in (HISTORY, FUTURE)
    ]
    with ProcessPoolExecutor(options.processes, mp_context=get_context("forkserver")) as pool:
        found = list(pool.map(simulate, asked))
    cells = [cell for some, _ in found for cell in some]
    naive = [one for _, some in found for one in some]
    lines = [line for name in options.worlds if name != DEMO for line in table(world_of(name), cells, naive)]
    raw: dict[str, Any] = {"cells": [asdict(cell) for cell in cells], "naive": [asdict(one) for one in naive]}
    bars = bars_of(cells)
    if DEMO in options.worlds:
        demo = _demo(options.demo_repetitions, options.seed)
        lines, raw[DEMO] = [*lines, *demo.table], demo.raw
        bars = [*demo.bars, *bars]
    else:
        bars = [Bar("coverage.demo_pooled", None, "0.93 to 0.97", False), *bars]
    return Bench("coverage", vars(options), raw, bars, ["", *lines, ""])


def simulate(asked: Simulation) -> tuple[list[Cell], list[Naive]]:
    """Repeat one world under one question."""
    world = world_of(asked.world)
    number = [one.name for one in WORLDS].index(world.name)
    future = ManyHistories(world, asked.seed, asked.pooled or _POOLED) if asked.question == FUTURE else None
    tally = Tally()
    together = world.look.together
    for block, first in enumerate(range(0, asked.repetitions, together)):
        some = range(first, min(first + together, asked.repetitions))
        drawn = future or OneHistory(world, asked.seed, block)
        batch = drawn.batch([np.random.default_rng([asked.seed, number, r]) for r in some])
        tally.add(batch, estimate_all(batch.question), drawn.truth)
        tally.add_naive(naive_counts(batch.question), drawn.truth)
    cells = tally.cells(world.name, asked.question)
    return cells, [Naive(world.name, asked.question, *error) for error in tally.naive_errors()]


def world_of(name: str) -> World:
    """Return a world by name."""
    return next(world for world in WORLDS if world.name == name)


def table(world: World, cells: Sequence[Cell], naive: Sequence[Naive]) -> list[str]:
    """Return what a person reads about a world: its worst cells first, warned ones after the others."""
    lines = [f"== {world.name}: {world.tells}"]
    for question in (HISTORY, FUTURE):
        mine = [cell for cell in cells if (cell.world, cell.question) == (world.name, question)]
        excused = sum(cell.excused for cell in mine)
        lines += [
            f"{question}: {mine[0].repetitions} repetitions, {len(mine)} random numbers, {excused} of them warned",
            "  " + "worst first".ljust(64) + "  covers  differ  bias/se    width  /exact  events  warned   null",
        ]
        ordered = sorted(mine, key=lambda cell: (cell.excused, cell.coverage))
        for cell in ordered[:_SHOWN]:
            lines.append(
                f"  {cell.name:<64}{cell.coverage:>8.1%}{cell.differing:>8.1%}{cell.bias:>+9.2f}{cell.width:>9.4f}"
                f"{cell.exact:>8.2f}{cell.events:>8.0f}{cell.warned:>8.0%}{cell.null:>7.1%}"
            )
        for one in naive:
            if (one.world, one.question) == (world.name, question):
                lines.append(
                    f"  {one.metric} {one.strategy}: true {one.true:.4f}, mean error {one.engine:+.4f}, "
                    f"of the naive count {one.count:+.4f}"
                )
    return [*lines, ""]


def _demo(repetitions: int, seed: int) -> Bench:
    from coverage_demo import redrawn  # it needs the demo's data

    return redrawn(repetitions, seed)
