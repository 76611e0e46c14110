"""A run in which near-identical texts share a score: who is scored, who carries, and how well that agrees."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lake import WORDS, config_tree, write_lake

from engine.config.loading import check_config
from engine.pipeline import Finished, run
from engine.progress import Progress

GROUPS, COPIES = 12, 9


def execute(tree: dict[str, Any]) -> Finished:
    return run(check_config(tree, "test"), Progress())


@pytest.fixture(scope="module")
def copied_lake(tmp_path_factory) -> Path:
    """Return a lake of long texts, most of them one word away from an earlier one."""
    folder = tmp_path_factory.mktemp("copied")
    write_lake(folder)
    generator = np.random.default_rng(4)
    made_up = ["".join(generator.choice(list("abcdefghij"), 6)) for _ in range(400)]
    templates = [" ".join([*generator.choice(made_up, 60), *generator.choice(WORDS, 10)]) for _ in range(GROUPS)]
    for path in sorted((folder / "creatives").glob("*.parquet")):
        table = pq.read_table(path)
        rows = range(table.num_rows)
        bodies = [f"{WORDS[(i // GROUPS) % COPIES]} {templates[i % GROUPS]}" for i in rows]
        table = table.set_column(table.column_names.index("body"), "body", pa.array(bodies))
        titles = pa.array(["sale"] * table.num_rows)
        pq.write_table(table.set_column(table.column_names.index("title"), "title", titles), path, row_group_size=50)
    return folder


@pytest.fixture
def tree(copied_lake, tiny_models, tmp_path) -> dict[str, Any]:
    tree = config_tree(copied_lake, tmp_path, tiny_models, execute={"workers": 1})
    tree["creatives"]["near_copies"] = {"similarity": 0.8, "check": 10}
    return tree


def test_one_of_a_group_is_scored_and_the_others_carry_its_score(tree):
    finished = execute(tree)
    plain = execute(tree | {"run": "plain", "creatives": tree["creatives"] | {"near_copies": None}})
    table, own = (pq.read_table(f.directory / "scores" / "v2.parquet") for f in (finished, plain))
    assert table["content_id"].equals(own["content_id"])
    score = dict(zip(table["content_id"].to_pylist(), table["scam"].to_pylist(), strict=True))
    truth = dict(zip(own["content_id"].to_pylist(), own["scam"].to_pylist(), strict=True))
    carried = dict(zip(table["content_id"].to_pylist(), table["near_copy_of"].to_pylist(), strict=True))
    assert len(score) == GROUPS * COPIES
    for content, giver in carried.items():
        assert score[content] == (truth[content] if giver is None else truth[giver])
        assert giver is None or carried[giver] is None, "nobody carries a carried score"
    facts = finished.scored.near_copies["v2.scam"]
    assert facts["propagated"] == sum(giver is not None for giver in carried.values()) == GROUPS * (COPIES - 1) - 10
    assert finished.scored.scored_now["v2"] == finished.scored.contents["v2"] == GROUPS + 10
    assert plain.scored.scored_now["v2"] == GROUPS * COPIES - GROUPS - 10, "carried scores never enter the store"


def test_the_agreement_is_that_of_the_checked_copies(tree):
    finished = execute(tree)
    facts = finished.scored.near_copies["v2.scam"]
    assert facts["members"] == 10
    assert 0 < facts["mean_difference"] <= facts["max_difference"] < 1
    assert [side["threshold"] for side in facts["sides"]] == [0.5, 0.8]
    summary = json.loads((finished.directory / "summary.json").read_text())
    assert summary["near_copies"]["v2.scam"] == json.loads(json.dumps(facts))
    assert any("near-copy" in warning for warning in summary["warnings"])
    again = execute(tree)
    assert again.scored.near_copies == json.loads(json.dumps(finished.scored.near_copies))
    assert again.scored.contents == finished.scored.contents


def test_two_workers_and_other_shards_group_alike(tree):
    one = execute(tree)
    store = tree["store"] | {"scores": f"{tree['store']['path']}/other"}
    two = execute(tree | {"run": "two", "execute": {"workers": 2}, "store": store})
    small = execute(tree | {"run": "small", "limits": {"shard_rows": 50}, "store": store})
    for model in ("v1", "v2"):
        bytes_ = {(f.directory / "scores" / f"{model}.parquet").read_bytes() for f in (one, two)}
        assert len(bytes_) == 1
        tables = [pq.read_table(f.directory / "scores" / f"{model}.parquet") for f in (one, small)]
        assert tables[0].equals(tables[1])


def test_without_a_near_copy_nothing_is_claimed_and_the_summary_is_json(lake, tiny_models, tmp_path):
    tree = config_tree(lake, tmp_path, tiny_models, execute={"workers": 1})
    tree["creatives"]["near_copies"] = {"similarity": 0.9}
    for model in tree["models"].values():
        model["text"] = ["title"]  # one word: too short to be anybody's near-copy
    finished = execute(tree)
    text = (finished.directory / "summary.json").read_text()
    facts = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))["near_copies"]["v2.scam"]
    assert (facts["propagated"], facts["members"], facts["mean_difference"], facts["sides"]) == (0, 0, None, [])
    assert "| nan" not in (finished.directory / "report.md").read_text()


def test_agreement_is_that_of_what_strategies_read(tree, monkeypatch):
    from engine.estimate.calibration import CalibrationMap
    from engine.stages import score

    plain = execute(tree).scored.near_copies["v2.scam"]
    steep = {"scam": CalibrationMap("temperature", (8.0,), 100, 0)}
    monkeypatch.setattr(score, "fit_maps", lambda *_: steep)
    mapped = execute(tree | {"run": "mapped"}).scored.near_copies["v2.scam"]
    assert mapped["mean_difference"] < 0.5 * plain["mean_difference"], "so steep a map leaves no difference here"
