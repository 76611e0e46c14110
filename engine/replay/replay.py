"""Replay strategies over the creatives of one shard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.errors import UsageError
from engine.expression import Atom, ExpressionError, atom_mask, columns_of_atoms
from engine.records import I16, I64, U8, U64, WEIGHTS, Column, Totals
from engine.replay import kernels
from engine.strategy import StrategyTable


@dataclass(frozen=True)
class Creatives:
    """What rules read and totals need, N creatives of a shard.

    columns : scores in their own float dtype, attributes, `logged`.
    cell_N, frame_N : int64 cell; uint8 1 where some audit could have drawn the creative.
    weight_NW : int64 by records.WEIGHTS.
    """

    columns: tuple[Column, ...]
    cell_N: I64
    frame_N: U8
    weight_NW: I64


@dataclass(frozen=True)
class Replayed:
    """Totals of the shard, and the outcome of the rows that were asked for, (S, n)."""

    totals: Totals
    outcome_Sn: I16


def replay(
    table: StrategyTable,
    creatives: Creatives,
    cells: int,
    keep_n: I64,
    pair: tuple[int, int] | None,
    whole_FCW: I64 | None = None,
) -> Replayed:
    """Decide every creative under every strategy and add up.

    Parameters
    ----------
    whole_FCW : sums over all creatives (see sum_whole), where these are a sample of them.
    cells : number of cells over all shards.
    keep_n : rows whose outcome under every strategy is kept (the labelled ones).
    pair : indices of baseline and candidate, whose outcomes are also counted jointly.

    Raises
    ------
    UsageError : a rule compares a text with a number, or the reverse.
    """
    outcomes = table.outcomes
    sums = np.zeros((len(table.strategies), outcomes, 2, cells, len(WEIGHTS)), np.int64)
    swap = np.zeros((outcomes, outcomes, cells, len(WEIGHTS)) if pair else (0, 0, 0, 0), np.int64)
    kept = np.zeros((len(table.strategies), len(keep_n)), np.int16)
    atom_KW = pack_atoms(table.atoms, creatives.columns, len(creatives.cell_N))
    held: dict[int, I16] = {}
    for s in range(len(table.strategies)):
        outcome_N = decide(table, s, atom_KW, len(creatives.cell_N))
        kernels.add_up(outcome_N, creatives.frame_N, creatives.cell_N, creatives.weight_NW, sums[s])
        kept[s] = outcome_N[keep_n]
        if pair and s in pair:
            held[s] = outcome_N
    if pair:
        kernels.add_up_pairs(held[pair[0]], held[pair[1]], creatives.cell_N, creatives.weight_NW, swap)
    return Replayed(Totals(sums, swap, sum_whole(creatives, cells) if whole_FCW is None else whole_FCW), kept)


def sum_whole(creatives: Creatives, cells: int) -> I64:
    """Return the sums over creatives whatever is decided about them, int64, shape (2, C, W)."""
    sum_OFCW = np.zeros((1, 2, cells, len(WEIGHTS)), np.int64)
    nowhere_N = np.zeros(len(creatives.cell_N), np.int16)
    kernels.add_up(nowhere_N, creatives.frame_N, creatives.cell_N, creatives.weight_NW, sum_OFCW)
    return sum_OFCW[0]


def pack_atoms(atoms: Sequence[Atom], columns: Sequence[Column], rows: int) -> U64:
    """Evaluate every distinct comparison once; shape (K, W), one bit per creative."""
    atom_KW = np.zeros((len(atoms), -(-rows // kernels.BITS)), np.uint64)
    try:
        by_name = columns_of_atoms(atoms, columns)
        for k, atom in enumerate(atoms):
            kernels.pack(atom_mask(atom, by_name[atom.column]), atom_KW[k])
    except ExpressionError as error:
        raise UsageError(f"strategies: {error}") from None
    return atom_KW


def decide(table: StrategyTable, strategy: int, atom_KW: U64, rows: int) -> I16:
    """Return the outcome of every creative under one strategy, shape (N,): an index into its rules."""
    first, last = (int(x) for x in table.strategy_start_S[strategy : strategy + 2])
    outcome_N = np.zeros(rows, np.int16)
    stack_D = np.zeros(table.stack, np.uint64)
    kernels.decide(atom_KW, table.op_L, table.arg_L, table.rule_start_R, first, last, stack_D, outcome_N)
    return outcome_N
