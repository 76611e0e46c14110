"""Replay strategies over the creatives of one shard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np

from engine.errors import UsageError
from engine.expression import Atom, ExpressionError, atom_mask, columns_of_atoms
from engine.records import I16, I64, U8, U64, WEIGHTS, Column, Flags, Totals
from engine.replay import kernels
from engine.replay.bins import Binning, find_bins
from engine.replay.block_kernels import Packed, contract, hand_out, make_desk, settle
from engine.replay.cells import Walk, find_homes, lay_out
from engine.replay.code_kernels import Codes
from engine.replay.codes import BLOCK, encode_some
from engine.replay.crew import parts, work_off
from engine.replay.programs import WHOLE, Program, specialise, write_program
from engine.replay.wide import WORDS
from engine.strategy import PUSH, StrategyTable

VECTORS = 8192  # that a thread keeps at hand for one portion: 512 KiB
OUTCOMES = 1024


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
    """Totals of the shard, and the outcome of the rows that were asked for, (S, n).

    groups : what was walked instead of the creatives, U; as many as they where grouping does not pay.
    """

    totals: Totals
    outcome_Sn: I16
    groups: int = 0


def replay(
    table: StrategyTable,
    creatives: Creatives,
    cells: int,
    keep_n: I64,
    pair: tuple[int, int] | None,
    whole_FCW: I64 | None = None,
    *,
    member_GC: Flags | None = None,
    threads: int = 1,
) -> Replayed:
    """Decide every creative under every strategy and add up.

    Parameters
    ----------
    whole_FCW : sums over all creatives (see sum_whole), where these are a sample of them.
    cells : number of cells over all shards.
    keep_n : rows whose outcome under every strategy is kept (the labelled ones).
    pair : indices of baseline and candidate, whose outcomes are also counted jointly.
    member_GC : sums by strategy are wanted by these segments of cells, not by cell.

    Raises
    ------
    UsageError : a rule compares a text with a number, or the reverse.
    """
    binning = find_bins(table.atoms, creatives.columns)
    home_N = find_homes(creatives.frame_N, creatives.cell_N, cells)
    distinct = int(table.strategy_start_S[-1]) - len(table.strategies)
    walk = lay_out(binning, home_N, creatives.weight_NW, 2 * cells, distinct, threads)
    segments = cells if member_GC is None else len(member_GC)
    sums = np.zeros((len(table.strategies), table.outcomes, 2, segments, len(WEIGHTS)), np.int64)
    swap = np.zeros((table.outcomes, table.outcomes, cells, len(WEIGHTS)) if pair else (0, 0, 0, 0), np.int64)
    kept = np.empty((len(table.strategies), len(keep_n)), np.int16)
    kept_codes = encode_some(binning, keep_n)
    place_HG = _places(walk, cells, member_GC)
    for chosen in _portions(table, binning, pair):
        joint = (0, len(dict.fromkeys(pair)) - 1) if pair and pair[0] in chosen else None
        program = write_program(table, binning, chosen, joint)
        sum_HVQ = _contract(program, walk, threads)
        at = np.array(chosen)
        given = partial(_hand_out, program, sum_HVQ, walk.weight_V, place_HG, at, sums)
        work_off([partial(given, s) for s in parts(len(at), threads)], threads)
        if joint:
            _add_pair(program, joint, sum_HVQ, walk, swap)
        kept[at] = _settle(program, kept_codes, len(keep_n))
    if whole_FCW is None:
        whole_FCW = np.zeros((2, cells, len(WEIGHTS)), np.int64)
        whole_FCW.reshape(2 * cells, -1)[np.ix_(walk.home_H, walk.weight_V)] = sum_HVQ[:, :, WHOLE]
    return Replayed(Totals(sums, swap, whole_FCW, member_GC is not None), kept, walk.groups)


def sum_whole(creatives: Creatives, cells: int) -> I64:
    """Return the sums over creatives whatever is decided about them, int64, shape (2, C, W)."""
    sum_FCW = np.zeros((2, cells, len(WEIGHTS)), np.int64)
    kernels.add_up(creatives.frame_N, creatives.cell_N, creatives.weight_NW, sum_FCW)
    return sum_FCW


def decide(table: StrategyTable, columns: Sequence[Column], rows_n: I64) -> I16:
    """Return the outcome of some creatives under every strategy, shape (S, n): an index into its rules."""
    binning = find_bins(table.atoms, columns)
    code_Pn = encode_some(binning, rows_n)
    outcome_Sn = np.empty((len(table.strategies), len(rows_n)), np.int16)
    for chosen in _portions(table, binning, None):
        program = write_program(table, binning, chosen, None)
        outcome_Sn[np.array(chosen)] = _settle(program, code_Pn, len(rows_n))
    return outcome_Sn


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


def _portions(table: StrategyTable, binning: Binning, pair: tuple[int, int] | None) -> list[list[int]]:
    """Cut the strategies into portions whose vectors stay in a core's cache; compared ones come first, together."""
    together = list(dict.fromkeys(pair or ()))
    rest = [s for s in range(len(table.strategies)) if s not in together]
    reads_L = np.concatenate([[0], np.cumsum(table.op_L == PUSH)])
    reads_S = np.diff(reads_L[table.rule_start_R[table.strategy_start_S]])
    few = int(binning.first_P[-1]) <= VECTORS
    found: list[list[int]] = []
    reads = VECTORS
    outcomes = 0
    for s in together + rest:
        reads += 0 if few else int(reads_S[s])
        outcomes += len(table.rules[s])
        if found and (s in together or (reads <= VECTORS and outcomes <= OUTCOMES)):
            found[-1].append(s)
        else:
            found.append([s])
            reads, outcomes = 0 if few else int(reads_S[s]), len(table.rules[s])
    return found


def _contract(program: Program, walk: Walk, threads: int) -> I64:
    """Return the sums of every outcome by home and weight that is not 0, shape (H, V, Q)."""
    shape = (len(walk.lanes.field_V4), len(program.orders.fire_F))
    sum_HVQ = np.zeros((len(walk.home_H), *shape), np.int64)
    spans = [at for at in parts(walk.code_PM.shape[1] // BLOCK, threads) if at.start < at.stop]
    edges = [walk.home_W[[at.start * WORDS, at.stop * WORDS - 1]] for at in spans]
    own = [np.zeros((last - first + 1, *shape), np.int64) for first, last in edges]
    work_off([partial(_walk_blocks, program, walk, at, mine) for at, mine in zip(spans, own, strict=True)], threads)
    for (first, last), mine in zip(edges, own, strict=True):
        sum_HVQ[first : last + 1] += mine
    return sum_HVQ


def _walk_blocks(program: Program, walk: Walk, span: slice, sum_HVQ: I64) -> None:
    """Walk some blocks; where homes have blocks of their own, each with a program of its own."""
    desk = make_desk(program.vectors, len(program.orders.fire_F))
    packed = Packed(walk.lanes.lane_LM, walk.lanes.field_V4, walk.home_W)
    home_B = walk.home_W[span.start * WORDS : span.stop * WORDS : WORDS]
    starts = np.flatnonzero(np.diff(home_B, prepend=-1)) if len(walk.low_HP) else np.array([0])
    for start, stop in pairwise([*starts.tolist(), len(home_B)]):
        home = home_B[start]
        mine = specialise(program, walk.low_HP[home], walk.high_HP[home]) if len(walk.low_HP) else program
        blocks = np.array([start, stop]) + span.start
        contract(walk.code_PM, blocks, mine.steps, mine.orders, packed, desk, sum_HVQ[home - home_B[0] :])


def _hand_out(
    program: Program, sum_HVQ: I64, weight_V: I64, place_HG: I64, at: I64, sum_SOFCW: I64, part: slice
) -> None:
    hand_out(sum_HVQ, weight_V, place_HG, program.outcome_SO[part], program.rules_S[part], at[part], sum_SOFCW)


def _settle(program: Program, code_Pn: Codes, rows: int) -> I16:
    """Return the outcomes of some rows under the program's strategies."""
    rule_Sn = np.empty((len(program.rules_S), rows), np.int16)
    desk = make_desk(program.vectors, 0)
    settle(code_Pn, program.steps, program.orders, program.outcome_SO, program.rules_S, desk, rule_Sn)
    return rule_Sn


def _places(walk: Walk, cells: int, member_GC: Flags | None) -> I64:
    """Return, per home, the flat places (frame, cell or segment) that it counts for, filled up with -1."""
    frame_H, cell_H = walk.home_H // cells, walk.home_H % cells
    if member_GC is None:
        return walk.home_H[:, None]
    chosen = [np.flatnonzero(member_GC[:, c]) + f * len(member_GC) for f, c in zip(frame_H, cell_H, strict=True)]
    place_HG = np.full((len(chosen), max(map(len, chosen), default=0)), -1)
    for h, places in enumerate(chosen):
        place_HG[h, : len(places)] = places
    return place_HG


def _add_pair(program: Program, joint: tuple[int, int], sum_HVQ: I64, walk: Walk, swap_OQCW: I64) -> None:
    """Add joint sums; the last rule of either strategy gets what its others leave."""
    rules = [program.outcome_SO[s, : program.rules_S[s]] for s in joint]
    sum_OQHV = np.zeros((len(rules[0]) + 1, len(rules[1]) + 1, *sum_HVQ.shape[:2]), np.int64)
    by_outcome = np.moveaxis(sum_HVQ, 2, 0)
    sum_OQHV[:-1, :-1] = by_outcome[program.pair_OO]
    sum_OQHV[:-1, -1] = by_outcome[rules[0]] - sum_OQHV[:-1, :-1].sum(1)
    sum_OQHV[-1, :-1] = by_outcome[rules[1]] - sum_OQHV[:-1, :-1].sum(0)
    sum_OQHV[-1, -1] = by_outcome[WHOLE] - by_outcome[rules[0]].sum(0) - sum_OQHV[-1, :-1].sum(0)
    cell_H = walk.home_H % swap_OQCW.shape[2]
    into_OQCW = swap_OQCW[: len(sum_OQHV), : sum_OQHV.shape[1]]
    for h, cell in enumerate(cell_H):
        into_OQCW[:, :, cell, walk.weight_V] += sum_OQHV[:, :, h]
