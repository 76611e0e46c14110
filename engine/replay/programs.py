"""Some strategies compiled for the blocks: which bit vectors a block needs, how they are made, and which are outcomes.

A *vector* is one bit per place of a block. After some fixed ones come the steps: each holds where a column's code has
come as far as a code at which some atom's answer flips. An atom is then one of them, or several joined by exclusive
or. Rules that several strategies share are evaluated once; so are outcomes of strategies whose rules begin alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from engine.records import I32, I64
from engine.replay import order_kernels, wide
from engine.replay import vector_kernels as kernels
from engine.replay.bins import Binning
from engine.strategy import PUSH, StrategyTable

WHOLE = 0  # the first outcome: all places, whatever is decided


@dataclass(frozen=True)
class Program:
    """How a block is decided under some strategies.

    steps : codes → vectors; code_V of which code each is. orders : vectors → vectors, and all outcomes, WHOLE the
    first. vectors : how many there are in all. levels : bounds of those that are written more than once.
    outcome_SO : int64, per strategy and rule but the last the outcome, -1 past its end. rules_S : how many those are.
    pair_OO : the joint outcomes of two compared strategies' rules but the last, empty where nothing is compared here.
    """

    steps: kernels.Steps
    code_V: I64
    orders: kernels.Orders
    vectors: int
    levels: tuple[int, int]
    outcome_SO: I64
    rules_S: I64
    pair_OO: I64


def write_program(
    table: StrategyTable, binning: Binning, chosen: Sequence[int], pair: tuple[int, int] | None
) -> Program:
    """Compile the chosen strategies.

    Parameters
    ----------
    pair : places in `chosen` of a baseline and a candidate whose joint outcomes are wanted too.
    """
    bounds_R2, rules = _distinct_rules(table, chosen)
    atoms = _atoms_of(table, bounds_R2)
    steps, code_V = _find_steps(binning, atoms)
    draft = _Draft(int(steps.column_P[-1]))
    vector_K = draft.write_atoms(binning, steps, atoms)
    rule_R = draft.write_rules(table, bounds_R2, vector_K)
    rules_S = np.array([len(mine) for mine in rules], np.int64)
    outcome_SO = np.full((len(chosen), max(rules_S, default=0)), -1, np.int64)
    for s, mine in enumerate(rules):
        outcome_SO[s, : len(mine)] = draft.write_outcomes([rule_R[r] for r in mine])
    pair_OO = np.zeros((0, 0), np.int64)
    if pair is not None:
        first, second = (outcome_SO[s, : rules_S[s]] for s in pair)
        joint = [draft.write_joint(a, b) for a in first for b in second]
        pair_OO = np.array(joint, np.int64).reshape(len(first), len(second))
    return Program(steps, code_V, draft.orders(), draft.vectors, draft.levels, outcome_SO, rules_S, pair_OO)


@dataclass
class _Draft:
    """Vectors and orders so far, from the number of those that are there before all orders."""

    vectors: int
    order_parts: list[I32] = field(default_factory=list)
    operand_parts: list[I32] = field(default_factory=list)
    operands: int = 0
    levels: tuple[int, int] = (0, 0)
    fires: list[int] = field(default_factory=lambda: [kernels.EVERYTHING])
    after: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)

    def orders(self) -> kernels.Orders:
        """Return all orders."""
        order_I4 = np.concatenate([np.zeros((0, 4), np.int32), *self.order_parts])
        operand_J = np.concatenate([np.zeros(0, np.int32), *self.operand_parts])
        fire_Q = np.array(self.fires, np.int32)
        return kernels.Orders(order_I4, operand_J, fire_Q, np.arange(len(fire_Q), dtype=np.int32))

    def write(self, operation: int, *operands: int) -> int:
        """Order a new vector."""
        order = (operation, self.vectors, self.operands, self.operands + len(operands))
        self._append(np.array([order], np.int32), np.array(operands, np.int32))
        self.vectors += 1
        return self.vectors - 1

    def write_atoms(self, binning: Binning, steps: kernels.Steps, atoms: I64) -> I32:
        """Return the vector of every atom, those that are not used nothing; last comes everything."""
        vector_K = np.full(len(binning.flip_start_K), kernels.NOTHING, np.int32)
        vector_K[-1] = kernels.EVERYTHING
        start_K, end_K = binning.flip_start_K[atoms], binning.flip_start_K[atoms + 1]
        single = end_K - start_K == 1
        vector_K[atoms[single]] = steps.step_C[binning.flip_F[start_K[single]]]
        for k, first, end in zip(atoms[~single], start_K[~single], end_K[~single], strict=True):
            if first < end:
                vector_K[k] = self.write(wide.XOR, *steps.step_C[binning.flip_F[first:end]])
        return vector_K

    def write_rules(self, table: StrategyTable, bounds_R2: I64, vector_K: I32) -> I32:
        """Return the vector of every rule."""
        self.levels = (self.vectors, self.vectors + table.stack)
        levels_D = np.arange(*self.levels, dtype=np.int32)
        self.vectors += table.stack
        rule_R = np.arange(self.vectors, self.vectors + len(bounds_R2), dtype=np.int32)
        self.vectors += len(bounds_R2)
        room = int((bounds_R2[:, 1] - bounds_R2[:, 0]).sum())
        order_I4, operand_J = np.empty((room, 4), np.int32), np.empty(2 * room, np.int32)
        used_2 = order_kernels.compile_rules(
            table.op_L, table.arg_L, bounds_R2, vector_K, levels_D, rule_R, order_I4, operand_J
        )
        order_I4[: used_2[0], 2:] += self.operands
        self._append(order_I4[: used_2[0]], operand_J[: used_2[1]])
        return rule_R

    def write_outcomes(self, rules: Sequence[int]) -> list[int]:
        """Return where the first of these rules to fire is each of them, as outcomes."""
        found = []
        left = kernels.EVERYTHING
        for at, rule in enumerate(rules):
            fire, rest = self.after.get((left, rule), (-1, -1))
            if fire < 0:
                self.fires.append(rule if left == kernels.EVERYTHING else self.write(wide.AND, left, rule))
                fire = len(self.fires) - 1
            if rest < 0 and at + 1 < len(rules):
                rest = self.write(wide.MINUS, left, rule)
            self.after[left, rule] = fire, rest
            found.append(fire)
            left = rest
        return found

    def write_joint(self, a: int, b: int) -> int:
        """Return the outcome of being in two outcomes."""
        self.fires.append(self.write(wide.AND, self.fires[a], self.fires[b]))
        return len(self.fires) - 1

    def _append(self, order_I4: I32, operand_J: I32) -> None:
        self.order_parts.append(order_I4)
        self.operand_parts.append(operand_J)
        self.operands += len(operand_J)


def _distinct_rules(table: StrategyTable, chosen: Sequence[int]) -> tuple[I64, list[list[int]]]:
    """Return bounds of distinct programs, and of every strategy the programs of its rules but the last."""
    known: dict[tuple[bytes, bytes], int] = {}
    bounds: list[tuple[int, int]] = []
    rules: list[list[int]] = []
    start = table.rule_start_R.tolist()
    for s in chosen:
        mine = []
        for rule in range(int(table.strategy_start_S[s]), int(table.strategy_start_S[s + 1]) - 1):
            at = slice(start[rule], start[rule + 1])
            r = known.setdefault((table.op_L[at].tobytes(), table.arg_L[at].tobytes()), len(known))
            if r == len(bounds):
                bounds.append((at.start, at.stop))
            mine.append(r)
        rules.append(mine)
    return np.array(bounds, np.int64).reshape(-1, 2), rules


def _atoms_of(table: StrategyTable, bounds_R2: I64) -> I64:
    """Return the atoms that some programs read, ascending."""
    used_K = np.zeros(len(table.atoms), bool)
    inside_L = np.zeros(len(table.op_L) + 1, np.int64)
    np.add.at(inside_L, bounds_R2[:, 0], 1)
    np.add.at(inside_L, bounds_R2[:, 1], -1)
    read_L = (np.cumsum(inside_L)[:-1] > 0) & (table.op_L == PUSH)
    used_K[table.arg_L[read_L]] = True
    return np.flatnonzero(used_K)


def _find_steps(binning: Binning, atoms: I64) -> tuple[kernels.Steps, I64]:
    """Number the codes at which some of the atoms flip; return also which code each of them is."""
    used_C = np.zeros(int(binning.first_P[-1]), bool)
    flips = [binning.flip_F[binning.flip_start_K[k] : binning.flip_start_K[k + 1]] for k in atoms]
    used_C[np.concatenate([np.zeros(0, np.int64), *flips])] = True
    upto_C = np.concatenate([[0], np.cumsum(used_C)])
    column_P = upto_C[binning.first_P]
    step_C = upto_C[1:] - 1
    before_C = np.repeat(column_P[:-1], np.diff(binning.first_P))
    step_C[step_C < before_C] = kernels.BEFORE - kernels.FIXED
    code_C = np.arange(len(used_C)) - np.repeat(binning.first_P[:-1], np.diff(binning.first_P))
    steps = kernels.Steps(
        step_C=(step_C + kernels.FIXED).astype(np.int32),
        first_P=binning.first_P,
        column_P=column_P + kernels.FIXED,
    )
    return steps, code_C[used_C]


def specialise(program: Program, low_P: I64, high_P: I64) -> Program:
    """Return the program for places whose codes lie within bounds: what is the same for all of them is left out."""
    levels_2 = np.array(program.levels, np.int32)
    known = (program.code_V, levels_2, program.vectors, low_P, high_P)
    steps, orders = order_kernels.specialise(program.steps, program.orders, *known)
    return replace(program, steps=steps, orders=orders)
