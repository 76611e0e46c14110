"""The chapters about scores: maps, reliability, and the scores that near-copies carry."""

from __future__ import annotations

from rendered import render_html, render_markdown

from engine.report.page import Grid, Reliability
from engine.report.run_summary import read_summary
from engine.report.score_chapters import reliability, scores

NEAR = {
    "contents": 5444,
    "propagated": 1300,
    "members": 500,
    "mean_difference": 0.016,
    "max_difference": 0.49,
    "sides": [
        {"threshold": 0.5, "equal": 0.994, "changed_high": 0.015},
        {"threshold": 0.9, "equal": 0.992, "changed_high": 0.018},
    ],
}


def test_a_calibrated_column_is_drawn_with_the_models_own_scores_and_names_its_map(make):
    summary, estimates, truth = make()
    own = dict(summary["reliability"][0]) | {"column": "uncalibrated v1.scam", "error": 0.2}
    summary["reliability"].append(own)
    section = reliability(read_summary(summary | {"run": "r"}))
    assert section is not None
    gallery, grid = section.blocks[1], section.blocks[2]
    pictures = [p for p in gallery.pictures if isinstance(p, Reliability)]
    assert [len(p.curves) for p in pictures] == [2, 1]
    assert {c.name for c in pictures[0].curves} == {"as strategies read it", "the model's own"}
    said = {row[0].text: row[-1].text for row in grid.groups[0].rows}
    assert said["v1.scam"].startswith("platt on 412 labels, 0f0f")
    assert said["v2.scam"] == said["uncalibrated v1.scam"] == "none"
    page = render_html(summary, estimates, truth)
    assert "as strategies read it" in page
    assert "the model&#39;s own" in page or "the model's own" in page


def test_the_agreement_of_near_copies_is_a_row_a_threshold(make):
    summary, estimates, truth = make()
    section = scores(read_summary(summary | {"run": "r", "near_copies": {"v1.scam": NEAR}}))
    assert section is not None
    grid = next(block for block in section.blocks if isinstance(block, Grid))
    assert [cell.text for cell in grid.groups[0].rows[0]][-3:] == ["0.5", "99.4 %", "1.5 %"]
    assert len(grid.groups[0].rows) == 2
    text = render_markdown(summary | {"near_copies": {"v1.scam": NEAR}}, estimates, truth)
    assert "0.49" in text


def test_the_drift_of_int8_is_a_row_a_threshold(make):
    summary, estimates, truth = make()
    drift = {key: value for key, value in NEAR.items() if key != "propagated"}
    section = scores(read_summary(summary | {"run": "r", "drift": {"v1.scam": drift}}))
    assert section is not None
    grid = next(block for block in section.blocks if isinstance(block, Grid))
    assert [cell.text for cell in grid.groups[0].rows[0]][1:5] == ["5,444", "500", "0.016", "0.49"]
    assert [cell.text for cell in grid.groups[0].rows[1]][-3:] == ["0.9", "99.2 %", "1.8 %"]
    assert "in int8" in render_markdown(summary | {"drift": {"v1.scam": drift}}, estimates, truth)


def test_without_a_checked_copy_nothing_is_claimed(make):
    summary, _, _ = make()
    nothing = NEAR | {"members": 0, "mean_difference": None, "max_difference": None, "sides": []}
    section = scores(read_summary(summary | {"run": "r", "near_copies": {"v1.scam": nothing}}))
    assert section is not None
    assert next(b for b in section.blocks if isinstance(b, Grid)).groups[0].rows[0][-1].text == "—"


def test_without_labels_there_is_no_chapter(make):
    summary, _, _ = make()
    assert reliability(read_summary(summary | {"run": "r", "reliability": []})) is None
