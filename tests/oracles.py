"""Slow twins: what the engine computes, once more in plain loops over plain values. Imports nothing from engine.

An expression is a tree of tuples:

    ("atom", column, operator, value)       operator >= > <= < == != in "not in"; value a tuple for the last two
    ("missing", column)
    ("chain", low, operator, column, operator, high)
    ("compare", term, operator, term)       a term is a number, a column's name, or (operation, term, ...)
    ("uncalculable", term)                  written missing(term)
    ("and", tree, ...)  ("or", tree, ...)  ("not", tree)

A creative is a dict: column → float, str or None (null). A rule is a tuple (tree, decision, share, policy).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from blake3 import blake3

Tree = tuple[Any, ...]
Creative = Mapping[str, Any]
Rule = tuple[Tree, str, float, str | None]

# --- Expressions -----------------------------------------------------------------------------------------------------

_FLIPPED = {">=": "<=", "<=": ">=", ">": "<", "<": ">", "==": "==", "!=": "!="}


def nearest_float32(number: float) -> float:
    """Return the float32 nearest to a number; past the largest one infinity."""
    try:
        return float(struct.unpack("<f", struct.pack("<f", number))[0])
    except OverflowError:
        return math.copysign(math.inf, number)


def holds(tree: Tree, creative: Creative, single: Iterable[str] = ()) -> bool:
    """Say whether an expression holds for a creative. single: the columns that are float32."""
    kind = tree[0]
    if kind == "and":
        return all(holds(part, creative, single) for part in tree[1:])
    if kind == "or":
        return any(holds(part, creative, single) for part in tree[1:])
    if kind == "not":
        return not holds(tree[1], creative, single)
    if kind == "missing":
        return creative[tree[1]] is None
    if kind == "chain":
        _, low, first, column, second, high = tree
        parts = (("atom", column, _FLIPPED[first], low), ("atom", column, second, high))
        return all(holds(part, creative, single) for part in parts)
    if kind == "uncalculable":
        return term_value(tree[1], creative) is None
    if kind == "compare":
        left, right = (term_value(term, creative) for term in (tree[1], tree[3]))
        if left is None or right is None:
            return False
        both_read = term_columns(tree[1]) and term_columns(tree[3])
        return not (both_read and math.isinf(left - right)) and _atom(left, tree[2], right, False)
    _, column, operator, value = tree
    return _atom(creative[column], operator, value, column in set(single))


def term_value(term: Any, creative: Creative) -> float | None:
    """Return what arithmetic comes to; None for null: a null operand, a division by 0, a result past all doubles."""
    if isinstance(term, float):
        return term
    if isinstance(term, str):
        return creative[term]
    operation, *parts = term
    values = [term_value(part, creative) for part in parts]
    if None in values or (operation == "/" and values[1] == 0):
        return None
    result = _calculated(operation, values)
    return result if math.isfinite(result) else None


def _calculated(operation: str, values: list[Any]) -> float:
    if operation in ("min", "max", "abs"):
        return float({"min": min, "max": max, "abs": abs}[operation](*values))
    if operation == "-":
        return -values[0] if len(values) == 1 else values[0] - values[1]
    if operation == "+":
        return values[0] + values[1]
    return values[0] * values[1] if operation == "*" else values[0] / values[1]


def term_columns(term: Any) -> set[str]:
    """Return the columns that a term reads."""
    if isinstance(term, tuple):
        return {name for part in term[1:] for name in term_columns(part)}
    return {term} if isinstance(term, str) else set()


def _atom(found: Any, operator: str, value: Any, single: bool) -> bool:
    if found is None:
        return False
    wanted = [_constant(x, single) for x in (value if isinstance(value, tuple) else (value,))]
    if operator == "in":
        return any(found == x for x in wanted)
    if operator == "not in":
        return all(found != x for x in wanted)
    if operator == "==":
        return bool(found == wanted[0])
    if operator == "!=":
        return bool(found != wanted[0])
    if operator == ">=":
        return bool(found >= wanted[0])
    if operator == ">":
        return bool(found > wanted[0])
    if operator == "<=":
        return bool(found <= wanted[0])
    return bool(found < wanted[0])


def _constant(value: Any, single: bool) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return nearest_float32(value) if single and not isinstance(value, str) else value


# --- Decisions -------------------------------------------------------------------------------------------------------


def decide(
    rules: Sequence[Rule], otherwise: Rule, match: str, creative: Creative, single: Iterable[str] = ()
) -> tuple[str, float, str | None]:
    """Return decision, LIMIT share and policy of one creative under one strategy."""
    fired = [rule for rule in rules if holds(rule[0], creative, single)]
    if not fired:
        return otherwise[1:]
    if match == "first":
        return fired[0][1:]
    for decision in ("REJECT", "REVIEW", "LIMIT", "APPROVE"):
        asking = [rule for rule in fired if rule[1] == decision]
        if not asking:
            continue
        if decision == "LIMIT":
            smallest = min(rule[2] for rule in asking)
            return next(rule[1:] for rule in asking if rule[2] == smallest)
        share = asking[0][2]
        if decision == "REVIEW":  # what the human approves is delivered at the share that a LIMIT asks for
            share = min([rule[2] for rule in fired if rule[1] == "LIMIT"], default=share)
        return decision, share, asking[0][3]
    raise AssertionError("a rule that fired asks for something")


def decide_by_policies(
    policies: Sequence[tuple[Sequence[Rule], Rule]], creative: Creative, single: Iterable[str] = ()
) -> tuple[str, float, str | None]:
    """Let every policy decide by its own first rule; return the harshest of the decisions, of equal ones the first."""
    asked = [decide(rules, otherwise, "first", creative, single) for rules, otherwise in policies]
    for decision in ("REJECT", "REVIEW", "LIMIT", "APPROVE"):
        mine = [each for each in asked if each[0] == decision]
        limits = [share for word, share, _ in asked if word == "LIMIT"]
        if mine and decision == "LIMIT":
            return next(each for each in mine if each[1] == min(limits))
        if mine:
            return decision, min(limits, default=mine[0][1]) if decision == "REVIEW" else mine[0][1], mine[0][2]
    raise AssertionError("every policy decides")


def first_to_fire(rules: Sequence[Tree], creative: Creative, single: Iterable[str] = ()) -> int:
    """Return the index of the first tree that holds, the number of trees where none does."""
    for at, tree in enumerate(rules):
        if holds(tree, creative, single):
            return at
    return len(rules)


def may(
    tree: Tree,
    creative: Creative,
    unknown: Iterable[str],
    single: Iterable[str] = (),
    *,
    missing_is_known: bool = False,
) -> tuple[bool, bool]:
    """Return whether a tree may hold and whether it may fail, when the values of some columns are unknown.

    missing_is_known : of those columns it is known whether they are missing.
    """
    kind = tree[0]
    if kind in ("and", "or"):
        held, failed = zip(
            *(may(part, creative, unknown, single, missing_is_known=missing_is_known) for part in tree[1:]), strict=True
        )
        return (all(held), any(failed)) if kind == "and" else (any(held), all(failed))
    if kind == "not":
        held, failed = may(tree[1], creative, unknown, single, missing_is_known=missing_is_known)
        return failed, held
    if columns(tree) & set(unknown) and not (kind in ("missing", "uncalculable") and missing_is_known):
        others = columns(tree) - set(unknown)
        if missing_is_known and kind == "compare" and any(creative[name] is None for name in others):
            return False, True  # null, whatever the missing score would have been
        return True, True
    held = holds(tree, creative, single)
    return held, not held


def columns(tree: Tree) -> set[str]:
    """Return the columns that a tree reads."""
    if tree[0] in ("and", "or", "not"):
        return {name for part in tree[1:] for name in columns(part)}
    if tree[0] in ("compare", "uncalculable"):
        return {name for term in tree[1::2] for name in term_columns(term)}
    return {tree[3] if tree[0] == "chain" else tree[1]}


def asks(
    rules: Sequence[Tree], creative: Creative, mine: Iterable[str], unknown: Iterable[str], single: Iterable[str] = ()
) -> bool:
    """Say whether a decision may turn on a rule that reads columns of `mine`, all of which are unknown."""
    for tree in rules:
        held, failed = may(tree, creative, unknown, single)
        if held and failed and columns(tree) & set(mine):
            return True
        if not failed:
            return False
    return False


def harshness(decision: str, share: float) -> tuple[int, float]:
    """Return a key that grows with harshness; of two LIMITs the smaller share is the harsher."""
    return ("APPROVE", "LIMIT", "REVIEW", "REJECT").index(decision), -share if decision == "LIMIT" else 0.0


# --- Totals ----------------------------------------------------------------------------------------------------------


def totals(
    outcomes: Sequence[int], frames: Sequence[int], cells: Sequence[int], weights: Sequence[Sequence[int]]
) -> dict[tuple[int, int, int], list[int]]:
    """Return (outcome, frame, cell) → sum per weight."""
    sums: dict[tuple[int, int, int], list[int]] = {}
    for outcome, frame, cell, weight in zip(outcomes, frames, cells, weights, strict=True):
        kept = sums.setdefault((outcome, frame, cell), [0] * len(weight))
        for w, value in enumerate(weight):
            kept[w] += value
    return sums


def swap_totals(
    baseline: Sequence[int], candidate: Sequence[int], cells: Sequence[int], weights: Sequence[Sequence[int]]
) -> dict[tuple[int, int, int], list[int]]:
    """Return (outcome of the baseline, outcome of the candidate, cell) → sum per weight."""
    return totals(baseline, candidate, cells, weights)


def words(flags: Sequence[bool]) -> list[int]:
    """Return 64 flags a word, the first one in the lowest bit."""
    return [
        sum(1 << bit for bit, flag in enumerate(flags[first : first + 64]) if flag)
        for first in range(0, len(flags), 64)
    ]


def weights(known: int | None, guess: int | None) -> tuple[int, int, int]:
    """Return one creative's (known, imputed, missing); guess: what the exposure model fills in, None if nothing."""
    if known is not None:
        return known, 0, 0
    return (0, guess, 0) if guess is not None else (0, 0, 1)


# --- Reading ---------------------------------------------------------------------------------------------------------


def content_id(fields: Sequence[bytes | None]) -> bytes:
    """Return 16 bytes of blake3 over the fields, each with its length before it; null has a mark of its own."""
    text = b""
    for field in fields:
        text += b"\x00" if field is None else b"\x01" + struct.pack("<Q", len(field)) + field
    return blake3(text).digest()[:16]


def owned(ids: Sequence[bytes]) -> list[int]:
    """Return the positions of first appearances."""
    seen: set[bytes] = set()
    first = []
    for at, content in enumerate(ids):
        if content not in seen:
            first.append(at)
        seen.add(content)
    return first


def lower_median(values: Sequence[int]) -> int:
    """Return the middle value, of two the smaller."""
    return sorted(values)[(len(values) - 1) // 2]


def medians(cells: Sequence[Any], values: Sequence[int | None]) -> dict[Any, int]:
    """Return the lower median of known values per cell; where a cell knows none that of all, -1 if there is none."""
    known = [value for value in values if value is not None]
    fallback = lower_median(known) if known else -1
    found = {}
    for cell in cells:
        mine = [value for at, value in zip(cells, values, strict=True) if at == cell and value is not None]
        found[cell] = lower_median(mine) if mine else fallback
    return found


def latest_label(rows: Sequence[tuple[float | None, str, str | None]]) -> int:
    """Return what the latest concluding label says: 1, 0 or -1. rows: (known_at, reviewer, label)."""
    said = -1
    for _, _, label in sorted(rows, key=lambda row: (-math.inf if row[0] is None else row[0], row[1])):
        said = {"VIOLATING": 1, "COMPLIANT": 0}.get(label or "", said)
    return said


def resolved_label(rule: str, rows: Sequence[tuple[float | None, str | None, str | None]]) -> int:
    """Return what several labels of one creative come to. rows: (known_at, reviewer, label)."""
    told = [(t, r, {"VIOLATING": 1, "COMPLIANT": 0}[x]) for t, r, x in rows if x in ("VIOLATING", "COMPLIANT")]
    if not told:
        return -1
    violating = sum(y for _, _, y in told)
    if rule == "strictest":
        return int(violating > 0)
    if rule == "majority" and 2 * violating != len(told):
        return int(2 * violating > len(told))
    timed = [row for row in told if row[0] is not None] or told
    pick = min if rule == "first" else max
    moment = pick(row[0] or 0.0 for row in timed)
    names = sorted({row[1] for row in timed if row[1] is not None and (row[0] or 0.0) == moment})
    order = [*names, *([None] if any(r is None and (t or 0.0) == moment for t, r, _ in timed) else [])]
    name = order[0] if rule == "first" else order[-1]
    return max(y for t, r, y in timed if (t or 0.0) == moment and r == name)


# --- Estimators ------------------------------------------------------------------------------------------------------


# --- Blocks ----------------------------------------------------------------------------------------------------------


def code(value: float, edges: Sequence[float]) -> int:
    """Return 0 for null (NaN), else 1 + how many edges are at most the value."""
    return 0 if math.isnan(value) else 1 + sum(edge <= value for edge in edges)


def run_orders(orders: Sequence[tuple[str, int, Sequence[int]]], known: Mapping[int, set[int]]) -> dict[int, set[int]]:
    """Carry out orders (how, target, operands) on sets of places: and, or, xor, minus from left to right."""
    vectors = dict(known)
    for how, target, operands in orders:
        made = set(vectors[operands[0]])
        for operand in operands[1:]:
            other = vectors[operand]
            made = {"and": made & other, "or": made | other, "xor": made ^ other, "minus": made - other}[how]
        vectors[target] = made
    return vectors


def subset_sums(values: Sequence[int]) -> list[int]:
    """Return the sum of every subset: entry s holds those values whose bit is set in s."""
    return [sum(value for bit, value in enumerate(values) if subset >> bit & 1) for subset in range(1 << len(values))]


def groups(keys: Sequence[int], weights: Sequence[Sequence[int]]) -> dict[int, list[int]]:
    """Return the sums of weights by key."""
    sums: dict[int, list[int]] = {}
    for key, weight in zip(keys, weights, strict=True):
        held = sums.setdefault(key, [0] * len(weight))
        for w, value in enumerate(weight):
            held[w] += value
    return sums
