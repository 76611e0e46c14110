"""Expression → text that a reader understands; parsed again it gives an expression that holds in the same places."""

from __future__ import annotations

from engine.expression.tree import And, Arithmetic, Atom, Expression, Not, Or, Parameter, Value, number_text, term_text


def expression_text(expression: Expression) -> str:
    """Return an expression as it could have been written."""
    match expression:
        case Atom(column, "missing", _):
            return f"missing({column})"
        case Atom(column, operator, tuple() as values):
            return f"{column} {operator} [{', '.join(map(_value, values))}]"
        case Atom(column, operator, str() | float() | bool() | Parameter() | Arithmetic() as value):
            return f"{column} {operator} {_value(value)}"
        case Not(part):
            return f"not {_inside(part)}"
        case And(()):
            return "always"
        case And(parts):
            return " and ".join(map(_inside, parts))
        case Or(parts):
            return " or ".join(map(_inside, parts))
    raise AssertionError(expression)


def _inside(expression: Expression) -> str:
    text = expression_text(expression)
    joined = isinstance(expression, And | Or) and len(expression.parts) > 1
    return f"({text})" if joined else text


def _value(value: Value) -> str:
    match value:
        case bool():
            return str(value)
        case str():
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        case Parameter() | Arithmetic():
            return term_text(value)
    return number_text(value)
