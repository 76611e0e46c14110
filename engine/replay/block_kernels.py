"""Compiled loops over blocks of 512 places: codes → bit vectors → outcomes → sums.

A block is 8 words; bit b of word w is place 64 w + b. Every vector of a block is one row of `bit_VB`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from engine.records import I8, I16, I32, I64, U64
from engine.replay.code_kernels import Codes
from engine.strategy import AND as BOTH
from engine.strategy import NOT, PUSH
from engine.strategy import OR as EITHER

WORDS = 8
BITS = 64
AND, OR, XOR, MINUS = range(4)  # of an order: the first operand, joined with each that follows
BEFORE, NOTHING, EVERYTHING, FIXED = range(4)  # vectors after the steps: a place to write to, no bit, all bits
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
    """How further vectors are made: int32 (operation, vector, first, end) into operand_J. fire_Q : the outcomes."""

    order_I4: I32
    operand_J: I32
    fire_Q: I32


class Links(NamedTuple):
    """Strings of places: the first place of every vector of steps, the next of every place; -1 at the end."""

    first_V: I16
    next_B: I16


class Desk(NamedTuple):
    """Scratch of one thread: strings, vectors, outcomes by word, sums of the subsets of 8 places, packed sums."""

    links: Links
    bit_VB: U64
    fire_BQ: U64
    table_T: I64
    sum_Q: I64


class Packed(NamedTuple):
    """Packed weights: see engine.replay.lanes. home_W : int32, which home a word belongs to."""

    lane_LM: I64
    field_V4: I64
    home_W: I32


def make_desk(vectors: int, outcomes: int) -> Desk:
    """Return scratch for one thread."""
    return Desk(
        Links(np.empty(vectors, np.int16), np.empty(WORDS * BITS, np.int16)),
        np.zeros((vectors, WORDS), np.uint64),
        np.zeros((WORDS, outcomes), np.uint64),
        np.zeros(8 * 256, np.int64),
        np.zeros(outcomes, np.int64),
    )


@njit(cache=True, nogil=True)
def compile_rules(
    op_L: I8, arg_L: I32, bounds_R2: I64, vector_K: I32, level_D: I32, rule_R: I32, order_I4: I32, operand_J: I32
) -> tuple[int, int]:
    """Turn postfix programs into orders; return how many orders and operands were written.

    vector_K : of every atom, and last the one that always holds. level_D : vectors for what is not yet joined.
    rule_R : holds a vector for every program; where a program needs none of its own, it is told which it is.
    """
    stack_D = np.empty(len(level_D), np.int32)
    orders, operands = 0, 0
    for r in range(len(bounds_R2)):
        top = -1
        mine = orders
        for i in range(bounds_R2[r, 0], bounds_R2[r, 1]):
            op = op_L[i]
            if op == PUSH:
                top += 1
                stack_D[top] = vector_K[arg_L[i]]
                continue
            if op not in (BOTH, EITHER, NOT):
                top += 1
                stack_D[top] = vector_K[-1]
                continue
            if op != NOT:
                top -= 1
            target = level_D[top] if top > 0 else rule_R[r]
            joined = AND if op == BOTH else OR if op == EITHER else XOR
            second = vector_K[-1] if op == NOT else stack_D[top + 1]
            if not (orders > mine and order_I4[orders - 1, 0] == joined and order_I4[orders - 1, 1] == target):
                order_I4[orders, 0], order_I4[orders, 1], order_I4[orders, 2] = joined, target, operands
                operand_J[operands] = stack_D[top]
                operands += 1
                orders += 1
            operand_J[operands] = second
            operands += 1
            order_I4[orders - 1, 3] = operands
            stack_D[top] = target
        rule_R[r] = stack_D[0]
    return orders, operands


@njit(cache=True, nogil=True)
def write_steps(code_B: Codes, column: int, steps: Steps, links: Links, bit_VB: U64) -> None:
    """Write the vectors of one column's steps: places are strung by step, then gathered from the last step down."""
    first_V, next_B = links
    low, high = steps.column_P[column], steps.column_P[column + 1]
    begin = steps.first_P[column]
    first_V[low:high] = -1
    for n in range(len(code_B)):
        v = steps.step_C[begin + code_B[n]]
        next_B[n] = first_V[v]
        first_V[v] = n
    reached_B = np.zeros(WORDS, np.uint64)
    for v in range(high - 1, low - 1, -1):
        n = first_V[v]
        while n >= 0:
            reached_B[n >> 6] |= _ONE << np.uint64(n & 63)
            n = next_B[n]
        for w in range(WORDS):
            bit_VB[v, w] = reached_B[w]


@njit(cache=True, nogil=True)
def decide(code_PM: Codes, first: int, steps: Steps, orders: Orders, links: Links, bit_VB: U64) -> None:
    """Write all vectors of the block that begins at place `first`."""
    last_step = steps.column_P[-1]
    bit_VB[last_step + NOTHING] = 0
    bit_VB[last_step + EVERYTHING] = _ALL
    for p in range(len(code_PM)):
        write_steps(code_PM[p, first : first + WORDS * BITS], p, steps, links, bit_VB)
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
def add_word(fire_Q: U64, table_T: I64, sum_Q: I64) -> None:
    """Add the weights of a word's places to every outcome they are in."""
    for q in range(len(fire_Q)):
        v = fire_Q[q]
        low = table_T[v & _BYTE] + table_T[((v >> np.uint64(8)) & _BYTE) + np.uint64(256)]
        low += table_T[((v >> np.uint64(16)) & _BYTE) + np.uint64(512)]
        low += table_T[((v >> np.uint64(24)) & _BYTE) + np.uint64(768)]
        high = table_T[((v >> np.uint64(32)) & _BYTE) + np.uint64(1024)]
        high += table_T[((v >> np.uint64(40)) & _BYTE) + np.uint64(1280)]
        high += table_T[((v >> np.uint64(48)) & _BYTE) + np.uint64(1536)]
        high += table_T[(v >> np.uint64(56)) + np.uint64(1792)]
        sum_Q[q] += low + high


@njit(cache=True, nogil=True)
def unpack_sums(lane: int, field_V4: I64, sum_Q: I64, sum_VQ: I64) -> None:
    """Add packed sums to the weights they are of, and begin anew."""
    for v in range(len(field_V4)):
        if field_V4[v, 1] == lane:
            shift, width = np.uint64(field_V4[v, 2]), np.uint64(field_V4[v, 3])
            mask = _ALL >> (np.uint64(BITS) - width)
            for q in range(len(sum_Q)):
                sum_VQ[v, q] += np.int64((np.uint64(sum_Q[q]) >> shift) & mask)
    sum_Q[:] = 0


@njit(cache=True, nogil=True)
def contract(
    code_PM: Codes,
    blocks_2: I64,
    steps: Steps,
    orders: Orders,
    packed: Packed,
    desk: Desk,
    sum_HVQ: I64,
) -> None:
    """Add up every outcome's weights by home, over some blocks. sum_HVQ : its first home is that of the first word."""
    origin = packed.home_W[blocks_2[0] * WORDS] if blocks_2[0] < blocks_2[1] else 0
    for block in range(blocks_2[0], blocks_2[1]):
        first = block * WORDS * BITS
        decide(code_PM, first, steps, orders, desk.links, desk.bit_VB)
        for q in range(len(orders.fire_Q)):
            fires = desk.bit_VB[orders.fire_Q[q]]
            for w in range(WORDS):
                desk.fire_BQ[w, q] = fires[w]
        for lane in range(len(packed.lane_LM)):
            for w in range(WORDS):
                word = block * WORDS + w
                at = first + w * BITS
                write_table(packed.lane_LM[lane, at : at + BITS], desk.table_T)
                add_word(desk.fire_BQ[w], desk.table_T, desk.sum_Q)
                if w + 1 == WORDS or packed.home_W[word + 1] != packed.home_W[word]:
                    unpack_sums(lane, packed.field_V4, desk.sum_Q, sum_HVQ[packed.home_W[word] - origin])


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
    """Write the rule that decides each place under each strategy. code_Pn : whole blocks, rule_Sn ends within the last."""
    for block in range(code_Pn.shape[1] // (WORDS * BITS)):
        first = block * WORDS * BITS
        decide(code_Pn, first, steps, orders, desk.links, desk.bit_VB)
        size = min(WORDS * BITS, rule_Sn.shape[1] - first)
        for s in range(len(rule_Sn)):
            rule_Sn[s, first : first + size] = rules_S[s]
            for rule in range(rules_S[s]):
                fires = desk.bit_VB[orders.fire_Q[outcome_SO[s, rule]]]
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
