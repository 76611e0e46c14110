"""The score bench: its arithmetic against plain loops, its texts, and one small run in which all contestants agree."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from arithmetic import Arithmetic, Peak, arithmetic_of
from graphs import export_graphs
from lake import WORDS
from memory import peak_megabytes
from peers import Model, Variant, as_model, load_eager, open_contestant, padding, plan, why_absent
from race import NAMES, Race, open_all, run_race, table, worst, worst_share
from record import at_least
from rounds import Rounds, fast_ones
from score_bench import measure
from stage import repeated, run_stage, stage_config, write_lake
from texts import Texts, as_texts, made_up_texts, open_tokenizer, read_texts

LENGTHS = np.array([7, 3, 12, 3, 5, 30, 8, 4])


@pytest.fixture
def model(tiny_models: Path) -> Model:
    return as_model(tiny_models / "m1", "cpu", threads=1)


def texts_of(length_U: np.ndarray) -> Texts:
    return Texts("made", tuple(f"text {i}" for i in range(len(length_U))), length_U)


def rounds_of(**seconds: list[float]) -> Rounds:
    return Rounds(dict(seconds), [10.0, 20.0, 40.0], {}, {})


def test_a_part_has_the_lengths_of_the_whole_and_each_text_once():
    length_U = np.random.default_rng(3).integers(3, 200, 5000)
    part = texts_of(length_U).part(480)
    assert len(set(part.texts)) == 480
    assert [int(length_U[int(text.split()[1])]) for text in part.texts] == part.length_U.tolist()
    quantiles = np.linspace(0, 1, 21)
    assert np.abs(np.quantile(part.length_U, quantiles) - np.quantile(length_U, quantiles)).max() <= 6
    assert list(part.length_U) != sorted(part.length_U)


def test_batches_of_a_sorted_part_are_padded_like_those_of_the_sorted_whole():
    whole = texts_of(np.random.default_rng(4).integers(3, 500, 4000))
    part = whole.part(64)
    assert len(part) == 64
    assert padding(part.length_U, 16, True) < padding(whole.length_U, 16, True) + 0.01


def test_a_part_as_large_as_the_whole_is_the_whole_in_another_order():
    whole = texts_of(LENGTHS)
    assert sorted(whole.part(100).texts) == sorted(whole.texts)


def test_made_up_texts_are_distinct_and_follow_the_given_lengths(model: Model):
    tokenizer = open_tokenizer(model.folder)
    wanted = np.array([6] * 3 + [10])
    made = made_up_texts("made", tokenizer, wanted, 400, seed=1)
    assert len(made) == len(set(made.texts)) == 400
    assert set(made.length_U.tolist()) == {6, 10}
    assert abs(float((made.length_U == 6).mean()) - 0.75) < 0.1
    assert made.texts == made_up_texts("made", tokenizer, wanted, 400, seed=1).texts
    assert made.texts != made_up_texts("made", tokenizer, wanted, 400, seed=2).texts


def test_a_vocabulary_too_small_for_distinct_texts_is_refused(model: Model):
    with pytest.raises(ValueError, match="too few"):
        made_up_texts("made", open_tokenizer(model.folder), np.array([3]), len(WORDS) + 1, seed=1)


def test_title_and_body_are_joined_and_blank_or_repeated_texts_are_dropped(tmp_path: Path, model: Model):
    titles, bodies = ["win", None, "win", None], ["cash", "hello", "cash", None]
    pq.write_table(pa.table({"body": bodies, "title": titles, "other": [1, 2, 3, 4]}), tmp_path / "a.parquet")
    read = as_texts("own", read_texts(tmp_path), open_tokenizer(model.folder))
    assert read.texts == ("win\ncash", "\nhello")
    assert read.length_U.tolist() == [4, 3]


def test_texts_without_a_title_or_body_are_refused(tmp_path: Path):
    pq.write_table(pa.table({"other": [1]}), tmp_path / "a.parquet")
    with pytest.raises(SystemExit, match="no column title or body"):
        read_texts(tmp_path / "a.parquet")


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("batch", [1, 3, 8, 50])
def test_padding_counts_what_a_batch_computes_beyond_its_tokens(batch: int, ordered: bool):
    order = sorted(LENGTHS, reverse=True) if ordered else list(LENGTHS)
    computed = 0
    for first in range(0, len(order), batch):
        rows = order[first : first + batch]
        computed += max(rows) * len(rows)
    assert padding(LENGTHS, batch, ordered) == pytest.approx(computed / sum(LENGTHS) - 1)
    assert sorted(np.concatenate(plan(LENGTHS, batch, ordered)).tolist()) == list(range(len(LENGTHS)))


def test_useful_operations_are_two_a_weight_and_row_and_four_a_pair_of_positions():
    arithmetic = Arithmetic(token_weights=100, content_weights=7, layers=3, hidden=5, shapes=())
    expected = 0.0
    for length in LENGTHS:
        expected += 2 * 100 * length + 2 * 7
        for _ in range(arithmetic.layers):
            for _ in range(length):
                expected += 2 * 2 * length * arithmetic.hidden
    assert arithmetic.flops(LENGTHS) == pytest.approx(expected)


def test_weights_of_layers_and_head_are_told_apart_and_embeddings_left_out(model: Model):
    loaded = load_eager(model)
    arithmetic = arithmetic_of(loaded)
    hidden, inner = loaded.config.hidden_size, loaded.config.intermediate_size
    assert arithmetic.token_weights == loaded.config.num_hidden_layers * (4 * hidden**2 + 2 * hidden * inner)
    assert arithmetic.content_weights == hidden**2 + hidden * len(model.folder.labels)
    assert set(arithmetic.shapes) == {(hidden, hidden), (hidden, inner), (inner, hidden)}
    assert Peak(arithmetic, "cpu").rate() > 0


def test_ratios_are_medians_over_rounds_not_ratios_of_medians():
    rounds = rounds_of(ours=[1.0, 2.0, 10.0], pipeline=[3.0, 8.0, 20.0])
    assert rounds.ratio("pipeline") == 3.0  # of 3, 4, 2
    assert rounds.ratio("onnxruntime") is None
    assert rounds.share("ours", 4.0) == pytest.approx(0.1)  # of 0.4, 0.1, 0.01


def test_variants_near_the_best_trial_stay_in_the_rounds():
    variants = [Variant(name, 1, True, lambda _: np.zeros((0, 1), np.float32)) for name in "abc"]
    assert [v.label for v in fast_ones(variants, {"a": 1.0, "b": 1.05, "c": 1.2}, near=1.1)] == ["a", "b"]


def test_the_bar_takes_the_worst_input_and_is_not_measured_where_one_lacks_the_peer():
    races = {
        name: Race(texts_of(LENGTHS), texts_of(LENGTHS), rounds, 4.0, 0.0)
        for name, rounds in (("demo", rounds_of(ours=[1.0] * 3, eager=[3.0] * 3)), ("own", rounds_of(ours=[2.0] * 3)))
    }
    assert worst({"demo": races["demo"]}, "eager") == 3.0
    assert worst(races, "eager") is None
    assert worst({}, "eager") is None
    assert worst_share(races) == pytest.approx(0.1)
    assert worst_share({}) is None
    assert not at_least("x", None, 1.0).holds
    assert at_least("x", 1.0, 1.0).holds
    assert not at_least("x", 0.99, 1.0).holds


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_creatives_with_duplicates_hold_every_text_and_the_wanted_share(share: float):
    texts = [f"t{i}" for i in range(50)]
    creatives = repeated(texts, share, seed=1)
    assert set(creatives) == set(texts)
    assert 1 - len(texts) / len(creatives) == pytest.approx(share)


def test_a_lake_has_one_file_a_shard_and_distinct_ids(tmp_path: Path):
    lake = write_lake(tmp_path / "lake", [["a", "b"], ["c"]])
    files = [pq.read_table(file) for file in sorted(lake.glob("*.parquet"))]
    assert [file["body"].to_pylist() for file in files] == [["a", "b"], ["c"]]
    assert len(set(pa.concat_tables(files)["creative_id"].to_pylist())) == 3


def test_all_contestants_agree_on_every_score(model: Model, tmp_path: Path):
    texts = made_up_texts("made", open_tokenizer(model.folder), np.array([3, 5, 9, 30]), 40, seed=1)
    if importlib.util.find_spec("onnxruntime"):
        export_graphs(model, tmp_path)
    contestants = open_all(model, tmp_path)
    race = run_race(contestants, model, arithmetic_of(load_eager(model)), texts, 24, rounds=1)
    present = [name for name in NAMES if contestants[name]]
    assert set(present) >= {"pipeline", "eager", "ours"}
    for variant in (v for name in present for v in contestants[name]):
        near = 0.25 if variant in contestants["int8"] else 1e-5  # a tiny model of large random weights drifts far
        np.testing.assert_allclose(variant.score(race.part), race.rounds.scores["eager"], rtol=0, atol=near)
    peak = peak_megabytes("eager", race.rounds.chosen["eager"].label, model, race.part, tmp_path, tmp_path)
    assert peak is None or peak > 10
    lines = "\n".join(table(race, model))
    assert all(name in lines for name in NAMES)
    json.dumps(race.raw())
    if contestants["int8"]:
        assert race.drift is not None
        assert 0 < race.drift.mean < 0.05


def test_drift_counts_contents_of_which_a_score_lies_on_the_other_side(model: Model):
    scores = np.array([[0.5, 0.5], [0.2, 0.8], [0.1, 0.9], [0.3, 0.7]], np.float32)
    whole = scores + np.array([[-0.01, 0.01], [0, 0], [0.02, -0.02], [0.03, -0.03]], np.float32)
    rounds = rounds_of(ours=[1.0] * 3, int8=[0.5] * 3)
    rounds.scores.update({"ours": scores, "int8": whole})
    race = Race(texts_of(LENGTHS), texts_of(LENGTHS[:4]), rounds, 4.0, 0.0)
    assert race.drift is not None
    assert race.drift.changed == {"0.5": 1, "0.9": 1}
    assert race.drift.mean == pytest.approx(0.015)
    assert race.drift.largest == pytest.approx(0.03)
    assert Race(texts_of(LENGTHS), texts_of(LENGTHS), rounds_of(ours=[1.0]), 4.0, 0.0).drift is None
    rounds.chosen.update(dict.fromkeys(rounds.seconds, Variant("", 1, True, lambda _: scores)))
    assert "1 on the other side of 0.5" in table(race, model)[-1]


def test_a_run_of_the_stage_reports_what_its_manifest_counts(model: Model, tmp_path: Path):
    lake = write_lake(tmp_path / "lake", [repeated(["win cash", "free lunch", "hello"], 0.5, seed=1)])
    run = run_stage(stage_config(model, lake, tmp_path / "runs", "r", "local", shard_rows=10))
    assert (run.rows, run.scored_now) == (6, 3)
    assert run.whole > run.seconds > 0


def test_a_gpu_that_is_not_there_ends_the_bench_with_the_reason(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit, match="no CUDA device"):
        measure(["--device", "cuda"])


def test_onnxruntime_sits_out_on_a_gpu_and_says_so(model: Model, tmp_path: Path):
    on_gpu = replace(model, device="cuda")
    assert open_contestant("onnxruntime", on_gpu, tmp_path) == []
    assert "skipped" in why_absent("onnxruntime", on_gpu)
    assert open_contestant("int8", on_gpu, tmp_path) == []
    assert why_absent("int8", on_gpu) == "skipped: it has no path on a GPU"
    assert [why_absent(name, on_gpu) for name in ("pipeline", "eager", "ours")] == ["", "", ""]


@pytest.mark.slow
@pytest.mark.cluster
def test_the_stage_part_measures_a_share_and_counts_every_scored_content(model: Model, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("backtests._SAMPLE", 10)
    words = [" ".join(WORDS[i % len(WORDS)] for i in range(3, 3 + n)) for n in range(2, 20)]
    pq.write_table(pa.table({"body": words}), tmp_path / "demo.parquet")
    options = {"demo": tmp_path / "demo.parquet", "model": model.folder.path, "shard-seconds": 0.01, "shards": 1}
    arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    bench = measure([*arguments, "--only", "stage"])
    bars = {bar.name: bar for bar in bench.bars}
    assert bars["score.vs_pipeline"].value is None
    assert not bars["score.vs_pipeline"].holds
    for where in ("local", "ray"):
        value = bars[f"score.stage_share.{where}"].value
        assert value is not None
        assert 0 < value < 1
    stage = SimpleNamespace(**bench.raw["stage"])
    scored = stage.sequence["scored"]
    assert bars["score.once"].value == sum(scored) / stage.sequence["distinct"]
    assert scored[1] == 0
    assert stage.duplicates["0.9"]["rows"] == 10 * stage.duplicates["0.9"]["scored_now"]
