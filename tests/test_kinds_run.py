"""Runs over the kinds of text model: fields by template or apart, sigmoid heads, decoders; tokens shared."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from lake import config_tree

from engine.config.loading import check_config
from engine.errors import UsageError
from engine.pipeline import Finished, run
from engine.progress import Progress
from engine.read.identity import content_id


def execute(tree: dict[str, Any]) -> Finished:
    return run(check_config(tree, "test"), Progress(), score_only=True)


@pytest.fixture
def tree(lake, tiny_models, tmp_path) -> dict[str, Any]:
    return config_tree(lake, tmp_path, tiny_models, execute={"workers": 1})


def stored(finished: Finished, model: str) -> dict[bytes, float]:
    table = pq.read_table(finished.directory / "scores" / f"{model}.parquet")
    return dict(zip(table["content_id"].to_pylist(), table["scam"].to_pylist(), strict=True))


def plain_scores(model: Path, texts: list[str], activation: str = "softmax") -> np.ndarray:
    """Return what the model of transformers says of each text, alone."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    loaded = AutoModelForSequenceClassification.from_pretrained(model).eval()
    tokenizer = AutoTokenizer.from_pretrained(model)
    found = []
    for text in texts:
        with torch.inference_mode():
            logits = loaded(**tokenizer(text, return_tensors="pt", truncation=True, max_length=64)).logits
        scores = torch.sigmoid(logits) if activation == "sigmoid" else torch.softmax(logits, -1)
        found.append(float(scores[0, 1]))
    return np.array(found)


def rows_of(lake: Path, count: int = 30) -> list[dict[str, Any]]:
    rows = pq.read_table(lake / "creatives", columns=["title", "body"]).slice(100, count).to_pylist()
    return list({(row["title"], row["body"]): row for row in rows}.values())


def id_of(row: dict[str, Any]) -> bytes:
    return content_id([None if row[name] is None else row[name].encode() for name in ("title", "body")])


def test_a_template_joins_the_fields_as_written(tree, lake, tiny_models):
    tree["models"]["v2"]["template"] = "{body} [SEP] {title}"
    score = stored(execute(tree), "v2")
    rows = rows_of(lake)
    wanted = plain_scores(tiny_models / "m2", [f"{row['body']} [SEP] {row['title'] or ''}" for row in rows])
    np.testing.assert_allclose([score[id_of(row)] for row in rows], wanted, atol=5e-6)


@pytest.mark.parametrize("how", ["max", "mean"])
def test_fields_scored_apart_are_combined(tree, lake, tiny_models, how):
    tree["models"]["v2"]["apart"] = how
    score = stored(execute(tree), "v2")
    for row in rows_of(lake, 15):
        parts = plain_scores(tiny_models / "m2", [text for text in (row["title"], row["body"]) if text])
        wanted = parts.max() if how == "max" else parts.mean()
        assert score[id_of(row)] == pytest.approx(wanted, abs=5e-6)


def test_a_multi_label_head_scores_each_label_by_its_own_sigmoid(tree, lake, tiny_models, tmp_path):
    import json

    folder = Path(shutil.copytree(tiny_models / "m2", tmp_path / "multi"))
    config = json.loads((folder / "config.json").read_text()) | {"problem_type": "multi_label_classification"}
    (folder / "config.json").write_text(json.dumps(config))
    tree["policies"] = ["scam", "fine"]
    tree["models"]["v2"] = {"path": str(folder), "outputs": {"scam": "SCAM", "fine": "FINE"}}
    finished = execute(tree)
    score = stored(finished, "v2")
    rows = rows_of(lake)
    wanted = plain_scores(folder, ["\n".join(row[n] or "" for n in ("title", "body")) for row in rows], "sigmoid")
    np.testing.assert_allclose([score[id_of(row)] for row in rows], wanted, atol=5e-6)
    table = pq.read_table(finished.directory / "scores" / "v2.parquet")
    assert abs(np.array(table["scam"]) + np.array(table["fine"]) - 1).max() > 0.01, "no softmax"


def test_models_that_share_a_tokenizer_tokenize_once(tree, monkeypatch):
    from engine.score.text import HuggingFaceText

    seen: list[int] = []
    prepare = HuggingFaceText.prepare
    monkeypatch.setattr(HuggingFaceText, "prepare", lambda self, c: seen.append(len(c)) or prepare(self, c))
    finished = execute(tree)
    assert sum(seen) == finished.scored.contents["v1"], "m1 and m2 have one tokenizer: each content once, not twice"


def test_a_policy_under_another_name_is_answered_by_the_same_scores(tree):
    tree |= {"labels": None, "audits": None}
    first = execute(tree)
    tree["policies"] = ["fraud"]
    for model in tree["models"].values():
        model["outputs"] = {"fraud": "SCAM"}
    for rule, when in zip(tree["strategies"]["live"]["rules"], ("v1.fraud >= 0.8", "v1.fraud >= 0.5"), strict=True):
        rule["when"] = when
    renamed = execute(tree | {"run": "renamed"})
    assert renamed.scored.scored_now == {"v1": 0, "v2": 0}
    tables = [pq.read_table(f.directory / "scores" / "v2.parquet") for f in (first, renamed)]
    assert tables[0]["scam"].equals(tables[1]["fraud"])


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"template": "{headline}"}, "no text column of the model"),
        ({"template": "{title}", "apart": "max"}, "choose one"),
        ({"frames": {"most": 3}}, "belongs to a model that reads pictures"),
    ],
)
def test_settings_that_do_not_fit_are_refused(tree, keys, said):
    tree["models"]["v2"] |= keys
    with pytest.raises(UsageError, match=said):
        check_config(tree, "test")
