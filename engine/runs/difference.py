"""`backtest diff`: what changed from one run to another: config, data, models, numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.report import wording
from engine.report.cells import written
from engine.report.columns import columns
from engine.report.lookup import Number
from engine.runs.changes import ABSENT, Change, changes, value_words
from engine.runs.numbers import Known, Moved, NumberChanges, Value, compare_numbers
from engine.runs.record import RunRecord, read_record

_SHOWN = 20  # lines of each kind on a terminal; --json has all
_COUNTS = ("contents", "scored_now", "scored_twice")  # of the work, not of the data


@dataclass(frozen=True)
class Difference:
    """How two runs differ.

    made_by : engine, packages, host. data : files and their rows, counts, fingerprints of inputs. models : identities.
    """

    was: RunRecord
    now: RunRecord
    made_by: tuple[Change, ...]
    config: tuple[Change, ...]
    data: tuple[Change, ...]
    models: tuple[Change, ...]
    numbers: NumberChanges

    @property
    def groups(self) -> Mapping[str, tuple[Change, ...]]:
        """The changes that are no numbers, by what they are changes of."""
        return {"config": self.config, "data": self.data, "models": self.models, "made by": self.made_by}

    def as_plain(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        sides = {"was": self.was, "now": self.now}
        numbers = self.numbers
        return {
            **{side: {"run": str(run.path), "state": run.state} for side, run in sides.items()},
            **{name.replace(" ", "_"): [each.as_plain() for each in found] for name, found in self.groups.items()},
            "numbers": {
                "equal": numbers.equal,
                "moved": [number.as_plain() for number in numbers.moved],
                "appeared": [number.as_plain() for number in numbers.appeared],
                "vanished": [number.as_plain() for number in numbers.vanished],
            },
        }


def diff_runs(was: Path, now: Path) -> Difference:
    """Read two run directories and say what changed from the first to the second.

    Raises
    ------
    DataError : one of them holds no run, or files that are not those of its run.
    """
    old, new = read_record(was), read_record(now)
    return Difference(
        old,
        new,
        made_by=changes(_made_by(old), _made_by(new)),
        config=changes(old.config, new.config),
        data=changes(_data(old), _data(new)),
        models=changes(_models(old), _models(new)),
        numbers=compare_numbers(old.estimates(), new.estimates()),
    )


def difference_text(found: Difference) -> str:
    """Return what `backtest diff` prints."""
    lines = [f"{_name(found.was)} → {_name(found.now)}"]
    for title, group in found.groups.items():
        lines += ["", f"{title}: {_how_many(len(group))}", *_cut([_change(each) for each in group])]
    return "\n".join([*lines, "", *_numbers(found.numbers)])


def _made_by(run: RunRecord) -> dict[str, Any]:
    return {name: run.manifest.get(name) for name in ("engine", "versions", "host")}


def _data(run: RunRecord) -> dict[str, Any]:
    counts = {name: count for name, count in run.manifest.get("counts", {}).items() if name not in _COUNTS}
    return {
        "files": run.manifest.get("files_read"),
        "counts": counts,
        "labels": run.summary.get("labels", {}),
        "fingerprints": {k: v for k, v in run.manifest.get("inputs", {}).items() if not k.startswith("models.")},
    }


def _models(run: RunRecord) -> dict[str, Any]:
    """Return the identity of every model, and how many contents it scored."""
    contents = run.manifest.get("counts", {}).get("contents", {})
    models = run.manifest.get("models", {})
    return {name: {"fingerprint": value, "contents": contents.get(name)} for name, value in models.items()}


def _name(run: RunRecord) -> str:
    return f"{wording.plain(str(run.path))} ({wording.plain(run.state)})"


def _how_many(count: int) -> str:
    return "as before" if count == 0 else f"{count:,} changed"


def _cut(lines: Sequence[str]) -> list[str]:
    """Keep the first lines and say how many more there are."""
    return [*lines[:_SHOWN], *_more(len(lines))]


def _more(count: int) -> list[str]:
    return [f"  … and {count - _SHOWN:,} more (--json has all)"] if count > _SHOWN else []


def _change(change: Change) -> str:
    was, now = (wording.plain(value_words(value)) for value in (change.was, change.now))
    if change.was is ABSENT:
        return f"  + {wording.plain(change.key)}: {now}"
    if change.now is ABSENT:
        return f"  - {wording.plain(change.key)}: {was}"
    return f"  {wording.plain(change.key)}: {was} → {now}"


def _numbers(found: NumberChanges) -> list[str]:
    """Write the numbers that moved, and those that only one run knows."""
    outside = sum(number.apart > 0 for number in found.moved)
    lines = [
        f"numbers: {found.equal:,} as before, {len(found.moved):,} moved ({outside:,} of them so far that each run's "
        f"lies outside of the other's interval), {len(found.appeared):,} appeared, {len(found.vanished):,} vanished"
    ]
    whole = [number for number in found.moved if number.key.segment_by == "all"]
    parts = [number for number in found.moved if number.key.segment_by != "all"]
    for title, moved in (("over all creatives", whole), ("in segments", parts)):
        head = (title, "of", "was", "now", "apart")
        table = columns(head, [_moved(number) for number in moved[:_SHOWN]])
        lines += ["", *table, *_more(len(moved))] if moved else []
    for title, known in (("appeared", found.appeared), ("vanished", found.vanished)):
        lines += ["", f"{title}:", *_cut([_known(number) for number in known])] if known else []
    return lines


def _moved(number: Moved) -> list[str]:
    far = (
        "an exact total" if number.apart == float("inf") else f"{number.apart:.2f} half widths" if number.apart else ""
    )
    return [*_subject(number), _written(number, number.was), _written(number, number.now), far]


def _known(number: Known) -> str:
    subject = " · ".join(_subject(number))
    reason = f" (null otherwise: {wording.plain(wording.clip(number.reason, 120))})" if number.reason else ""
    return f"  {subject}: {_written(number, number.value)}{reason}"


def _subject(number: Moved | Known) -> tuple[str, str]:
    """Name a number: what it is, and of what."""
    key = number.key
    pair = key.strategy if key.baseline is None else f"{key.strategy} − {key.baseline}"
    segment = key.segment if key.segment_by == "all" else f"{key.segment_by} {key.segment}"
    scope = " · ".join((key.policy, segment, key.weighting, key.reading, key.inference))
    return (
        f"{key.metric} of {wording.plain(wording.clip(pair, 50))}",
        wording.plain(wording.clip(scope, 80)),
    )


def _written(number: Moved | Known, value: Value) -> str:
    whole = Number(number.key, value.estimate, value.low, value.high)
    return " ".join(filter(None, written(whole)[:2]))
