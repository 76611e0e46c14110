"""Units of work of a stateful replay: a strategy, or two of them, over all events or over a part that nothing joins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.records import I32
from engine.replay.parts import find_parts
from engine.strategy import Strategy
from engine.tasks.stateful import EventTable, Unit, queues_of

MOST = 1 << 22  # events of a part


def list_units(
    events: EventTable, strategies: Sequence[Strategy], asked: Sequence[tuple[int, ...]]
) -> tuple[list[Unit], list[I32]]:
    """Return the units that do what is asked, and the part of every event, once for each way to split them.

    asked : numbers of the strategies that are replayed together. Parts depend on the events alone, not on the workers.
    """
    units: list[Unit] = []
    splits: dict[object, int] = {}
    part_KN: list[I32] = []
    for together in asked:
        mine = [strategies[s] for s in together]
        joins = frozenset(join for strategy in mine for join in _joins(strategy))
        if joins not in splits:
            splits[joins] = len(part_KN)
            part_KN.append(_parts(events, mine))
        split = splits[joins]
        units += [Unit(together, split, part) for part in range(int(part_KN[split].max(initial=0)) + 1)]
    return units, part_KN


def _parts(events: EventTable, strategies: Sequence[Strategy]) -> I32:
    memories = [strategy.memory for strategy in strategies]
    if len(events.counted_N) <= MOST:
        return np.zeros(len(events.counted_N), np.int32)
    queues = [queues_of(events, strategy) for strategy in strategies]
    return find_parts(events.history, memories, queues, MOST)


def _joins(strategy: Strategy) -> list[object]:
    """Name what joins events under a strategy."""
    memory = strategy.memory
    queue = [memory.capacity.queue] if memory.capacity is not None and memory.queues else []
    return [*queue, *(["strikes"] if memory.strikes else []), *(["copies"] if memory.copies else [])]
