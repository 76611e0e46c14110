"""The frontier as records and as data: what is shown, in full or not, and where the limits start."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from payloads import PAYLOADS
from rendered import render_html
from trials import NUMBERS, searched, trials

from engine.report.frontier import MOST_IN_FULL, frontier, frontier_data, settings_cloud, staircase
from engine.report.frontier_plot import plane_of
from engine.report.html import as_block
from engine.report.layout import build_page
from engine.report.page import Cloud, Frontier
from engine.report.run_summary import read_summary


def block_of(summary, search=None) -> Frontier:
    section = frontier(read_summary(summary), search)
    (block,) = section.blocks
    return block


@pytest.fixture(scope="module")
def swept(make):
    summary, estimates, truth = make(segments=[("all", "all")])
    found = searched(trials(5, 300))
    return summary | {"search": found.as_plain()}, estimates, truth, found.table()


def test_what_was_tried_is_shown_in_its_order_but_for_what_lacks_a_number(swept):
    tried = trials(5, 300)
    kept = [t for t in tried if all(p.estimate is not None for p in t.points.values())]
    assert 0 < len(kept) < len(tried)
    cloud = settings_cloud(swept[3], NUMBERS)
    assert cloud.leakage == tuple(t.points["leakage_rate"].estimate for t in kept)
    assert cloud.overkill == tuple(t.points["overkill_rate"].estimate for t in kept)
    assert cloud.review == tuple(t.points["review_rate"].estimate for t in kept)
    assert cloud.parameters["low"] == tuple(f"{t.setting['low']:.6g}" for t in kept)
    assert cloud.ranges[3][1] == (kept[3].points["overkill_rate"].low, kept[3].points["overkill_rate"].high)
    assert f"{len(tried) - len(kept)} more lack one of the numbers." in block_of(swept[0], swept[3]).caption


def test_the_line_joins_what_no_other_point_beats(swept):
    cloud = settings_cloud(swept[3], NUMBERS)
    points = list(zip(cloud.overkill, cloud.leakage, strict=True))
    beaten = {p for p in points for q in points if q != p and q[0] <= p[0] and q[1] <= p[1]}
    line = [points[i] for i in staircase(cloud)]
    assert line == sorted(set(points) - beaten)
    assert len(line) > 3


def test_of_many_settings_the_front_alone_has_intervals_and_the_page_stays_small(make):
    count = MOST_IN_FULL + 500
    found = searched(trials(9, count, coarse=100))
    search = found.table()
    cloud = settings_cloud(search, NUMBERS)
    assert 0 < len(cloud.ranges) < len(cloud.leakage)
    flags = search["on_front"].to_pylist()[:: len(NUMBERS)]
    assert len(cloud.ranges) <= sum(flags) + 1  # and the one that was picked
    summary, estimates, truth = make(segments=[("all", "all")])
    page = render_html(summary | {"search": found.as_plain()}, estimates, truth, search)
    assert len(page) < 100 * count + 1_000_000


def test_every_dot_and_interval_lies_in_the_plane(swept):
    block = block_of(swept[0], swept[3])
    plane = plane_of(block)
    for overkill, leakage in zip(block.cloud.overkill, block.cloud.leakage, strict=True):
        x, y = plane.at(overkill, leakage)
        assert plane.left <= x <= plane.left + plane.width
        assert plane.top <= y <= plane.top + plane.height
    assert max(m.overkill.high for m in block.marked) <= plane.overkill
    assert [plane.level(plane.review * k / 4) for k in (0, 1, 4)] == [0, 2, 4]


def test_limits_start_at_the_baseline_rounded_up_by_less_than_a_step(swept):
    block = block_of(swept[0], swept[3])
    base = next(m for m in block.marked if m.name == "live")
    for limit, share in ((block.review, base.review.estimate), (block.overkill, base.overkill.estimate)):
        over = Decimal(limit.start) - 100 * Decimal(share)
        assert 0 <= over < Decimal(limit.step)
        assert Decimal(limit.start) <= Decimal(limit.most)


def test_the_end_of_a_limit_allows_the_largest_share_whatever_its_digits(make):
    summary, *_ = make(compare=False)
    for share in (0.1 + 1e-16, 1 / 3, 0.009190000000000003, 2e-7, 1.0):
        for row in summary["headline"]:
            if row["metric"] == "review_rate":
                row |= {"estimate": share, "low": share, "high": share}
        most = block_of(summary).review.most
        assert float(f"{most}e-2") >= share
        assert Decimal(most) < 100 * Decimal(share) * Decimal("1.01")


def test_without_a_baseline_everything_is_allowed_at_first(make):
    summary, *_ = make(compare=False)
    block = block_of(summary)
    assert (block.baseline, block.review.start) == (None, block.review.most)


def test_a_run_without_a_sweep_shows_its_strategies_also_those_without_a_row_on_the_page(make):
    names = [f"strategy {k}" for k in range(30)]
    summary, *_ = make(names=names, segments=[("all", "all")])
    block = block_of(summary)
    assert (block.what, block.subject, block.cloud.names) == ("strategy", "", tuple(names))
    assert len(block.marked) == 12
    assert len(block.cloud.ranges) == 30


def test_a_strategy_without_numbers_after_review_turns_the_picture_to_the_machine_alone(make):
    summary, *_ = make()
    assert "after review" in block_of(summary).caption
    for row in summary["headline"]:
        if row["strategy"] == "live" and row["reading"] == "after_review":
            row |= {"estimate": None, "low": None, "high": None}
    assert "machine alone" in block_of(summary).caption


def test_one_strategy_alone_has_no_frontier(make):
    summary, estimates, truth = make(names=["live"], compare=False)
    assert frontier(read_summary(summary), None) is None
    assert "frontier" not in [section.key for section in build_page(summary, estimates, truth).sections]


def test_a_sweep_that_lacks_a_number_shows_the_strategies_of_the_run(make):
    summary, *_ = make()
    plain = searched(trials(5, 20)).as_plain() | {"numbers": ["leakage_rate", "cost"]}
    assert block_of(summary | {"search": plain}, searched(trials(5, 20)).table()).what == "strategy"


def test_data_is_ascii_json_that_ends_no_script_and_says_the_same():
    words = [word.replace("\ud800", "") for word in PAYLOADS]
    written = as_block({"words": words})
    assert written.isascii()
    assert not set("<>&\n") & set(written)
    assert json.loads(written) == {"words": words}


def test_a_number_that_is_none_cannot_be_written():
    with pytest.raises(ValueError, match="not JSON compliant"):
        as_block({"share": float("nan")})


def test_names_and_words_leave_clean(make):
    summary, *_ = make(names=["live\u202e", "candidate\u2028"])
    data = frontier_data(block_of(summary))
    assert data["names"] == ["live[U+202E]", "candidate "]
    assert [each["name"] for each in data["marked"]] == data["names"]


def test_equal_values_of_a_parameter_are_written_once():
    cloud = Cloud((0.1, 0.2, 0.3), (0.3, 0.2, 0.1), (0.0, 0.0, 0.0), (), {"t": ("0.5", "0.6", "0.5")}, {})
    block = Frontier("frontier", "", "setting", "s", cloud, (), None, *[None] * 2, ())
    assert frontier_data(block)["parameters"] == [{"name": "t", "words": ["0.5", "0.6"], "at": [0, 1, 0]}]
