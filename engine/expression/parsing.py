"""Text → expression, by an allow-list over Python's syntax tree."""

from __future__ import annotations

import ast
import math
import warnings
from typing import TypeGuard

from engine.errors import did_you_mean
from engine.expression.arithmetic import fold
from engine.expression.features import MOST_HOURS, VELOCITY, velocity_name
from engine.expression.place import ExpressionError, Written, fault_at
from engine.expression.scan import MAX_DEPTH, Scanned, scan
from engine.expression.tree import (
    And,
    Arithmetic,
    Atom,
    Expression,
    Not,
    Or,
    Parameter,
    Reference,
    Term,
    Value,
    make_atom,
    references,
)

MAX_BYTES = 4096

_FLIPPED = {">=": "<=", "<=": ">=", ">": "<", "<": ">", "==": "==", "!=": "!="}
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
_ARITHMETIC: dict[type[ast.operator], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_FUNCTIONS = {"min": 2, "max": 2, "abs": 1}  # and how many parts each needs; abs takes no more
_KNOWN = (*_FUNCTIONS, "missing", VELOCITY)


def parse(text: str) -> Expression:
    """Parse one `when`.

    Raises
    ------
    ExpressionError : too long, too deep, or anything but comparisons joined by and, or, not. It names the place.
    """
    return parse_written(text)[0]


def parse_written(text: str) -> tuple[Expression, Written]:
    """Parse one `when`, and keep where its names stand.

    Raises
    ------
    ExpressionError : see parse.
    """
    if len(text.encode(errors="replace")) > MAX_BYTES:
        raise fault_at(text, MAX_BYTES, f"longer than {MAX_BYTES} bytes")
    text = text.strip()
    scanned = scan(text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what Python only warns of ("\d", 0in x) is refused on every version
            tree = ast.parse(scanned.readable, mode="eval")
    except (SyntaxError, ValueError) as error:
        raise fault_at(text, (getattr(error, "offset", None) or 1) - 1, "cannot be read") from None
    except (RecursionError, MemoryError):
        raise fault_at(text, 0, f"nested deeper than {MAX_DEPTH}") from None
    reader = _Reader(text, scanned)
    expression = reader.boolean(tree.body, 0)
    return expression, Written(text, reader.places)


class _Reader:
    """Reads a syntax tree. places : the names met so far, as in Written."""

    def __init__(self, text: str, scanned: Scanned) -> None:
        self._text, self._scanned = text, scanned
        self._bytes = scanned.readable.encode()
        self.places: dict[str, int] = {}

    def boolean(self, node: ast.expr, depth: int) -> Expression:
        self._check_depth(node, depth)
        match node:
            case ast.BoolOp(op=op, values=values):
                parts = tuple(self.boolean(value, depth + 1) for value in values)
                return And(parts) if isinstance(op, ast.And) else Or(parts)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return Not(self.boolean(operand, depth + 1))
            case ast.Compare():
                return self._comparison(node, depth)
            case ast.Call(func=ast.Name(id="missing"), args=[argument], keywords=[]):
                return make_atom(self._read(argument, depth, "missing(...) needs a column"), "missing", ())
            case ast.Call(func=ast.Name(id=name) as function) if name not in _KNOWN:
                raise self._fault(function, f"unknown function {name}{did_you_mean(name, _KNOWN)}")
        raise self._fault(node, "expected a comparison such as v1.scam >= 0.5")

    def _comparison(self, node: ast.Compare, depth: int) -> Expression:
        sides = [node.left, *node.comparators]
        parts = tuple(
            self._atom(left, _OPERATORS.get(type(op), ""), right, depth)
            for left, op, right in zip(sides, node.ops, sides[1:], strict=False)
        )
        return parts[0] if len(parts) == 1 else And(parts)

    def _atom(self, left: ast.expr, operator: str, right: ast.expr, depth: int) -> Atom:
        if not operator:
            raise self._fault(right, "`is` is not an operator here; write == or missing(column)")
        if operator in ("in", "not in"):
            wanted = f'`{operator}` needs a column and a list, as in region in ["US", "GB"]'
            term = self._read(left, depth, wanted)
            if not isinstance(right, ast.List | ast.Tuple) or not right.elts:
                raise self._fault(right, wanted)
            return make_atom(term, operator, tuple(self._constant(item, term, depth) for item in right.elts))
        first, second = self._side(left, depth), self._side(right, depth)
        if _reads(first) and _reads(second):
            return make_atom(Arithmetic("-", (first, second)), operator, 0.0)
        if _reads(first):
            return make_atom(first, operator, self._checked(right, second, first))
        if _reads(second):
            return make_atom(second, _FLIPPED[operator], self._checked(left, first, second))
        raise self._fault(left, "a comparison needs a column")

    def _read(self, node: ast.expr, depth: int, wanted: str) -> Reference | Arithmetic:
        """Return a side that reads some column."""
        term = self._side(node, depth)
        if _reads(term):
            return term
        raise self._fault(node, wanted)

    def _constant(self, node: ast.expr, beside: Reference | Arithmetic, depth: int) -> Value:
        side = self._side(node, depth)
        if _reads(side):
            raise self._fault(node, "expected a number or a quoted text")
        return self._checked(node, side, beside)

    def _checked(self, node: ast.expr, side: Term | str | bool, beside: Term | str | bool) -> Value:
        """Return a constant side; beside arithmetic it is no text."""
        assert not isinstance(side, Reference)
        if isinstance(side, str | bool) and isinstance(beside, Arithmetic):
            raise self._fault(node, "only numbers can be compared with arithmetic")
        return side

    def _side(self, node: ast.expr, depth: int) -> Term | str | bool:
        """Return one side of a comparison."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bool):
            return node.value
        return self._term(node, depth)

    def _term(self, node: ast.expr, depth: int) -> Term:
        match node:
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                return self._number(node, value)
            case ast.Name() | ast.Attribute():
                return self._name(node)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self._folded(node, "-", [operand], depth)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                return self._folded(node, _ARITHMETIC[type(op)], [left, right], depth)
            case ast.Call(func=ast.Name(id=name) as function, args=arguments, keywords=[]):
                return self._call(node, function, name, arguments, depth)
        raise self._fault(node, "expected a column, a number or a quoted text")

    def _call(self, node: ast.expr, function: ast.expr, name: str, arguments: list[ast.expr], depth: int) -> Term:
        if name == VELOCITY:
            return self._velocity(node, arguments)
        if name not in _FUNCTIONS:
            raise self._fault(function, f"unknown function {name}{did_you_mean(name, _KNOWN)}")
        if len(arguments) < _FUNCTIONS[name] or (name == "abs" and len(arguments) > 1):
            raise self._fault(node, "abs needs one part" if name == "abs" else f"{name} needs two parts or more")
        return self._folded(node, name, arguments, depth)

    def _velocity(self, node: ast.expr, arguments: list[ast.expr]) -> Reference:
        match arguments:
            case [ast.Constant(value=int(hours))] if not isinstance(hours, bool) and 1 <= hours <= MOST_HOURS:
                return self._met(Reference(velocity_name(hours)), node)
        raise self._fault(node, f"velocity needs whole hours from 1 to {MOST_HOURS}, as in velocity(24)")

    def _folded(self, node: ast.expr, operator: str, parts: list[ast.expr], depth: int) -> Term:
        self._check_depth(node, depth)
        every = tuple(self._term(part, depth + 1) for part in parts)
        try:
            return fold(operator, every)
        except ExpressionError as error:
            raise self._fault(node, str(error)) from None

    def _name(self, node: ast.expr) -> Reference | Parameter:
        match node:
            case ast.Name(id=name) if self._at(node) in self._scanned.parameter_at:
                self.places.setdefault(f"${name[1:]}", self._at(node))
                return Parameter(name[1:])
            case ast.Name(id=name):
                return self._met(Reference(name), node)
            case ast.Attribute(value=ast.Name(id=model) as owner, attr=policy):
                if self._at(owner) not in self._scanned.parameter_at:
                    return self._met(Reference(f"{model}.{policy}"), node)
        raise self._fault(node, "expected a column, such as region or v1.scam")

    def _met(self, reference: Reference, node: ast.expr) -> Reference:
        self.places.setdefault(reference.name, self._at(node))
        return reference

    def _number(self, node: ast.expr, value: float) -> float:
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise self._fault(node, "the number is too large")
        return number

    def _check_depth(self, node: ast.expr, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise self._fault(node, f"nested deeper than {MAX_DEPTH}")

    def _at(self, node: ast.expr) -> int:
        """Return the place of a node in characters; Python counts bytes."""
        return len(self._bytes[: node.col_offset].decode(errors="ignore"))

    def _fault(self, node: ast.expr, why: str) -> ExpressionError:
        return fault_at(self._text, self._at(node), why)


def _reads(side: Term | str | bool) -> TypeGuard[Reference | Arithmetic]:
    """Say whether a side reads some column."""
    return isinstance(side, Reference | Arithmetic) and next(references(side), None) is not None
