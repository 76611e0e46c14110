"""Exact bins: all that a set of comparisons can tell of a value is a small integer, its code.

Comparisons of one column with finitely many constants tell finitely many values apart. Of numbers, code 0 is null and
1 + i says that i edges are at most the value; `> t` is `>=` the next number of the column's dtype, so ties stay where
they are. Of texts, levels that no comparison tells apart share a code. Which codes an atom holds for is asked of
expression.atom_mask, by one value of each code; a set of codes is kept as the codes at which its answer flips.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.errors import UsageError
from engine.expression import Atom, ExpressionError, atom_mask, columns_of_atoms
from engine.records import I64, Column, Flags

_AT_EDGE = {">=", "<"}
_PAST_EDGE = {">", "<="}
_FALLING = {"<", "<="}


@dataclass(frozen=True)
class Bins:
    """The codes of one column.

    edge_E : numbers, ascending, in the dtype of the column; code_L : texts, the code of every level and last of null.
    One of the two is None.
    """

    column: Column
    codes: int
    edge_E: NDArray[np.generic] | None = None
    code_L: I64 | None = None


@dataclass(frozen=True)
class Binning:
    """All columns that atoms read, and of every atom where its answer flips.

    first_P : int64, P + 1 places: code c of column p is *step* first_P[p] + c; an atom holds for the codes at which an
        odd number of its steps lies at or below.
    flip_start_K, flip_F : int64, K + 1 bounds into the steps of all atoms.
    """

    bins: tuple[Bins, ...]
    first_P: I64
    flip_start_K: I64
    flip_F: I64


def find_bins(atoms: Sequence[Atom], columns: Sequence[Column]) -> Binning:
    """Find the codes of every column that the atoms read.

    Raises
    ------
    UsageError : an atom compares a text with a number, or the reverse.
    """
    try:
        by_name = columns_of_atoms(atoms, columns)
    except ExpressionError as error:
        raise UsageError(f"strategies: {error}") from None
    read: dict[str, list[int]] = {}
    for k, atom in enumerate(atoms):
        read.setdefault(atom.column, []).append(k)
    bins: list[Bins] = []
    first = [0]
    atom_parts, step_parts = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for name, chosen in read.items():
        mine = [atoms[k] for k in chosen]
        try:
            found, atom_F, code_F = _bins_of(mine, by_name[name])
        except ExpressionError as error:
            raise UsageError(f"strategies: {error}") from None
        atom_parts.append(np.array(chosen, np.int64)[atom_F])
        step_parts.append(code_F + first[-1])
        bins.append(found)
        first.append(first[-1] + found.codes)
    atom_F = np.concatenate(atom_parts)
    order = np.argsort(atom_F, kind="stable")
    start = np.searchsorted(atom_F[order], np.arange(len(atoms) + 1))
    return Binning(tuple(bins), np.array(first, np.int64), start, np.concatenate(step_parts)[order])


def _bins_of(atoms: Sequence[Atom], column: Column) -> tuple[Bins, I64, I64]:
    """Return the bins, and of every flip the place of its atom and its code."""
    if column.levels is not None:
        return _level_bins(atoms, column)
    if column.values_N.dtype.kind != "f":  # every distinct number is a code of its own
        edge_E = np.unique(column.values_N)
        return _asked(atoms, column, edge_E)
    plain = np.array([_is_threshold(atom) for atom in atoms], bool)
    with np.errstate(over="ignore"):
        threshold_K = np.array([a.value if p else 0.0 for a, p in zip(atoms, plain, strict=True)]).astype(
            column.values_N.dtype
        )
    plain &= np.isfinite(threshold_K)
    past = np.array([atom.operator in _PAST_EDGE for atom in atoms])
    threshold_K = np.where(past, _next(threshold_K), threshold_K)
    others = [atom for atom, easy in zip(atoms, plain, strict=True) if not easy]
    edge_E = np.unique(np.concatenate([threshold_K[plain], _constants(others, column.values_N.dtype)]))
    bins, atom_F, code_F = _asked(others, column, edge_E)
    where = np.flatnonzero(plain)
    falling = np.array([atoms[int(k)].operator in _FALLING for k in where], bool)
    rises_at = np.searchsorted(edge_E, threshold_K[where]) + 2
    holder = np.concatenate([np.flatnonzero(~plain)[atom_F], where, where[falling]])
    return bins, holder, np.concatenate([code_F, rises_at, np.ones(falling.sum(), np.int64)])


def _is_threshold(atom: Atom) -> bool:
    return atom.operator in _AT_EDGE | _PAST_EDGE and isinstance(atom.value, float)


def _asked(atoms: Sequence[Atom], column: Column, edge_E: NDArray[np.generic]) -> tuple[Bins, I64, I64]:
    """Ask every atom about one number of each code: null, one below all edges, the edges."""
    floating = edge_E.dtype.kind == "f"
    below = np.array([np.nan, -np.inf]) if floating else np.zeros(2)  # of other dtypes nothing is null or below all
    one_of = np.concatenate([below.astype(edge_E.dtype), edge_E])
    atom_F, code_F = _flips([atom_mask(atom, Column(column.name, one_of)) for atom in atoms])
    return Bins(column, len(one_of), edge_E=edge_E), atom_F, code_F


def _level_bins(atoms: Sequence[Atom], column: Column) -> tuple[Bins, I64, I64]:
    levels = column.levels or ()
    every = Column(column.name, np.append(np.arange(len(levels)), -1), levels)
    truth_KL = np.array([atom_mask(atom, every) for atom in atoms])
    truth_KG, code_L = np.unique(truth_KL, axis=1, return_inverse=True)
    return Bins(column, truth_KG.shape[1], code_L=code_L.reshape(-1)), *_flips(list(truth_KG))


def _flips(truths: Sequence[Flags]) -> tuple[I64, I64]:
    """Return where answers by code change, before the first of them `no`: place of the atom, code."""
    found = [np.flatnonzero(np.diff(truth, prepend=False)) for truth in truths]
    atom_F = np.repeat(np.arange(len(found)), [len(codes) for codes in found])
    return atom_F, np.concatenate([np.zeros(0, np.int64), *found])


def _constants(atoms: Sequence[Atom], dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
    """Return every number that atoms compare with and the next one, rounded as atom_mask does."""
    given = [value for atom in atoms for value in (atom.value if isinstance(atom.value, tuple) else (atom.value,))]
    with np.errstate(over="ignore"):
        at = np.array([x for x in given if isinstance(x, float) and not np.isnan(x)], np.float64).astype(dtype)
    return np.concatenate([at, _next(at)])


def _next(number_E: NDArray[np.generic]) -> NDArray[np.generic]:
    with np.errstate(over="ignore"):
        return np.nextafter(number_E, np.array(np.inf, number_E.dtype))
