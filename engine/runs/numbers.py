"""Which numbers of two runs differ, and by how much more than their intervals allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.records import F64
from engine.report.lookup import Key
from engine.report.tables import KEY

_KEY = (*KEY, "inference")
_VALUES = ("estimate", "low", "high", "null_reason")
_NONE = "\0"  # stands for a null in a key: nulls are equal to nothing, so they would meet no partner


@dataclass(frozen=True)
class Value:
    """A number of one run. reason : why it is null."""

    estimate: float | None
    low: float | None
    high: float | None
    reason: str | None


@dataclass(frozen=True)
class Moved:
    """A number that both runs know and that differs.

    apart : how far each estimate lies outside of the other's interval, in half widths of that interval, the smaller of
        the two; 0 where one lies inside, infinite where a known total is another one.
    """

    key: Key
    was: Value
    now: Value
    apart: float

    @property
    def is_total(self) -> bool:
        """Whether it is a total known exactly that is another one by now."""
        return not np.isfinite(self.apart)

    def as_plain(self) -> dict[str, Any]:
        """Return the number for JSON; `apart` is null where it is infinite."""
        apart = None if self.is_total else self.apart
        return {**vars(self.key), "was": vars(self.was), "now": vars(self.now), "apart": apart}


@dataclass(frozen=True)
class Known:
    """A number that one of the runs knows and the other does not: it has none, or a null one. reason : that one's."""

    key: Key
    value: Value
    reason: str | None

    def as_plain(self) -> dict[str, Any]:
        """Return the number for JSON."""
        return {**vars(self.key), "value": vars(self.value), "reason": self.reason}


@dataclass(frozen=True)
class NumberChanges:
    """How the numbers of two runs differ. equal : how many do not. moved : the farthest apart first, totals last."""

    equal: int
    moved: tuple[Moved, ...]
    appeared: tuple[Known, ...]
    vanished: tuple[Known, ...]


def compare_numbers(was: pa.Table, now: pa.Table) -> NumberChanges:
    """Hold two tables of schema.ESTIMATES against each other; what is equal never becomes a Python object."""
    both = _keyed(was).join(_keyed(now), list(_KEY), join_type="full outer", left_suffix=" was", right_suffix=" now")
    known_was, known_now = (pc.is_valid(both[f"estimate {side}"]) for side in ("was", "now"))
    known = pc.and_(known_was, known_now)
    differs = pc.invert(pc.and_(*(_same(both, name) for name in ("estimate", "low"))))
    differs = pc.or_(differs, pc.invert(_same(both, "high")))
    changed = both.filter(pc.and_(known, differs))
    moved = [
        Moved(_key(row), _value(row, "was"), _value(row, "now"), apart)
        for row, apart in zip(changed.to_pylist(), _apart(changed).tolist(), strict=True)
    ]
    return NumberChanges(
        equal=int(pc.sum(known).as_py() or 0) - len(moved),
        moved=tuple(sorted(moved, key=_farthest)),
        appeared=_known(both.filter(pc.and_not(known_now, known_was)), "now", "was"),
        vanished=_known(both.filter(pc.and_not(known_was, known_now)), "was", "now"),
    )


def _keyed(table: pa.Table) -> pa.Table:
    """Return key and values; nulls of the key, and numbers that are none, made comparable."""
    columns = {name: pc.fill_null(table[name], _NONE) for name in _KEY}
    for name in _VALUES:
        column = table[name]
        if pa.types.is_floating(column.type):
            column = pc.if_else(pc.is_finite(column), column, pa.scalar(None, column.type))
        columns[name] = column
    return pa.table(columns)


def _same(both: pa.Table, name: str) -> pa.ChunkedArray:
    """Say where both sides hold the same number, or both none."""
    was, now = both[f"{name} was"], both[f"{name} now"]
    neither = pc.and_(pc.is_null(was), pc.is_null(now))
    return pc.or_(neither, pc.fill_null(pc.equal(was, now), False))


def _apart(changed: pa.Table) -> F64:
    """Return how far the estimates of each row lie outside of each other's interval; no interval is one of width 0."""
    sides = {
        side: [pc.fill_null(changed[f"{name} {side}"], np.nan).to_numpy() for name in ("estimate", "low", "high")]
        for side in ("was", "now")
    }
    return np.minimum(_outside(sides["was"], sides["now"][0]), _outside(sides["now"], sides["was"][0]))


def _outside(interval: Sequence[F64], estimate_n: F64) -> F64:
    """Return how far estimates lie outside of intervals, in half widths."""
    middle_n, low_n, high_n = interval
    low_n, high_n = (np.where(np.isnan(bound), middle_n, bound) for bound in (low_n, high_n))
    beyond_n = np.maximum(np.maximum(low_n - estimate_n, estimate_n - high_n), 0.0)
    half_n = (high_n - low_n) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(beyond_n == 0.0, 0.0, beyond_n / half_n)


def _farthest(number: Moved) -> tuple[object, ...]:
    """Sort by distance, totals last; equal ones by how much of the larger number the difference is, then by key."""
    was, now = number.was.estimate or 0.0, number.now.estimate or 0.0
    part = abs(now - was) / max(abs(now), abs(was), 1e-300)
    return (number.is_total, -number.apart, -part, *_words(number.key))


def _words(key: Key) -> tuple[str, ...]:
    return tuple(str(value or "") for value in vars(key).values())


def _known(rows: pa.Table, side: str, other: str) -> tuple[Known, ...]:
    found = [Known(_key(row), _value(row, side), row[f"null_reason {other}"]) for row in rows.to_pylist()]
    return tuple(sorted(found, key=lambda number: (number.key.segment_by != "all", *_words(number.key))))


def _key(row: dict[str, Any]) -> Key:
    known: dict[str, Any] = {name: None if row[name] == _NONE else row[name] for name in _KEY}
    return Key(**known)


def _value(row: dict[str, Any], side: str) -> Value:
    return Value(*(row[f"{name} {side}"] for name in _VALUES))
