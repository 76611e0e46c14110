"""What an operator writes after `when`: parsed from an allow-listed syntax tree, never executed.

An expression is a tree of `And`, `Or`, `Not` over *atoms*; an atom compares one column with a constant.

    v1.scam >= 0.5 and region in ["US", "GB"]        score >= threshold: a tie is inside
    0.2 <= v1.scam < 0.9                             chains are an `and`
    not missing(vertical)

One rule for nulls: an atom that reads a null is false, whatever its operator (`!=` and `not in` too);
only `missing(column)` is true. `not` then flips what it is given.
"""

from __future__ import annotations

import ast
import operator
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engine.records import Column, Flags

MAX_BYTES = 4096
MAX_DEPTH = 32

Constant = float | str | bool
_FLIPPED = {">=": "<=", "<=": ">=", ">": "<", "<": ">", "==": "==", "!=": "!="}
_COMPARE: dict[str, Callable[..., Any]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "==": operator.eq,
    "!=": operator.ne,
}
_OPERATORS: dict[type[ast.cmpop], str] = {
    ast.GtE: ">=",
    ast.Gt: ">",
    ast.LtE: "<=",
    ast.Lt: "<",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.In: "in",
    ast.NotIn: "not in",
}


class ExpressionError(ValueError):
    """The text is not an expression of this language. The message names the column where it goes wrong."""


@dataclass(frozen=True)
class Atom:
    """`column operator value`; value is a tuple for `in` and `not in`, empty for `missing`."""

    column: str
    operator: str
    value: Constant | tuple[Constant, ...]


@dataclass(frozen=True)
class And:
    parts: tuple[Expression, ...]


@dataclass(frozen=True)
class Or:
    parts: tuple[Expression, ...]


@dataclass(frozen=True)
class Not:
    part: Expression


Expression = Atom | And | Or | Not
ALWAYS = And(())


def parse(text: str) -> Expression:
    """Parse one `when`.

    Raises
    ------
    ExpressionError : too long, too deep, or anything but comparisons joined by and, or, not.
    """
    if len(text.encode(errors="replace")) > MAX_BYTES:
        raise ExpressionError(f"longer than {MAX_BYTES} bytes")
    if text.count("(") + text.count("[") + text.count("not ") > 8 * MAX_DEPTH:
        raise ExpressionError(f"nested deeper than {MAX_DEPTH}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what Python only warns of ("\d", 0in x) is refused on every version
            tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        at = getattr(error, "offset", None)
        raise ExpressionError(f"cannot be read{f' at column {at}' if at else ''}: {text!r}") from None
    return _Reader(text.strip()).boolean(tree.body, 0)


def atoms(expression: Expression) -> Iterator[Atom]:
    """Yield the atoms from left to right, repeats included."""
    match expression:
        case Atom():
            yield expression
        case Not(part):
            yield from atoms(part)
        case And(parts) | Or(parts):
            for part in parts:
                yield from atoms(part)


def rename_columns(expression: Expression, names: dict[str, str]) -> Expression:
    """Return the expression with columns renamed; a column that is no key stays."""
    match expression:
        case Atom(column=column):
            return replace(expression, column=names.get(column, column))
        case Not(part):
            return Not(rename_columns(part, names))
        case And(parts):
            return And(tuple(rename_columns(part, names) for part in parts))
        case Or(parts):
            return Or(tuple(rename_columns(part, names) for part in parts))


@dataclass(frozen=True)
class _Reader:
    text: str

    def boolean(self, node: ast.expr, depth: int) -> Expression:
        if depth > MAX_DEPTH:
            raise ExpressionError(f"nested deeper than {MAX_DEPTH}")
        match node:
            case ast.BoolOp(op=op, values=values):
                parts = tuple(self.boolean(value, depth + 1) for value in values)
                return And(parts) if isinstance(op, ast.And) else Or(parts)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return Not(self.boolean(operand, depth + 1))
            case ast.Compare():
                return self._comparison(node)
            case ast.Call(func=ast.Name(id="missing"), args=[argument], keywords=[]):
                column = self._column(argument)
                if column is not None:
                    return Atom(column, "missing", ())
        raise self._fault(node, "expected a comparison such as v1.scam >= 0.5")

    def _comparison(self, node: ast.Compare) -> Expression:
        sides = [node.left, *node.comparators]
        parts = tuple(
            self._atom(left, _OPERATORS.get(type(op), ""), right)
            for left, op, right in zip(sides, node.ops, sides[1:], strict=False)
        )
        return parts[0] if len(parts) == 1 else And(parts)

    def _atom(self, left: ast.expr, operator: str, right: ast.expr) -> Atom:
        if not operator:
            raise self._fault(right, "`is` is not an operator here; write == or missing(column)")
        column = self._column(left)
        if operator in ("in", "not in"):
            if column is None or not isinstance(right, ast.List | ast.Tuple) or not right.elts:
                raise self._fault(right, f'`{operator}` needs a column and a list, as in region in ["US", "GB"]')
            return Atom(column, operator, tuple(self._constant(item) for item in right.elts))
        if column is not None:
            return Atom(column, operator, self._constant(right))
        column = self._column(right)
        if column is None:
            raise self._fault(left, "a comparison needs one column")
        return Atom(column, _FLIPPED[operator], self._constant(left))

    def _column(self, node: ast.expr) -> str | None:
        match node:
            case ast.Name(id=name):
                return name
            case ast.Attribute(value=ast.Name(id=model), attr=policy):
                return f"{model}.{policy}"
        return None

    def _constant(self, node: ast.expr) -> Constant:
        match node:
            case ast.Constant(value=bool() | str() as value):
                return value
            case ast.Constant(value=int() | float() as value):
                return self._number(node, value)
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
                return -self._number(node, value)
        raise self._fault(node, "expected a number or a quoted text")

    def _number(self, node: ast.expr, value: float) -> float:
        try:
            return float(value)
        except OverflowError:
            raise self._fault(node, "the number is too large") from None

    def _fault(self, node: ast.expr, why: str) -> ExpressionError:
        column = len(self.text.encode()[: node.col_offset].decode(errors="ignore")) + 1
        return ExpressionError(f"at column {column} of {self.text!r}: {why}")


def evaluate(expression: Expression, columns: Mapping[str, Column], rows: int) -> Flags:
    """Return where an expression holds, shape (N,); the plain way, for places that are not hot.

    Raises
    ------
    ExpressionError : an atom compares a text with a number, or the reverse.
    KeyError : a column that is not there.
    """
    match expression:
        case Atom():
            return atom_mask(expression, columns[expression.column])
        case Not(part):
            return ~evaluate(part, columns, rows)
        case And(parts):
            masks = [evaluate(part, columns, rows) for part in parts]
            return np.logical_and.reduce(masks) if masks else np.ones(rows, bool)
        case Or(parts):
            return np.logical_or.reduce([evaluate(part, columns, rows) for part in parts])


def atom_mask(atom: Atom, column: Column) -> Flags:
    """Return where one comparison holds, shape (N,). A threshold is rounded once to the dtype of its column."""
    values = column.values_N
    if column.levels is not None:
        return _level_mask(atom, column.levels)[values]
    null: Flags = np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), bool)
    if atom.operator == "missing":
        return null
    wanted = atom.value if isinstance(atom.value, tuple) else (atom.value,)
    if any(isinstance(value, str | bool) for value in wanted):
        raise ExpressionError(f"{atom.column} holds numbers and cannot be compared with {wanted[0]!r}")
    with np.errstate(over="ignore"):  # past the range of the dtype a threshold is infinite
        constants = np.array(wanted, np.float64).astype(values.dtype)
    if atom.operator in ("in", "not in"):
        return (np.isin(values, constants) == (atom.operator == "in")) & ~null
    holds: Flags = _COMPARE[atom.operator](values, constants[0])
    return holds & ~null


def _level_mask(atom: Atom, levels: tuple[str, ...]) -> Flags:
    """Return the answer per level, and last, where code -1 finds it, the answer for null."""
    if atom.operator == "missing":
        return np.array([False] * len(levels) + [True])
    wanted = atom.value if isinstance(atom.value, tuple) else (atom.value,)
    if any(isinstance(value, float) for value in wanted) or atom.operator not in ("==", "!=", "in", "not in"):
        raise ExpressionError(f"{atom.column} holds texts; it can be compared by == != in, with quoted texts")
    texts = {str(value).lower() if isinstance(value, bool) else value for value in wanted}
    inside = atom.operator in ("==", "in")
    return np.array([(level in texts) == inside for level in levels] + [False])
