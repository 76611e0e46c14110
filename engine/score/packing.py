"""The plan of packed tokens: which contents share a tile. Plain numpy, no torch.

A tile is a run of whole contents, one after the other without padding, whose tokens are the rows of matrix products.
Contents of one length stand together, so that attention takes them in one call, each by itself. A content longer than
a tile has one of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from engine.records import I32, I64
from engine.score.kernel import BLOCK


@dataclass(frozen=True, eq=False)
class Run:
    """`count` contents of `length` tokens, the first of which is row `first` of the tile."""

    first: int
    count: int
    length: int

    @property
    def rows(self) -> slice:
        return slice(self.first, self.first + self.count * self.length)


@dataclass(frozen=True, eq=False)
class Tile:
    """index_S : int64, the contents, longest first. length_S : int64, their tokens."""

    index_S: I64
    length_S: I64

    @property
    def tokens(self) -> int:
        return int(self.length_S.sum())

    @property
    def rows(self) -> int:
        """Rows of a matrix product over all tokens; those beyond them are zero."""
        return full_rows(self.tokens)

    @property
    def first_S(self) -> I64:
        """The row of each content's first token."""
        first: I64 = np.cumsum(self.length_S) - self.length_S
        return first

    def runs(self) -> Iterator[Run]:
        """Walk over the contents of equal length."""
        first = 0
        for length, count in zip(*np.unique(-self.length_S, return_counts=True), strict=True):
            yield Run(first, int(count), int(-length))
            first += int(count * -length)


def full_rows(rows: int) -> int:
    """Return the next multiple of BLOCK: no product has fewer rows (see kernel.py)."""
    return -(-rows // BLOCK) * BLOCK


def plan_tiles(length_U: I32, tile: int) -> tuple[Tile, ...]:
    """Cut contents, longest first, into tiles of at most `tile` tokens.

    Parameters
    ----------
    length_U : int32, tokens of each content, at least 1.
    """
    order_U = np.argsort(-length_U.astype(np.int64), kind="stable")
    length = length_U[order_U].astype(np.int64)
    end = np.cumsum(length)
    tiles: list[Tile] = []
    first = 0
    while first < len(order_U):
        before = end[first] - length[first]
        last = max(first + 1, int(np.searchsorted(end, before + tile, side="right")))
        tiles.append(Tile(order_U[first:last], length[first:last]))
        first = last
    return tuple(tiles)
