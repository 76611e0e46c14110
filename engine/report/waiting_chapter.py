"""The chapter of review queues: what is asked of reviewers day by day, and how long it waits."""

from __future__ import annotations

from collections.abc import Sequence

from engine.report import wording
from engine.report.lookup import Key, Number
from engine.report.page import Block, Cell, Fold, Gallery, Grid, Group, Look, Section, Text, Trend
from engine.report.run_summary import RunSummary
from engine.report.series import QueueSummary, WaitingSummary

_COUNTS = (
    ("sent to review", Look(1, "square")),
    ("reviewed", Look(3, "circle")),
    ("given up on", Look(6, "circle")),
    ("waiting after the day", Look(2, "diamond")),
)
_WAITS = (("mean", Look(1, "circle")), ("nine tenths wait no longer", Look(2, "diamond")))


def waiting(run: RunSummary) -> Section | None:
    """Capacity and waiting over days; None where no strategy has a queue."""
    found = run.waiting
    if found is None:
        return None
    said = (
        "Creatives of the period by local day, counted and not estimated; reviewers work at the end of each day. "
        "Waiting times are those of what was sent on the day, until it was reviewed (0: on the same day) or given up "
        "on; what still waits at the end has none. What the warm-up left in a queue takes capacity but is not counted."
    )
    blocks: list[Block] = [Text(said)]
    for i, queue in enumerate(found.queues):
        blocks += [Text(_words(queue)), Gallery(_pictures(i, found, queue))]
    grids = tuple(_grid(found, queue) for queue in found.queues)
    return Section("waiting", "Capacity and waiting", (*blocks, Fold("As tables", grids)))


def _words(queue: QueueSummary) -> str:
    asked, reviewed, late = (sum(counts) for counts in (queue.asked, queue.reviewed, queue.late))
    most = max(queue.waiting, default=0)
    return (
        f"{wording.clip(queue.strategy)}: {wording.count(queue.per_day)} reviews a day in each queue. Of "
        f"{wording.count(asked)} sent to review {wording.count(reviewed)} were reviewed and {wording.count(late)} "
        f"given up on; at most {wording.count(most)} waited after a day."
    )


def _pictures(i: int, found: WaitingSummary, queue: QueueSummary) -> tuple[Trend, Trend]:
    name = wording.clip(queue.strategy, 40)
    counts = tuple(_line(values) for values in (queue.asked, queue.reviewed, queue.late, queue.waiting))
    waits = tuple(_line(values) for values in (queue.mean, queue.ninth))
    return (
        _trend(f"queue-{i}", "creatives", f"Review queue of {name}, by day", found.starts, _COUNTS, counts),
        _trend(f"wait-{i}", "days", f"Waiting time under {name}, by day of submission", found.starts, _WAITS, waits),
    )


def _trend(
    key: str,
    title: str,
    caption: str,
    starts: tuple[str, ...],
    drawn: tuple[tuple[str, Look], ...],
    lines: tuple[tuple[Number, ...], ...],
) -> Trend:
    names, looks = zip(*drawn, strict=True)
    return Trend(key, title, caption, starts, names, looks, lines, unit="number")


def _line(values: Sequence[float | None]) -> tuple[Number, ...]:
    key = Key("", "", "creatives", "creatives", "machine")
    return tuple(Number(key, None if value is None else float(value), value, value) for value in values)


def _grid(found: WaitingSummary, queue: QueueSummary) -> Grid:
    columns = (queue.asked, queue.reviewed, queue.late, queue.waiting, queue.mean, queue.ninth)
    rows = tuple(
        (Cell(start), *(Cell(wording.count(value), tone="number") for value in values))
        for start, *values in zip(found.starts, *columns, strict=True)
    )
    head = ("Day", *(name for name, _ in _COUNTS), "mean wait, days", "nine tenths up to, days")
    return Grid(wording.clip(queue.strategy), head, (Group("", rows),))
