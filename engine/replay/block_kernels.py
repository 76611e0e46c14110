"""Compiled loops from the bit vectors of blocks to outcomes and sums."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from engine.records import I16, I32, I64, U64
from engine.replay.code_kernels import Codes
from engine.replay.vector_kernels import BITS, Orders, Steps, decide
from engine.replay.wide import WORDS

_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_ONE = np.uint64(1)
_BYTE = np.uint64(255)


class Desk(NamedTuple):
    """Scratch of one thread: vectors, outcomes by word, their packed sums, sums of the subsets of 8 places."""

    bit_VB: U64
    fire_BQ: U64
    sum_Q: I64
    table_T: I64


class Packed(NamedTuple):
    """Packed weights: see engine.replay.lanes. home_W : int32, which home a word belongs to."""

    lane_LM: I64
    field_V4: I64
    home_W: I32


def make_desk(vectors: int, outcomes: int) -> Desk:
    """Return scratch for one thread."""
    return Desk(
        np.zeros((vectors, WORDS), np.uint64),
        np.zeros((WORDS, outcomes), np.uint64),
        np.zeros(outcomes, np.int64),
        np.zeros(8 * 256, np.int64),
    )


@njit(cache=True, nogil=True)
def write_table(weight_64: I64, table_T: I64) -> None:
    """Write the sums of all subsets of each 8 places (the four Russians: Arlazarov and others 1970)."""
    for j in range(8):
        table = table_T[j * 256 : j * 256 + 256]
        table[0] = 0
        for b in range(8):
            weight = weight_64[j * 8 + b]
            for i in range(1 << b):
                table[(1 << b) + i] = table[i] + weight


@njit(cache=True, nogil=True)
def add_word(fire_F: U64, table_T: I64, sum_F: I64) -> None:
    """Add the weights of a word's places to every outcome they are in."""
    for f in range(len(fire_F)):
        v = fire_F[f]
        low = table_T[v & _BYTE] + table_T[((v >> np.uint64(8)) & _BYTE) + np.uint64(256)]
        low += table_T[((v >> np.uint64(16)) & _BYTE) + np.uint64(512)]
        low += table_T[((v >> np.uint64(24)) & _BYTE) + np.uint64(768)]
        high = table_T[((v >> np.uint64(32)) & _BYTE) + np.uint64(1024)]
        high += table_T[((v >> np.uint64(40)) & _BYTE) + np.uint64(1280)]
        high += table_T[((v >> np.uint64(48)) & _BYTE) + np.uint64(1536)]
        high += table_T[(v >> np.uint64(56)) + np.uint64(1792)]
        sum_F[f] += low + high


@njit(cache=True, nogil=True)
def unpack_sums(lane: int, field_V4: I64, outcome_F: I32, sum_F: I64, sum_VQ: I64) -> None:
    """Add packed sums to the weights and outcomes they are of, and begin anew."""
    for v in range(len(field_V4)):
        if field_V4[v, 1] == lane:
            shift, width = np.uint64(field_V4[v, 2]), np.uint64(field_V4[v, 3])
            mask = _ALL >> (np.uint64(BITS) - width)
            for f in range(len(outcome_F)):
                sum_VQ[v, outcome_F[f]] += np.int64((np.uint64(sum_F[f]) >> shift) & mask)
    sum_F[:] = 0


@njit(cache=True, nogil=True)
def contract(
    code_PM: Codes, blocks_2: I64, steps: Steps, orders: Orders, packed: Packed, desk: Desk, sum_HVQ: I64
) -> None:
    """Add up every outcome's weights by home, over some blocks. sum_HVQ : its first home is that of the first word."""
    origin = packed.home_W[blocks_2[0] * WORDS]
    held = len(orders.fire_F)
    sum_F = desk.sum_Q[:held]
    for block in range(blocks_2[0], blocks_2[1]):
        first = block * WORDS * BITS
        decide(code_PM, first, steps, orders, desk.bit_VB)
        for f in range(held):
            fires = desk.bit_VB[orders.fire_F[f]]
            for w in range(WORDS):
                desk.fire_BQ[w, f] = fires[w]
        for lane in range(len(packed.lane_LM)):
            for w in range(WORDS):
                word = block * WORDS + w
                at = first + w * BITS
                write_table(packed.lane_LM[lane, at : at + BITS], desk.table_T)
                add_word(desk.fire_BQ[w, :held], desk.table_T, sum_F)
                if w + 1 == WORDS or packed.home_W[word + 1] != packed.home_W[word]:
                    home = packed.home_W[word] - origin
                    unpack_sums(lane, packed.field_V4, orders.outcome_F, sum_F, sum_HVQ[home])


@njit(cache=True, nogil=True)
def settle(
    code_Pn: Codes,
    steps: Steps,
    orders: Orders,
    outcome_SO: I64,
    rules_S: I64,
    desk: Desk,
    rule_Sn: I16,
) -> None:
    """Write the rule that decides each place under each strategy. code_Pn : blocks; rule_Sn ends within the last."""
    for block in range(code_Pn.shape[1] // (WORDS * BITS)):
        first = block * WORDS * BITS
        decide(code_Pn, first, steps, orders, desk.bit_VB)
        size = min(WORDS * BITS, rule_Sn.shape[1] - first)
        for s in range(len(rule_Sn)):
            rule_Sn[s, first : first + size] = rules_S[s]
            for rule in range(rules_S[s]):
                fires = desk.bit_VB[orders.fire_F[outcome_SO[s, rule]]]
                for n in range(size):
                    if (fires[n // BITS] >> np.uint64(n % BITS)) & _ONE:
                        rule_Sn[s, first + n] = rule


@njit(cache=True, nogil=True)
def hand_out(
    sum_HVQ: I64, weight_V: I64, place_HG: I64, outcome_SO: I64, rules_S: I64, target_S: I64, sum_SOFCW: I64
) -> None:
    """Add outcomes' sums to strategies: the last rule of each gets what the others leave.

    place_HG : flat places (frame, cell or segment) that a home counts for, -1 for none.
    """
    wide = sum_SOFCW.shape[3]
    for s in range(len(target_S)):
        into_OFCW = sum_SOFCW[target_S[s]]
        last = rules_S[s]
        for h in range(len(sum_HVQ)):
            for place in place_HG[h]:
                if place < 0:
                    break
                for v in range(len(weight_V)):
                    left = sum_HVQ[h, v, 0]
                    for rule in range(last):
                        found = sum_HVQ[h, v, outcome_SO[s, rule]]
                        into_OFCW[rule, place // wide, place % wide, weight_V[v]] += found
                        left -= found
                    into_OFCW[last, place // wide, place % wide, weight_V[v]] += left
