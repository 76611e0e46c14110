"""Compiled loops of the reading. Arrays in, arrays out; the callers have checked."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from engine.records import I32, I64


@njit(cache=True, nogil=True)
def lead(
    sketch_UK: NDArray[np.uint32],
    bucket_UB: I32,
    needed: int,
    most: int,
    newest_BX: I32,
    earlier_UB: I32,
    seen_U: I32,
    leader_U: I64,
) -> None:
    """Write for each text the leader that it follows: itself, or the earlier leader whose sketch agrees most.

    Leaders of a bucket hang on a chain, newest first: newest_BX holds its start, earlier_UB its links, -1 its end.

    Parameters
    ----------
    needed : entries of a sketch that must agree. most : leaders looked at in a bucket.
    newest_BX, earlier_UB, seen_U : scratch, filled with -1.
    leader_U : -1 for a text that is compared with nothing; it leads itself.
    """
    for u in range(sketch_UK.shape[0]):
        if leader_U[u] < 0:
            leader_U[u] = u
            continue
        best, agreed = -1, needed - 1
        for b in range(bucket_UB.shape[1]):
            v = newest_BX[b, bucket_UB[u, b]]
            for _ in range(most):
                if v < 0:
                    break
                if seen_U[v] != u:
                    seen_U[v] = u
                    same = 0
                    for k in range(sketch_UK.shape[1]):
                        same += sketch_UK[u, k] == sketch_UK[v, k]
                    if same > agreed or (same == agreed and v < best):
                        best, agreed = v, same
                v = earlier_UB[v, b]
        if best >= 0:
            leader_U[u] = best
            continue
        leader_U[u] = u
        for b in range(bucket_UB.shape[1]):
            earlier_UB[u, b] = newest_BX[b, bucket_UB[u, b]]
            newest_BX[b, bucket_UB[u, b]] = u
