"""The whole road: local and Ray, killed and resumed, run again, brought scores, the files a run leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from lake import config_tree

from engine.config.loading import check_config, dump_yaml
from engine.pipeline import run
from engine.progress import Progress

SAME = ("estimates.parquet", "summary.json", "report.md", "config.resolved.yaml", "quarantine.parquet")


def own_scores(tmp_path: Path, runs: Path) -> dict[str, str]:
    """Return a `store` section with scores of its own: nothing is answered by what other tests computed."""
    return {"path": str(runs), "scores": str(tmp_path / "scores")}


def execute(tree: dict) -> Path:
    return run(check_config(tree, "test"), Progress()).directory


def bytes_of(directory: Path) -> dict[str, bytes]:
    """Return everything that must not depend on where or in how many goes a run ran."""
    files = [directory / name for name in SAME] + sorted(directory.glob("scores/*.parquet"))
    found = {str(path.relative_to(directory)): path.read_bytes() for path in files}
    found["report.md"] = found["report.md"].replace(directory.name.encode(), b"RUN")
    return found


@pytest.fixture(scope="module")
def undisturbed(lake, tiny_models, tmp_path_factory) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    return execute(config_tree(lake, runs, tiny_models, run="q-plain", execute={"workers": 1}))


def test_a_run_leaves_what_the_design_promises(undisturbed):
    for name in (*SAME, "manifest.json"):
        assert (undisturbed / name).exists()
    manifest = json.loads((undisturbed / "manifest.json").read_text())
    assert manifest["state"] == "complete"
    counts = manifest["counts"]
    parts = ("kept", "warm_up", "outside_period", "quarantined", "duplicates_dropped")
    assert counts["read"] == 600 == sum(counts[part] for part in parts)
    assert counts["warm_up"] == 48
    assert counts["outside_period"] == 24
    assert counts["scored_now"] == counts["contents"] == dict.fromkeys(("v1", "v2"), counts["contents"]["v1"])
    assert not list(undisturbed.rglob("*.part"))


def test_every_content_is_scored_once_by_each_model(undisturbed):
    for model in ("v1", "v2"):
        ids = pq.read_table(undisturbed / "scores" / f"{model}.parquet")["content_id"].to_pylist()
        assert len(ids) == len(set(ids)) > 50


def test_scores_equal_the_plain_forward_pass(undisturbed, lake, tiny_models):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from engine.read.identity import content_id

    model = AutoModelForSequenceClassification.from_pretrained(tiny_models / "m2").eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_models / "m2")
    table = pq.read_table(undisturbed / "scores" / "v2.parquet")
    stored = dict(zip(table["content_id"].to_pylist(), table["scam"].to_pylist(), strict=True))
    for row in pq.read_table(lake / "creatives", columns=["title", "body"]).slice(100, 40).to_pylist():
        fields = [None if row[name] is None else row[name].encode() for name in ("title", "body")]
        text = "\n".join(row[name] or "" for name in ("title", "body"))
        with torch.inference_mode():
            logits = model(**tokenizer(text, return_tensors="pt", truncation=True, max_length=64)).logits
        assert stored[content_id(fields)] == pytest.approx(float(torch.softmax(logits, -1)[0, 1]), abs=5e-6)


def test_several_processes_give_the_same_bytes(undisturbed, lake, tiny_models, tmp_path):
    other = execute(
        config_tree(
            lake,
            tmp_path,
            tiny_models,
            run="q-two",
            execute={"workers": 2},
            store=own_scores(tmp_path, undisturbed.parent),
        )
    )
    assert bytes_of(other) == bytes_of(undisturbed)


@pytest.mark.cluster
@pytest.mark.usefixtures("ray_cluster")
def test_a_ray_cluster_gives_the_same_bytes(undisturbed, lake, tiny_models, tmp_path):
    tree = config_tree(lake, undisturbed.parent, tiny_models, run="q-ray", execute={"where": "ray", "workers": 2})
    tree["store"] = own_scores(tmp_path, undisturbed.parent)
    assert bytes_of(execute(tree)) == bytes_of(undisturbed)


def test_a_run_killed_while_scoring_resumes_to_the_same_bytes(undisturbed, lake, tiny_models, tmp_path):
    tree = config_tree(lake, undisturbed.parent, tiny_models, run="q-killed", execute={"workers": 1})
    tree["store"] = own_scores(tmp_path, undisturbed.parent)
    path = tmp_path / "killed.yaml"
    path.write_text(dump_yaml(tree))
    command = [sys.executable, "-m", "engine", "run", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    scores = tmp_path / "scores"
    deadline = time.monotonic() + 120
    while not list(scores.glob("*/*.done")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert process.returncode == -signal.SIGKILL, "it finished before it could be killed"
    marked = {p: p.stat().st_mtime_ns for p in scores.rglob("*.done")}
    assert marked
    finished = run(check_config(tree, "test"), Progress())
    assert bytes_of(finished.directory) == bytes_of(undisturbed)
    assert all(p.stat().st_mtime_ns == at for p, at in marked.items()), "what was committed was scored again"
    committed = sum(pq.read_metadata(p.with_suffix("")).num_rows for p in marked)
    contents, now = finished.scored.contents, finished.scored.scored_now
    assert committed + sum(now.values()) == sum(contents.values()), "no content was scored twice"
    assert 0 < now["v2"] <= contents["v2"]


def test_a_second_run_scores_nothing_and_changes_nothing(undisturbed, lake, tiny_models):
    before = bytes_of(undisturbed)
    tree = config_tree(lake, undisturbed.parent, tiny_models, run="q-plain", execute={"workers": 1})
    finished = run(check_config(tree, "test"), Progress())
    assert finished.scored.scored_now == {"v1": 0, "v2": 0}
    assert bytes_of(undisturbed) == before


def test_a_second_run_does_not_even_import_torch(undisturbed, lake, tiny_models, tmp_path):
    path = tmp_path / "again.yaml"
    path.write_text(
        dump_yaml(config_tree(lake, undisturbed.parent, tiny_models, run="q-plain", execute={"workers": 1}))
    )
    code = (
        "import sys; sys.argv = ['backtest', 'run', sys.argv[1]]\n"
        "from engine.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "assert 'torch' not in sys.modules and 'ray' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, capture_output=True)


def test_importing_the_engine_is_light():
    code = "import engine, sys; assert not {'torch', 'ray', 'pyarrow', 'numba', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_order_and_size_of_shards_change_no_number(lake, tmp_path):
    small = execute(config_tree(lake, tmp_path, run="small", limits={"shard_rows": 50}))
    large = execute(config_tree(lake, tmp_path, run="large", limits={"shard_rows": 10_000}))
    assert pq.read_table(small / "estimates.parquet").equals(pq.read_table(large / "estimates.parquet"))


def test_a_scores_file_gives_the_numbers_of_score_columns(lake, tmp_path):
    table = pq.read_table(lake / "creatives", columns=["creative_id", "old_score"])
    pq.write_table(table.take(list(range(len(table)))[::-1]), tmp_path / "scores.parquet")
    brought = {"v1": {"path": str(tmp_path / "scores.parquet"), "columns": {"scam": "old_score"}}}
    columns = execute(config_tree(lake, tmp_path, run="columns"))
    file = execute(config_tree(lake, tmp_path, run="file", scores=brought))
    assert pq.read_table(columns / "estimates.parquet").equals(pq.read_table(file / "estimates.parquet"))


def test_truth_stands_beside_estimates_and_does_not_change_them(lake, tmp_path):
    plain = execute(config_tree(lake, tmp_path, run="without"))
    truth = {"truth": str(lake / "truth.parquet"), "html": False}
    beside = execute(config_tree(lake, tmp_path, run="beside", report=truth))
    assert pq.read_table(plain / "estimates.parquet").equals(pq.read_table(beside / "estimates.parquet"))
    rows = pq.read_table(beside / "truth.parquet").to_pylist()
    chosen = [r for r in rows if r["metric"] == "leakage_rate" and r["segment"] == "all" and r["baseline"] is None]
    assert all(0 <= r["truth"] <= 1 for r in chosen if r["weighting"] == "creatives")


def test_two_policies_and_any_come_together(lake, tmp_path):
    table = pq.read_table(lake / "labels.parquet")
    more = table.set_column(1, "policy", [["adult"] * len(table)])
    import pyarrow as pa

    pq.write_table(pa.concat_tables([table, more]), tmp_path / "labels.parquet")
    tree = config_tree(
        lake,
        tmp_path,
        run="policies",
        policies=["scam", "adult"],
        labels={"path": str(tmp_path / "labels.parquet")},
        scores={"v1": {"creatives": {"scam": "old_score", "adult": "old_score"}}},
        compare=None,
    )
    tree["strategies"] = {"both": tree["strategies"]["live"] | {"match": "harshest"}}
    tree["strategies"]["both"]["rules"] = [
        {"when": "v1.scam >= 0.8", "then": "reject"},
        {"when": "v1.adult >= 0.5", "then": "review"},
    ]
    rows = pq.read_table(execute(tree) / "estimates.parquet").to_pylist()
    found = {
        (r["policy"], r["metric"]): r
        for r in rows
        if (r["strategy"], r["segment"], r["weighting"], r["reading"], r["inference"])
        == ("both", "all", "creatives", "machine", "history")
    }
    assert {"scam", "adult", "any"} == {policy for policy, _ in found}
    assert found["scam", "leakage_rate"]["estimate"] == found["any", "leakage_rate"]["estimate"]
    assert found["adult", "overkill_rate"]["estimate"] == 0.0, "what is refused for scam is not owed to adult"
    assert found["any", "overkill_rate"]["estimate"] == found["scam", "overkill_rate"]["estimate"]
    assert ("scam", "reject_rate") not in found
