"""Arithmetic in expressions: equal to its slow twin, float64, one rule for nulls."""

from __future__ import annotations

import numpy as np
import pytest
from generators import SINGLE, World, examples, is_arithmetic, terms, tree_of, worlds, write
from hypothesis import given
from hypothesis import strategies as st
from oracles import holds

from engine.expression import (
    Arithmetic,
    Atom,
    ExpressionError,
    Reference,
    atom_mask,
    atoms,
    columns_of_atoms,
    columns_read,
    evaluate,
    parse,
    rename_columns,
)
from engine.records import NOT_ASKED, Column

OPERATORS = (">=", ">", "<=", "<", "==", "!=")


def numbers(**columns: list[float] | np.ndarray) -> dict[str, Column]:
    return {name: Column(name, np.asarray(values)) for name, values in columns.items()}


@examples(400)
@given(left=terms(), operator=st.sampled_from(OPERATORS), right=terms(), world=worlds((65,)))
def test_arithmetic_holds_where_its_slow_twin_holds(left: object, operator: str, right: object, world: World) -> None:
    tree = ("compare", left, operator, right)
    if not is_arithmetic(tree):
        return
    columns = {column.name: column for column in world.creatives.columns}
    found = evaluate(parse(write(tree)), columns, len(world))
    assert found.tolist() == [holds(tree, creative, SINGLE) for creative in world.plain]


@examples(100)
@given(left=terms(), operator=st.sampled_from(OPERATORS), right=terms())
def test_the_name_of_arithmetic_reads_back_as_itself(left: object, operator: str, right: object) -> None:
    tree = ("compare", left, operator, right)
    if not is_arithmetic(tree):
        return
    atom = next(atoms(parse(write(tree))))
    again = next(atoms(parse(f"missing({atom.column})")))
    assert (again.column, again.term) == (atom.column, atom.term)


def test_a_column_by_itself_has_no_term_and_arithmetic_is_named_by_its_text() -> None:
    plain, computed = atoms(parse("v1.scam >= 0.5 and v1.scam*2 - -region >= 0.5"))
    assert (plain.column, plain.term) == ("v1.scam", None)
    assert computed.column == "(v1.scam * 2) - (-region)"
    assert computed.term == Arithmetic(
        "-", (Arithmetic("*", (Reference("v1.scam"), 2.0)), Arithmetic("-", (Reference("region"),)))
    )


def test_equal_arithmetic_however_it_is_spaced_is_one_atom() -> None:
    assert parse("x+y >= 1") == parse("(x) + (y) >= 1.0")
    assert parse("x + (y + z) >= 1") != parse("(x + y) + z >= 1")
    assert parse("x - y >= 1") != parse("y - x >= 1")


def test_constant_sides_are_folded_and_a_plain_column_keeps_its_dtype() -> None:
    assert parse("x >= 1 + 2 * 3") == Atom("x", ">=", 7.0)
    assert parse("max(0.1, 0.2) < x") == Atom("x", ">", 0.2)
    assert parse("x in [1 + 1, -2, --2]") == Atom("x", "in", (2.0, -2.0, 2.0))
    tie = np.array([np.float32(0.1) + np.float32(0.2)], np.float32)
    assert evaluate(parse("x >= 0.1 + 0.2"), numbers(x=tie), 1).tolist() == [True]


def test_two_sides_that_read_columns_are_a_difference_against_0() -> None:
    (atom,) = atoms(parse("v1.scam > v2.scam"))
    assert (atom.column, atom.operator, atom.value) == ("v1.scam - v2.scam", ">", 0.0)
    assert columns_read(parse("v1.scam > v2.scam")) == ("v1.scam", "v2.scam")


@pytest.mark.parametrize("operator", OPERATORS)
def test_a_difference_against_0_compares_as_the_numbers_do(operator: str) -> None:
    edge = [0.0, -0.0, 5e-324, -5e-324, 2.2250738585072014e-308, 0.1, np.nextafter(0.1, 1), 1.0, -1.0, 1e300, -1e300]
    some = np.array([*edge, float(np.float32(0.1)), 1 / 3, np.nextafter(1 / 3, 0)])
    x, y = (grid.ravel() for grid in np.meshgrid(some, some))
    found = evaluate(parse(f"x {operator} y"), numbers(x=x, y=y), len(x))
    wanted = {"==": x == y, "!=": x != y, ">=": x >= y, ">": x > y, "<=": x <= y, "<": x < y}[operator]
    assert (found == wanted).all()


def test_a_float32_score_is_compared_with_a_float64_one_at_its_exact_value() -> None:
    single = np.array([0.1], np.float32)
    columns = numbers(x=single, y=np.array([0.1]), z=single.astype(np.float64))
    assert evaluate(parse("x == y"), columns, 1).tolist() == [False]
    assert evaluate(parse("x == z"), columns, 1).tolist() == [True]


NULL = ("x + y", "y - x", "x * 0", "x / 1", "-x", "abs(x)", "min(x, y)", "max(y, x)")
NOT_FINITE = ("y / 0", "y / (y - y)", "0 / (y - 1)", "z * z", "z + z", "-z - z", "z / 1e-9", "min(z * z, 1)")


@pytest.mark.parametrize("term", [*NULL, *NOT_FINITE])
@pytest.mark.parametrize("operator", OPERATORS)
def test_null_arithmetic_makes_every_comparison_false_and_is_missing(term: str, operator: str) -> None:
    columns = numbers(x=[np.nan], y=[1.0], z=[1.7e308])
    assert evaluate(parse(f"{term} {operator} 0"), columns, 1).tolist() == [False]
    assert evaluate(parse(f"{term} in [0, 1]"), columns, 1).tolist() == [False]
    assert evaluate(parse(f"{term} not in [0, 1]"), columns, 1).tolist() == [False]
    assert evaluate(parse(f"missing({term})"), columns, 1).tolist() == [True]
    assert evaluate(parse(f"not {term} {operator} 0"), columns, 1).tolist() == [True]


def test_a_difference_past_all_doubles_is_null() -> None:
    columns = numbers(x=[1.7e308], y=[-1.7e308])
    assert evaluate(parse("x >= y"), columns, 1).tolist() == [False]
    assert evaluate(parse("missing(x - y)"), columns, 1).tolist() == [True]


def test_a_smallest_of_an_infinite_number_may_be_finite() -> None:
    assert evaluate(parse("min(x, 3) == 3"), numbers(x=[np.inf]), 1).tolist() == [True]


def test_a_score_that_nobody_asked_for_calculates_without_a_warning() -> None:
    columns = numbers(x=np.array([NOT_ASKED, 0.5], np.float32), y=[1.0, 1.0])
    assert evaluate(parse("y / (x + 1) >= 0"), columns, 2).tolist() == [False, True]


def test_texts_cannot_be_calculated_with() -> None:
    text = {"x": Column("x", np.array([0], np.int32), ("a",)), "y": Column("y", np.array([1.0]))}
    for when in ("x + y >= 0", "missing(-x)", "x == y"):
        with pytest.raises(ExpressionError, match="x holds texts"):
            evaluate(parse(when), text, 1)


def test_arithmetic_becomes_columns_by_the_names_of_their_atoms() -> None:
    read = list(atoms(parse("x >= 1 and x + y >= 1 and x + y < 3")))
    columns = columns_of_atoms(read, numbers(x=[1.0, np.nan], y=[2.0, 2.0]).values())
    assert list(columns) == ["x", "y", "x + y"]
    assert columns["x + y"].values_N.dtype == np.float64
    assert atom_mask(read[1], columns[read[1].column]).tolist() == [True, False]


def test_renaming_reaches_into_arithmetic_and_gives_it_a_new_name() -> None:
    when = rename_columns(parse("max(a, b) * 2 >= a and missing(a - c)"), {"a": "b", "b": "a"})
    assert when == parse("max(b, a) * 2 >= b and missing(b - c)")
    assert columns_read(when) == ("b", "a", "c")


def test_atoms_of_the_engine_are_read_by_the_slow_twin() -> None:
    assert tree_of(next(atoms(parse("a + 1 >= b")))) == ("compare", ("-", ("+", "a", 1.0), "b"), ">=", 0.0)
    assert tree_of(next(atoms(parse("missing(a)")))) == ("missing", "a")
