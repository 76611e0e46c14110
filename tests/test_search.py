"""A sweep in a run: what it tries, what it picks, and that its numbers are those of a run of that strategy alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from lake import config_tree

from engine.config.loading import check_config
from engine.errors import UsageError
from engine.pipeline import run
from engine.progress import Progress
from engine.report.terminal import headline_table

RULES = [
    {"when": "old.scam >= $reject_at", "then": "reject"},
    {"when": "old.scam >= $review_at", "then": "review"},
]
SWEEP = {
    "strategy": "candidate",
    "parameters": {"review_at": {"from": 0.2, "to": 0.6, "steps": 5}, "reject_at": [0.7, 0.8, 0.9]},
    "minimise": "leakage_rate",
    "subject_to": "review_rate <= 0.35 and overkill_rate.impressions <= 0.2",
    "equal": {"to": "live", "at": ["overkill_rate", "review_rate"]},
}


def tree(lake: Path, runs: Path, **changes: Any) -> dict[str, Any]:
    review = {"sensitivity": 0.9, "specificity": 0.95}
    strategies = {
        "live": {
            "rules": [{"when": "old.scam >= 0.8", "then": "reject"}, {"when": "old.scam >= 0.5", "then": "review"}],
            "otherwise": "approve",
            "review": review,
        },
        "candidate": {"rules": RULES, "otherwise": "approve", "review": review},
    }
    plain = {"run": "sweep", "scores": {"old": {"creatives": {"scam": "old_score"}}}, "strategies": strategies}
    compare = {"baseline": "live", "candidate": "candidate best"}
    return config_tree(lake, runs, **(plain | {"sweep": SWEEP, "compare": compare} | changes))


def execute(written: dict[str, Any]) -> Path:
    return run(check_config(written, "test"), Progress()).directory


@pytest.fixture(scope="module")
def swept(lake, tmp_path_factory) -> Path:
    return execute(tree(lake, tmp_path_factory.mktemp("runs")))


def trials(directory: Path) -> dict[str, dict[str, Any]]:
    rows = pq.read_table(directory / "search.parquet").to_pylist()
    return {name: {r["number"]: r for r in rows if r["strategy"] == name} for name in {r["strategy"] for r in rows}}


def test_every_setting_of_the_grid_is_tried_once(swept):
    found = trials(swept)
    assert len(found) == 15
    assert "candidate review_at=0.3 reject_at=0.9" in found
    numbers = {"leakage_rate", "overkill_rate", "review_rate", "overkill_rate.impressions"}
    assert all(set(each) == numbers for each in found.values())


def test_a_setting_has_the_numbers_that_a_run_of_it_alone_has(swept, lake, tmp_path):
    rules = [{**rule, "when": rule["when"].replace("$review_at", "0.3").replace("$reject_at", "0.9")} for rule in RULES]
    strategies = tree(lake, tmp_path)["strategies"]
    strategies["candidate"]["rules"] = rules
    alone = execute(tree(lake, tmp_path, strategies=strategies, sweep=None, compare=None))
    full = {
        (e["metric"], e["weighting"]): e
        for e in pq.read_table(alone / "estimates.parquet").to_pylist()
        if (e["strategy"], e["reading"], e["inference"]) == ("candidate", "after_review", "history")
        and e["segment_by"] == "all"
    }
    for number, row in trials(swept)["candidate review_at=0.3 reject_at=0.9"].items():
        metric, _, weighting = number.partition(".")
        whole = full[metric, weighting or "creatives"]
        assert (row["estimate"], row["low"], row["high"]) == pytest.approx(
            (whole["estimate"], whole["low"], whole["high"]), rel=1e-9
        )  # of rows, or of their sums


def test_the_pick_is_the_best_of_plain_loops_and_joins_the_run(swept):
    found = trials(swept)

    def value(name: str, number: str) -> float:
        return found[name][number]["estimate"]

    fit = [
        name for name in found if value(name, "review_rate") <= 0.35 and value(name, "overkill_rate.impressions") <= 0.2
    ]
    assert 0 < len(fit) < len(found)
    summary = json.loads((swept / "summary.json").read_text())
    best, at_overkill, at_review = summary["search"]["picks"]
    picked = best["trial"]["points"]["leakage_rate"]["estimate"]
    assert picked == min(value(name, "leakage_rate") for name in fit)
    live = {
        row["metric"]: row["estimate"]
        for row in summary["headline"]
        if (row["strategy"], row["weighting"], row["reading"], row["inference"])
        == ("live", "creatives", "after_review", "history")
    }
    for pick, number in ((at_overkill, "overkill_rate"), (at_review, "review_rate")):
        fit = [name for name in found if value(name, number) <= live[number]]
        assert pick["name"] == f"candidate at live's {number}"
        assert pick["trial"]["points"]["leakage_rate"]["estimate"] == min(value(name, "leakage_rate") for name in fit)
    names = [strategy["name"] for strategy in summary["strategies"]]
    assert names == ["logged", "live", "candidate best", at_overkill["name"], at_review["name"]]
    assert {row["strategy"] for row in summary["paired"]} == {"candidate best"}


def test_the_front_is_not_beaten(swept):
    found = trials(swept)
    points = {
        name: [each[n]["estimate"] for n in ("leakage_rate", "overkill_rate", "review_rate")]
        for name, each in found.items()
    }
    for name, mine in points.items():
        beaten = any(
            all(a <= b for a, b in zip(theirs, mine, strict=True)) and theirs != mine for theirs in points.values()
        )
        if beaten:
            assert not found[name]["leakage_rate"]["on_front"]
    assert any(each["leakage_rate"]["on_front"] for each in found.values())


def test_the_same_sweep_gives_the_same_bytes_and_shards_do_not_matter(swept, lake, tmp_path):
    again = execute(tree(lake, tmp_path, limits={"shard_rows": 37}))
    assert (again / "search.parquet").read_bytes() == (swept / "search.parquet").read_bytes()


def test_the_page_tells_what_was_picked(swept):
    text = (swept / "report.md").read_text()
    assert "candidate best" in text
    assert "15 settings of candidate" in text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"minimise": "leakge_rate"}, 'did you mean "leakage_rate"'),
        ({"subject_to": "review_rate <="}, "sweep.subject_to"),
        ({"subject_to": "review_rat <= 0.1"}, 'did you mean "review_rate"'),
        ({"strategy": "candidat"}, 'did you mean "candidate"'),
        ({"equal": {"to": "lives", "at": ["review_rate"]}}, 'did you mean "live"'),
        ({"parameters": {"review_at": [0.5]}}, "reject_at"),
        ({"parameters": {"review_at": [0.5], "reject_at": [0.9], "other": [1.0]}}, "other"),
        ({"parameters": {n: {"from": 0, "to": 1, "steps": 200} for n in ("review_at", "reject_at")}}, "40,000"),
        ({"front": ["cost"]}, "needs the section `cost`"),
    ],
)
def test_faults_of_a_sweep_are_named(lake, tmp_path, change, said):
    with pytest.raises(UsageError, match=said.replace("(", r"\(")):
        check_config(tree(lake, tmp_path, sweep=SWEEP | change), "test")


def test_a_pick_that_nothing_keeps_to_cannot_be_compared_and_the_fault_says_so(lake, tmp_path):
    with pytest.raises(UsageError, match=r"compare\.candidate: the sweep found no candidate best"):
        execute(tree(lake, tmp_path, sweep=SWEEP | {"subject_to": "review_rate < 0", "equal": None}))


def test_a_sweep_of_a_strategy_that_remembers_runs_on_brought_scores(lake, tmp_path):
    written = tree(lake, tmp_path, sweep=SWEEP | {"subject_to": None})
    written["strategies"]["candidate"]["strikes"] = {"count": 2, "within": 5, "for": 5, "then": "reject"}
    summary = json.loads((execute(written) / "summary.json").read_text())
    (best,) = [each for each in summary["strategies"] if each["name"] == "candidate best"]
    assert any(rule["rule"] == "struck otherwise: REJECT" for rule in best["rules"])


def test_picked_strategies_are_billed_for_the_contents_that_they_read(lake, tiny_models, tmp_path):
    written = tree(lake, tmp_path, cost={"leaked": 1.0, "million_contents": 1e9})
    models = config_tree(lake, tmp_path, tiny_models)["models"]
    written["models"], written["scores"] = models, {}
    for strategy in written["strategies"].values():
        strategy["rules"] = [{**r, "when": r["when"].replace("old.", "v1.")} for r in strategy["rules"]]
    rows = pq.read_table(execute(written) / "estimates.parquet").to_pylist()
    cost = {
        row["strategy"]: row["estimate"]
        for row in rows
        if row["metric"] == "cost" and row["segment_by"] == "all" and row["baseline"] is None
    }
    assert cost["candidate best"] > 50_000  # more than fifty contents, a thousand each


# --- Confirmed on creatives that did not choose ----------------------------------------------------------------------

CUT = "2026-01-15"  # of 22 days, one creative an hour


@pytest.fixture(scope="module")
def confirming(lake, tmp_path_factory) -> Path:
    return execute(tree(lake, tmp_path_factory.mktemp("runs"), sweep=SWEEP | {"confirm_from": CUT}))


def again(directory: Path) -> dict[str, Any]:
    """Return `search.confirmation` of summary.json."""
    found: dict[str, Any] = json.loads((directory / "summary.json").read_text())["search"]["confirmation"]
    return found


def test_only_creatives_before_the_cut_select_and_only_later_ones_confirm(confirming, lake, tmp_path):
    def over(**changes: str) -> dict[str, dict[str, Any]]:
        period = tree(lake, tmp_path)["period"] | changes
        return trials(execute(tree(lake, tmp_path, run="-".join(changes), period=period, compare=None)))

    before, after, found = over(until=CUT), over(**{"from": CUT}), trials(confirming)
    looked_at = 0
    for name, numbers in found.items():
        for number in ("leakage_rate", "overkill_rate", "review_rate"):  # no exposure: it is imputed from all creatives
            row = numbers[number]
            assert row["estimate"] == pytest.approx(before[name][number]["estimate"])
            if row["on_front"] or row["picked"]:
                assert row["confirmed"] == pytest.approx(after[name][number]["estimate"])
                looked_at += 1
            else:
                assert row["confirmed"] is None
    assert looked_at > 3


def test_optimism_is_selected_minus_confirmed_of_the_picks_the_front_and_the_baseline(confirming):
    found = again(confirming)
    assert found["from"] == "2026-01-15T00:00:00+00:00"
    baseline, *rest = found["strategies"]
    assert (baseline["name"], baseline["setting"], found["baseline"]) == ("live", None, "live")
    assert any(each["picked"] for each in rest)
    tried = trials(confirming)
    assert {each["name"] for each in rest} == {
        n for n, r in tried.items() if r["leakage_rate"]["confirmed"] is not None
    }
    for each in found["strategies"]:
        for number in each["numbers"].values():
            gap = number["selected"]["estimate"] - number["confirmed"]["estimate"]
            assert number["optimism"] == pytest.approx(gap)
        assert each["numbers"]["leakage_rate"]["error"] > 0
        assert each["numbers"]["review_rate"]["error"] == 0  # counted, not estimated
        assert (each["numbers"]["leakage_rate"]["against"] is not None) == each["picked"]


@pytest.mark.parametrize("which", ["swept", "confirming"])
def test_intervals_that_hold_at_once_are_wider_than_those_of_one_number(which, request):
    found = again(request.getfixturevalue(which))
    assert 0.95 < found["joint_confidence"] < 1
    own = "selected" if which == "swept" else "confirmed"
    assert found["covered"] > 1
    for each in found["strategies"][1:]:
        for number in each["numbers"].values():
            assert number["low"] <= number[own]["low"]
            assert number["high"] >= number[own]["high"]
        leakage = each["numbers"]["leakage_rate"]
        assert leakage["high"] - leakage["low"] > leakage[own]["high"] - leakage[own]["low"]


def test_pages_and_terminal_tell_selected_confirmed_and_optimism(confirming):
    text = (confirming / "report.md").read_text()
    assert "Creatives submitted before 2026-01-15 selected" in text
    assert "live was not selected: its difference is change alone" in text
    lines = headline_table(json.loads((confirming / "summary.json").read_text()) | {"run": "sweep"}).splitlines()
    (head,) = [line for line in lines if "selected before 2026-01-15" in line]
    assert "confirmed from it on" in head
    assert "optimism" in head
    (said,) = [line for line in lines if line.startswith("candidate best") and " leakage_rate " in line]
    assert said.endswith("pp")
    assert "±" in said


def test_without_a_part_that_confirms_the_page_says_that_the_same_labels_selected(swept):
    text = (swept / "report.md").read_text()
    assert "it was chosen for that number" in text
    assert "as if they had been named beforehand" in text
    assert all(each["numbers"]["leakage_rate"]["confirmed"] is None for each in again(swept)["strategies"])


def test_a_confirmed_sweep_gives_the_same_bytes_whatever_the_shards(confirming, lake, tmp_path):
    sweep = SWEEP | {"confirm_from": CUT}
    other = execute(tree(lake, tmp_path, sweep=sweep, limits={"shard_rows": 37}))
    assert (other / "search.parquet").read_bytes() == (confirming / "search.parquet").read_bytes()


def test_a_strategy_that_remembers_is_confirmed_with_what_it_remembers_from_before(lake, tmp_path):
    written = tree(lake, tmp_path, sweep=SWEEP | {"subject_to": None, "confirm_from": CUT})
    written["strategies"]["candidate"]["strikes"] = {"count": 2, "within": 30, "for": 30, "then": "reject"}
    found = trials(execute(written))
    fresh = tree(lake, tmp_path, run="fresh", sweep=SWEEP | {"subject_to": None}, compare=None)
    fresh["strategies"] = written["strategies"]
    warm = fresh | {"run": "warm", "period": fresh["period"] | {"from": CUT}}
    fresh["period"] = fresh["period"] | {"from": CUT, "warm_up_from": CUT}
    remembered, forgot = trials(execute(warm)), trials(execute(fresh))
    confirmed = {name: rows["overkill_rate"]["confirmed"] for name, rows in found.items()}
    confirmed = {name: value for name, value in confirmed.items() if value is not None}
    assert confirmed == {n: pytest.approx(remembered[n]["overkill_rate"]["estimate"]) for n in confirmed}
    assert any(forgot[n]["overkill_rate"]["estimate"] < confirmed[n] for n in confirmed)


def test_a_sweep_without_labels_has_nothing_to_confirm(lake, tmp_path):
    sweep = SWEEP | {"confirm_from": CUT, "equal": None}
    directory = execute(tree(lake, tmp_path, sweep=sweep, labels=None, audits=None, compare=None))
    found = again(directory)
    assert (found["strategies"], found["covered"], found["joint_confidence"]) == ([], 0, 0.95)
    assert "nothing keeps to it" in (directory / "report.md").read_text()


def test_a_sweep_of_a_scored_sample_is_confirmed_as_well(lake, tmp_path):
    written = tree(lake, tmp_path, sweep=SWEEP | {"confirm_from": CUT})
    written["creatives"]["sample"] = {"share": 0.5}
    found = again(execute(written))
    numbers = [number for each in found["strategies"][1:] for number in each["numbers"].values()]
    assert found["covered"] == len(numbers)  # review_rate too: what is not scored is not counted
    assert all(number["low"] <= number["confirmed"]["low"] for number in numbers)


@pytest.mark.parametrize("date", ["2026-01-03", "2025-12-31", "2026-01-25", "2026-03-01"])
def test_a_cut_that_leaves_no_part_of_the_period_is_refused(lake, tmp_path, date):
    with pytest.raises(UsageError, match=r"sweep\.confirm_from: .* must lie inside the period, after 2026-01-03"):
        check_config(tree(lake, tmp_path, sweep=SWEEP | {"confirm_from": date}), "test")


@pytest.mark.parametrize(
    ("period", "date", "said"),
    [
        ({"until": "2026-03-01"}, "2026-02-10", "was submitted from it on"),
        ({"from": "2025-12-01", "warm_up_from": "2025-12-01"}, "2025-12-24", "was submitted before it"),
    ],
)
def test_a_part_without_creatives_is_named(lake, tmp_path, period, date, said):
    written = tree(lake, tmp_path, sweep=SWEEP | {"confirm_from": date})
    written["period"] |= period
    with pytest.raises(UsageError, match=rf"sweep\.confirm_from: no creative of the period {said}"):
        execute(written)
