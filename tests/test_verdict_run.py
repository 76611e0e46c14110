"""A verdict in a run: what ships, what does not, what needs labels; what is written, and how often it may look."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from lake import config_tree
from summaries import faults
from typer.testing import CliRunner

from engine.cli import app
from engine.config.loading import check_config, dump_yaml
from engine.errors import DataError, UsageError
from engine.pipeline import run
from engine.progress import Progress

SCORES = {"v1": {"creatives": {"scam": "old_score"}}, "copy": {"creatives": {"scam": "old_score"}}}
GATES = [{"leakage_rate": "worse by at most 0.02"}, {"overkill_rate.impressions": "worse by at most 5 %"}]


def tree(lake: Path, runs: Path, candidate: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return a config that compares a candidate with the lake's live strategy."""
    live = config_tree(lake, runs)["strategies"]["live"]
    told = {
        "strategies": {"live": live, "candidate": {"like": "live", **candidate}},
        "compare": {"baseline": "live", "candidate": "candidate"},
        "scores": SCORES,
        "gates": GATES,
    }
    return config_tree(lake, runs, **(told | changes))


def verdict_of(written: dict[str, Any]) -> dict[str, Any]:
    directory = run(check_config(written, "test"), Progress()).directory
    return json.loads((directory / "gates.json").read_text())


def rejects_at(threshold: float) -> dict[str, Any]:
    return {"rules": [{"when": f"v1.scam >= {threshold}", "then": "reject"}]}


COPY = {"replace": {"v1": "copy"}}
LENIENT = rejects_at(0.99)
SLIGHTLY = {"rules": [{"when": "v1.scam >= 0.8", "then": "reject"}, {"when": "v1.scam >= 0.49", "then": "review"}]}
THIN = {"overkill_rate": "worse by at most 0.005", "reading": "after_review"}


def test_a_copy_ships_because_no_creative_changes_its_decision(lake, tmp_path):
    found = verdict_of(tree(lake, tmp_path, COPY))
    assert found["line"] == "ship: no creative changes its decision"
    assert [gate["outcome"] for gate in found["gates"]] == ["pass", "pass"]
    assert (found["gates"][0]["low"], found["gates"][0]["high"]) == (0.0, 0.0)


def test_a_deliberately_worse_candidate_does_not_ship(lake, tmp_path):
    found = verdict_of(tree(lake, tmp_path, LENIENT))
    assert found["verdict"] == "do not ship"
    assert found["line"].startswith("do not ship: leakage_rate worse by at most 0.02 fails: candidate − baseline = 0.")
    assert found["gates"][0]["low"] > 0.02


def test_a_thin_audit_asks_for_labels(lake, tmp_path):
    found = verdict_of(tree(lake, tmp_path, SLIGHTLY, gates=[THIN]))
    assert found["verdict"] == "label more creatives"
    (gate,) = found["gates"]
    assert gate["low"] <= 0.005 < gate["high"]
    assert found["more"] == gate["more_labels"] > 0
    assert found["line"].startswith(f"label {found['more']:,} more creatives: overkill_rate")


def test_a_gate_by_segment_is_a_line_for_each_segment(lake, tmp_path):
    gates = [{"review_rate": "worse by at most 0.5", "segments": "region"}]
    found = verdict_of(tree(lake, tmp_path, COPY, gates=gates))
    assert [gate["segment"] for gate in found["gates"]] == ["DE", "IN", "US"]
    assert {gate["level"] for gate in found["gates"]} == {1 - 0.05 / 3}


def test_what_a_run_writes_says_the_same_to_people_and_machines(lake, tmp_path):
    written = tree(lake, tmp_path, LENIENT)
    directory = run(check_config(written, "test"), Progress()).directory
    facts = json.loads((directory / "gates.json").read_text())
    assert json.loads((directory / "summary.json").read_text())["verdict"] == facts
    suite = ElementTree.fromstring((directory / "gates.xml").read_text())
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "1")
    assert [case.get("name") for case in suite] == [gate["gate"] for gate in facts["gates"]]
    block = (directory / "gates.md").read_text()
    assert block.startswith("### do not ship\n")
    assert "| fail | leakage_rate worse by at most 0.02 |" in block
    assert "## The verdict" in (directory / "report.md").read_text()
    manifest = json.loads((directory / "manifest.json").read_text())
    assert manifest["looks"] == {"look": 1, "declared": 1}
    assert {"gates.json", "gates.xml", "gates.md"} <= set(manifest["files"])


def exit_code(tmp_path: Path, written: dict[str, Any], *more: str) -> tuple[int, str]:
    path = tmp_path / "c.yaml"
    path.write_text(dump_yaml(written))
    result = CliRunner().invoke(app, ["compare", str(path), *more])
    return result.exit_code, result.stdout


def test_the_exit_code_is_1_unless_all_gates_pass(lake, tmp_path):
    code, said = exit_code(tmp_path, tree(lake, tmp_path, COPY, run="copy"))
    assert (code, said.splitlines()[0]) == (0, "ship: no creative changes its decision")
    worse = tree(lake, tmp_path, LENIENT, run="worse")
    assert exit_code(tmp_path, worse, "--undecided", "pass")[0] == 1
    open_ = tree(lake, tmp_path, SLIGHTLY, run="open", gates=[THIN])
    code, said = exit_code(tmp_path, open_)
    assert code == 1, said
    assert said.startswith("label ")
    assert exit_code(tmp_path, open_, "--undecided", "pass")[0] == 0
    assert exit_code(tmp_path, open_, "--undecided", "maybe")[0] == 2


def test_without_gates_there_is_no_verdict(lake, tmp_path):
    code, said = exit_code(tmp_path, tree(lake, tmp_path, LENIENT, gates=[]))
    assert (code, said.splitlines()[0]) == (0, "no verdict: the config has no gates")
    assert not (tmp_path / "r" / "gates.json").exists()


@pytest.fixture
def fewer(lake, tmp_path) -> Path:
    """Labels of which the last answers have not come in yet."""
    labels = pq.read_table(lake / "labels.parquet")
    late = pc.and_(pc.equal(labels["source"], "audit"), pc.greater(labels["creative_id"], "c00500"))
    answer = pc.if_else(late, pa.scalar(None, pa.string()), labels["label"])
    path = tmp_path / "fewer.parquet"
    pq.write_table(labels.set_column(labels.column_names.index("label"), "label", answer), path)
    return path


def test_labels_that_were_judged_before_are_no_new_look_and_new_ones_are(lake, tmp_path, fewer):
    first = tree(lake, tmp_path, COPY, run="a", labels={"path": str(fewer)})
    assert (verdict_of(first)["look"], verdict_of(first)["look"]) == (1, 1)
    again = verdict_of(tree(lake, tmp_path, COPY, run="b", labels={"path": str(fewer)}))
    assert (again["look"], again["verdict"]) == (1, "ship")
    more = verdict_of(tree(lake, tmp_path, COPY, run="c"))
    assert (more["look"], more["looks"]) == (2, 1)
    assert {gate["outcome"] for gate in more["gates"]} == {"undecided"}
    assert "look 2 of 1 declared" in more["line"]


def test_declared_looks_spend_the_error_and_what_was_declared_first_holds(lake, tmp_path, fewer):
    twice = {"baseline": "live", "candidate": "candidate", "looks": 2}
    first = verdict_of(tree(lake, tmp_path, LENIENT, run="a", labels={"path": str(fewer)}, compare=twice))
    second = verdict_of(tree(lake, tmp_path, LENIENT, run="b", compare={**twice, "looks": 9}))
    assert (first["look"], first["looks"], second["look"], second["looks"]) == (1, 2, 2, 2)
    assert 0.95 < second["gates"][0]["level"] < first["gates"][0]["level"]
    assert second["looks_in_config"] == 9


def test_a_comparison_stays_the_same_whatever_it_is_called_and_whatever_decides_nothing(lake, tmp_path, fewer):
    """Each of these would make a look of its own out of the second one, if names or texts told comparisons apart."""
    same = [
        {"scores": {**SCORES, "unread": {"creatives": {"scam": "old_score"}}}},
        {"period": {**config_tree(lake, tmp_path)["period"], "until": "2026-01-24T23:59:59Z"}},
        {"exposure": {"life": "30d"}},
    ]
    verdict_of(tree(lake, tmp_path, LENIENT, run="first", labels={"path": str(fewer)}))
    for k, change in enumerate(same):
        assert verdict_of(tree(lake, tmp_path, LENIENT, run=f"same-{k}", **change))["look"] == 2, change
    dead = {"rules": [*LENIENT["rules"], {"when": "v1.scam >= 2", "then": "reject"}]}
    assert verdict_of(tree(lake, tmp_path, dead, run="dead"))["look"] == 2
    renamed = {"rules": [{"when": "copy.scam >= 0.99", "then": "reject"}]}
    assert verdict_of(tree(lake, tmp_path, renamed, run="renamed"))["look"] == 2
    assert verdict_of(tree(lake, tmp_path, rejects_at(0.9), run="another"))["look"] == 1


def test_equal_labels_elsewhere_are_no_new_look(lake, tmp_path):
    verdict_of(tree(lake, tmp_path, LENIENT, run="a"))
    labels = pq.read_table(lake / "labels.parquet")
    moved = tmp_path / "moved.parquet"
    pq.write_table(labels.take(pa.array(range(labels.num_rows - 1, -1, -1))), moved)
    assert verdict_of(tree(lake, tmp_path, LENIENT, run="b", labels={"path": str(moved)}))["look"] == 1


def test_without_a_concluded_label_there_is_no_look(lake, tmp_path):
    labels = pq.read_table(lake / "labels.parquet")
    none = tmp_path / "none.parquet"
    waiting = pa.nulls(labels.num_rows, pa.string())
    pq.write_table(labels.set_column(labels.column_names.index("label"), "label", waiting), none)
    first = verdict_of(tree(lake, tmp_path, SLIGHTLY, run="a", labels={"path": str(none)}, gates=[THIN]))
    assert (first["look"], first["verdict"]) == (1, "label more creatives")
    assert "last declared look" not in first["line"]
    second = verdict_of(tree(lake, tmp_path, SLIGHTLY, run="b", gates=[THIN]))
    assert second["look"] == 1
    assert "this was the last declared look" in second["line"]


BROKEN = [
    "{",
    "[]",
    '{"declared": 0, "looks": []}',
    '{"declared": 1, "looks": [{}]}',
    '{"declared": 1, "looks": [3]}',
    '{"declared": 1, "looks": [{"labels": 1, "information": {}}]}',
    '{"declared": 1, "looks": [{"labels": "a", "information": {"x": "y"}}]}',
    '{"declared": 1, "looks": [{"labels": "a", "information": []}]}',
]


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_count_of_looks_is_named(lake, tmp_path, broken):
    verdict_of(tree(lake, tmp_path, COPY, run="a"))
    (path,) = (tmp_path / "_looks").glob("*.json")
    path.write_text(broken)
    with pytest.raises(DataError, match=path.name):
        verdict_of(tree(lake, tmp_path, COPY, run="b"))


@pytest.mark.parametrize(
    ("gates", "said"),
    [
        ([{"leakage_rat": "worse by at most 0.1"}], 'unknown metric leakage_rat (did you mean "leakage_rate"?)'),
        ([{"leakage_rate.spent": "at most 0.1"}], 'unknown weighting spent (did you mean "spend"?)'),
        ([{"leakage_rate": "worse by 0.1"}], "unknown words 'worse by'"),
        ([{"leakage_rate": "at most 0.1", "readin": "machine"}], 'readin: unknown key (did you mean "reading"?)'),
        ([{"leakage_rate": "at most 0.1", "policy": "scan"}], 'unknown policy scan (did you mean "scam"?)'),
        ([{"leakage_rate": "at most 0.1", "segments": "regoin"}], 'unknown attribute regoin (did you mean "region"?)'),
        ([{"cost": "at most 100"}], "cost needs the section `cost`"),
        ([{"cost.spend": "at most 100"}], "cost has one weighting"),
        ([{"reading": "machine"}], "a gate is one line such as"),
        (["leakage_rate"], "gates.0"),
    ],
)
def test_a_gate_that_means_nothing_stops_before_any_work(lake, tmp_path, gates, said):
    with pytest.raises(UsageError) as caught:
        check_config(tree(lake, tmp_path, COPY, gates=gates), "c.yaml")
    assert said in str(caught.value)


def test_gates_need_something_to_compare(lake, tmp_path):
    with pytest.raises(UsageError, match="gates: need `compare"):
        check_config(tree(lake, tmp_path, COPY, compare=None), "c.yaml")


def test_the_resolved_config_of_a_run_can_be_read_again(lake, tmp_path):
    config = check_config(tree(lake, tmp_path, COPY), "c.yaml")
    again = check_config({**config.decided(), "run": "x"}, "again")
    assert again.gates == config.gates


@pytest.fixture(scope="module")
def side_by_side(lake, tmp_path_factory) -> dict[str, Any]:
    tmp_path = tmp_path_factory.mktemp("runs")
    written = tree(lake, tmp_path, SLIGHTLY, gates=[THIN])
    path = tmp_path / "c.yaml"
    path.write_text(dump_yaml(written))
    result = CliRunner().invoke(app, ["compare", str(path)])
    found = json.loads((tmp_path / "r" / "summary.json").read_text())
    page = (tmp_path / "r" / "report.md").read_text()
    return found | {"printed": result.stdout, "page": page}


def test_the_summary_of_a_comparison_keeps_to_the_schema(side_by_side):
    made = {"printed", "page"}
    assert faults({name: value for name, value in side_by_side.items() if name not in made}) == []
    broken = side_by_side["verdict"] | {"surprise": 1}
    kept = {name: value for name, value in side_by_side.items() if name not in made}
    assert any("surprise" in fault for fault in faults(kept | {"verdict": broken}))


def of(summary: dict[str, Any], strategy: str, metric: str, baseline: str | None = None) -> dict[str, Any]:
    rows = summary["headline"] if baseline is None else summary["paired"]
    about = (strategy, baseline, metric, "creatives", "machine", "history")
    (row,) = [
        r
        for r in rows
        if (r["strategy"], r["baseline"], r["metric"], r["weighting"], r["reading"], r["inference"]) == about
    ]
    return row


def test_the_level_as_configured_is_the_headline(side_by_side):
    level = side_by_side["versus"]["levels"][0]
    for metric in ("leakage_rate", "overkill_rate", "review_rate"):
        assert level["own"][metric]["estimate"] == pytest.approx(
            of(side_by_side, "candidate", metric)["estimate"], rel=1e-12
        )  # of rows, or of their sums
    for metric in ("leakage_rate", "overkill_rate"):
        paired = of(side_by_side, "candidate", metric, "live")["estimate"]
        assert level["paired"][metric]["estimate"] == pytest.approx(paired)


def test_at_equal_review_load_the_candidate_reviews_as_much_as_the_baseline(side_by_side):
    level = side_by_side["versus"]["levels"][1]
    live = of(side_by_side, "live", "review_rate")["estimate"]
    candidate = of(side_by_side, "candidate", "review_rate")["estimate"]
    assert candidate != live
    assert level["own"]["review_rate"]["estimate"] == pytest.approx(live, abs=1e-9)
    assert level["paired"]["leakage_rate"]["estimate"] == pytest.approx(
        0.0, abs=1e-9
    )  # one score, one load: one strategy
    assert level["by"] > 0


def test_a_level_that_coarse_scores_cannot_reach_is_named_as_the_nearest(lake, tmp_path):
    parts = pa.concat_tables(pq.read_table(path) for path in sorted((lake / "creatives").glob("*.parquet")))
    coarse = tmp_path / "coarse.parquet"
    pq.write_table(
        pa.table(
            {"creative_id": parts["creative_id"], "s": pc.divide(pc.round(pc.multiply(parts["old_score"], 3)), 3.0)}
        ),
        coarse,
    )
    scores = {**SCORES, "rough": {"path": str(coarse), "columns": {"scam": "s"}}}
    rules = [{"when": "rough.scam >= 0.9", "then": "reject"}, {"when": "rough.scam >= 0.6", "then": "review"}]
    written = tree(lake, tmp_path, {"rules": rules}, scores=scores)
    directory = run(check_config(written, "test"), Progress(), side_by_side=True).directory
    summary = json.loads((directory / "summary.json").read_text())
    (missed,) = [level for level in summary["versus"]["levels"] if "review load" in level["name"]]
    live, nearest = of(summary, "live", "review_rate")["estimate"], missed["own"]["review_rate"]["estimate"]
    assert abs(nearest - live) > 0.02 * live
    assert missed["name"] == "nearest to equal review load"
    assert missed["short"].startswith(f"review_rate is {nearest:.4g} against {live:.4g} of the baseline")
    assert faults(summary) == []
    assert missed["short"] in (directory / "report.md").read_text()


def test_a_comparison_says_who_is_affected_and_how_true_the_baseline_is(side_by_side):
    versus = side_by_side["versus"]
    assert 0 < versus["advertisers"]["affected"] < versus["advertisers"]["labelled"]
    assert versus["fidelity"]["compared"] == side_by_side["counts"]["kept"]
    assert (
        versus["fidelity"]["equal"] == versus["fidelity"]["compared"]
    )  # the lake's history was decided by these rules
    assert versus["scores"] == []  # both read one score
    assert {(c["baseline"], c["candidate"]) for c in versus["cells"]} >= {("APPROVE", "APPROVE"), ("APPROVE", "REVIEW")}
    assert "## Side by side" in side_by_side["page"]
    assert "at equal review load" in side_by_side["printed"]


def test_scores_that_only_one_side_reads_are_compared(lake, tmp_path):
    written = tree(lake, tmp_path, COPY)
    facts = run(check_config(written, "test"), Progress(), side_by_side=True).directory / "summary.json"
    (row,) = json.loads(facts.read_text())["versus"]["scores"]
    assert (row["baseline"], row["candidate"], row["policy"]) == ("v1.scam", "copy.scam", "scam")
    assert (row["shift"], row["area_gained"]["estimate"]) == (0.0, 0.0)
    assert row["area"][0]["estimate"] > 0.7
    page = facts.with_name("report.md").read_text()
    assert f"{row['violating']} of {row['labels']} labels violate; mean shift 0.0000" in page.replace(",", "")
    assert row["area_gained"]["null_reason"] == "both scores order every labelled pair alike"
    assert "both scores order every labelled pair alike" in page


def test_levels_that_cannot_be_matched_say_why(lake, tmp_path):
    written = tree(lake, tmp_path, {"rules": [{"when": "v1.scam - 0.1 >= 0.5", "then": "reject"}]})
    facts = run(check_config(written, "test"), Progress(), side_by_side=True).directory / "summary.json"
    levels = json.loads(facts.read_text())["versus"]["levels"]
    assert levels[0]["reason"] is None
    assert all("calculate with scores" in level["reason"] for level in levels[2:])
    assert "no REVIEW rule" in levels[1]["reason"]
