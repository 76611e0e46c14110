"""Expression + columns → where it holds. Atoms are evaluated here and nowhere else."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from engine.expression.arithmetic import term_values
from engine.expression.place import ExpressionError
from engine.expression.tree import And, Arithmetic, Atom, Constant, Expression, Not, Or, Parameter
from engine.records import Column, Flags

_COMPARE: dict[str, Callable[..., Any]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "==": operator.eq,
    "!=": operator.ne,
}


def evaluate(expression: Expression, columns: Mapping[str, Column], rows: int) -> Flags:
    """Return where an expression holds, shape (N,); the plain way, for places that are not hot.

    Raises
    ------
    ExpressionError : an atom compares a text with a number, or the reverse, or a parameter has no value.
    KeyError : a column that is not there.
    """
    match expression:
        case Atom():
            return atom_mask(expression, _column_of(expression, columns))
        case Not(part):
            return ~evaluate(part, columns, rows)
        case And(parts):
            masks = [evaluate(part, columns, rows) for part in parts]
            return np.logical_and.reduce(masks) if masks else np.ones(rows, bool)
        case Or(parts):
            return np.logical_or.reduce([evaluate(part, columns, rows) for part in parts])


def columns_of_atoms(atoms: Sequence[Atom], columns: Iterable[Column]) -> dict[str, Column]:
    """Return columns by name, and what arithmetic of the atoms gives, in float64, by `Atom.column`.

    Raises
    ------
    ExpressionError : arithmetic over texts.
    KeyError : arithmetic over a column that is not there.
    """
    by_name = {column.name: column for column in columns}
    computed = {
        atom.column: _column_of(atom, by_name)
        for atom in {atom.column: atom for atom in atoms}.values()
        if atom.term is not None
    }
    return by_name | computed


def _column_of(atom: Atom, columns: Mapping[str, Column]) -> Column:
    if atom.term is None:
        return columns[atom.column]
    return Column(atom.column, term_values(atom.term, columns))


def atom_mask(atom: Atom, column: Column) -> Flags:
    """Return where one comparison holds, shape (N,). A threshold is rounded once to the dtype of its column.

    Parameters
    ----------
    column : what stands on the left: see columns_of_atoms.

    Raises
    ------
    ExpressionError : a text is compared with a number, or the reverse, or a parameter has no value.
    """
    values = column.values_N
    wanted = _constants(atom)
    if column.levels is not None:
        return _level_mask(atom, wanted, column.levels)[values]
    null: Flags = np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), bool)
    if atom.operator == "missing":
        return null
    if any(isinstance(value, str | bool) for value in wanted):
        raise ExpressionError(f"{atom.column} holds numbers and cannot be compared with {wanted[0]!r}")
    with np.errstate(over="ignore"):  # past the range of the dtype a threshold is infinite
        constants = np.array(wanted, np.float64).astype(values.dtype)
    if atom.operator in ("in", "not in"):
        return (np.isin(values, constants) == (atom.operator == "in")) & ~null
    holds: Flags = _COMPARE[atom.operator](values, constants[0])
    return holds & ~null


def _constants(atom: Atom) -> tuple[Constant, ...]:
    wanted = atom.value if isinstance(atom.value, tuple) else (atom.value,)
    out: list[Constant] = []
    for value in wanted:
        if isinstance(value, Parameter | Arithmetic):
            raise ExpressionError(f"{atom.column} is compared with a parameter that has no value")
        out.append(value)
    return tuple(out)


def _level_mask(atom: Atom, wanted: Sequence[Constant], levels: tuple[str, ...]) -> Flags:
    """Return the answer per level, and last, where code -1 finds it, the answer for null."""
    if atom.operator == "missing":
        return np.array([False] * len(levels) + [True])
    if any(isinstance(value, float) for value in wanted) or atom.operator not in ("==", "!=", "in", "not in"):
        raise ExpressionError(f"{atom.column} holds texts; it can be compared by == != in, with quoted texts")
    texts = {str(value).lower() if isinstance(value, bool) else value for value in wanted}
    inside = atom.operator in ("==", "in")
    return np.array([(level in texts) == inside for level in levels] + [False])
