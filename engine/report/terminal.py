"""The few lines that `backtest run` and `backtest compare` print at their end: fixed width, no colour.

Limits: a name is cut at 24 columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from engine.report import wording
from engine.report.cells import written
from engine.report.columns import columns
from engine.report.confirm_chapter import sweep_lines
from engine.report.gates import gate_lines
from engine.report.lookup import Key, Number, Numbers
from engine.report.run_summary import Naive, RunSummary, Swap, read_summary
from engine.report.versus_chapter import versus_lines

_COLUMNS = ("leakage_rate", "overkill_rate", "review_rate")


def headline_table(summary: Mapping[str, Any]) -> str:
    """Return the headline numbers of every policy, machine alone and by creatives, the naive count, and a sweep's.

    A null number is a dash; its reason stands below the table. Raises KeyError where the summary lacks a key.
    """
    run = read_summary(summary)
    parts = ["\n".join(gate_lines(run.verdict))] if run.verdict else []
    parts += [_headline(run, policy) for policy in run.every_policy]
    swept = sweep_lines(run)
    return "\n\n".join([*parts, *(["\n".join(swept)] if swept else [])]) + "\n"


def paired_table(summary: Mapping[str, Any]) -> str:
    """Return the verdict, candidate − baseline for the policy of the first screen, and the swap matrix by creatives.

    Says so where the run compares nothing. Raises KeyError where the summary lacks a key.
    """
    run = read_summary(summary)
    if run.candidate is None or run.baseline is None:
        return "nothing is compared: the config has no section `compare`\n"
    pair = f"{_short(run.candidate)} − {_short(run.baseline)}"
    scope = f"{pair} · policy {_short(run.policy)} · by {run.weightings[0]} · {_level(run)}"
    beside = versus_lines(run)
    asked = [n for n in run.paired if _scope(n.key) == (run.policy, run.weightings[0], "history")]
    said = gate_lines(run.verdict) if run.verdict else ["no verdict: the config has no gates"]
    lines = [
        *said,
        *([""] if beside else []),
        *map(wording.plain, beside),
        "",
        scope,
        "",
        *_differences(run.paired, asked),
    ]
    if run.swap is not None:
        lines += ["", *_swap(run.swap, run.baseline, run.candidate)]
    return "\n".join(lines) + "\n"


def _headline(run: RunSummary, policy: str) -> str:
    weighting = run.weightings[0]
    rows, reasons = [], dict[str, None]()
    for name in run.names:
        numbers = [run.headline.get(Key(name, policy, metric, weighting, "machine")) for metric in _COLUMNS]
        rows.append([_short(name), *(part for number in numbers for part in _parts(number))])
        reasons |= dict.fromkeys(_reason(n) for n in numbers if written(n)[0] == wording.DASH)
        reasons |= dict.fromkeys(
            f"{n.key.metric} of {_short(name)}: {wording.plain(n.warning)}" for n in numbers if n.warning
        )
    head = ["strategy", *(part for metric in _COLUMNS for part in (metric, "truth"))]
    title = f"policy {_short(policy)} · by {weighting} · machine alone · this history · {_level(run)}"
    return "\n".join([title, "", *columns(head, rows), *_indented(reasons), "", *_naive(run, policy)])


def _differences(numbers: Numbers, asked: Sequence[Number]) -> list[str]:
    rows, reasons = [], dict[str, None]()
    for n in asked:
        future = numbers.get(replace(n.key, inference="future"))
        reading = wording.READINGS.get(n.key.reading, n.key.reading)
        rows.append([n.key.metric, reading, *_parts(n), _parts(future)[0], wording.count(n.effective_events)])
        reasons |= dict.fromkeys([_reason(n)] if written(n)[0] == wording.DASH else [])
        reasons |= dict.fromkeys([f"{n.key.metric}: {wording.plain(n.warning)}"] if n.warning else [])
    head = ["metric", "reading", "this history", "truth", "creatives like these", "events"]
    return [*columns(head, rows), *_indented(reasons)]


def _swap(swap: Swap, baseline: str, candidate: str) -> list[str]:
    matrix = swap.matrices.get("creatives", ())
    rows = [[name, *map(wording.count, row)] for name, row in zip(swap.decisions, matrix, strict=False)]
    title = f"creatives by decision: {_short(baseline)} (rows) × {_short(candidate)} (columns)"
    return [title, "", *columns(["", *swap.decisions], rows, right=True)]


def _parts(number: Number) -> tuple[str, str]:
    value, interval, truth = written(number)
    return f"{value} {interval}".rstrip(), truth


def _reason(number: Number) -> str:
    reason = wording.plain(number.null_reason or "no reason given")
    return f"{wording.DASH} {number.key.metric} of {_short(number.key.strategy)}: {reason}"


def _naive(run: RunSummary, policy: str) -> list[str]:
    """One line a strategy: what counting labelled rows would have said."""
    rows = [row for row in run.naive if row.policy == policy and row.strategy in run.names]
    said = {row.strategy: [_counted(other) for other in rows if other.strategy == row.strategy] for row in rows}
    return [f"naive count of labelled rows, {_short(name)}: {', '.join(parts)}" for name, parts in said.items()]


def _counted(row: Naive) -> str:
    number = Number(Key(row.strategy, row.policy, row.metric, "", ""), estimate=row.estimate)
    return f"{row.metric} {written(number)[0]} of {wording.count(row.labels)}"


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def _short(name: str) -> str:
    return wording.plain(wording.clip(name, 24))


def _scope(key: Key) -> tuple[str, str, str]:
    return key.policy, key.weighting, key.inference


def _level(run: RunSummary) -> str:
    return f"{100 * run.confidence:g} % intervals"
