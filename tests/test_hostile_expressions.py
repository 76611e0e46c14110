"""Random and hostile texts: an expression or an error with its place, in bounded steps, and nothing is executed."""

from __future__ import annotations

import random
import re
import sys
from types import FrameType

import numpy as np
import pytest
from hostile import hostile, mutated, valid, written

from engine.expression import (
    And,
    Atom,
    Expression,
    ExpressionError,
    Not,
    Or,
    bind,
    columns_read,
    evaluate,
    parameters,
    parse,
)
from engine.expression.tree import term_text
from engine.records import Column

PART = 5_000
_PARTS = [pytest.param(part, id=str(part), marks=[pytest.mark.slow] * (part >= 2)) for part in range(20)]
TROUBLES = "holds texts|holds numbers|divides by 0|number is too large"
_STEPS_OF_BYTE, _STEPS = 40, 2_000


class Steps:
    """Counts calls, of Python's own functions too; one too many ends what it watches."""

    def __init__(self, most: int) -> None:
        self.most, self.taken = most, 0

    def __enter__(self) -> Steps:
        sys.setprofile(self._step)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _step(self, _frame: FrameType, event: str, _: object) -> None:
        self.taken += event in ("call", "c_call")
        if self.taken > self.most:
            sys.setprofile(None)
            raise AssertionError(f"more than {self.most} steps")


def size(expression: Expression) -> int:
    """Return the number of nodes, those of arithmetic by their text."""
    match expression:
        case Atom(term=term):
            return 1 + (len(term_text(term)) if term else 0)
        case Not(part):
            return 1 + size(part)
        case And(parts) | Or(parts):
            return 1 + sum(map(size, parts))
    raise AssertionError(expression)


def trouble(expression: Expression) -> str:
    """Evaluate an accepted expression over a few creatives; return what is wrong with it, "" if nothing is."""
    columns = {}
    for name in columns_read(expression):
        text = Column(name, np.array([0, -1, 1], np.int32), ("US", "GB"))
        columns[name] = text if name == "region" else Column(name, np.array([0.5, np.nan, -1.0], np.float32))
    try:
        holds = evaluate(bind(expression, dict.fromkeys(parameters(expression), 0.5)), columns, 3)
    except ExpressionError as error:
        return str(error)
    assert holds.shape == (3,)
    assert holds.dtype == bool
    return ""


def place(message: str, when: str) -> None:
    """Check that an error shows the text and points into it, or just past it."""
    why, text, caret = message.split("\n")
    column = re.match(r"at column (\d+): .", why)
    assert column is not None, message
    assert 1 <= int(column[1]) <= max(len(when), 1) + 1
    assert re.fullmatch(r" {4} *\^", caret), message
    assert text.startswith("    ")
    assert text.isprintable()


@pytest.mark.parametrize("part", _PARTS)
def test_100_000_texts_are_expressions_or_errors_that_name_their_place(part: int, events: list[str]) -> None:
    generator = random.Random(20_260 + part)
    accepted = 0
    before = len(events)
    for _ in range(PART):
        when = written(generator)
        try:
            with Steps(_STEPS + _STEPS_OF_BYTE * min(len(when), 4096)):
                expression = parse(when)
        except ExpressionError as error:
            place(str(error), when)
            continue
        accepted += 1
        assert size(expression) <= 4 * len(when)
        assert not (why := trouble(expression)) or re.search(TROUBLES, why)
    assert PART // 4 < accepted < PART * 3 // 4  # the texts are neither all good nor all bad
    assert events[before:] == []


def test_the_generator_writes_what_it_says() -> None:
    generator = random.Random(1)
    accepted = {"valid": 0, "mutated": 0, "hostile": 0}
    for _ in range(300):
        good = valid(generator, 3)
        for kind, text in (("valid", good), ("mutated", mutated(generator, good)), ("hostile", hostile(generator))):
            try:
                parse(text)
                accepted[kind] += 1
            except ExpressionError:
                pass
    assert accepted["valid"] > accepted["mutated"] > accepted["hostile"]


def test_the_counter_of_steps_stops_what_takes_too_many() -> None:
    with pytest.raises(AssertionError, match="more than 10 steps"), Steps(10):
        parse("x >= 1")
