"""A run over creatives with pictures: binary, lists, or at paths; broken, huge and missing ones by their rule."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gallery import animate, encode, noise, save_vit
from lake import config_tree

from engine.config.loading import check_config
from engine.errors import DataError, UsageError
from engine.pipeline import Finished, run
from engine.progress import Progress
from engine.records import Contents
from engine.score.folder import inspect_folder
from engine.score.frames import FrameRule
from engine.score.open import open_scorer
from engine.score.opening import Opening

PICTURES = tuple(encode(noise(40 + i, 30, i), "JPEG" if i % 2 else "PNG") for i in range(6))
MOVING = animate(["red", "lime", "blue"])


def bomb(side: int = 30_000) -> bytes:
    """A PNG of a few bytes that says it has side² pixels."""
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    packed = [struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return save_vit(tmp_path_factory.mktemp("models") / "vit")


def tree_of(lake: Path, column: pa.Array, model: Path, folder: Path, **sections: Any) -> dict[str, Any]:
    """Return a config over the lake with one more column, whose pictures one model reads."""
    (folder / "lake").mkdir()
    first = 0
    for path in sorted((lake / "creatives").glob("*.parquet")):
        table = pq.read_table(path)
        part = column.slice(first, table.num_rows)
        first += table.num_rows
        pq.write_table(table.append_column("shown", part), folder / "lake" / path.name, row_group_size=50)
    tree = config_tree(lake, folder / "runs", execute={"workers": 1}, scores={}, compare=None, **sections)
    tree["creatives"]["path"] = str(folder / "lake")
    tree["creatives"]["columns"] |= {"images": ["shown"]}
    tree["models"] = {"pics": {"path": str(model), "outputs": {"scam": "SCAM"}, "images": ["shown"]}}
    rules = [{"when": "pics.scam >= 0.5", "then": "reject"}]
    tree["strategies"] = {"live": {"rules": rules, "otherwise": "approve"}}
    return tree


def execute(tree: dict[str, Any], **how: Any) -> Finished:
    return run(check_config(tree, "test"), Progress(), **how)


def scores_of(finished: Finished) -> list[float]:
    return pq.read_table(finished.directory / "scores" / "pics.parquet")["scam"].to_pylist()


def test_every_distinct_picture_is_scored_once_and_as_the_scorer_does(lake, model, tmp_path):
    column = pa.array([PICTURES[i % 6] for i in range(600)], pa.binary())
    finished = execute(tree_of(lake, column, model, tmp_path))
    assert finished.scored.scored_now == finished.scored.contents == {"pics": 6}
    scorer = open_scorer(Opening(inspect_folder(model, {"scam": "SCAM"}), device="cpu"))
    wanted = scorer.score(Contents((), tuple((picture,) for picture in PICTURES)))[:, 0]
    assert sorted(scores_of(finished)) == sorted(wanted.tolist())
    assert (finished.directory / "report.md").read_text().count("pictures, of all creatives read") == 1


def test_lists_paths_and_binary_columns_of_the_same_files_are_the_same_contents(lake, model, tmp_path):
    for i, picture in enumerate(PICTURES):
        (tmp_path / f"{i}.bin").write_bytes(picture)
    columns = {
        "binary": pa.array([PICTURES[i % 6] for i in range(600)], pa.binary()),
        "paths": pa.array([str(tmp_path / f"{i % 6}.bin") for i in range(600)]),
        "list": pa.array([[PICTURES[i % 6]] for i in range(600)], pa.list_(pa.binary())),
    }
    found = {}
    for name, column in columns.items():
        (tmp_path / name).mkdir()
        store = {"path": str(tmp_path / "runs"), "scores": str(tmp_path / "shared")}
        found[name] = execute(tree_of(lake, column, model, tmp_path / name, run=name) | {"store": store})
    assert [f.scored.scored_now["pics"] for f in found.values()] == [6, 0, 0]
    assert len({(f.directory / "scores" / "pics.parquet").read_bytes() for f in found.values()}) == 1


def test_the_frames_of_a_creative_make_one_score_by_the_configs_rule(lake, model, tmp_path):
    column = pa.array([[PICTURES[i % 3], MOVING] for i in range(600)], pa.list_(pa.binary()))
    tree = tree_of(lake, column, model, tmp_path)
    folder = inspect_folder(model, {"scam": "SCAM"})
    found = {}
    for combine in ("max", "top_mean"):
        tree["models"]["pics"]["frames"] = {"combine": combine, "top": 2, "most": 3}
        finished = execute(tree | {"run": combine}, score_only=True)
        scorer = open_scorer(Opening(folder, frames=FrameRule(combine, 2, 3), device="cpu"))
        wanted = scorer.score(Contents((), tuple((PICTURES[i], MOVING) for i in range(3))))[:, 0]
        found[combine] = sorted(scores_of(finished))
        assert found[combine] == sorted(wanted.tolist())
    assert found["max"] != found["top_mean"]


def test_broken_and_huge_pictures_go_to_quarantine_with_a_reason(lake, model, tmp_path):
    shown = [PICTURES[i % 6] for i in range(600)]
    shown[100], shown[200], shown[300] = PICTURES[1][:90], bomb(), b"no picture at all"
    tree = tree_of(lake, pa.array(shown, pa.binary()), model, tmp_path, limits={"quarantine_share": 0.01})
    finished = execute(tree)
    rows = {row["row"]: row["reason"] for row in finished.creatives.quarantine.to_pylist()}
    assert rows == {
        100: "image is broken",
        200: "image is enormous (pixels)",
        300: "image is of an unknown format",
    }
    counts = json.loads((finished.directory / "manifest.json").read_text())["counts"]
    assert (counts["quarantined"], counts["image is broken"], counts["pictures"]) == (3, 1, 600)
    with pytest.raises(DataError, match=r"more than limits\.quarantine_share"):
        execute(tree | {"run": "strict", "limits": {"quarantine_share": 0.001}})


def test_a_bad_picture_is_left_out_where_the_config_says_skip(lake, model, tmp_path):
    shown = [[PICTURES[i % 6]] for i in range(600)]
    shown[100] = [PICTURES[1][:90], PICTURES[4]]
    tree = tree_of(lake, pa.array(shown, pa.list_(pa.binary())), model, tmp_path)
    tree["creatives"]["on_bad_image"] = "skip"
    finished = execute(tree)
    assert finished.creatives.quarantine.num_rows == 0
    score = scores_of(finished)
    assert len(score) == 7
    assert len(set(score)) == 6, "what is left of it is one of the others"


def test_a_creative_without_a_picture_has_a_score_only_where_a_rule_gives_it_one(lake, model, tmp_path):
    shown = [[PICTURES[i % 6]] if i % 5 else (None if i % 2 else []) for i in range(600)]
    tree = tree_of(lake, pa.array(shown, pa.list_(pa.binary())), model, tmp_path)
    with pytest.raises(DataError, match="on_no_image: zero"):
        execute(tree)
    zero = execute(tree | {"run": "zero", "creatives": tree["creatives"] | {"on_no_image": "zero"}})
    assert sorted(scores_of(zero))[0] == 0.0
    assert zero.scored.scored_now["pics"] == zero.scored.contents["pics"] == 6
    review = execute(tree | {"run": "review", "creatives": tree["creatives"] | {"on_missing_score": "review"}})
    assert np.isnan(scores_of(review)).sum() == 1
    again = execute(tree | {"run": "review", "creatives": tree["creatives"] | {"on_missing_score": "review"}})
    assert again.scored.contents == review.scored.contents


def test_a_path_that_leads_nowhere_is_a_bad_picture(lake, model, tmp_path):
    (tmp_path / "here.png").write_bytes(PICTURES[0])
    shown = [str(tmp_path / ("here.png" if i else "gone.png")) for i in range(600)]
    tree = tree_of(lake, pa.array(shown), model, tmp_path, limits={"quarantine_share": 0.01})
    finished = execute(tree)
    assert finished.creatives.quarantine["reason"].to_pylist() == ["image file cannot be read"]


def test_a_model_of_the_other_kind_is_refused_at_validate(lake, model, tiny_models, tmp_path):
    from engine.prepare import prepare

    tree = tree_of(lake, pa.array([PICTURES[0]] * 600, pa.binary()), model, tmp_path)
    tree["models"]["pics"] = {"path": str(tiny_models / "m1"), "outputs": {"scam": "SCAM"}, "images": ["shown"]}
    with pytest.raises(DataError, match="classifier of texts"):
        prepare(check_config(tree, "test"))
    tree["models"]["pics"] = {"path": str(model), "outputs": {"scam": "SCAM"}}
    with pytest.raises(DataError, match="name their columns in `images`"):
        prepare(check_config(tree, "test"))
    tree["models"]["pics"] |= {"images": ["shown"], "separator": " "}
    with pytest.raises(UsageError, match="separator belongs to texts"):
        check_config(tree, "test")


def test_pictures_give_the_same_bytes_with_two_workers_and_other_shards(lake, model, tmp_path):
    shown = [[PICTURES[i % 6], PICTURES[(i // 7) % 6]] for i in range(600)]
    tree = tree_of(lake, pa.array(shown, pa.list_(pa.binary())), model, tmp_path)
    found = [execute(tree, score_only=True)]
    for name, more in (("two", {"execute": {"workers": 2}}), ("small", {"limits": {"shard_rows": 50}})):
        found.append(execute(tree | more | {"run": name, "store": {"path": str(tmp_path / name)}}, score_only=True))
    assert found[1].scored.scored_now == found[0].scored.scored_now
    assert len({(f.directory / "scores" / "pics.parquet").read_bytes() for f in found[:2]}) == 1
    one, _, small = (pq.read_table(f.directory / "scores" / "pics.parquet") for f in found)
    assert one.equals(small)
