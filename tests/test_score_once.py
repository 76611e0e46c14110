"""A content is scored once: by any run, any strategy, any data set that grew; and only where a decision asks for it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from lake import config_tree

from engine.config.loading import check_config, dump_yaml
from engine.errors import DataError
from engine.pipeline import Finished, run
from engine.progress import Progress

ONE = {"workers": 1}


def execute(tree: dict[str, Any], **how: Any) -> Finished:
    return run(check_config(tree, "test"), Progress(), **how)


def outcomes(finished: Finished) -> list[tuple[str, Any]]:
    """Return what every strategy made of every labelled creative."""
    parts = sorted((finished.directory / "cells").glob("kept-*.parquet"))
    table = pa.concat_tables(pq.read_table(path, columns=["creative_id", "outcome"]) for path in parts)
    return list(zip(table["creative_id"].to_pylist(), table["outcome"].to_pylist(), strict=True))


@pytest.fixture(scope="module")
def runs(lake, tiny_models, tmp_path_factory) -> Path:
    """Return a folder of runs in which one run has scored the whole lake by both models."""
    folder = tmp_path_factory.mktemp("shared")
    execute(config_tree(lake, folder, tiny_models, run="first", execute=ONE))
    return folder


def test_a_new_strategy_in_a_new_run_scores_nothing_and_imports_no_torch(runs, lake, tiny_models, tmp_path):
    tree = config_tree(lake, runs, tiny_models, run="other-strategy", execute=ONE)
    tree["strategies"]["strict"] = {"rules": [{"when": "v2.scam >= 0.4", "then": "reject"}], "otherwise": "approve"}
    path = tmp_path / "new.yaml"
    path.write_text(dump_yaml(tree))
    code = (
        "import sys; sys.argv = ['backtest', 'run', sys.argv[1]]\n"
        "from engine.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "assert not {'torch', 'transformers', 'ray'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True)
    assert "scored now: v1 0, v2 0" in done.stdout


def test_a_lake_that_grew_by_one_percent_scores_one_percent(runs, lake, tiny_models, tmp_path):
    grown = tmp_path / "grown"
    grown.mkdir()
    for path in sorted((lake / "creatives").glob("*.parquet")):
        (grown / path.name).symlink_to(path)
    old = pq.read_table(lake / "creatives" / "part-0.parquet").slice(100, 6)
    ids = pa.array([f"new{i}" for i in range(6)])
    bodies = pa.array([f"hello lunch {n}" for n in ("now", "win", "cash", "free", "prize", "now")])  # five of them new
    new = old.set_column(0, "creative_id", ids)
    new = new.set_column(new.column_names.index("body"), "body", bodies)
    new = new.set_column(new.column_names.index("title"), "title", pa.array(["hello"] * 6))
    pq.write_table(new, grown / "part-9.parquet")
    tree = config_tree(lake, runs, tiny_models, run="grown", execute=ONE)
    tree["creatives"]["path"] = str(grown)
    finished = execute(tree)
    assert finished.scored.scored_now == {"v1": 5, "v2": 5}
    before = json.loads((runs / "first" / "manifest.json").read_text())["counts"]["contents"]
    assert finished.scored.contents == {name: count + 5 for name, count in before.items()}


def test_another_setting_of_the_model_is_not_answered_with_old_scores(runs, lake, tiny_models):
    tree = config_tree(lake, runs, tiny_models, run="shorter", execute=ONE)
    tree["models"]["v2"]["max_length"] = 8
    finished = execute(tree, score_only=True)
    assert finished.scored.scored_now == {"v1": 0, "v2": finished.scored.contents["v2"]}
    short, long = (pq.read_table(runs / name / "scores" / "v2.parquet")["scam"] for name in ("shorter", "first"))
    assert not short.equals(long)


def test_a_model_that_reads_fewer_columns_has_contents_of_its_own(runs, lake, tiny_models):
    tree = config_tree(lake, runs, tiny_models, run="body-only", execute=ONE)
    tree["models"]["v2"]["text"] = ["body"]
    finished = execute(tree)
    bodies = pq.read_table(lake / "creatives", columns=["submitted_at", "body"])
    inside = [
        body
        for when, body in zip(bodies["submitted_at"].to_pylist(), bodies["body"].to_pylist(), strict=True)
        if "2026-01-03" <= when.isoformat() < "2026-01-25"
    ]
    assert finished.scored.scored_now["v2"] == finished.scored.contents["v2"] == len(set(inside))
    assert finished.scored.contents["v1"] > finished.scored.contents["v2"]


def test_scores_of_another_machine_are_reused_or_made_anew_as_the_config_says(runs, lake, tiny_models, tmp_path):
    other = tmp_path / "scores"
    for path in sorted((runs / "_scores").rglob("*.parquet")):
        table = pq.read_table(path)
        facts = dict(table.schema.metadata)
        facts[b"machine"] = json.dumps(json.loads(facts[b"machine"]) | {"torch": "1.0"}).encode()
        from engine.store import ScoreStore

        machine = json.loads(facts[b"machine"])
        ScoreStore(other).commit(facts[b"fingerprint"].decode(), table, machine)
    reuse = {"path": str(tmp_path / "a"), "scores": str(other)}
    tree = config_tree(lake, runs, tiny_models, execute=ONE)
    kept = execute(tree | {"store": reuse})
    assert kept.scored.scored_now == {"v1": 0, "v2": 0}
    machines = json.loads((kept.directory / "manifest.json").read_text())["machines"]["v1"]
    assert [each["torch"] for each in machines] == ["1.0"]
    again = execute(tree | {"store": reuse | {"path": str(tmp_path / "b"), "on_numeric_change": "rescore"}})
    assert again.scored.scored_now == again.scored.contents
    third = execute(tree | {"store": reuse | {"path": str(tmp_path / "c"), "on_numeric_change": "rescore"}})
    assert third.scored.scored_now == {"v1": 0, "v2": 0}, "scores of this machine are there now"


def test_a_damaged_part_of_the_store_stops_the_run_and_is_named(lake, tiny_models, tmp_path):
    tree = config_tree(lake, tmp_path, tiny_models, run="a", execute=ONE)
    execute(tree, score_only=True)
    part = sorted((tmp_path / "_scores").rglob("*.parquet"))[0]
    data = bytearray(part.read_bytes())
    data[40] ^= 4
    part.write_bytes(data)
    with pytest.raises(DataError, match=part.name):
        execute(tree | {"run": "b"}, score_only=True)


# --- Cascades --------------------------------------------------------------------------------------------------------


def cascade(lake: Path, runs: Path, models: Path, **sections: Any) -> dict[str, Any]:
    """Return a config whose one strategy reads v2 where v1 lies in a band; m1 and m2 weigh the same, v1 comes first."""
    tree = config_tree(lake, runs, models, execute=ONE, **sections)
    rules = [
        {"when": "v1.scam >= 0.55", "then": "reject"},
        {"when": "v1.scam >= 0.45 and v2.scam >= 0.5", "then": "review"},
    ]
    tree["strategies"] = {"cascade": {"rules": rules, "otherwise": "approve"}}
    tree["compare"] = None
    return tree


def test_a_cascade_asks_the_second_model_inside_the_band_alone(lake, tiny_models, tmp_path):
    finished = execute(cascade(lake, tmp_path, tiny_models))
    small = pq.read_table(finished.directory / "scores" / "v1.parquet")
    big = pq.read_table(finished.directory / "scores" / "v2.parquet")
    score = small["scam"].to_numpy()
    band = (score >= np.float32(0.45)) & (score < np.float32(0.55))
    assert 0 < band.sum() < 0.9 * len(band)
    assert big["content_id"].to_pylist() == small["content_id"].filter(pa.array(band)).to_pylist()
    assert finished.scored.scored_now == {"v1": len(band), "v2": int(band.sum())}


def test_a_cascade_gives_the_decisions_and_numbers_of_scoring_everything(lake, tiny_models, tmp_path):
    plain = {"estimate": {"estimator": "hajek"}}  # the difference estimator predicts from every score that there is
    sparing = execute(cascade(lake, tmp_path / "some", tiny_models) | plain)
    tree = cascade(lake, tmp_path / "all", tiny_models) | plain
    everything = {"rules": [{"when": "v2.scam >= 2", "then": "reject"}], "otherwise": "approve"}
    tree["strategies"] |= {"asks-all": everything}
    full = execute(tree)
    assert full.scored.scored_now["v2"] > sparing.scored.scored_now["v2"]
    mine, theirs = outcomes(sparing), outcomes(full)
    assert [(i, o[1]) for i, o in mine] == [(i, o[1]) for i, o in theirs]  # 0 is `logged`
    some, every = (pq.read_table(x.directory / "estimates.parquet") for x in (sparing, full))
    assert some.equals(every.filter(pc.is_in(every["strategy"], pa.array(["logged", "cascade"]))))


def test_an_attribute_may_spare_a_model(lake, tiny_models, tmp_path):
    tree = cascade(lake, tmp_path, tiny_models)
    rules = [{"when": 'region == "US" and v2.scam >= 0.5', "then": "reject"}]
    tree["strategies"] = {"american": {"rules": rules, "otherwise": "approve"}}
    finished = execute(tree)
    everything = json.loads((finished.directory / "manifest.json").read_text())["counts"]["kept"]
    assert 0 < finished.scored.scored_now["v2"] < everything / 2
    assert "v1" not in finished.scored.contents, "no strategy reads it"


def test_a_cascade_in_a_grown_band_scores_the_rest_alone(lake, tiny_models, tmp_path):
    narrow = execute(cascade(lake, tmp_path, tiny_models, run="narrow"))
    tree = cascade(lake, tmp_path, tiny_models, run="wide")
    tree["strategies"]["cascade"]["rules"][1]["when"] = "v1.scam >= 0.4 and v2.scam >= 0.5"
    wide = execute(tree)
    assert wide.scored.scored_now["v1"] == 0
    assert wide.scored.scored_now["v2"] == wide.scored.contents["v2"] - narrow.scored.contents["v2"] > 0


def test_another_order_of_rows_and_files_changes_no_score(runs, lake, tiny_models, tmp_path):
    table = pa.concat_tables(pq.read_table(path) for path in sorted((lake / "creatives").glob("*.parquet")))
    shuffled = table.take(pa.array(np.random.default_rng(3).permutation(table.num_rows)))
    (tmp_path / "lake").mkdir()
    for part in range(2):
        piece = shuffled.slice(part * 300, 300)
        pq.write_table(piece, tmp_path / "lake" / f"part-{part}.parquet", row_group_size=37)
    tree = config_tree(lake, runs, tiny_models, run="shuffled", execute=ONE)
    tree["creatives"]["path"] = str(tmp_path / "lake")
    tree["store"]["scores"] = str(tmp_path / "scores")
    execute(tree, score_only=True)
    for model in ("v1", "v2"):
        before, after = (pq.read_table(runs / run / "scores" / f"{model}.parquet") for run in ("first", "shuffled"))
        assert before["content_id"] != after["content_id"], "the order did change"
        one, other = (t.sort_by("content_id")["scam"].to_numpy().tobytes() for t in (before, after))
        assert one == other
