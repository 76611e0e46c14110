"""The frontier: what was tried, by leakage, overkill and review load, and limits that a reader moves.

With a sweep it shows the settings of search.parquet, else the strategies of the run. The script of the page answers
moved limits as the engine's own search would: the least leakage, of equal ones the least overkill, then the least
review load, then what was tried first.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from decimal import ROUND_CEILING, Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from engine.records import LOGGED
from engine.report import wording
from engine.report.cells import look_of
from engine.report.lookup import Key, Number
from engine.report.page import Cloud, Frontier, Limit, Marked, Section
from engine.report.run_summary import FRONTIER, RunSummary, SearchSummary

MOST_IN_FULL = 3000  # points; of more, the front and what was picked alone have intervals on the page
_STEPS = 200  # a limit has at least so many steps
_Written = tuple[str, str, str]  # the numbers of FRONTIER as search.parquet writes them


def frontier(run: RunSummary, search: pa.Table | None) -> Section | None:
    """Show what was tried; None where fewer than two points have all three numbers."""
    written = _written(run.search)
    if search is not None and run.search is not None and written is not None:
        key = Key("", run.search.policy, "", run.search.weighting, run.search.reading)
        weightings = tuple(name.partition(".")[2] for name in written)
        cloud, tried = settings_cloud(search, written), run.search.tried
        what, subject = "setting", run.search.strategy
    else:
        key, weightings = Key("", run.policy, "", run.weightings[0], _reading(run)), ("",) * 3
        cloud, tried = _strategies_cloud(run, key)
        what, subject = "strategy", ""
    marked = tuple(_marked(run, name, key, weightings) for name in run.names)
    marked = tuple(m for m in marked if None not in (m.leakage.estimate, m.overkill.estimate, m.review.estimate))
    if len(cloud.leakage) + (len(marked) if subject else 0) < 2 or not cloud.leakage:
        return None
    base = next((m for m in marked if m.name == run.baseline), None)
    review = _limit(cloud.review, base.review.estimate if base else None)
    overkill = _limit(cloud.overkill, base.overkill.estimate if base else None)
    caption = _caption(run, key, cloud, tried, what, subject)
    names = written if subject and written else FRONTIER
    formulas = tuple((name, run.formulas.get(metric, "")) for name, metric in zip(names, FRONTIER, strict=True))
    name = base.name if base else None
    block = Frontier("frontier", caption, what, subject, cloud, marked, name, review, overkill, formulas)
    return Section("frontier", "The frontier", (block,))


def settings_cloud(search: pa.Table, written: _Written) -> Cloud:
    """Return the settings of a sweep that have all three numbers, in the order in which they were tried.

    search : schema.SEARCH.
    """
    rows = [search.filter(pc.equal(search["number"], name)) for name in written]
    values = [[_share(v) for v in part["estimate"].to_pylist()] for part in rows]
    kept = [i for i, point in enumerate(zip(*values, strict=True)) if None not in point]
    flags = zip(rows[0]["on_front"].to_pylist(), rows[0]["picked"].to_pylist(), strict=True)
    full = [len(kept) <= MOST_IN_FULL or on or picked is not None for on, picked in flags]
    ends = [list(zip(part["low"].to_pylist(), part["high"].to_pylist(), strict=True)) for part in rows]
    chosen = [json.loads(text) for text in rows[0]["setting"].take(pa.array(kept, pa.int64())).to_pylist()]
    leakage, overkill, review = (tuple(value for i in kept if (value := part[i]) is not None) for part in values)
    return Cloud(
        leakage,
        overkill,
        review,
        names=(),
        parameters={name: tuple(_value(each[name]) for each in chosen) for name in (chosen[0] if chosen else ())},
        ranges={k: tuple(_range(*part[i]) for part in ends) for k, i in enumerate(kept) if full[i]},
    )


def frontier_data(block: Frontier) -> dict[str, Any]:
    """Return what the script of the page reads, as plain values with clean text."""
    cloud = block.cloud
    words = [_distinct(values) for values in cloud.parameters.values()]
    return {
        "what": block.what,
        "subject": wording.plain(wording.clip(block.subject)),
        "baseline": None if block.baseline is None else _name(block.baseline),
        "leakage": cloud.leakage,
        "overkill": cloud.overkill,
        "review": cloud.review,
        "names": [_name(name) for name in cloud.names],
        "parameters": [
            {"name": _name(name), "words": [wording.plain(word) for word in found], "at": at}
            for name, (found, at) in zip(cloud.parameters, words, strict=True)
        ],
        "full": list(cloud.ranges),
        "ranges": list(cloud.ranges.values()),
        "marked": [_marked_data(each) for each in block.marked],
    }


def staircase(cloud: Cloud) -> list[int]:
    """Return the points that no other one beats in leakage and overkill, by rising overkill."""
    order = sorted(range(len(cloud.leakage)), key=lambda i: (cloud.overkill[i], cloud.leakage[i], cloud.review[i], i))
    steps: list[int] = []
    for i in order:
        if not steps or cloud.leakage[i] < cloud.leakage[steps[-1]]:
            steps.append(i)
    return steps


def _written(found: SearchSummary | None) -> _Written | None:
    """Return how the sweep writes leakage, overkill and review load; None where it lacks one."""
    if found is None:
        return None
    names = [next((n for n in found.numbers if n.partition(".")[0] == metric), None) for metric in FRONTIER]
    leakage, overkill, review = names
    return None if leakage is None or overkill is None or review is None else (leakage, overkill, review)


def _reading(run: RunSummary) -> str:
    """After review, unless a strategy has numbers of the machine alone."""
    for name in run.names:
        numbers = [[run.number(name, metric, reading=r) for metric in FRONTIER] for r in wording.READINGS]
        alone, reviewed = (all(n.estimate is not None for n in each) for each in numbers)
        if alone and not reviewed and name != LOGGED:
            return "machine"
    return "after_review"


def _strategies_cloud(run: RunSummary, key: Key) -> tuple[Cloud, int]:
    """Return every strategy that has the three numbers, not those that a page shows alone, and how many there are."""
    names = dict.fromkeys([*(s.name for s in run.strategies), *(number.key.strategy for number in run.headline)])
    found: list[tuple[str, list[Number]]] = []
    for name in names:
        numbers = [run.headline.get(_key(key, name, metric, "")) for metric in FRONTIER]
        if all(number.estimate is not None for number in numbers):
            found.append((name, numbers))
    leakage, overkill, review = (tuple(each[k].estimate or 0.0 for _, each in found) for k in range(3))
    ranges = {i: tuple((n.low, n.high) for n in numbers) for i, (_, numbers) in enumerate(found)}
    return Cloud(leakage, overkill, review, tuple(name for name, _ in found), {}, ranges), len(names)


def _marked(run: RunSummary, name: str, key: Key, weightings: tuple[str, ...]) -> Marked:
    numbers = (
        replace(run.headline.get(_key(key, name, metric, weighting)), truth=None)  # the first screen shows it
        for metric, weighting in zip(FRONTIER, weightings, strict=True)
    )
    return Marked(name, look_of(run, name), *numbers)


def _key(key: Key, name: str, metric: str, weighting: str) -> Key:
    return Key(name, key.policy, metric, weighting or key.weighting, key.reading)


def _limit(shares: tuple[float, ...], base: float | None) -> Limit:
    """Start where the baseline stands, else at the end, where everything is allowed; both rounded up to a step."""
    most = 100 * Decimal(max(*shares, base or 0.0, 0.0))
    places = max(-(most / _STEPS).adjusted(), 0) if most else 1
    step = Decimal(1).scaleb(-places)
    end = (most or step).quantize(step, ROUND_CEILING)
    start = end if base is None else (100 * Decimal(base)).quantize(step, ROUND_CEILING)
    return Limit(f"{start:f}", f"{end:f}", f"{step:f}")


def _caption(run: RunSummary, key: Key, cloud: Cloud, tried: int, what: str, subject: str) -> str:
    several = "settings" if what == "setting" else "strategies"
    whose = f" of {wording.clip(subject)}" if subject else ""
    said = (
        f"Each dot is one of {wording.count(len(cloud.leakage))} {several}{whose}: policy {wording.clip(key.policy)}, "
        f"weighted by {key.weighting}, {wording.READINGS.get(key.reading, key.reading)}. Lower leaks less, further "
        "left refuses less that is compliant, larger sends more to review. The line joins those that no other one "
        f"beats in leakage and overkill. Named strategies have {100 * run.confidence:g} % intervals."
    )
    if tried > len(cloud.leakage):
        said += f" {wording.count(tried - len(cloud.leakage))} more lack one of the numbers."
    return said


def _marked_data(marked: Marked) -> dict[str, Any]:
    numbers = (marked.leakage, marked.overkill, marked.review)
    shares = dict(zip(("leakage", "overkill", "review"), (n.estimate for n in numbers), strict=True))
    return {"name": _name(marked.name), **shares, "range": [_range(n.low, n.high) for n in numbers]}


def _distinct(values: tuple[str, ...]) -> tuple[list[str], list[int]]:
    found: dict[str, int] = {}
    at = [found.setdefault(value, len(found)) for value in values]
    return list(found), at


def _range(low: float | None, high: float | None) -> tuple[float | None, float | None]:
    return _share(low), _share(high)


def _share(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _name(text: str) -> str:
    return wording.plain(wording.clip(text))


def _value(value: float | str) -> str:
    return wording.clip(value, 40) if isinstance(value, str) else f"{value:.6g}"
