"""The chapters of numbers: every metric, paired differences, the swap set, segments."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import groupby

import pyarrow as pa

from engine.report import wording
from engine.report.cells import Notes, look_of, number_cell, strategy_cell
from engine.report.lookup import Key, Number, Numbers, segment_numbers
from engine.report.page import Block, Cell, DotRow, Dots, Fold, Gallery, Grid, Group, Section, Text
from engine.report.run_summary import RunSummary, Swap

MOST_SEGMENTS = 40  # drawn and listed; the rest is in estimates.parquet
_SEGMENT_METRICS = ("leakage_rate", "overkill_rate")
_LEAD = ("leakage_rate", "overkill_rate", "review_rate")
_BEHIND = ("This history", "Creatives like these", "Labels", "Effective size", "Events", "Support")

Matrix = tuple[tuple[float | None, ...], ...]
Place = tuple[str, str]  # an attribute and its value


def every_metric(run: RunSummary) -> Section:
    """All metrics by strategy, history and future side by side, one fold a policy, weighting and reading."""
    folds: list[Block] = []
    for policy in run.every_policy:
        for weighting in run.weightings:
            for reading, words in wording.READINGS.items():
                grid = _metric_grid(run, policy, weighting, reading)
                if grid.groups:
                    folds.append(Fold(f"{wording.clip(policy)} · {weighting} · {words}", (grid,)))
    said = (
        "“This history” asks what happened here: the chance is in the audit alone. "
        "“Creatives like these” asks whether it would hold again: the chance is in the advertisers too."
    )
    if run.left_out:
        said += f" {wording.count(run.left_out)} more strategies are in estimates.parquet."
    return Section("metrics", "Every metric", (Text(said), *folds))


def comparison(run: RunSummary) -> Section | None:
    """Paired differences and the swap matrices; None where nothing is compared."""
    if run.candidate is None or run.baseline is None:
        return None
    said = (
        f"{wording.clip(run.candidate)} minus {wording.clip(run.baseline)}, in percentage points (pp). "
        "Both are judged on the same labels, so what they share cancels."
    )
    grid = _paired_grid(run, [n for n in run.paired if _at(n.key)[:2] == _lead(run) and n.key.metric in _LEAD])
    swaps = swap_blocks(run.swap, run.baseline, run.candidate) if run.swap else ()
    folds = []
    for policy in run.every_policy:
        every = _paired_grid(run, [n for n in run.paired if n.key.policy == policy])
        if every.groups:
            folds.append(Fold(f"Every difference · {wording.clip(policy)}", (every,)))
    return Section("comparison", "The difference", (Text(said), grid, *swaps, *folds))


def swap_blocks(swap: Swap, baseline: str, candidate: str) -> tuple[Block, ...]:
    """A sentence and a heat table; those of other weightings are folded away."""
    head = (f"{wording.clip(baseline, 24)} ↓  {wording.clip(candidate, 24)} →", *swap.decisions)
    grids = [
        Grid(f"decisions, counted by {weighting}", head, (Group("", _heat_rows(swap.decisions, matrix)),))
        for weighting, matrix in swap.matrices.items()
    ]
    if not grids:
        return ()
    blocks: list[Block] = [Text(_moved(next(iter(swap.matrices.values())), candidate)), grids[0]]
    if grids[1:]:
        blocks.append(Fold("The same by exposure", tuple(grids[1:])))
    return tuple(blocks)


def segments(run: RunSummary, estimates: pa.Table, truth: pa.Table | None) -> Section | None:
    """Leakage and overkill by segment for the first two strategies; None where only `all` was estimated."""
    names = list(run.names[:2])
    shown = [segment for segment in run.segments if segment != ("all", "all")][:MOST_SEGMENTS]
    if not shown:
        return None
    policy, weighting = _lead(run)
    wanted = [Key(name, policy, metric, weighting, "machine") for metric in _SEGMENT_METRICS for name in names]
    numbers = segment_numbers(estimates, truth, wanted, shown)
    said = f"Policy {wording.clip(policy)}, weighted by {weighting}, machine alone."
    hidden = len(run.segments) - 1 - len(shown)
    if hidden > 0:
        said += f" {wording.count(hidden)} more segments are in estimates.parquet."
    drawings = tuple(_dots(run, numbers, names, shown, metric) for metric in _SEGMENT_METRICS)
    grid = _segment_grid(run, numbers, names, shown)
    return Section("segments", "Segments", (Text(said), Gallery(drawings), Fold("As a table", (grid,))))


def _metric_grid(run: RunSummary, policy: str, weighting: str, reading: str) -> Grid:
    notes = Notes()
    here = [n.key.metric for n in run.headline if _at(n.key) == (policy, weighting, reading)]
    groups = []
    for metric in _in_order(here):
        keys = [Key(name, policy, metric, weighting, reading) for name in run.names]
        rows = tuple(_metric_row(run, key, notes) for key in keys if key in run.headline.by_key)
        groups.append(Group(metric, rows, _formula(run, metric)))
    return Grid("", ("Strategy", *_BEHIND), tuple(group for group in groups if group.rows), tuple(notes.texts))


def _metric_row(run: RunSummary, key: Key, notes: Notes) -> tuple[Cell, ...]:
    history = run.headline.get(key)
    future = run.headline.get(replace(key, inference="future"))
    cells = (number_cell(history, notes), number_cell(future, notes))
    return (strategy_cell(run, key.strategy), *cells, *_behind(history))


def _paired_grid(run: RunSummary, numbers: list[Number]) -> Grid:
    notes = Notes()
    paired = [number for number in numbers if number.key.inference == "history"]
    groups = []
    for metric in _in_order([number.key.metric for number in paired]):
        rows = tuple(_paired_row(run, n, notes) for n in paired if n.key.metric == metric)
        groups.append(Group(metric, rows, _formula(run, metric)))
    return Grid("", ("Weighted by", *_BEHIND), tuple(groups), tuple(notes.texts))


def _paired_row(run: RunSummary, number: Number, notes: Notes) -> tuple[Cell, ...]:
    future = run.paired.get(replace(number.key, inference="future"))
    name = Cell(f"{number.key.weighting}, {wording.READINGS.get(number.key.reading, number.key.reading)}")
    return (name, number_cell(number, notes), number_cell(future, notes), *_behind(number))


def _behind(number: Number) -> tuple[Cell, ...]:
    """What a number of this history stands on; a known total stands on no labels."""
    values = (number.labels, number.effective_size, number.effective_events)
    cells = [Cell(wording.DASH if number.exact else wording.count(value), tone="number") for value in values]
    return (*cells, Cell(wording.share(number.support), tone="number"))


def _heat_rows(decisions: tuple[str, ...], matrix: Matrix) -> tuple[tuple[Cell, ...], ...]:
    """Colour by the share of what moved: harsher above the diagonal, softer below it."""
    most = max((v or 0 for i, row in enumerate(matrix) for j, v in enumerate(row) if i != j), default=0)
    rows = []
    for i, row in enumerate(matrix):
        cells = [Cell(wording.count(v), tone=f"heat {_heat(v, most, i, j)}") for j, v in enumerate(row)]
        rows.append((Cell(decisions[i]), *cells))
    return tuple(rows)


def _heat(value: float | None, most: float, i: int, j: int) -> str:
    if i == j or not value or most <= 0:
        return "alike"
    level = 1 + min(int(4 * math.sqrt(value / most)), 3)
    return f"h{level} {'harsher' if j > i else 'softer'}"


def _moved(matrix: Matrix, candidate: str) -> str:
    harsher = sum(v or 0 for i, row in enumerate(matrix) for j, v in enumerate(row) if j > i)
    softer = sum(v or 0 for i, row in enumerate(matrix) for j, v in enumerate(row) if j < i)
    alike = sum(row[i] or 0 for i, row in enumerate(matrix))
    total = harsher + softer + alike
    same = wording.share(alike / total if total else None)
    moved = f"harsher on {wording.count(harsher)} creatives and softer on {wording.count(softer)}"
    return f"{wording.clip(candidate)} is {moved}; {same} are decided alike."


def _dots(run: RunSummary, numbers: Numbers, names: list[str], shown: list[Place], metric: str) -> Dots:
    rows = []
    for by, group in groupby(shown, key=lambda segment: segment[0]):
        rows.append(DotRow(by))
        for _, segment in group:
            found = tuple(numbers.get(_segment_key(run, name, metric, by, segment)) for name in names)
            rows.append(DotRow(segment, found))
    title = metric.removesuffix("_rate")
    looks = tuple(look_of(run, name) for name in names)
    caption = f"{title[0].upper()}{title[1:]} by segment"
    return Dots(f"segments-{title}", title, caption, tuple(names), looks, tuple(rows))


def _segment_grid(run: RunSummary, numbers: Numbers, names: list[str], shown: list[Place]) -> Grid:
    notes = Notes()
    columns = [(metric, name) for metric in _SEGMENT_METRICS for name in names]
    groups = []
    for by, group in groupby(shown, key=lambda segment: segment[0]):
        rows = []
        for _, segment in group:
            keys = [_segment_key(run, name, metric, by, segment) for metric, name in columns]
            cells = [number_cell(numbers.get(key), notes) for key in keys]
            labels = Cell(wording.count(numbers.get(keys[0]).labels), tone="number")
            rows.append((Cell(wording.clip(segment)), *cells, labels))
        groups.append(Group(wording.clip(by), tuple(rows)))
    head = [f"{metric.removesuffix('_rate')}, {wording.clip(name, 24)}" for metric, name in columns]
    return Grid("", ("Segment", *head, "Labels"), tuple(groups), tuple(notes.texts))


def _segment_key(run: RunSummary, name: str, metric: str, by: str, segment: str) -> Key:
    return Key(name, run.policy, metric, run.weightings[0], "machine", segment_by=by, segment=segment)


def _lead(run: RunSummary) -> tuple[str, str]:
    return run.policy, run.weightings[0]


def _at(key: Key) -> tuple[str, str, str]:
    return key.policy, key.weighting, key.reading


def _in_order(metrics: list[str]) -> list[str]:
    """Return each metric once, the known ones in the order of `wording.GLOSSES`, others after them."""
    found = dict.fromkeys(metrics)
    return [m for m in wording.GLOSSES if m in found] + [m for m in found if m not in wording.GLOSSES]


def _formula(run: RunSummary, metric: str) -> str:
    return run.formulas.get(metric, "")
