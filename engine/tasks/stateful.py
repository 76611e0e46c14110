"""A stateful strategy over events → its totals and the outcomes that estimators need; or a pair of strategies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from engine import store
from engine.read.segments import piece_codes
from engine.records import F64, I8, I16, I32, I64, U8, U64, WEIGHTS, Column, Flags, Receipt, Shard
from engine.replay.draws import draw_rejections
from engine.replay.history import History
from engine.replay.replay import decide
from engine.replay.walk import Decided, Reviewers, walk
from engine.replay.walk_kernels import add_up, add_up_pairs
from engine.state import Capacity, Memory
from engine.strategy import Strategy, StrategyTable, build_table
from engine.strategy.codes import Codes, list_codes
from engine.tasks.work import Work


@dataclass(frozen=True, eq=False)
class EventTable:
    """N events by (submitted_at, creative_id), those of the warm-up included.

    columns : what rules read. cell_N, frame_N, weight_NW : as in replay.Creatives, 0 where not counted.
    counted_N : in the period. rejects_N, known_N : history's reviewers found it violating, and when that was known.
    key_N, seed : of the creative's own draws.
    """

    history: History
    columns: tuple[Column, ...]
    counted_N: Flags
    cell_N: I64
    frame_N: U8
    weight_NW: I64
    rejects_N: U8
    known_N: I64
    key_N: U64
    seed: int

    def by_piece(self, cuts: tuple[int, ...]) -> EventTable:
        """Return the events with pieces of time, one where nothing is cut, as their cells."""
        return replace(self, cell_N=piece_codes(self.history.time_N, cuts))

    def at(self, rows: I64) -> EventTable:
        """Return some of the events, in order."""
        held = ("counted_N", "cell_N", "frame_N", "weight_NW", "rejects_N", "known_N")
        return replace(
            self,
            history=self.history.at(rows),
            columns=tuple(replace(column, values_N=column.values_N[rows]) for column in self.columns),
            key_N=self.key_N[rows] if len(self.key_N) else self.key_N,
            **{name: getattr(self, name)[rows] for name in held},
        )

    def column(self, name: str) -> Column:
        """Return a column by name."""
        return next(column for column in self.columns if column.name == name)


@dataclass(frozen=True)
class Unit:
    """One piece of work. strategies : one by its number, or baseline and candidate, which are counted jointly.

    split, part : which events, those of a part in StatefulPlan.part_KN[split].
    """

    strategies: tuple[int, ...]
    split: int
    part: int


@dataclass(frozen=True, eq=False)
class StatefulPlan:
    """What every worker shares. kept_n : events whose outcomes are kept. units : the work, by number.

    part_KN : part of every event, once for each way to split them.
    """

    events: EventTable
    strategies: tuple[Strategy, ...]
    policies: tuple[str, ...]
    missing_to_review: bool
    outcomes: int
    cells: int
    kept_n: I64
    units: tuple[Unit, ...]
    part_KN: tuple[I32, ...]

    def of(self, unit: Unit) -> StatefulPlan:
        """Return the plan for the events of one unit."""
        part_N = self.part_KN[unit.split]
        if not part_N.any():
            return self
        rows = np.flatnonzero(part_N == unit.part)
        kept = np.searchsorted(rows, self.kept_n[self.keeps(unit)])
        return replace(self, events=self.events.at(rows), kept_n=kept)

    def keeps(self, unit: Unit) -> Flags:
        """Say which of the kept events a unit has."""
        return np.asarray(self.part_KN[unit.split][self.kept_n] == unit.part)


@dataclass(frozen=True)
class StatefulTask:
    """One shard of work is a unit of the plan, by its number."""

    folder: Path
    identity: str

    def open(self, shared: StatefulPlan) -> Work:
        """Return the work on one unit."""
        return lambda shard: self._replay(shard, shared)

    def _replay(self, shard: Shard, plan: StatefulPlan) -> Receipt:
        path = store.shard_path(self.folder, shard.number)
        done = store.find_committed(path, self.identity)
        if done is None:
            unit = plan.units[shard.number]
            mine = plan.of(unit)
            found = _pair(mine, *unit.strategies) if len(unit.strategies) == 2 else _single(mine, *unit.strategies)
            done = store.commit_table(path, found, self.identity)
        return Receipt(shard.number, str(done.path), shard.rows, done.hash)


@dataclass(frozen=True, eq=False)
class Remembered:
    """A stateful strategy over events: what its rules decide, what reviewers see, and what can come of it."""

    memory: Memory
    codes: Codes
    decided: Decided
    reviewers: Reviewers


def outcomes_of(events: EventTable, strategy: Strategy, policies: tuple[str, ...], *, missing_to_review: bool) -> I16:
    """Return the outcome of every event under one strategy, with its memory if it has one."""
    if not strategy.memory:
        return _decide(events, [strategy], missing_to_review=missing_to_review)[0]
    found = remembered(events, strategy, policies, missing_to_review=missing_to_review)
    return walk(events.history, found.memory, found.codes, found.decided, found.reviewers)


def remembered(
    events: EventTable, strategy: Strategy, policies: tuple[str, ...], *, missing_to_review: bool
) -> Remembered:
    """Return everything that the walk of a stateful strategy reads."""
    table = build_table([strategy], missing_to_review=missing_to_review)
    codes = codes_of(table, 0, policies)
    struck = [Strategy("struck", strategy.struck[:-1], strategy.struck[-1])] if strategy.struck else []
    normal_N, *rest = _decide(events, [strategy, *struck], missing_to_review=missing_to_review)
    struck_N = rest[0] + np.int16(len(table.rules[0])) if rest else np.zeros(0, np.int16)
    return Remembered(strategy.memory, codes, Decided(normal_N, struck_N), reviewers_of(events, strategy))


def _decide(events: EventTable, strategies: Sequence[Strategy], *, missing_to_review: bool) -> I16:
    """Return what the rules of some strategies decide, whatever they remember, shape (S, N)."""
    table = build_table(strategies, missing_to_review=missing_to_review)
    return decide(table, events.columns, np.arange(len(events.counted_N)))


def codes_of(table: StrategyTable, strategy: int, policies: tuple[str, ...]) -> Codes:
    """Return what can come of a creative under one stateful strategy of a table."""
    return list_codes(table.strategies[strategy], table.rules[strategy], table.struck[strategy], policies)


def reviewers_of(events: EventTable, strategy: Strategy) -> Reviewers:
    """Return the queues, the order in them and what humans find."""
    capacity = strategy.memory.capacity
    queue_N = queues_of(events, strategy)
    priority_N = _priority(events, capacity) if capacity is not None else np.zeros(0)
    if strategy.memory.outcome == "drawn":
        return Reviewers(queue_N, priority_N, _drawn(events, strategy), np.zeros_like(events.known_N))
    return Reviewers(queue_N, priority_N, events.rejects_N, events.known_N)


def _drawn(events: EventTable, strategy: Strategy) -> U8:
    """Draw whether a human would reject: for each policy with the chance that its calibrated score and rates give."""
    rejects_N = np.zeros(len(events.key_N), np.uint8)
    for name in strategy.memory.drawn_by:
        policy = name.partition(".")[2]
        sensitivity, specificity = strategy.review.rates(policy) or (1.0, 1.0)
        score_N = events.column(name).values_N.astype(np.float64)
        chance_N = score_N * sensitivity + (1 - score_N) * (1 - specificity)
        rejects_N |= draw_rejections(events.key_N, chance_N, events.seed, strategy.memory.replicate, policy)
    return rejects_N


def queues_of(events: EventTable, strategy: Strategy) -> I32:
    """Number the combinations of the attributes of a strategy's queues; null is a value of its own."""
    code_N = np.zeros(len(events.counted_N), np.int64)
    for name in strategy.memory.capacity.queue if strategy.memory.capacity else ():
        column = events.column(name)
        value_N: I64 = np.unique(column.values_N, return_inverse=True)[1]
        code_N = code_N * (int(value_N.max(initial=0)) + 1) + value_N
    return np.unique(code_N, return_inverse=True)[1].astype(np.int32)


def _priority(events: EventTable, capacity: Capacity) -> F64:
    if capacity.order == "first":
        return np.zeros(0)
    if capacity.column is not None:
        return events.column(capacity.column).values_N.astype(np.float64)
    known, imputed, missing = (WEIGHTS.index(f"{capacity.weighting}{part}") for part in ("", "_imputed", "_missing"))
    value_N = (events.weight_NW[:, known] + events.weight_NW[:, imputed]).astype(np.float64)
    return np.where(events.weight_NW[:, missing] > 0, np.nan, value_N)


def _single(plan: StatefulPlan, strategy: int) -> pa.Table:
    """Return the sums that are not 0 (`at`, `sum`: flat index into O, F, C, W) and, as part 1, the kept outcomes."""
    events = plan.events
    code_N = outcomes_of(events, plan.strategies[strategy], plan.policies, missing_to_review=plan.missing_to_review)
    sums = np.zeros((plan.outcomes, 2, plan.cells, len(WEIGHTS)), np.int64)
    counted = np.flatnonzero(events.counted_N)
    add_up(code_N[counted], events.frame_N[counted], events.cell_N[counted], events.weight_NW[counted], sums)
    return _flat(sums, code_N[plan.kept_n])


def _pair(plan: StatefulPlan, baseline: int, candidate: int) -> pa.Table:
    """Return the sums by outcome of the baseline and of the candidate."""
    events = plan.events
    both = [
        outcomes_of(events, plan.strategies[s], plan.policies, missing_to_review=plan.missing_to_review)
        for s in (baseline, candidate)
    ]
    swap = np.zeros((plan.outcomes, plan.outcomes, plan.cells, len(WEIGHTS)), np.int64)
    counted = np.flatnonzero(events.counted_N)
    add_up_pairs(both[0][counted], both[1][counted], events.cell_N[counted], events.weight_NW[counted], swap)
    return _flat(swap, np.zeros(0, np.int16))


def read_sums(table: pa.Table, shape: tuple[int, ...]) -> tuple[I64, I16]:
    """Read back what `_flat` wrote: the sums, and the outcomes of the kept events."""
    sums = np.zeros(int(np.prod(shape)), np.int64)
    part = table["part"].to_numpy()
    sums[table["at"].to_numpy()[part == 0]] = table["value"].to_numpy()[part == 0]
    return sums.reshape(shape), table["value"].to_numpy()[part == 1].astype(np.int16)


def _flat(sums: I64, kept_n: I16) -> pa.Table:
    flat = sums.reshape(-1)
    at = np.flatnonzero(flat)
    part: I8 = np.repeat(np.array([0, 1], np.int8), [len(at), len(kept_n)])
    return pa.table(
        {
            "part": part,
            "at": np.concatenate([at, np.arange(len(kept_n))]),
            "value": np.concatenate([flat[at], kept_n.astype(np.int64)]),
        }
    )
