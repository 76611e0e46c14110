"""What an operator writes after `when`: parsed from an allow-listed syntax tree, never executed.

An expression is a tree of `And`, `Or`, `Not` over *atoms*; an atom compares a column, or arithmetic over columns, with
a constant.

    v1.scam >= 0.5 and region in ["US", "GB"]        score >= threshold: a tie is inside
    0.2 <= v1.scam < 0.9                             chains are an `and`
    max(v1.scam, v2.scam) - 0.1 * tier >= $t         + - * / - min max abs; $t is a parameter
    hour < 6 or velocity(24) > 50                    features, see engine/expression/features.py
    not missing(vertical)

One rule for nulls: arithmetic with a null operand, a division by 0 and a result that is not finite are null; a
comparison that reads a null is false, whatever its operator (`!=` and `not in` too); only `missing(...)` is true.
`not` then flips what it is given.

A column by itself keeps its dtype, and its threshold is rounded once to it. Arithmetic is float64. A comparison of two
sides that both read columns is their difference against 0: for finite doubles with gradual underflow the difference has
the sign of the comparison, and is 0 for equals alone (IEEE 754); one past the largest double is null.
"""

from engine.expression.binding import bind, parameters
from engine.expression.evaluation import atom_mask, columns_of_atoms, evaluate
from engine.expression.features import FEATURES, is_feature, velocity_hours
from engine.expression.parsing import MAX_BYTES, parse, parse_written
from engine.expression.place import ExpressionError, Written
from engine.expression.scan import MAX_DEPTH
from engine.expression.tree import (
    ALWAYS,
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
    atoms,
    columns_read,
    rename_columns,
)
from engine.expression.words import expression_text

__all__ = [
    "ALWAYS",
    "FEATURES",
    "MAX_BYTES",
    "MAX_DEPTH",
    "And",
    "Arithmetic",
    "Atom",
    "Constant",
    "Expression",
    "ExpressionError",
    "Not",
    "Or",
    "Parameter",
    "Reference",
    "Term",
    "Written",
    "atom_mask",
    "atoms",
    "bind",
    "columns_of_atoms",
    "columns_read",
    "evaluate",
    "expression_text",
    "is_feature",
    "parameters",
    "parse",
    "parse_written",
    "rename_columns",
    "velocity_hours",
]
