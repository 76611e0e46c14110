"""The closed set of (length, rows) shapes, and the plan of a shard's batches. Plain numpy, no torch.

A batch holds contents of one token length, so no token is ever padding and no attention mask is needed.
Its rows are a power of two. Where results do not depend on the number of rows (CPU, see kernel.py) a tail is
split into smaller powers of two; where they may (GPU) the tail is filled with dummy rows, and the number of
rows follows from the length alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.records import I32, I64

DUMMY = -1


@dataclass(frozen=True)
class Shapes:
    """A closed set of shapes: any length, with `full_rows(length)` rows, or fewer where `ragged`.

    tile : most tokens in a batch of more than one row.
    ragged : tails are split into smaller powers of two; otherwise they are filled with dummy rows.
    """

    tile: int
    ragged: bool

    def full_rows(self, length: int) -> int:
        """Return the largest power of two whose rows of `length` tokens fit the tile; at least 1."""
        fitting = max(1, self.tile // length)
        return 1 << (fitting.bit_length() - 1)


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
    return tuple(batch for group in groups for batch in _batches(int(length_U[group[0]]), group, shapes))


def padding(plan: tuple[Batch, ...], length_U: I32) -> float:
    """Return computed tokens over real tokens − 1, dummy rows included; 0 where nothing is computed."""
    real = int(length_U.sum())
    computed = sum(batch.length * len(batch.index_B) for batch in plan)
    return computed / real - 1 if real else 0.0


def _batches(length: int, index: I64, shapes: Shapes) -> list[Batch]:
    """Cut the contents of one length into batches."""
    rows = shapes.full_rows(length)
    batches = []
    while len(index):
        while shapes.ragged and rows > len(index):
            rows //= 2
        taken, index = index[:rows], index[rows:]
        filled = np.full(rows, DUMMY, np.int64)
        filled[: len(taken)] = taken
        batches.append(Batch(length, filled))
    return batches
