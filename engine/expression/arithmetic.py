"""Arithmetic over float64 arrays or numbers, with one rule for nulls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import numpy as np

from engine.expression.place import ExpressionError
from engine.expression.tree import Arithmetic, Parameter, Reference, Term
from engine.records import F64, Column

_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "+": np.add,
    "*": np.multiply,
    "/": np.divide,
    "abs": np.abs,
    "min": lambda *parts: reduce(np.minimum, parts),
    "max": lambda *parts: reduce(np.maximum, parts),
    "-": lambda *parts: np.negative(*parts) if len(parts) == 1 else np.subtract(*parts),
}


def calculate(operator: str, *parts: F64 | float) -> F64:
    """Return the result in float64, NaN (null) where a part is, and where the result is not finite."""
    with np.errstate(all="ignore"):
        result = _FUNCTIONS[operator](*(np.asarray(part, np.float64) for part in parts))
    return np.where(np.isfinite(result), result, np.nan)


def fold(operator: str, parts: tuple[Term, ...]) -> Term:
    """Return an operation over parts, or its result where all of them are numbers.

    Raises
    ------
    ExpressionError : the result is not finite.
    """
    numbers = [part for part in parts if isinstance(part, float)]
    if len(numbers) < len(parts):
        return Arithmetic(operator, parts)
    result = float(calculate(operator, *numbers))
    if not np.isfinite(result):
        raise ExpressionError("divides by 0" if operator == "/" and parts[-1] == 0 else "the number is too large")
    return result


def term_values(term: Term, columns: Mapping[str, Column]) -> F64:
    """Return what a term is for every creative, float64, shape (N,) (or a single number), NaN for null.

    Raises
    ------
    ExpressionError : a column of it holds texts, or a parameter has no value.
    """
    match term:
        case Reference(name):
            column = columns[name]
            if column.levels is not None:
                raise ExpressionError(f"{name} holds texts; only numbers can be calculated with")
            return column.values_N.astype(np.float64)
        case Arithmetic(operator, parts):
            return calculate(operator, *(term_values(part, columns) for part in parts))
        case Parameter(name):
            raise ExpressionError(f"${name} has no value")
    return np.asarray(term, np.float64)
