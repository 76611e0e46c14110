"""A run in which a model scores in int8: what it keeps apart, what it checks in float32, and what it says of that."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from lake import config_tree

from engine.config.loading import check_config
from engine.errors import DataError, UsageError
from engine.pipeline import Finished, run
from engine.progress import Progress
from engine.score.quantized import why_no_int8
from engine.stages.drift import CHECKED

pytestmark = pytest.mark.skipif(bool(why_no_int8()), reason=why_no_int8() or "it has a path")


def execute(tree: dict[str, Any]) -> Finished:
    return run(check_config(tree, "test"), Progress())


def in_int8(tree: dict[str, Any], **sections: Any) -> dict[str, Any]:
    models = {name: model | ({"dtype": "int8"} if name == "v2" else {}) for name, model in tree["models"].items()}
    return tree | {"models": models, "run": "whole"} | sections


@pytest.fixture
def tree(lake, tiny_models, tmp_path, monkeypatch) -> dict[str, Any]:
    monkeypatch.setattr("engine.stages.drift.CHECKED", 20)
    return config_tree(lake, tmp_path, tiny_models, execute={"workers": 1, "device": "cpu"})


def test_int8_and_float32_never_answer_for_each_other(tree):
    whole, plain = execute(in_int8(tree)), execute(tree)
    contents = whole.scored.contents["v2"]
    assert whole.scored.scored_now == {"v1": contents, "v2": contents}
    assert plain.scored.scored_now == {"v1": 0, "v2": contents - 20}, "what was checked in float32 is scored"
    again = execute(in_int8(tree, run="again"))
    assert again.scored.scored_now == {"v1": 0, "v2": 0}
    assert again.scored.drift == whole.scored.drift


def test_the_same_model_in_both_dtypes_scores_a_content_once_in_each(tree):
    tree["models"]["v1"] = dict(tree["models"]["v2"])
    both = execute(in_int8(tree))
    contents = both.scored.contents["v2"]
    assert both.scored.scored_now == {"v1": contents, "v2": contents}
    assert both.scored.twice == {"v1": 0, "v2": 0}
    parts = list((both.directory.parent / "_scores").glob("*/*.parquet"))
    assert sum(pq.read_metadata(part).num_rows for part in parts) == 2 * contents


def test_the_drift_is_that_of_the_contents_of_the_lowest_ids(tree):
    whole, plain = execute(in_int8(tree)), execute(tree)
    tables = [pq.read_table(f.directory / "scores" / "v2.parquet").sort_by("content_id") for f in (whole, plain)]
    score, truth = (table["scam"].to_numpy()[:20].astype(np.float64) for table in tables)
    facts = whole.scored.drift["v2.scam"]
    assert (facts["members"], facts["contents"]) == (20, tables[0].num_rows)
    assert 0 < facts["mean_difference"] == pytest.approx(np.abs(score - truth).mean())
    assert facts["max_difference"] == pytest.approx(np.abs(score - truth).max())
    for side in facts["sides"]:
        changed = (score >= side["threshold"]) != (truth >= side["threshold"])
        assert side["equal"] == pytest.approx(1 - changed.mean())
    assert [side["threshold"] for side in facts["sides"]] == [0.5, 0.8]
    assert set(whole.scored.drift) == {"v2.scam"}
    assert plain.scored.drift == {}


def test_the_report_says_that_a_model_scored_in_int8(tree):
    whole = execute(in_int8(tree))
    summary = json.loads((whole.directory / "summary.json").read_text())
    assert summary["drift"] == json.loads(json.dumps(whole.scored.drift))
    assert any("v2.scam: scored in int8, 20 of" in warning for warning in summary["warnings"])
    assert "would decide otherwise in float32" in (whole.directory / "report.md").read_text()
    resumed = execute(in_int8(tree))
    assert resumed.scored.drift == json.loads(json.dumps(whole.scored.drift))


def test_two_workers_give_the_same_bytes(tree):
    one = execute(in_int8(tree))
    apart = tree["store"] | {"scores": f"{tree['store']['path']}/other"}
    two = execute(in_int8(tree, run="two", execute={"workers": 2, "device": "cpu"}, store=apart))
    scores = [(f.directory / "scores" / "v2.parquet").read_bytes() for f in (one, two)]
    assert scores[0] == scores[1]
    assert two.scored.drift == one.scored.drift


def test_a_sample_of_the_default_size_is_checked_where_there_are_as_many(tree, monkeypatch):
    monkeypatch.setattr("engine.stages.drift.CHECKED", CHECKED)
    facts = execute(in_int8(tree)).scored.drift["v2.scam"]
    assert facts["members"] == min(CHECKED, facts["contents"])


def test_a_family_without_a_path_stops_before_any_work(tree, tmp_path):
    folder = tmp_path / "albert"
    folder.mkdir()
    model = tree["models"]["v2"]["path"]
    for file in ("model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        (folder / file).write_bytes((type(tmp_path)(model) / file).read_bytes())
    config = json.loads((type(tmp_path)(model) / "config.json").read_text())
    config |= {"architectures": ["AlbertForSequenceClassification"], "model_type": "albert"}
    (folder / "config.json").write_text(json.dumps(config))
    tree["models"]["v2"]["path"] = str(folder)
    with pytest.raises(DataError, match="AlbertForSequenceClassification has no path for; use float32"):
        execute(in_int8(tree))


def test_a_model_of_pictures_is_refused_by_the_config(tree):
    pictures = {"path": "m", "outputs": {"scam": "SCAM"}, "images": ["picture"], "dtype": "int8"}
    with pytest.raises(UsageError, match="int8 belongs to texts"):
        check_config(tree | {"models": tree["models"] | {"v2": pictures}}, "test")
