"""An expression as a tree of frozen values, and the walks over it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Reference:
    """A column by name."""

    name: str


@dataclass(frozen=True)
class Parameter:
    """`$name`: a number or a text that is filled in later."""

    name: str


@dataclass(frozen=True)
class Arithmetic:
    """operator : + - * / of two parts, - of one, abs of one, min and max of one or more."""

    operator: str
    parts: tuple[Term, ...]


Term = float | Reference | Parameter | Arithmetic
Constant = float | str | bool
Value = Constant | Parameter | Arithmetic  # until its parameters are bound; then a Constant


@dataclass(frozen=True)
class Atom:
    """`column operator value`; value is a tuple for `in` and `not in`, empty for `missing`.

    column : unique for what stands on the left: a column's name, or arithmetic as canonical text.
    term : the arithmetic, None where the left is a column by itself.
    """

    column: str
    operator: str
    value: Value | tuple[Value, ...]
    term: Arithmetic | None = field(default=None, compare=False)


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


def make_atom(term: Reference | Arithmetic, operator: str, value: Value | tuple[Value, ...]) -> Atom:
    """Return the comparison of a term with a constant."""
    if isinstance(term, Reference):
        return Atom(term.name, operator, value)
    return Atom(term_text(term), operator, value, term)


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


def columns_read(expression: Expression) -> tuple[str, ...]:
    """Return the plain columns that an expression reads, those inside arithmetic too, each once, in order."""
    names: dict[str, None] = {}
    for atom in atoms(expression):
        names |= dict.fromkeys([atom.column] if atom.term is None else references(atom.term))
    return tuple(names)


def references(term: Term) -> Iterator[str]:
    """Yield the columns that a term reads, repeats included."""
    if isinstance(term, Reference):
        yield term.name
    elif isinstance(term, Arithmetic):
        for part in term.parts:
            yield from references(part)


def rename_columns(expression: Expression, names: Mapping[str, str]) -> Expression:
    """Return the expression with columns renamed; a column that is no key stays."""
    match expression:
        case Atom(column=column, term=None):
            return replace(expression, column=names.get(column, column))
        case Atom(operator=operator, value=value, term=Arithmetic() as term):
            return make_atom(Arithmetic(term.operator, _renamed(term.parts, names)), operator, value)
        case Not(part):
            return Not(rename_columns(part, names))
        case And(parts):
            return And(tuple(rename_columns(part, names) for part in parts))
        case Or(parts):
            return Or(tuple(rename_columns(part, names) for part in parts))
    raise AssertionError(expression)


def _renamed(parts: tuple[Term, ...], names: Mapping[str, str]) -> tuple[Term, ...]:
    out: list[Term] = []
    for part in parts:
        match part:
            case Reference(name):
                out.append(Reference(names.get(name, name)))
            case Arithmetic(operator, inner):
                out.append(Arithmetic(operator, _renamed(inner, names)))
            case _:
                out.append(part)
    return tuple(out)


def term_text(term: Term) -> str:
    """Return the canonical text: equal for equal terms alone; parsed again it gives the term."""
    match term:
        case Reference(name):
            return name
        case Parameter(name):
            return f"${name}"
        case Arithmetic("min" | "max" | "abs" as function, parts):
            return f"{function}({', '.join(term_text(part) for part in parts)})"
        case Arithmetic("-", (part,)):
            return f"-{_inside(part)}"
        case Arithmetic(operator, (left, right)):
            return f"{_inside(left)} {operator} {_inside(right)}"
    return number_text(term) if isinstance(term, float) else ""


def number_text(number: float) -> str:
    """Return the shortest text that reads back as the number."""
    return repr(float(number)).removesuffix(".0")


def _inside(term: Term) -> str:
    text = term_text(term)
    nested = isinstance(term, Arithmetic) and term.operator in "+-*/"
    return f"({text})" if nested or text.startswith("-") else text
