"""Parts of a history that no memory joins: each may be replayed on its own, and their sums add up.

What joins events: the advertiser whose strikes they count for, the content that is rejected on sight, the queue in
which they wait.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.records import I32, I64
from engine.replay.history import History
from engine.state import Memory


def find_parts(history: History, memories: Sequence[Memory], queue_KN: Sequence[I32], most: int) -> I32:
    """Return the part of every event, from 0, shape (N,).

    Parameters
    ----------
    memories : of the strategies that are replayed together. queue_KN : the queue of every event under each of them.
    most : events that a part should have at most; events that are joined stay in one, however many they are.
    """
    joint_N = _joined(_keys(history, memories, queue_KN), len(history.time_N))
    size_J = np.bincount(joint_N)
    order = np.argsort(-size_J, kind="stable")
    before_J = np.cumsum(size_J[order]) - size_J[order]
    part_J = np.empty(len(size_J), np.int32)
    part_J[order] = np.unique(before_J // most, return_inverse=True)[1]
    return part_J[joint_N]


def _keys(history: History, memories: Sequence[Memory], queue_KN: Sequence[I32]) -> list[I32]:
    """Return what joins events: those with an equal key of 0 or more. What every event has comes first."""
    keys = [queue_N for memory, queue_N in zip(memories, queue_KN, strict=True) if memory.queues]
    if any(memory.strikes for memory in memories):
        keys.append(history.advertiser_N)
    if any(memory.copies for memory in memories):
        keys.append(history.slot_N)
    return keys


def _joined(keys: Sequence[I32], events: int) -> I64:
    """Number the sets of events that keys join, directly or over others."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    every_N = np.arange(events)
    if not keys:
        return every_N
    first_N = keys[0].astype(np.int64)
    alone_N = first_N < 0  # an event that only a content could join, and it has none that occurs twice
    first_N[alone_N] = first_N.max(initial=-1) + 1 + np.arange(alone_N.sum())
    if len(keys) == 1:
        return first_N
    nodes = int(first_N.max(initial=-1)) + 1
    ends = []
    for key_N in keys[1:]:
        at = np.flatnonzero(key_N >= 0)
        ends.append(np.stack([first_N[at], nodes + key_N[at]]))
        nodes += int(key_N.max(initial=-1)) + 1
    start, end = np.concatenate(ends, axis=1)
    graph = coo_array((np.ones(len(start), np.int8), (start, end)), shape=(nodes, nodes))
    set_V = connected_components(graph, directed=False)[1]
    return set_V.astype(np.int64)[first_N]
