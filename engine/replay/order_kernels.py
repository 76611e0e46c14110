"""Compiled loops from postfix programs to orders of bit vectors, and from orders to simpler ones."""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.records import I8, I32, I64, Flags
from engine.replay.vector_kernels import BEFORE, EVERYTHING, NOTHING, Orders, Steps
from engine.replay.wide import AND, MINUS, OR, XOR
from engine.strategy import AND as BOTH
from engine.strategy import NOT, PUSH
from engine.strategy import OR as EITHER


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
            goes_on = orders > mine and order_I4[orders - 1, 0] == joined and order_I4[orders - 1, 1] == target
            if not (goes_on and stack_D[top] == target):
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
def simplify(order_I4: I32, operand_J: I32, levels_2: I32, same_V: I32, simple_I4: I32, used_J: I32) -> tuple[int, int]:
    """Leave out what is known beforehand; return how many orders and operands are left.

    levels_2 : bounds of the vectors that are written more than once.
    same_V : as which vector each is known (itself, nothing or everything); continued for those that orders make.
    """
    nothing, everything = np.int32(NOTHING), np.int32(EVERYTHING)
    low, high = levels_2
    orders, operands = 0, 0
    for i in range(len(order_I4)):
        operation, target, start, end = order_I4[i]
        first, known, inverted = operands, np.int32(-1), False
        for j in range(start, end):
            part = same_V[operand_J[j]]
            if operation == XOR:
                if part == everything:
                    inverted = not inverted
                if part in (nothing, everything):
                    continue
            elif operation == MINUS and j > start:
                if part == everything:
                    known = nothing
                if part in (nothing, everything):
                    continue
            elif part == (everything if operation == OR else nothing):
                known = part
            elif operation != MINUS and part == (nothing if operation == OR else everything):
                continue
            used_J[operands] = part
            operands += 1
        if inverted:
            used_J[operands] = everything
            operands += 1
        if known < 0 and operands == first:
            known = everything if operation == AND else nothing
        if known < 0 and operands == first + 1 and not low <= used_J[first] < high:
            known = used_J[first]
        if known >= 0:
            same_V[target] = known
            operands = first
            continue
        same_V[target] = target
        simple_I4[orders, 0], simple_I4[orders, 1] = operation, target
        simple_I4[orders, 2], simple_I4[orders, 3] = first, operands
        orders += 1
    return orders, operands


@njit(cache=True, nogil=True)
def drop_unread(order_I4: I32, operand_J: I32, read_V: Flags) -> int:
    """Move the orders whose vectors are read to the end, and return where they begin.

    read_V : the vectors that are read afterwards; those that are read before any order writes them, when it returns.
    """
    kept = len(order_I4)
    for i in range(len(order_I4) - 1, -1, -1):
        target = order_I4[i, 1]
        if not read_V[target]:
            continue
        read_V[target] = False
        for j in range(order_I4[i, 2], order_I4[i, 3]):
            read_V[operand_J[j]] = True
        kept -= 1
        for k in range(4):
            order_I4[kept, k] = order_I4[i, k]
    return kept


@njit(cache=True, nogil=True)
def specialise(
    steps: Steps, orders: Orders, code_V: I64, levels_2: I32, vectors: int, low_P: I64, high_P: I64
) -> tuple[Steps, Orders]:
    """Return steps and orders for places whose codes lie within bounds; see programs.Program.

    The vectors of steps that are not read are left out, and the others closed up; all other vectors keep their place.
    """
    same_V = _known_steps(steps, code_V, vectors, low_P, high_P)
    simple_I4, used_J = np.empty_like(orders.order_I4), np.empty_like(orders.operand_J)
    count, operands = simplify(orders.order_I4, orders.operand_J, levels_2, same_V, simple_I4, used_J)
    fire_F, outcome_F = np.empty_like(orders.fire_F), np.empty_like(orders.outcome_F)
    read_V = np.zeros(vectors, np.bool_)
    left = 0
    for f in range(len(fire_F)):
        vector = same_V[orders.fire_F[f]]
        if vector != NOTHING:
            fire_F[left], outcome_F[left] = vector, orders.outcome_F[f]
            read_V[vector] = True
            left += 1
    first = drop_unread(simple_I4[:count], used_J, read_V)
    column_P = np.empty_like(steps.column_P)
    moved_V = _close_up(steps.column_P, read_V, column_P)
    for j in range(operands):
        used_J[j] = moved_V[used_J[j]]
    for f in range(left):
        fire_F[f] = moved_V[fire_F[f]]
    simple = Orders(simple_I4[first:count], used_J[:operands], fire_F[:left], outcome_F[:left])
    return Steps(moved_V[steps.step_C], steps.first_P, column_P), simple


@njit(cache=True, nogil=True)
def _known_steps(steps: Steps, code_V: I64, vectors: int, low_P: I64, high_P: I64) -> I32:
    """Return as which vector each is known: a step that all codes reach is everything, one that none does nothing."""
    same_V = np.arange(vectors, dtype=np.int32)
    begin = steps.column_P[0]
    for p in range(len(low_P)):
        for v in range(steps.column_P[p], steps.column_P[p + 1]):
            if code_V[v - begin] <= low_P[p]:
                same_V[v] = EVERYTHING
            elif code_V[v - begin] > high_P[p]:
                same_V[v] = NOTHING
    return same_V


@njit(cache=True, nogil=True)
def _close_up(column_P: I64, read_V: Flags, closed_P: I64) -> I32:
    """Return where every vector is when steps that are not read are gone: these where the last one below them is."""
    moved_V = np.arange(len(read_V), dtype=np.int32)
    place = column_P[0]
    for p in range(len(column_P) - 1):
        closed_P[p] = place
        last = BEFORE
        for v in range(column_P[p], column_P[p + 1]):
            if read_V[v]:
                last = place
                place += 1
            moved_V[v] = last
    closed_P[-1] = place
    return moved_V
