"""The chapter of a sweep: what each goal chose, the front, and what a best of many is worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.report import wording
from engine.report.cells import Notes, number_cell, setting_words
from engine.report.confirm_chapter import confirmed
from engine.report.lookup import Key, Number
from engine.report.page import Cell, Fold, Grid, Group, Section, Text
from engine.report.run_summary import RunSummary, SearchSummary, TrialSummary

MOST_FRONT = 40  # rows of the front on the page; all of it is in search.parquet


def search(run: RunSummary) -> Section | None:
    """What a sweep found; None where the run has none."""
    found = run.search
    if found is None:
        return None
    said = (
        f"{wording.count(found.tried)} settings of {wording.clip(found.strategy)} were replayed and held against each "
        f"other, policy {wording.clip(found.policy)}, {wording.READINGS.get(found.reading, found.reading)}."
    )
    front = Fold(f"The front: {wording.count(found.on_front)} settings that no other one beats", (_front(found),))
    again = confirmed(run, found)
    return Section("search", "Search", (Text(said), _picks(found), *again, front))


def _picks(found: SearchSummary) -> Grid:
    notes = Notes()
    rows = []
    for pick in found.picks:
        trial = pick.trial
        if trial is None:
            empty = [Cell(wording.DASH) for _ in found.numbers]
            rows.append((Cell(wording.clip(pick.name)), Cell("nothing keeps to it"), *empty))
        else:
            rows.append(
                (Cell(wording.clip(pick.name)), Cell(setting_words(trial.setting)), *_numbers(found, trial, notes))
            )
    groups = tuple(Group(wording.clip(pick.goal, 200), (row,)) for pick, row in zip(found.picks, rows, strict=True))
    return Grid("", ("Chosen", "Setting", *found.numbers), groups, tuple(notes.texts))


def _front(found: SearchSummary) -> Grid:
    notes = Notes()
    rows = tuple((Cell(setting_words(t.setting)), *_numbers(found, t, notes)) for t in found.front[:MOST_FRONT])
    title = f"the first {MOST_FRONT}; all are in search.parquet" if found.on_front > MOST_FRONT else ""
    return Grid(title, ("Setting", *found.numbers), (Group("", rows),), tuple(notes.texts))


def _numbers(found: SearchSummary, trial: TrialSummary, notes: Notes) -> list[Cell]:
    return [number_cell(_number(found, trial.points[number], number), notes) for number in found.numbers]


def _number(found: SearchSummary, point: Mapping[str, Any], written: str) -> Number:
    metric, _, weighting = written.partition(".")
    key = Key(found.strategy, found.policy, metric, weighting or found.weighting, found.reading)
    return Number(key, point["estimate"], point["low"], point["high"], null_reason=point["reason"])
