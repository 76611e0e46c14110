"""`$parameters` of an expression: which there are, and what they become."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from engine.errors import did_you_mean
from engine.expression.arithmetic import fold
from engine.expression.place import ExpressionError
from engine.expression.tree import (
    And,
    Arithmetic,
    Atom,
    Constant,
    Expression,
    Not,
    Or,
    Parameter,
    Reference,
    Term,
    Value,
    atoms,
    make_atom,
)


def parameters(expression: Expression) -> tuple[str, ...]:
    """Return the parameters that an expression reads, each once, in order."""
    names: dict[str, None] = {}
    for atom in atoms(expression):
        values = atom.value if isinstance(atom.value, tuple) else (atom.value,)
        for part in (atom.term, *values):
            names |= dict.fromkeys(_parameters(part))
    return tuple(names)


def bind(expression: Expression, values: Mapping[str, Constant]) -> Expression:
    """Return the expression with its parameters replaced by values, constants folded.

    Raises
    ------
    ExpressionError : a parameter has no value, or one that cannot stand there.
    """
    match expression:
        case Atom(operator=operator, value=value, term=term):
            bound = tuple(_value(x, values) for x in value) if isinstance(value, tuple) else _value(value, values)
            inside = None if term is None else _term(term, values)
            if inside is None or inside is term:
                return expression if bound == value else Atom(expression.column, operator, bound, term)
            assert isinstance(inside, Arithmetic), "a term reads a column, which no binding removes"
            return make_atom(inside, operator, bound)
        case Not(part):
            inner = bind(part, values)
            return expression if inner is part else Not(inner)
        case And(parts) | Or(parts):
            every = tuple(bind(part, values) for part in parts)
            same = all(new is old for new, old in zip(every, parts, strict=True))
            return expression if same else type(expression)(every)


def checked_constant(name: str, value: Constant) -> Constant:
    """Return what a parameter becomes: a text, a flag, or a finite float.

    Raises
    ------
    ExpressionError : a number that is not finite.
    """
    if isinstance(value, str | bool):
        return value
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ExpressionError(f"${name} is {number}; it must be a finite number")
    return number


def _parameters(part: object) -> Iterator[str]:
    if isinstance(part, Parameter):
        yield part.name
    elif isinstance(part, Arithmetic):
        for inner in part.parts:
            yield from _parameters(inner)


def _value(value: Value, values: Mapping[str, Constant]) -> Value:
    match value:
        case Parameter(name):
            return _filled(name, values)
        case Arithmetic():
            folded = _term(value, values)
            assert isinstance(folded, float), "a constant side reads no column"
            return folded
    return value


def _term(term: Term, values: Mapping[str, Constant]) -> Term:
    match term:
        case Parameter(name):
            value = _filled(name, values)
            if isinstance(value, str | bool):
                raise ExpressionError(f"${name} is {value!r}; only numbers can be calculated with")
            return value
        case Arithmetic(operator, parts):
            every = tuple(_term(part, values) for part in parts)
            if all(new is old for new, old in zip(every, parts, strict=True)):
                return term
            return fold(operator, every)
        case float() | Reference():
            return term


def _filled(name: str, values: Mapping[str, Constant]) -> Constant:
    if name not in values:
        raise ExpressionError(f"${name} has no value{did_you_mean(name, values)}")
    return checked_constant(name, values[name])
