"""A run of strategies that remember: every outcome is that of the slow twin, however it is cut and wherever it runs."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from lake import config_tree
from state_twin import Twin, TwinEvent, TwinMemory

from engine.config.loading import check_config
from engine.pipeline import run
from engine.progress import Progress
from engine.report.plots import draw
from engine.report.run_summary import read_summary
from engine.report.waiting_chapter import waiting
from engine.stages import units

HOUR, DAY = 3_600_000_000, 86_400_000_000
RULES = [{"when": "old.scam >= 0.8", "then": "reject"}, {"when": "old.scam >= 0.4", "then": "review"}]
REVIEW = {"sensitivity": 0.9, "specificity": 0.95, "wait": "6h"}
CAPACITY = {"per_day": 2, "queue": ["region"], "order": "score", "by": "old.scam", "max_wait": 2, "overflow": "reject"}
STRATEGIES = {
    "plain": {"rules": RULES, "otherwise": "approve", "review": REVIEW},
    "endless": {"like": "plain", "review": REVIEW | {"capacity": {"per_day": None}}},
    "remembers": {
        "like": "plain",
        "review": REVIEW | {"capacity": CAPACITY, "outcome": "logged"},
        "strikes": {"count": 2, "within": 3, "for": 4, "rules": [{"when": "old.scam >= 0.3", "then": "reject"}],
                    "otherwise": "limit 0.5"},
        "copies": {"within": 5},
    },
}  # fmt: skip


def tree(lake: Path, runs: Path, **changes: Any) -> dict[str, Any]:
    scores = {"old": {"creatives": {"scam": "old_score"}}}
    text = {"columns": config_tree(lake, runs)["creatives"]["columns"] | {"text": ["body"]}}
    creatives = config_tree(lake, runs)["creatives"] | text
    plain = {
        "scores": scores,
        "strategies": STRATEGIES,
        "creatives": creatives,
        "exposure": {"refused": "segment_median", "life": "14d"},
    }
    compare = {"baseline": "plain", "candidate": "remembers"}
    report = {"html": False, "truth": str(lake / "truth.parquet")}
    return config_tree(lake, runs, **({"run": "stateful", "compare": compare, "report": report} | plain | changes))


def execute(written: dict[str, Any]) -> Path:
    return run(check_config(written, "test"), Progress()).directory


@pytest.fixture(scope="module")
def finished(lake, tmp_path_factory) -> Path:
    return execute(tree(lake, tmp_path_factory.mktemp("runs")))


def twin_outcomes(lake: Path, config) -> dict[str, tuple[str, bool, int | None, int]]:
    """Walk the lake by hand."""
    rows = []
    for path in sorted((lake / "creatives").glob("*.parquet")):
        rows += pq.read_table(path).to_pylist()
    since, until = (round(moment.timestamp() * 1e6) for moment in (config.period.warm_up_from, config.period.until))
    start = round(config.period.from_.timestamp() * 1e6)
    reviewed = {
        row["creative_id"]: round(row["known_at"].timestamp() * 1e6)
        for row in pq.read_table(lake / "labels.parquet").to_pylist()
        if row["source"] == "review" and row["label"] == "VIOLATING"
    }
    events, names, counted = [], [], []
    regions = sorted({row["region"] for row in rows})
    for row in sorted(rows, key=lambda row: (row["submitted_at"], row["creative_id"])):
        at = round(row["submitted_at"].timestamp() * 1e6)
        if not since <= at < until:
            continue
        score = row["old_score"]
        normal = "REJECT" if score >= 0.8 else "REVIEW" if score >= 0.4 else "APPROVE"
        name = row["creative_id"]
        event = TwinEvent(at, at // DAY - since // DAY, int(row["advertiser_id"][1:]), hash(row["body"]), (normal, 0))
        event.struck = ("REJECT" if score >= 0.3 else "LIMIT", 0)
        event.queue, event.priority = regions.index(row["region"]), float(score)
        event.rejects, event.known = name in reviewed, reviewed.get(name, 0)
        events.append(event)
        names.append(name)
        counted.append(at >= start)
    memory = TwinMemory(
        copies_within=5 * DAY, strikes=(2, 3 * DAY, 4 * DAY), capacity=True, per_day=2, best_first=True, max_wait=2,
        overflow="REJECT", humans_move=True,
    )  # fmt: skip
    ends = [(since // DAY + day + 1) * DAY for day in range((until - since) // DAY + 1)]
    out = Twin(events, ends, until, memory).run()
    return {name: what for name, what, inside in zip(names, out, counted, strict=True) if inside}


def test_every_outcome_of_a_run_is_that_of_the_slow_twin(finished, lake, tmp_path):
    config = check_config(tree(lake, tmp_path), "test")
    expected = twin_outcomes(lake, config)
    kept = pq.ParquetDataset(sorted((finished / "cells").glob("kept-*.parquet"))).read()
    assert sorted(kept["creative_id"].to_pylist()) == sorted(expected)
    summary = json.loads((finished / "summary.json").read_text())
    (rules,) = [each["rules"] for each in summary["strategies"] if each["name"] == "remembers"]
    found = {rule["rule"]: rule["creatives"] for rule in rules}
    counts: dict[str, int] = {}
    for route, struck, policy, days in expected.values():
        name = words(route, struck, policy, days)
        counts[name] = counts.get(name, 0) + 1
    whole = sum(n for name, n in counts.items() if name.startswith("rule 2, "))
    assert {name: n for name, n in found.items() if n} == counts | {"rule 2: REVIEW": whole}
    assert len(counts) >= 7, "the lake meets every feature"


def test_queues_by_day_are_those_of_the_slow_twin(finished, lake, tmp_path):
    expected = twin_outcomes(lake, check_config(tree(lake, tmp_path), "test"))
    day_of = {}
    for path in sorted((lake / "creatives").glob("*.parquet")):
        table = pq.read_table(path, columns=["creative_id", "submitted_at"])
        for name, at in zip(*(table[each].to_pylist() for each in table.column_names), strict=True):
            day_of[name] = (at.date() - date(2026, 1, 3)).days
    days = 22
    sent = [(day_of[name], route, wait) for name, (route, _, _, wait) in expected.items()]
    sent = [each for each in sent if each[1] in ("REVIEWED", "OVERFLOW", "PENDING")]
    found = json.loads((finished / "summary.json").read_text())["waiting"]
    assert found["starts"] == [f"2026-01-{day:02d}" for day in range(3, 25)]
    (mine,) = found["strategies"]
    assert (mine["strategy"], mine["per_day"]) == ("remembers", 2), "a capacity without limit has no queue"
    for day in range(days):
        here = [each for each in sent if each[0] == day]
        ended = [route for begun, route, wait in sent if route != "PENDING" and begun + wait == day]
        assert mine["asked"][day] == len(here)
        assert (mine["reviewed"][day], mine["late"][day]) == (ended.count("REVIEWED"), ended.count("OVERFLOW"))
        over = [begun + wait if route != "PENDING" else days for begun, route, wait in sent if begun <= day]
        assert mine["waiting"][day] == sum(end > day for end in over)
        waits = sorted(wait for _, route, wait in here if route != "PENDING")
        assert mine["mean"][day] == (pytest.approx(sum(waits) / len(waits), abs=1e-6) if waits else None)
        assert mine["ninth"][day] == (waits[-(-9 * len(waits) // 10) - 1] if waits else None)
    assert max(mine["waiting"]) > 0
    assert {wait for wait in mine["ninth"] if wait is not None} - {0}


def words(route: str, struck: bool, policy: int | None, days: int) -> str:
    later = "reviewed on the same day" if days == 0 else f"reviewed {days} day{'s' if days > 1 else ''} later"
    if route == "COPY":
        return f"copy of a rejected content{', scam' if policy == 0 else ''}: REJECT"
    if struck:
        return "struck rule 1: REJECT" if route == "REJECT" else "struck otherwise: LIMIT 0.5"
    return {
        "REJECT": "rule 1: REJECT",
        "APPROVE": "otherwise: APPROVE",
        "REVIEWED": f"rule 2, {later}: REVIEW",
        "OVERFLOW": "rule 2, not reviewed in time: REVIEW, then REJECT",
        "PENDING": "rule 2, still waiting: REVIEW, then PENDING",
    }[route]


def test_endless_capacity_changes_nothing(finished):
    rows = pq.read_table(finished / "estimates.parquet").to_pylist()
    by_strategy: dict[str, dict[tuple, Any]] = {"plain": {}, "endless": {}}
    for row in rows:
        if row["strategy"] in by_strategy and row["baseline"] is None:
            key = tuple(row[k] for k in ("policy", "segment", "weighting", "reading", "metric", "inference"))
            by_strategy[row["strategy"]][key] = (row["estimate"], row["low"], row["high"], row["null_reason"])
    assert len(by_strategy["plain"]) > 100
    assert by_strategy["plain"] == by_strategy["endless"]


@pytest.mark.parametrize("shard_rows", [1000, 37])
def test_shards_do_not_matter(finished, lake, tmp_path, shard_rows):
    again = execute(tree(lake, tmp_path, limits={"shard_rows": shard_rows}))
    assert (again / "estimates.parquet").read_bytes() == (finished / "estimates.parquet").read_bytes()


def test_parts_that_nothing_joins_do_not_matter(lake, tmp_path, monkeypatch):
    strategies = {
        "plain": STRATEGIES["plain"],
        "strikes": {"like": "plain", "strikes": {"count": 2, "within": 9, "for": 9, "then": "reject"}},
        "copies": {"like": "plain", "copies": {"within": 5}},
        "queues": {"like": "plain", "review": REVIEW | {"capacity": CAPACITY}},
    }
    compare = {"baseline": "strikes", "candidate": "queues"}
    whole = execute(tree(lake, tmp_path, run="whole", strategies=strategies, compare=compare))
    monkeypatch.setattr(units, "MOST", 100)
    parts = execute(tree(lake, tmp_path, run="parts", strategies=strategies, compare=compare))
    count = {each: len(list((each / "cells" / "remembered").glob("shard-*.parquet"))) for each in (whole, parts)}
    assert count[whole] == 4, "three strategies and a pair"
    assert count[parts] > 8
    assert (parts / "estimates.parquet").read_bytes() == (whole / "estimates.parquet").read_bytes()


@pytest.mark.cluster
@pytest.mark.usefixtures("ray_cluster")
def test_a_cluster_does_not_matter(finished, lake, tmp_path):
    again = execute(tree(lake, tmp_path, execute={"where": "ray", "workers": 2}))
    assert (again / "estimates.parquet").read_bytes() == (finished / "estimates.parquet").read_bytes()


def test_totals_equal_the_sum_of_outcomes_and_truth_lies_in_the_interval(finished):
    rows = pq.read_table(finished / "estimates.parquet").to_pylist()
    shares = {
        row["metric"]: row["estimate"]
        for row in rows
        if (row["strategy"], row["segment_by"], row["weighting"], row["reading"], row["inference"])
        == ("remembers", "all", "creatives", "machine", "history")
        and row["baseline"] is None
    }
    assert 0 < shares["review_rate"] < shares["reject_rate"] < 1
    assert shares["review_rate"] + shares["automation_rate"] == pytest.approx(1)


def test_the_page_shows_queues_and_a_run_without_any_does_not(finished):
    summary = json.loads((finished / "summary.json").read_text())
    section = waiting(read_summary(summary | {"run": "r"}))
    assert section is not None
    _, words, gallery, tables = section.blocks
    assert words.text.startswith("remembers: 2 reviews a day in each queue. Of ")
    assert all(draw(picture) for picture in gallery.pictures)
    assert len(tables.blocks[0].groups[0].rows) == 22
    assert waiting(read_summary(summary | {"run": "r", "waiting": None})) is None
