"""Numbers over time: each piece is the run of its own days, and the cut is the finest that labels allow."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from lake import START, config_tree

from engine.calendar import cuts_of_days, even_cuts_of_days, local_date
from engine.conclude import series
from engine.config.loading import check_config
from engine.pipeline import run
from engine.progress import Progress
from engine.report.first_screen import unknowns
from engine.report.plots import draw
from engine.report.run_summary import read_summary
from engine.report.series_chapter import over_time
from engine.tasks import score_counts

DAY = 86_400_000_000


def summary_of(tree: dict[str, Any]) -> dict[str, Any]:
    directory = run(check_config(tree, "test"), Progress()).directory
    return dict(json.loads((directory / "summary.json").read_text()))


@pytest.fixture(scope="module")
def weekly(lake, tmp_path_factory) -> dict[str, Any]:
    return summary_of(config_tree(lake, tmp_path_factory.mktemp("weekly"), series={"by": "week"}))


def test_a_piece_says_what_a_run_of_its_days_alone_says(weekly, lake, tmp_path):
    tree = config_tree(lake, tmp_path, series={"by": "none"})
    tree["period"] = {"warm_up_from": "2026-01-01", "from": "2026-01-10", "until": "2026-01-17"}
    alone = summary_of(tree)
    assert weekly["series"]["starts"] == ["2026-01-03", "2026-01-10", "2026-01-17"]
    expected = {
        (row["strategy"], row["metric"]): row["estimate"]
        for row in alone["headline"]
        if (row["weighting"], row["reading"], row["inference"]) == ("creatives", "machine", "history")
    }
    rows = [row for row in weekly["series"]["numbers"] if row["piece"] == 1]
    assert {row["strategy"] for row in rows} == {"live", "strict", "logged"}
    assert len(rows) == 3 * len(series.SHOWN)
    for row in rows:
        assert row["estimate"] == pytest.approx(expected[row["strategy"], row["metric"]], abs=1e-12), row
        assert row["low"] <= row["estimate"] <= row["high"]
    assert alone["series"] is None


def test_volumes_and_rates_of_decisions_are_counts(weekly, lake):
    parts = [
        pq.read_table(path, columns=["submitted_at", "old_score"]) for path in (lake / "creatives").glob("*.parquet")
    ]
    days = np.concatenate([pc.subtract(t["submitted_at"], START).cast("int64").to_numpy() for t in parts]) // DAY
    score = np.concatenate([t["old_score"].to_numpy() for t in parts])
    for piece, first in enumerate((2, 9, 16)):
        mine = (days >= first) & (days < (first + 7 if first < 16 else 24))
        assert weekly["series"]["creatives"][piece] == mine.sum()
        [row] = [
            r
            for r in weekly["series"]["numbers"]
            if (r["strategy"], r["metric"], r["piece"]) == ("strict", "reject_rate", piece)
        ]
        assert row["estimate"] == pytest.approx((score[mine] >= np.float32(0.6)).mean())
    assert weekly["series"]["days"] == [7, 7, 8]


def test_how_files_are_cut_changes_nothing(weekly, lake, tmp_path):
    tree = config_tree(lake, tmp_path, series={"by": "week"}, limits={"shard_rows": 37})
    assert summary_of(tree)["series"] == weekly["series"]


def test_the_finest_cut_is_taken_whose_median_piece_holds_enough_events():
    possible = {"day": tuple(DAY * d for d in range(1, 14)), "week": (7 * DAY,)}
    time_n = np.arange(14 * series.ENOUGH, dtype=np.int64) * int(DAY // series.ENOUGH)
    even = np.ones(len(time_n))
    assert series._finest(possible, time_n, even) == "day"
    assert series._finest(possible, time_n[::2], even[::2]) == "week", "half of the events a day"
    heavy = np.where(np.arange(len(time_n)) % int(series.ENOUGH), 1e-9, 1.0)
    assert series._finest(possible, time_n, heavy) == "week", "one label a day carries all the weight"
    assert series._finest(possible, time_n[:3], even[:3]) == "week", "the coarsest, where none holds enough"
    assert series._finest(possible, time_n[:0], even[:0]) == "day", "nothing is labelled: counts alone"


def test_days_are_those_of_the_teams_clocks():
    since = int(START.timestamp()) * 1_000_000 + 86 * DAY  # 2026-03-28, the day before clocks go forward
    cuts = cuts_of_days(since, since + 4 * DAY, "Europe/Berlin", 1)
    assert [local_date(at, "Europe/Berlin") for at in (since, *cuts)] == [
        "2026-03-28", "2026-03-29", "2026-03-30", "2026-03-31", "2026-04-01",
    ]  # fmt: skip
    assert np.diff(cuts).tolist() == [DAY - 3_600_000_000, DAY, DAY]
    assert cuts_of_days(since, since + 4 * DAY, "UTC", 2) == (since + 2 * DAY,)
    assert cuts_of_days(since, since + DAY, "UTC", 1) == ()
    assert len(even_cuts_of_days(since, since + 17 * DAY, "UTC", 7)) == 1, "three days join the second week"
    assert len(even_cuts_of_days(since, since + 18 * DAY, "UTC", 7)) == 2, "four days are a piece"


def test_the_chapter_shows_every_piece_and_leaves_out_what_is_not_known(weekly):
    gone = [
        row | {"estimate": None, "low": None, "high": None, "null_reason": "made up"}
        for row in weekly["series"]["numbers"]
    ]
    for numbers, drawn in ((weekly["series"]["numbers"], True), (gone, False)):
        section = over_time(read_summary(weekly | {"run": "r", "series": weekly["series"] | {"numbers": numbers}}))
        assert section is not None
        _, _, gallery, fold, _ = section.blocks
        assert [bool(draw(picture)) for picture in gallery.pictures] == [drawn] * 4 + [True, True]
        assert [len(grid.groups[0].rows) for grid in fold.blocks] == [3] * 4
        assert all(("made up" in grid.notes) != drawn for grid in fold.blocks[1:])
    assert over_time(read_summary(weekly | {"run": "r", "series": None})) is None


def test_scores_are_counted_by_week_and_none_is_lost(lake, tmp_path):
    tree = config_tree(lake, tmp_path, series={"by": "week"}, limits={"shard_rows": 37})
    directory = run(check_config(tree, "test"), Progress()).directory
    tables = [pq.read_table(path) for path in sorted((directory / "drift").glob("shard-*.parquet"))]
    counts = score_counts.read_counts(tables, 3)["v1.scam"]
    parts = [pq.read_table(path) for path in (lake / "creatives").glob("*.parquet")]
    score = np.concatenate([t["old_score"].to_numpy() for t in parts]).astype(np.float64)
    day = np.concatenate([pc.subtract(t["submitted_at"], START).cast("int64").to_numpy() for t in parts]) // DAY
    for piece, first in enumerate((2, 9, 16)):
        mine = np.sort(score[(day >= first) & (day < (first + 7 if first < 16 else 24))])
        assert counts[:, piece].sum() == len(mine)
        below = np.cumsum(counts[:, piece].sum(0))[:-1]
        assert below.tolist() == np.searchsorted(mine, score_counts._EDGES, "left").tolist()
    assert (counts.sum((1, 2)) > 0).sum() > 20, "advertisers fall into many groups"


def test_what_drifts_is_said_in_a_sentence_and_what_does_not_in_another(weekly):
    quiet = weekly["series"]
    assert quiet["scores"]["reference"] == 1
    column = quiet["scores"]["columns"][0] | {"psi": [0.02, 0.31], "drifts": [False, True]}
    loud = quiet | {"scores": quiet["scores"] | {"columns": [column]}, "label_drift": {"p": 0.0004, "piece": 2}}
    said = [over_time(read_summary(weekly | {"run": "r", "series": each})).blocks[1] for each in (quiet, loud)]
    assert said[0].text.startswith("No drift is seen in scores by week")
    labels, scores = said[1].items
    assert "drifts (p < 0.001)" in labels
    assert "2026-01-17" in labels
    assert scores.startswith(
        "v1.scam: scores have shifted against those before 2026-01-10 (PSI up to 0.31), first from"
    )
    assert "2026-01-17" in scores
    first = [unknowns(read_summary(weekly | {"run": "r", "series": each}))[0].items for each in (quiet, loud)]
    seen = "Drift within the period: the violating share of what is submitted, the scores v1.scam (see Over time)."
    assert [seen in items for items in first] == [False, True], "the first screen points to it"


def test_weeks_without_creatives_and_runs_without_labels_say_why_there_is_no_number(lake, tmp_path):
    tree = config_tree(lake, tmp_path, series={"by": "week"})
    tree["period"]["until"] = "2026-02-14"
    longer = summary_of(tree)["series"]
    assert longer["creatives"][3:] == [48, 0, 0]
    empty = [row for row in longer["numbers"] if row["piece"] >= 4]
    assert empty
    assert all(row["estimate"] is None and row["null_reason"] for row in empty), empty
    assert longer["scores"]["columns"][0]["psi"][-2:] == [0, 0]
    tree = config_tree(lake, tmp_path, run="unlabelled")
    del tree["labels"], tree["audits"]
    summary = summary_of(tree)
    found = summary["series"]
    assert found["by"] == "day", "counts alone are known of any piece"
    assert found["label_drift"] == {"p": None, "piece": None}
    assert all(
        (row["estimate"] is None) == (row["metric"] in ("leakage_rate", "overkill_rate")) for row in found["numbers"]
    )
    assert over_time(read_summary(summary | {"run": "r"})) is not None
