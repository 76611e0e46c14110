"""The closed set of (length, rows) shapes, and the plan of a shard's batches. Plain numpy, no torch.

A batch holds contents of one token length, so no token is ever padding and no attention mask is needed.
Where results do not depend on the number of rows (a CPU, see kernel.py) the contents of a length are split
into batches of even size. Where they may (a GPU) rows follow from the length alone; dummies fill the tail.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.records import I32, I64

DUMMY = -1


@dataclass(frozen=True)
class Shapes:
    """A closed set: any length, with `full_rows(length)` rows, or also with fewer where `ragged`.

    tile : most tokens in a batch of more than one row.
    """

    tile: int
    ragged: bool

    def full_rows(self, length: int) -> int:
        """Return how many rows of `length` tokens fit the tile; at least 1."""
        return max(1, self.tile // length)


@dataclass(frozen=True, eq=False)
class Batch:
    """One forward pass over contents of `length` tokens: `index_B`, int64, numbers them, -1 for a dummy."""

    length: int
    index_B: I64


def plan_batches(length_U: I32, shapes: Shapes) -> tuple[Batch, ...]:
    """Plan the forward passes of some contents, longest first.

    Parameters
    ----------
    length_U : int32, tokens of each content, at least 1.

    Returns
    -------
    batches : every content stands in exactly one row; equal lengths keep the order they came in.
    """
    order_U = np.argsort(-length_U.astype(np.int64), kind="stable")
    edges = np.flatnonzero(np.diff(length_U[order_U])) + 1
    groups = np.split(order_U, edges) if len(order_U) else []
    split = _split_evenly if shapes.ragged else _split_full
    plan: list[Batch] = []
    for index in groups:
        length = int(length_U[index[0]])
        plan += [Batch(length, part) for part in split(index, shapes.full_rows(length))]
    return tuple(plan)


def _split_evenly(index: I64, rows: int) -> list[I64]:
    """Split into the fewest parts of at most `rows`, whose sizes differ by at most one."""
    return np.array_split(index, -(-len(index) // rows))


def _split_full(index: I64, rows: int) -> list[I64]:
    """Split into parts of exactly `rows`, the last one filled with dummies."""
    missing = -len(index) % rows
    return np.split(np.pad(index, (0, missing), constant_values=DUMMY), (len(index) + missing) // rows)
