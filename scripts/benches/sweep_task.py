"""What every contestant but ours is given: a sweep over a world whose scores are codes already."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sweeps import COLUMNS, LEVELS, Sweep, World, cells_of, members

from engine.records import I64, Flags

_TOGETHER = 25  # strategies in one query or matrix


@dataclass(frozen=True)
class Task:
    """A sweep over a world in codes: a score reaches threshold s of column p where code_PN[p] >= at_SP[s, p]."""

    sweep: Sweep
    world: World
    code_PN: NDArray[np.unsignedinteger]
    at_SP: I64
    cell_N: I64
    cells: int

    def part(self, count: int) -> Task:
        """Return the task of the first strategies alone."""
        return Task(self.sweep.part(count), self.world, self.code_PN, self.at_SP[:count], self.cell_N, self.cells)

    def allowed_SC(self) -> Flags | None:
        """Return in which cells a strategy rejects, None where everywhere."""
        if not self.sweep.allowed:
            return None
        sizes = tuple(LEVELS.values())
        level_KC = np.unravel_index(np.arange(self.cells), sizes)
        return np.logical_and.reduce([t[:, levels] for t, levels in zip(self.sweep.allowed, level_KC, strict=True)])

    def by_segment(self, sum_SC3: I64) -> I64:
        """Keep what a strategy rejects and add cells up to segments."""
        allowed = self.allowed_SC()
        kept = sum_SC3 if allowed is None else sum_SC3 * allowed[:, :, None]
        return np.einsum("scw,gc->sgw", kept, members(self.sweep).astype(np.int64), optimize=True)


Way = Callable[[Task], I64]


def as_task(sweep: Sweep, world: World) -> Task:
    """Find the codes."""
    dtype = np.uint8 if sweep.kind == "grid" else np.uint16  # thresholds of a column are at most a few thousand
    code_PN = np.empty(world.score_PN.shape, dtype)
    at_SP = np.empty(sweep.threshold_SP.shape, np.int64)
    for p in range(COLUMNS):
        edges = np.unique(sweep.threshold_SP[:, p])
        code_PN[p] = np.searchsorted(edges, world.score_PN[p], side="right")
        at_SP[:, p] = np.searchsorted(edges, sweep.threshold_SP[:, p]) + 1
    return Task(sweep, world, code_PN, at_SP, *cells_of(sweep, world))


def portions(task: Task) -> Iterator[tuple[int, I64]]:
    """Yield a few strategies at a time: the number of the first, and their codes."""
    for start in range(0, len(task.sweep), _TOGETHER):
        yield start, task.at_SP[start : start + _TOGETHER]
