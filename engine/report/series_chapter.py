"""The chapter of what changes over time."""

from __future__ import annotations

from engine.report import wording
from engine.report.cells import Notes, look_of, number_cell
from engine.report.drift_blocks import drift_table, drift_words
from engine.report.lookup import Key, Number
from engine.report.page import Block, Cell, Fold, Gallery, Grid, Group, Look, Section, Text, Trend
from engine.report.run_summary import RunSummary
from engine.report.series import VIOLATING, SeriesSummary

_PICTURED = 2  # strategies: more intervals side by side cannot be told apart
_METRICS = ("leakage_rate", "overkill_rate", "review_rate", "reject_rate")
_TITLES = {
    "leakage_rate": "leakage",
    "overkill_rate": "overkill",
    "review_rate": "to review",
    "reject_rate": "rejected",
}
_PIECES = {"day": "day", "week": "week", "four_weeks": "four weeks"}
_NOBODY = Look(0, "circle")


def over_time(run: RunSummary) -> Section | None:
    """The numbers of the first strategies piece by piece; None where the period is not cut."""
    series = run.series
    if series is None:
        return None
    piece = _PIECES[series.by]
    said = (
        f"The same numbers by {piece} of submission (dates name the first day; the last piece may be up to half "
        f"shorter or longer): policy {wording.clip(series.policy)}, by creatives, machine alone, this history. Each "
        f"interval is that of its own {piece} at {100 * run.confidence:g} %, so of many some miss; where rates of "
        "decisions are counted they have none."
    )
    pictures = (
        *(_trend(run, series, metric) for metric in _METRICS),
        Trend("time-violating", "violating", f"Violating share of what was submitted, by {piece}", series.starts,
              ("all creatives",), (_NOBODY,), (series.line("", VIOLATING),)),
        Trend("time-volume", "creatives a day", f"Creatives submitted a day, by {piece}", series.starts,
              ("all creatives",), (_NOBODY,), (_volume(series),), unit="number"),
    )  # fmt: skip
    tables: list[Block] = [_volume_grid(series), *(_grid(series, name) for name in series.names)]
    blocks = [Text(said), drift_words(series), Gallery(pictures), Fold("As tables", tuple(tables))]
    return Section("time", "Over time", (*blocks, *([drift_table(series.scores)] if series.scores else ())))


def _trend(run: RunSummary, series: SeriesSummary, metric: str) -> Trend:
    names = series.names[:_PICTURED]
    title = _TITLES[metric]
    caption = f"{title[0].upper()}{title[1:]} by {_PIECES[series.by]}"
    looks = tuple(look_of(run, name) for name in names)
    lines = tuple(series.line(name, metric) for name in names)
    return Trend(f"time-{metric}", title, caption, series.starts, names, looks, lines)


def _volume(series: SeriesSummary) -> tuple[Number, ...]:
    key = Key("", series.policy, "creatives", "creatives", "machine")
    daily = (count / days for count, days in zip(series.creatives, series.days, strict=True))
    return tuple(Number(key, count, count, count) for count in daily)


def _volume_grid(series: SeriesSummary) -> Grid:
    notes = Notes()
    rows = tuple(
        (Cell(start), Cell(wording.count(count), tone="number"), number_cell(number, notes), _labels(number))
        for start, count, number in zip(series.starts, series.creatives, series.line("", VIOLATING), strict=True)
    )
    head = ("From", "Creatives", "Violating share", "Labels")
    return Grid("what was submitted", head, (Group("", rows),), tuple(notes.texts))


def _grid(series: SeriesSummary, strategy: str) -> Grid:
    notes = Notes()
    lines = [series.line(strategy, metric) for metric in _METRICS]
    rows = tuple(
        (Cell(start), *(number_cell(line[t], notes) for line in lines)) for t, start in enumerate(series.starts)
    )
    head = ("From", *(_TITLES[metric] for metric in _METRICS))
    return Grid(wording.clip(strategy), head, (Group("", rows),), tuple(notes.texts))


def _labels(number: Number) -> Cell:
    return Cell(wording.count(number.labels), tone="number")
