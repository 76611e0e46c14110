"""Compiled loops over blocks of 512 places: codes → bit vectors → outcomes → sums.

A block is 8 words; bit b of word w is place 64 w + b. Every vector of a block is one row of `bit_VB`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from engine.records import I16, I32, I64, U64
from engine.replay.code_kernels import Codes

WORDS = 8
BITS = 64
AND, OR, XOR, MINUS = range(4)  # of an order: the first operand, joined with each that follows
BEFORE, NOTHING, EVERYTHING, FIXED = range(4)  # the first vectors: for codes before all steps, no bit, all bits
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_ONE = np.uint64(1)
_BYTE = np.uint64(255)


class Steps(NamedTuple):
    """Which vector a code falls to.

    step_C : int32, per code of every column the vector of the last step at or below it. first_P, column_P : int64,
    P + 1 bounds of the columns' codes and of their vectors.
    """

    step_C: I32
    first_P: I64
    column_P: I64


class Orders(NamedTuple):
    """How further vectors are made, and which are outcomes.

    order_I4 : int32 (operation, vector, first, end) into operand_J. fire_F, outcome_F : int32, vectors of the outcomes
    that may be not empty, and which outcomes they are.
    """

    order_I4: I32
    operand_J: I32
    fire_F: I32
    outcome_F: I32


class Desk(NamedTuple):
    """Scratch of one thread: vectors, and of outcomes that are not empty in the block: which they are, their
    bits by word, packed sums. table_T : sums of the subsets of 8 places."""

    bit_VB: U64
    held_F: I32
    fire_BF: U64
    sum_F: I64
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
        np.zeros(outcomes, np.int32),
        np.zeros((WORDS, outcomes), np.uint64),
        np.zeros(outcomes, np.int64),
        np.zeros(8 * 256, np.int64),
    )


@njit(cache=True, nogil=True)
def write_steps(code_B: Codes, step_C: I32, low: int, high: int, bit_VB: U64) -> None:
    """Write the vectors of one column's steps: each place where its code falls, then whatever lies higher."""
    bit_VB[low:high] = 0
    for w in range(WORDS):
        for b in range(BITS):
            bit_VB[step_C[code_B[w * BITS + b]], w] |= _ONE << np.uint64(b)
    for v in range(high - 2, low - 1, -1):
        for w in range(WORDS):
            bit_VB[v, w] |= bit_VB[v + 1, w]


@njit(cache=True, nogil=True)
def decide(code_PM: Codes, first: int, steps: Steps, orders: Orders, bit_VB: U64) -> None:
    """Write all vectors of the block that begins at place `first`."""
    bit_VB[NOTHING] = 0
    bit_VB[EVERYTHING] = _ALL
    for p in range(len(code_PM)):
        low, high = steps.column_P[p], steps.column_P[p + 1]
        if low < high:
            step_C = steps.step_C[steps.first_P[p] : steps.first_P[p + 1]]
            write_steps(code_PM[p, first : first + WORDS * BITS], step_C, low, high, bit_VB)
    for i in range(len(orders.order_I4)):
        operation, target, start, end = orders.order_I4[i]
        made, part = bit_VB[target], bit_VB[orders.operand_J[start]]
        for w in range(WORDS):
            made[w] = part[w]
        for j in range(start + 1, end):
            part = bit_VB[orders.operand_J[j]]
            if operation == AND:
                for w in range(WORDS):
                    made[w] &= part[w]
            elif operation == OR:
                for w in range(WORDS):
                    made[w] |= part[w]
            elif operation == XOR:
                for w in range(WORDS):
                    made[w] ^= part[w]
            else:
                for w in range(WORDS):
                    made[w] &= ~part[w]


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
def unpack_sums(lane: int, field_V4: I64, held_F: I32, sum_F: I64, sum_VQ: I64) -> None:
    """Add packed sums to the weights and outcomes they are of, and begin anew."""
    for v in range(len(field_V4)):
        if field_V4[v, 1] == lane:
            shift, width = np.uint64(field_V4[v, 2]), np.uint64(field_V4[v, 3])
            mask = _ALL >> (np.uint64(BITS) - width)
            for f in range(len(held_F)):
                sum_VQ[v, held_F[f]] += np.int64((np.uint64(sum_F[f]) >> shift) & mask)
    sum_F[:] = 0


@njit(cache=True, nogil=True)
def gather(orders: Orders, desk: Desk) -> int:
    """Put the bits of outcomes that are not empty side by side; return how many they are."""
    held = 0
    for f in range(len(orders.fire_F)):
        fires = desk.bit_VB[orders.fire_F[f]]
        some = np.uint64(0)
        for w in range(WORDS):
            some |= fires[w]
        if some:
            desk.held_F[held] = orders.outcome_F[f]
            for w in range(WORDS):
                desk.fire_BF[w, held] = fires[w]
            held += 1
    return held


@njit(cache=True, nogil=True)
def contract(
    code_PM: Codes, blocks_2: I64, steps: Steps, orders: Orders, packed: Packed, desk: Desk, sum_HVQ: I64
) -> None:
    """Add up every outcome's weights by home, over some blocks. sum_HVQ : its first home is that of the first word."""
    origin = packed.home_W[blocks_2[0] * WORDS]
    for block in range(blocks_2[0], blocks_2[1]):
        first = block * WORDS * BITS
        decide(code_PM, first, steps, orders, desk.bit_VB)
        held = gather(orders, desk)
        held_F, sum_F = desk.held_F[:held], desk.sum_F[:held]
        for lane in range(len(packed.lane_LM)):
            for w in range(WORDS):
                word = block * WORDS + w
                at = first + w * BITS
                write_table(packed.lane_LM[lane, at : at + BITS], desk.table_T)
                add_word(desk.fire_BF[w, :held], desk.table_T, sum_F)
                if w + 1 == WORDS or packed.home_W[word + 1] != packed.home_W[word]:
                    unpack_sums(lane, packed.field_V4, held_F, sum_F, sum_HVQ[packed.home_W[word] - origin])


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
