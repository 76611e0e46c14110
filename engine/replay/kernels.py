"""Compiled loops of the replay. Arrays in, arrays out; the callers have checked.

A word is 64 creatives: bit b of word w is creative 64 w + b. The operations of a program are those of engine.strategy.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.records import I8, I32, I64, U8, U64, Flags
from engine.strategy import AND, NOT, OR, PUSH

BITS = 64
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_ONE = np.uint64(1)


@njit(cache=True, nogil=True)
def pack(flag_N: Flags, word_W: U64) -> None:
    """Set bit n where flag n holds; the tail of the last word stays 0."""
    for w in range(len(word_W)):
        word = np.uint64(0)
        first = w * BITS
        for b in range(min(BITS, len(flag_N) - first)):
            if flag_N[first + b]:
                word |= _ONE << np.uint64(b)
        word_W[w] = word


@njit(cache=True, nogil=True)
def ask(
    atom_KW: U64, open_K: Flags, op_L: I8, arg_L: I32, rule_start_R: I64, reads_R: Flags, may_2D: U64, asked_W: U64
) -> None:
    """Set the bits of creatives whose decision under one strategy may turn on a rule of `reads_R`.

    Kleene's three values: of an atom of `open_K` it is unknown whether it holds, so may_2D (scratch, as deep as any
    program) says what may hold and what may fail. A creative is done with once a rule surely fires.
    rule_start_R : bounds of this strategy's rules, one more than it has. reads_R : of the same rules.
    """
    true_D, false_D = may_2D[0], may_2D[1]
    for w in range(atom_KW.shape[1]):
        left = _ALL
        for rule in range(len(reads_R)):
            top = -1
            for i in range(rule_start_R[rule], rule_start_R[rule + 1]):
                op = op_L[i]
                if op == PUSH:
                    top += 1
                    bits = atom_KW[arg_L[i], w]
                    unknown = open_K[arg_L[i]]
                    true_D[top] = _ALL if unknown else bits
                    false_D[top] = _ALL if unknown else ~bits
                elif op == AND:
                    top -= 1
                    true_D[top] &= true_D[top + 1]
                    false_D[top] |= false_D[top + 1]
                elif op == OR:
                    top -= 1
                    true_D[top] |= true_D[top + 1]
                    false_D[top] &= false_D[top + 1]
                elif op == NOT:
                    true_D[top], false_D[top] = false_D[top], true_D[top]
                else:
                    top += 1
                    true_D[top] = _ALL
                    false_D[top] = np.uint64(0)
            if reads_R[rule]:
                asked_W[w] |= left & true_D[0] & false_D[0]
            left &= false_D[0]
            if left == 0:
                break


@njit(cache=True, nogil=True)
def unpack(word_W: U64, flag_N: Flags) -> None:
    """Write bit n of the words as flag n."""
    for n in range(len(flag_N)):
        flag_N[n] = (word_W[n // BITS] >> np.uint64(n % BITS)) & _ONE != 0


@njit(cache=True, nogil=True)
def add_up(frame_N: U8, cell_N: I64, weight_NW: I64, sum_FCW: I64) -> None:
    """Add every creative's weights to its frame and cell."""
    for n in range(len(cell_N)):
        for w in range(weight_NW.shape[1]):
            sum_FCW[frame_N[n], cell_N[n], w] += weight_NW[n, w]
