"""`backtest list`: the runs of a folder, newest first, with their headline numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.errors import DataError
from engine.report import wording
from engine.report.cells import written
from engine.report.columns import columns
from engine.report.lookup import Number
from engine.report.run_summary import RunSummary
from engine.runs.record import RunRecord, read_record

_METRICS = ("leakage_rate", "overkill_rate", "review_rate")
_NAME = 40  # columns of a run's name


@dataclass(frozen=True)
class Listed:
    """A run in a list.

    began, ended : ISO moments, None where unknown. verdict : what its gates concluded, None where it has none.
    headline : by strategy, the compared pair first, the numbers of the first screen. fault : why there are none.
    """

    name: str
    state: str
    began: str | None
    ended: str | None
    verdict: str | None
    baseline: str | None
    candidate: str | None
    policy: str | None
    headline: Mapping[str, Sequence[Number]]
    fault: str = ""

    @property
    def shown(self) -> str | None:
        """The strategy whose numbers stand in the table: the candidate, or the first."""
        return self.candidate or next(iter(self.headline), None)

    def as_plain(self) -> dict[str, Any]:
        """Return what `--json` prints of the run."""
        numbers = {name: {n.key.metric: _plain(n) for n in found} for name, found in self.headline.items()}
        return {
            "run": self.name,
            "state": self.state,
            "began": self.began,
            "ended": self.ended,
            "verdict": self.verdict,
            "baseline": self.baseline,
            "candidate": self.candidate,
            "policy": self.policy,
            "strategies": numbers,
            "fault": self.fault or None,
        }


def list_runs(folder: Path) -> tuple[Listed, ...]:
    """Return the runs of a folder, the one that began last first.

    A run that cannot be read is listed with its fault. Raises DataError where the folder is not there.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: is no folder of runs")
    found = [_listed(path) for path in sorted(folder.iterdir()) if (path / "manifest.json").is_file()]
    return tuple(sorted(found, key=lambda run: run.began or "", reverse=True))


def listing_text(runs: Sequence[Listed], folder: Path) -> str:
    """Return what `backtest list` prints: one line a run, then what could not be read."""
    if not runs:
        return f"{wording.plain(str(folder))}: holds no run"
    head = ("run", "began (UTC)", "state", "verdict", "strategies", "of", *_METRICS)
    lines = columns(head, [_row(run) for run in runs])
    faults = [f"  {wording.plain(run.name)}: {wording.plain(run.fault)}" for run in runs if run.fault]
    return "\n".join([*lines, *(["", *faults] if faults else [])])


def _listed(path: Path) -> Listed:
    try:
        record = read_record(path)
    except DataError as error:
        return Listed(path.name, "unreadable", None, None, None, None, None, None, {}, error.faults[0])
    began, ended = (_moment(record.manifest.get(name)) for name in ("started", "finished"))
    empty = Listed(record.name, record.state, began, ended, None, None, None, None, {})
    try:
        return _with_numbers(empty, record)
    except DataError as error:
        return replace(empty, fault=error.faults[0])


def _with_numbers(empty: Listed, record: RunRecord) -> Listed:
    run = record.headline
    if run is None:
        return empty
    numbers = {name: tuple(run.number(name, metric) for metric in _METRICS) for name in _names(run)}
    return replace(
        empty,
        verdict=run.verdict.verdict if run.verdict else None,
        baseline=run.baseline,
        candidate=run.candidate,
        policy=run.policy,
        headline=numbers,
    )


def _names(run: RunSummary) -> list[str]:
    """Return all strategies of the run, the compared pair first."""
    return list(dict.fromkeys([*run.names, *(strategy.name for strategy in run.strategies)]))


def _moment(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _row(run: Listed) -> list[str]:
    numbers = run.headline.get(run.shown or "", ())
    cells = [" ".join(filter(None, written(number)[:2])) for number in numbers] or [wording.DASH] * len(_METRICS)
    return [
        wording.plain(wording.clip(run.name, _NAME)),
        (run.began or wording.DASH)[:16].replace("T", " "),
        wording.plain(run.state),
        wording.plain(wording.clip(run.verdict or wording.DASH, _NAME)),
        str(len(run.headline)) if run.headline else wording.DASH,
        wording.plain(wording.clip(run.shown or wording.DASH, 24)),
        *cells,
    ]


def _plain(number: Number) -> dict[str, Any]:
    values = {"estimate": number.estimate, "low": number.low, "high": number.high}
    return values | {"null_reason": number.null_reason}
