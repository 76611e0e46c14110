"""Which creatives' decisions may turn on a score that is not there yet: what a cascade has to score.

A strategy that reads `big.scam` only where `small.scam` lies in a band leaves most contents to the small model. The
rules are evaluated with the missing scores unknown (Kleene 1952, section 64): where a rule surely fires before an
unknown one is met, no value of the missing score could change the decision. What a strategy's memory reads (the order
of a queue, the draw of a human's decision) may be read of any creative, so it is asked about all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from engine.expression import columns_read as columns_of
from engine.records import Column, Flags
from engine.replay import kernels
from engine.replay.replay import pack_atoms
from engine.strategy import PUSH, StrategyTable, columns_read, model_of, remembered_columns


def asks(table: StrategyTable, columns: Sequence[Column], rows: int, model: str, unscored: Collection[str]) -> Flags:
    """Return the creatives for which some strategy may ask a model, shape (N,).

    Parameters
    ----------
    columns : what is known of the N creatives (attributes, brought scores, scores of earlier models).
    model : the one asked about. unscored : every model without scores so far, this one included.
    """
    models_K = [{model_of(column) for column in columns_of(atom)} for atom in table.atoms]
    open_K = np.array([not models.isdisjoint(unscored) for models in models_K], bool)
    absent = {column for atom in table.atoms for column in columns_of(atom) if model_of(column) in unscored}
    blank = np.full(rows, np.nan, np.float32)
    atom_KW = pack_atoms(table.atoms, (*columns, *(Column(name, blank) for name in sorted(absent))), rows)
    mine_K = np.array([model in models for models in models_K], bool)
    reads_R = _rules_that_read(table, mine_K)
    asked_W = np.zeros(atom_KW.shape[1], np.uint64)
    may_2D = np.zeros((2, table.stack), np.uint64)
    for s in range(len(table.strategies)):
        if _remembers(table, s, model):
            return np.ones(rows, bool)
        for program in table.programs(s) if model in _models_of(table, s) else ():
            first, last = (int(x) for x in table.strategy_start_S[program : program + 2])
            bounds, reads = table.rule_start_R[first : last + 1], reads_R[first:last]
            kernels.ask(atom_KW, open_K, table.op_L, table.arg_L, bounds, reads, may_2D, asked_W)
    flag_N = np.zeros(rows, bool)
    kernels.unpack(asked_W, flag_N)
    return flag_N


def levels(table: StrategyTable, models: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Return in which order models score: those of one level together, each level before the next asks.

    Parameters
    ----------
    models : cheapest first. A model waits for the cheaper ones that it shares a strategy with, unless some strategy
        asks it about every creative anyway.
    """
    level: dict[str, int] = {}
    for model in models:
        reading = [s for s in range(len(table.strategies)) if model in _models_of(table, s)]
        if any(asks_always(table, s, model) for s in reading):
            level[model] = 0
            continue
        before = {level[other] for s in reading for other in _models_of(table, s) if other in level}
        level[model] = 1 + max(before, default=-1)
    return tuple(tuple(m for m in models if level[m] == at) for at in sorted(set(level.values())))


def asks_always(table: StrategyTable, strategy: int, model: str) -> bool:
    """Say whether a strategy's first rule (but for its guard) reads nothing but this model: then all are asked.

    So they are where its memory reads the model.
    """
    if _remembers(table, strategy, model):
        return True
    first, last = (int(x) for x in table.strategy_start_S[strategy : strategy + 2])
    first += table.rules[strategy][0].guard
    if first == last:
        return False
    read = {column for k in _atoms_of(table, first) for column in columns_of(table.atoms[k])}
    return bool(read) and {model_of(column) for column in read} == {model}


def _models_of(table: StrategyTable, strategy: int) -> set[str]:
    return {model for name in columns_read(table.strategies[strategy]) if (model := model_of(name))}


def _remembers(table: StrategyTable, strategy: int, model: str) -> bool:
    return any(model_of(column) == model for column in remembered_columns(table.strategies[strategy]))


def _rules_that_read(table: StrategyTable, mine_K: Flags) -> Flags:
    rules = len(table.rule_start_R) - 1
    return np.array([any(mine_K[k] for k in _atoms_of(table, rule)) for rule in range(rules)], bool)


def _atoms_of(table: StrategyTable, rule: int) -> list[int]:
    at = slice(int(table.rule_start_R[rule]), int(table.rule_start_R[rule + 1]))
    return [int(k) for op, k in zip(table.op_L[at], table.arg_L[at], strict=True) if op == PUSH]
