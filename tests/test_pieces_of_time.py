"""Totals cut by dates: pieces hold what their creatives hold, filled as the whole is, however files are cut."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from lake import START, config_tree

from engine.config.loading import check_config
from engine.pipeline import open_run
from engine.prepare import prepare
from engine.progress import Progress
from engine.read.segments import overall, piece_codes
from engine.records import WEIGHTS
from engine.stages.read import read_stage
from engine.stages.replay import Replayed, Wanted, find_ground, replay_stage
from engine.stages.run import compared
from engine.stages.score import score_stage

DAY = 86_400_000_000
FROM = int(START.timestamp()) * 1_000_000
CUTS = (FROM + 7 * DAY, FROM + 7 * DAY + 3_600_000_000, FROM + 15 * DAY)
REMEMBERS = {"like": "live", "strikes": {"count": 2, "within": 3, "for": 4, "rules": [], "otherwise": "reject"}}


def replayed(lake: Path, runs: Path, **wanted: Any) -> Replayed:
    tree = config_tree(lake, runs, exposure={"refused": "segment_median", "life": "14d"})
    tree["limits"] = {"shard_rows": wanted.pop("shard_rows", 100)}
    tree["strategies"]["remembers"] = REMEMBERS
    tree["compare"] = {"baseline": "live", "candidate": "remembers"}
    config = check_config(tree, "test")
    run = open_run(config, prepare(config), Progress())
    creatives = read_stage(run)
    scored = score_stage(run, creatives)
    ground = find_ground(run, creatives, scored)
    return replay_stage(run, creatives, scored, ground, Wanted(run.prepared.table, pair=compared(run), **wanted))


@pytest.fixture(scope="module")
def cut(lake, tmp_path_factory) -> Replayed:
    return replayed(lake, tmp_path_factory.mktemp("cut"), name="cut", whole=True, cuts=CUTS)


def test_pieces_add_up_to_the_whole_of_strategies_that_remember_and_of_others(cut, lake, tmp_path):
    by_attribute = replayed(lake, tmp_path).totals
    assert by_attribute.sum_SOFCW[..., WEIGHTS.index("impressions_imputed")].any(), "else imputing is not tried"
    for name in ("sum_SOFCW", "swap_OQCW", "whole_FCW"):
        assert np.array_equal(getattr(cut.totals, name).sum(-2), getattr(by_attribute, name).sum(-2)), name


def test_a_piece_holds_the_creatives_submitted_in_it_and_a_cut_belongs_to_what_follows(cut):
    minutes = 60 * np.arange(2 * 24, 24 * 24)  # one creative an hour, from the 3rd until the 25th
    time_N = FROM + minutes * 60_000_000
    edges = [0, *CUTS, 2**62]
    expected = [sum(low <= t < high for t in time_N) for low, high in pairwise(edges)]
    assert cut.totals.whole_FCW[..., 0].sum(0).tolist() == expected
    assert expected[1] == 1
    submitted_n = cut.kept["submitted_at"].cast(pa.int64()).to_numpy()
    assert np.array_equal(cut.kept["cell"].to_numpy(), piece_codes(submitted_n, CUTS))


def test_segments_of_pieces_are_all_creatives_and_each_piece(cut):
    assert list(zip(cut.segments.by, cut.segments.name, strict=True)) == [("all", "all")] + [
        ("piece", str(number)) for number in range(4)
    ]
    assert np.array_equal(cut.segments.member_GC, np.concatenate([np.ones((1, 4), bool), np.eye(4, dtype=bool)]))
    assert len(overall(cut.segments).name) == 1, "nothing is cut"


def test_pieces_do_not_depend_on_how_files_are_cut(cut, lake, tmp_path):
    other = replayed(lake, tmp_path, name="cut", whole=True, cuts=CUTS, shard_rows=37)
    assert all(np.array_equal(getattr(cut.totals, n), getattr(other.totals, n)) for n in ("sum_SOFCW", "whole_FCW"))
    assert other.kept.equals(cut.kept)


def test_other_cuts_are_another_replay(lake, tmp_path):
    once = replayed(lake, tmp_path, name="cut", whole=True, cuts=CUTS)
    again = replayed(lake, tmp_path, name="cut", whole=True, cuts=CUTS[:1])
    assert again.totals.whole_FCW.shape[1] == 2
    assert once.totals.whole_FCW.shape[1] == 4
