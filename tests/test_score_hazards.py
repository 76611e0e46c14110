"""What could make a stored score the wrong one, or a decision depend on what it must not: each planted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gallery import encode, noise, save_vit
from lake import config_tree

from engine.config.loading import check_config
from engine.errors import DataError
from engine.pipeline import Finished, run
from engine.progress import Progress
from engine.store import ScoreStore

ONE = {"workers": 1}


def execute(tree: dict[str, Any], **how: Any) -> Finished:
    return run(check_config(tree, "test"), Progress(), **how)


def scam(finished: Finished, model: str = "v1") -> np.ndarray:
    return pq.read_table(finished.directory / "scores" / f"{model}.parquet")["scam"].to_numpy()


def rewrite_parts(store: Path, other: Path, change, **facts: Any) -> None:
    """Write every part of a store into another one, its scores changed, as another machine would have."""
    for path in sorted(store.rglob("*.parquet")):
        table = pq.read_table(path)
        held = table.schema.metadata
        columns = {name: table[name] for name in table.column_names}
        columns |= {
            name: pa.array(change(values.to_numpy().copy())) for name, values in columns.items() if name != "content_id"
        }
        machine = json.loads(held[b"machine"]) | facts
        ScoreStore(other).commit(held[b"fingerprint"].decode(), pa.table(columns), machine)


def some_missing(score: np.ndarray) -> np.ndarray:
    score[::3] = np.nan
    return score


@pytest.fixture
def tree(lake, tiny_models, tmp_path) -> dict[str, Any]:
    return config_tree(lake, tmp_path / "runs", tiny_models, execute=ONE)


def test_missing_scores_in_the_store_stop_a_run_that_does_not_allow_them(tree, tmp_path):
    execute(tree, score_only=True)
    rewrite_parts(tmp_path / "runs" / "_scores", tmp_path / "holes", some_missing)
    tree["store"] = {"path": str(tmp_path / "runs"), "scores": str(tmp_path / "holes")}
    with pytest.raises(DataError, match="NaN scores"):
        execute(tree | {"run": "stop"}, score_only=True)
    tree["creatives"]["on_missing_score"] = "review"
    assert np.isnan(scam(execute(tree | {"run": "review"}, score_only=True))).any()


def test_another_limit_of_text_is_another_score(tree):
    long = scam(execute(tree, score_only=True))
    short = execute(tree | {"run": "short", "limits": {"shard_rows": 100, "text_characters": 5}}, score_only=True)
    assert short.scored.scored_now == short.scored.contents
    assert not np.array_equal(scam(short), long)


def test_a_picture_that_changed_after_it_was_read_is_not_scored_as_the_old_one(lake, tmp_path):
    model = save_vit(tmp_path / "vit")
    pictures = [tmp_path / f"{i}.png" for i in range(3)]
    for i, path in enumerate(pictures):
        path.write_bytes(encode(noise(32, 32, i)))
    (tmp_path / "lake").mkdir()
    for part, path in enumerate(sorted((lake / "creatives").glob("*.parquet"))):
        table = pq.read_table(path)
        shown = pa.array([str(pictures[(part + i) % 3]) for i in range(table.num_rows)])
        pq.write_table(table.append_column("shown", shown), tmp_path / "lake" / path.name, row_group_size=50)
    tree = config_tree(lake, tmp_path / "runs", execute=ONE, scores={}, compare=None)
    tree["creatives"]["path"] = str(tmp_path / "lake")
    tree["creatives"]["columns"] |= {"images": ["shown"]}
    tree["models"] = {"pics": {"path": str(model), "outputs": {"scam": "SCAM"}, "images": ["shown"]}}
    rules = [{"when": "pics.scam >= 0.5", "then": "reject"}]
    tree["strategies"] = {"live": {"rules": rules, "otherwise": "approve"}}
    with pytest.raises(DataError, match="lack scores"):
        execute(tree, scores_exist=True)  # stops once the pictures are read
    pictures[1].write_bytes(encode(noise(32, 32, 9)))
    with pytest.raises(DataError, match=r"1\.png: is not what it was when the run read it"):
        execute(tree)
    assert not list((tmp_path / "runs" / "_scores").rglob("*.parquet"))


def test_what_is_asked_next_follows_the_scores_at_hand_after_a_resume(tree, tmp_path):
    band = {"when": "v1.scam >= 0.45 and v2.scam >= 0.5", "then": "review"}
    tree["strategies"] = {"cascade": {"rules": [band], "otherwise": "approve"}}
    tree["compare"] = None
    execute(tree | {"run": "seed"}, score_only=True)
    with pytest.raises(DataError, match="lack scores"):
        execute(tree | {"store": {"path": str(tmp_path / "r"), "scores": str(tmp_path / "none")}}, scores_exist=True)
    first = {"path": str(tmp_path / "r"), "scores": str(tmp_path / "first")}
    seed = sorted((tmp_path / "runs" / "_scores").iterdir(), key=lambda p: -len(list(p.glob("*.parquet"))))
    by_size = {p.name: sum(pq.read_metadata(x).num_rows for x in p.glob("*.parquet")) for p in seed}
    small = max(by_size, key=lambda name: by_size[name])  # v1 is asked about everything
    rewrite_parts(tmp_path / "runs" / "_scores" / small, tmp_path / "first", lambda s: s)
    with pytest.raises(DataError, match="lack scores"):
        execute(tree | {"store": first}, scores_exist=True)  # v1 is found, what v2 is asked is written down
    rewrite_parts(tmp_path / "runs" / "_scores" / small, tmp_path / "second", lambda s: s + np.float32(0.05))
    second = execute(
        tree | {"store": {"path": str(tmp_path / "r"), "scores": str(tmp_path / "second")}}, score_only=True
    )
    assert second.scored.contents["v2"] == int((scam(second) >= np.float32(0.45)).sum())


def test_a_decision_does_not_depend_on_what_other_strategies_ask_even_where_scores_are_missing(tree, tmp_path):
    tree["creatives"]["on_missing_score"] = "review"
    band = {"when": "v1.scam >= 0.45 and v2.scam >= 0.5", "then": "reject"}
    tree["strategies"] = {"cascade": {"rules": [band], "otherwise": "approve"}}
    tree["compare"] = None
    everything = {"asks all": {"rules": [{"when": "v2.scam >= 0.9", "then": "reject"}], "otherwise": "approve"}}
    both = tree | {"strategies": tree["strategies"] | everything, "run": "seed"}
    execute(both, score_only=True)
    rewrite_parts(tmp_path / "runs" / "_scores", tmp_path / "holes", some_missing)
    own = {"store": {"path": str(tmp_path / "runs"), "scores": str(tmp_path / "holes")}}
    alone, beside = execute(tree | own | {"run": "alone"}), execute(both | own | {"run": "beside"})
    assert beside.scored.contents["v2"] > alone.scored.contents["v2"]
    kept = []
    for finished in (alone, beside):
        parts = sorted((finished.directory / "cells").glob("kept-*.parquet"))
        table = pa.concat_tables(pq.read_table(path) for path in parts)
        kept.append([outcome[1] for outcome in table["outcome"].to_pylist()])  # 0 is `logged`
    assert kept[0] == kept[1]
    assert len(set(kept[0])) == 3, "rejected, approved, and sent to review for a missing score"


def test_the_machine_that_scored_most_is_believed_whatever_the_parts_are_called(tree, tmp_path):
    first = execute(tree, score_only=True)
    store, mixed = tmp_path / "runs" / "_scores", tmp_path / "mixed"
    rewrite_parts(store, mixed, lambda s: s)
    for n, path in enumerate(sorted(store.rglob("*.parquet"))):
        if n % 3 == 0:
            (tmp_path / "few").mkdir(exist_ok=True)
            (tmp_path / "few" / path.name).write_bytes(path.read_bytes())
    for step in (1e-6, 2e-6, 3e-6):
        rewrite_parts(tmp_path / "few", mixed, lambda s, step=step: s + np.float32(step), torch=f"9.{step}")
    tree["store"] = {"path": str(tmp_path / "other"), "scores": str(mixed)}
    assert scam(execute(tree, score_only=True)).tobytes() == scam(first).tobytes()


def test_a_finished_run_whose_facts_are_gone_makes_them_anew(tree):
    finished = execute(tree)
    (finished.directory / "scores" / "v1.facts.json").unlink()
    again = execute(tree)
    assert again.scored.contents == finished.scored.contents
    assert again.scored.scored_now == {"v1": 0, "v2": 0}


def test_a_strategys_cost_is_its_own(tree):
    prices = {"leaked": 0.0, "overkilled": 0.0, "million_contents": 1e6}
    band = {"when": "v1.scam >= 0.45 and v2.scam >= 0.5", "then": "reject"}
    tree |= {"cost": prices, "compare": None, "strategies": {"cascade": {"rules": [band], "otherwise": "approve"}}}
    everything = {"asks all": {"rules": [{"when": "v2.scam >= 0.9", "then": "reject"}], "otherwise": "approve"}}
    found = {}
    for name, more, sample in (("alone", {}, None), ("beside", everything, None), ("sampled", everything, 0.2)):
        one = tree | {"run": name, "strategies": tree["strategies"] | more}
        one["creatives"] = tree["creatives"] | {"sample": {"share": sample} if sample else None}
        finished = execute(one)
        rows = pq.read_table(finished.directory / "estimates.parquet").to_pylist()
        chosen = [r for r in rows if r["metric"] == "cost" and r["segment"] == "all" and r["inference"] == "history"]
        found[name] = {r["strategy"]: (r["estimate"], r["null_reason"]) for r in chosen if r["reading"] == "machine"}
        found[name]["contents"] = finished.scored.contents
    alone, beside, sampled = (found[name] for name in ("alone", "beside", "sampled"))
    assert alone["cascade"][0] == pytest.approx(sum(alone["contents"].values()))
    assert beside["cascade"][0] is None
    assert "another one asks the same model" in beside["cascade"][1]
    assert beside["asks all"][0] == sampled["asks all"][0] == beside["contents"]["v2"] > sampled["contents"]["v2"]
