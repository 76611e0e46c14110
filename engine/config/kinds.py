"""Numbers and texts: what rules may compare and calculate with, held against what the columns hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from engine.expression import Atom, atoms, columns_read, is_feature
from engine.records import LOGGED
from engine.strategy import Rule, Strategy, model_of


def kind_faults(strategies: Iterable[Strategy], attributes: Mapping[str, bool]) -> Iterator[str]:
    """Yield a fault for every comparison of a text with a number, or the reverse, and for arithmetic over texts.

    Parameters
    ----------
    attributes : attribute → whether it holds numbers. Scores and features do; any other column is not judged.
    """
    for strategy in strategies:
        if strategy.name == LOGGED:
            continue
        for rule in strategy.every_rule():
            for atom in atoms(rule.when):
                for column, why in _mismatches(atom, attributes):
                    yield f"strategies.{strategy.name}: {_shown(rule, column, why)}"
        capacity = strategy.memory.capacity
        if capacity and capacity.column and not attributes.get(capacity.column, True):
            yield f"strategies.{strategy.name}.review.capacity.by: {capacity.column} holds texts; order by a number"


def _mismatches(atom: Atom, attributes: Mapping[str, bool]) -> Iterator[tuple[str, str]]:
    values = atom.value if isinstance(atom.value, tuple) else (atom.value,)
    ordered = atom.operator in (">=", "<=", ">", "<")
    text = next((value for value in values if isinstance(value, str | bool)), None)
    for column in columns_read(atom):
        numeric = _is_numeric(column, attributes)
        if numeric and text is not None:
            yield column, f"{column} holds numbers and is compared with {text!r}"
        elif numeric is False and atom.term is not None:
            yield column, f"{column} holds texts; only numbers can be calculated with, or compared with each other"
        elif numeric is False and (ordered or any(isinstance(value, float) for value in values)):
            yield column, f"{column} holds texts; compare it by == != in, with quoted texts"


def _is_numeric(column: str, attributes: Mapping[str, bool]) -> bool | None:
    """Return None for a column that is not there."""
    return True if model_of(column) or is_feature(column) else attributes.get(column)


def _shown(rule: Rule, column: str, why: str) -> str:
    return rule.written.fault(column, why) if rule.written else why
