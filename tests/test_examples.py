"""Examples of creatives in the report: only where asked for, chosen by a hash, read by the engine's own readers."""

from __future__ import annotations

import json
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from blake3 import blake3
from gallery import encode, noise, save_vit
from lake import config_tree
from PIL import Image
from test_image_run import PICTURES, bomb, tree_of
from test_stateful_run import tree as stateful_tree

from engine.conclude.examples import _APART, MOST, MOST_SWAPPED
from engine.conclude.exhibits import MOST_CHARACTERS
from engine.config.loading import check_config
from engine.explain import explain
from engine.pipeline import run
from engine.progress import Progress
from engine.score.pictures import PictureLimits
from engine.score.thumbnail import SIDE, thumbnail

FILES = ("summary.json", "report.md", "report.html")


def execute(tree: dict[str, Any]) -> Path:
    return run(check_config(tree, "test"), Progress()).directory


def written(lake: Path, folder: Path, **sections: Any) -> dict[str, Any]:
    report = {"html": True, "examples": True}
    return config_tree(lake, folder / "runs", **({"report": report} | sections))


def rows_of(directory: Path) -> list[dict[str, Any]]:
    return pq.read_table(directory / "examples.parquet").to_pylist()


@pytest.fixture(scope="module")
def shown(lake, tmp_path_factory) -> Path:
    return execute(written(lake, tmp_path_factory.mktemp("shown")))


def lowest(ids: list[str], most: int, seed: int = 0) -> list[str]:
    """Return the ids of the lowest hashes, by the words of the design: blake3 of seed and id."""
    key = str(seed ^ _APART).encode() + b"\0"
    return sorted(ids, key=lambda name: int.from_bytes(blake3(key + name.encode()).digest(8), "little") >> 11)[:most]


def decision(strategy: str, score: float) -> str:
    if strategy == "strict":
        return "REJECT" if score >= 0.6 else "APPROVE"
    return "REJECT" if score >= 0.8 else "REVIEW" if score >= 0.5 else "APPROVE"


@pytest.fixture(scope="module")
def history(lake) -> dict[str, dict[str, Any]]:
    """Return the creatives of the period by id, each with its audit label where one is concluded."""
    rows = {row["creative_id"]: row for row in pq.read_table(lake / "creatives").to_pylist()}
    kept = {k: v for k, v in rows.items() if "2026-01-03" <= f"{v['submitted_at']:%Y-%m-%d}" < "2026-01-25"}
    for label in pq.read_table(lake / "labels.parquet").to_pylist():
        if label["source"] == "audit" and label["label"] and label["creative_id"] in kept:
            kept[label["creative_id"]]["label"] = label["label"]
    return kept


def test_leaked_and_overkilled_ones_are_those_of_the_lowest_hashes_among_the_audited(shown, history):
    found, most = rows_of(shown), 0
    for strategy in ("live", "strict"):
        for kind, label, decided in (("leaked", "VIOLATING", "APPROVE"), ("overkilled", "COMPLIANT", "REJECT")):
            ids = [
                name for name, row in history.items()
                if row.get("label") == label and decision(strategy, row["old_score"]) == decided
            ]  # fmt: skip
            chosen = [row for row in found if (row["kind"], row["strategy"]) == (kind, strategy)]
            most = max(most, len(ids))
            assert [row["creative_id"] for row in chosen] == lowest(ids, MOST)
            assert all(row["labels"] == [{"policy": "scam", "label": label}] for row in chosen)
    assert most > 2 * MOST, "or there was nothing to choose"


def test_swapped_ones_are_some_of_each_change_labelled_or_not(shown, history):
    found = [row for row in rows_of(shown) if row["kind"] == "swapped"]
    changes: dict[tuple[str, str], list[str]] = {}
    for name, row in history.items():
        pair = decision("live", row["old_score"]), decision("strict", row["old_score"])
        if pair[0] != pair[1]:
            changes.setdefault(pair, []).append(name)
    assert set(changes) == {("REVIEW", "APPROVE"), ("REVIEW", "REJECT")}
    chosen: dict[tuple[str, str], list[str]] = {}
    for row in found:
        chosen.setdefault(tuple(way["decision"] for way in row["ways"]), []).append(row["creative_id"])
    assert chosen == {pair: lowest(ids, MOST_SWAPPED) for pair, ids in changes.items()}


def test_an_example_says_what_was_decided_by_which_rule_on_which_score_and_what_hung_on_it(shown, history):
    for row in rows_of(shown):
        creative = history[row["creative_id"]]
        assert [way["decision"] for way in row["ways"]] == [
            decision(name, creative["old_score"]) for name in ("live", "strict")
        ]
        assert all(way["rule"].endswith(way["decision"]) for way in row["ways"])
        assert row["scores"] == [{"column": "v1.scam", "score": creative["old_score"]}]
        assert row["texts"] == [{"field": name, "text": creative[name]} for name in ("title", "body")]
        known = {each["weighting"]: each for each in row["exposure"]}
        source = "modelled" if creative["impressions"] is None else "known"
        assert {each["source"] for each in known.values()} == {source}
        if source == "known":
            assert known["impressions"]["value"] == creative["impressions"]
            assert known["spend"]["value"] == pytest.approx(creative["spend"])


def test_the_pages_show_them_and_the_summary_does_not(shown):
    texts = {text["text"] for row in rows_of(shown) for text in row["texts"] if text["field"] == "body"}
    summary, markdown, page = ((shown / name).read_text() for name in FILES)
    assert all(text in markdown and text in page for text in texts)
    assert not any(text in summary for text in texts)


def test_without_being_asked_for_no_file_holds_any_and_what_held_them_is_gone(lake, tmp_path):
    never = execute(written(lake, tmp_path / "never", report={"html": True}))
    assert not (never / "examples.parquet").exists()
    bodies = {row["body"] for row in pq.read_table(lake / "creatives").to_pylist()}
    files = [(never / name).read_text() for name in FILES]
    assert not any(body in file for body in bodies for file in files)
    execute(written(lake, tmp_path / "never"))
    assert (never / "examples.parquet").exists()
    assert json.loads((never / "manifest.json").read_text())["files"]["examples.parquet"]
    execute(written(lake, tmp_path / "never", report={"html": True}))
    assert not list(never.glob("examples*"))
    assert [(never / name).read_text() for name in FILES] == files


def test_the_same_seed_shows_the_same_and_another_seed_others(shown, lake, tmp_path):
    again = execute(written(lake, tmp_path / "again"))
    assert (again / "examples.parquet").read_bytes() == (shown / "examples.parquet").read_bytes()
    assert [(again / name).read_bytes() for name in FILES] == [(shown / name).read_bytes() for name in FILES]
    other = execute(written(lake, tmp_path / "other", seed=9))
    names = [{row["creative_id"] for row in rows_of(each)} for each in (shown, other)]
    assert names[0] != names[1]


def test_creatives_that_a_model_may_have_learned_are_no_examples_of_errors(lake, tmp_path):
    tree = written(lake, tmp_path)
    tree["scores"]["v1"]["trained"] = {"until": "2026-01-15"}
    rows = {row["creative_id"]: row for row in pq.read_table(lake / "creatives").to_pylist()}
    judged = [row for row in rows_of(execute(tree)) if row["kind"] != "swapped"]
    assert judged
    assert min(f"{rows[row['creative_id']]['submitted_at']:%Y-%m-%d}" for row in judged) >= "2026-01-15"


def test_without_labels_and_without_a_pair_there_is_nothing_to_show(lake, tmp_path):
    tree = written(lake, tmp_path, compare=None, labels=None, audits=None, estimate={"rules": False})
    directory = execute(tree)
    assert rows_of(directory) == []
    assert "No creative qualifies." in (directory / "report.md").read_text()


def test_strategies_that_remember_are_shown_as_explain_tells_them(lake, tmp_path):
    tree = stateful_tree(lake, tmp_path)
    directory = execute(tree | {"report": tree["report"] | {"examples": True}})
    rows = rows_of(directory)
    assert {row["kind"] for row in rows} == {"leaked", "overkilled", "swapped"}
    for row in rows[:3] + rows[-3:]:
        ways = {way.strategy: way for way in explain(str(directory), row["creative_id"], Progress()).ways}
        for way in row["ways"]:
            assert ways[way["strategy"]].decision.split(",")[0] == way["decision"]


def poisoned_lake(lake: Path, folder: Path, body: dict[str, str]) -> Path:
    """Copy the creatives with other texts in some of them."""
    (folder / "creatives").mkdir(parents=True)
    for path in sorted((lake / "creatives").glob("*.parquet")):
        table = pq.read_table(path)
        ids, old = table["creative_id"].to_pylist(), table["body"].to_pylist()
        texts = pa.array([body.get(name, text) for name, text in zip(ids, old, strict=True)])
        table = table.set_column(table.column_names.index("body"), "body", texts)
        pq.write_table(table, folder / "creatives" / path.name, row_group_size=50)
    return folder / "creatives"


def test_giant_and_hostile_texts_are_cut_and_are_only_text(shown, lake, tmp_path):
    giant, hostile, *_ = ids = [row["creative_id"] for row in rows_of(shown)]
    attack = "</bdi></article><script>alert(1)</script><img src=x onerror=alert(2)>\u202e\x1b[31m"
    tree = written(lake, tmp_path)
    bodies = {giant: "A" * 3_000_000, hostile: attack}
    tree["creatives"]["path"] = str(poisoned_lake(lake, tmp_path / "lake", bodies))
    directory = execute(tree)
    by_id = {row["creative_id"]: row for row in rows_of(directory)}
    assert list(by_id) == list(dict.fromkeys(ids))
    assert by_id[giant]["texts"][1]["text"] == "A" * MOST_CHARACTERS
    assert by_id[giant]["notes"] == ["body is cut"]
    page, markdown = ((directory / name).read_text() for name in ("report.html", "report.md"))
    assert (directory / "examples.parquet").stat().st_size < 50_000
    for document in (page, markdown):
        assert "A" * (MOST_CHARACTERS + 1) not in document
        assert not re.search("[\x1b\u202e]", document)
        assert "<script>alert" not in document
        assert "<img" not in document
    assert (page.count("<script"), markdown.count("<script")) == (2, 0)  # the page's own data and code
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_pictures_are_small_ones_of_our_own_and_bad_ones_a_note(lake, tmp_path):
    secret = b"taken at home by somebody"
    comment = encode(noise(400, 300, 1), "JPEG", comment=secret, icc_profile=b"profile " * 40)
    assert secret in comment
    column = pa.array([[comment, PICTURES[0], bomb(), b"none", PICTURES[1]] for _ in range(600)], pa.list_(pa.binary()))
    tree = tree_of(lake, column, save_vit(tmp_path / "vit"), tmp_path)
    tree["creatives"]["on_bad_image"] = "skip"
    tree["report"] = {"html": True, "examples": True}
    directory = execute(tree)
    rows = rows_of(directory)
    assert rows
    for row in rows:
        assert row["notes"] == ["image is enormous (pixels)", "2 more pictures"]
        pictures = [Image.open(BytesIO(picture)) for picture in row["pictures"]]
        assert [(picture.format, picture.size) for picture in pictures] == [("JPEG", (160, 120)), ("JPEG", (40, 30))]
        assert not {"icc_profile", "comment", "exif"} & set(pictures[0].info)
        assert secret not in row["pictures"][0]
    page = (directory / "report.html").read_text()
    assert page.count('<img class="thumbnail" src="data:image/jpeg;base64,') == 2 * len(rows)
    assert "image is enormous (pixels)" in page
    assert "img-src data:" in page


def test_a_picture_that_is_another_one_by_now_is_not_shown(lake, tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(6)]
    for path, picture in zip(paths, PICTURES, strict=True):
        path.write_bytes(picture)
    column = pa.array([str(paths[i % 6]) for i in range(600)])
    tree = tree_of(lake, column, save_vit(tmp_path / "vit"), tmp_path)
    execute(tree)
    for path in paths:
        path.write_bytes(encode(noise(50, 50, 99)))
    rows = rows_of(execute(tree | {"report": {"html": False, "examples": True}}))
    assert rows
    assert all(row["pictures"] == [] for row in rows)
    assert all(row["notes"] == ["shown is not the picture that the run read"] for row in rows)


def test_a_thumbnail_keeps_the_shape_and_grows_nothing():
    limits = PictureLimits()
    for size, wanted in (((800, 200), (SIDE, 40)), ((20, 30), (20, 30))):
        assert Image.open(BytesIO(thumbnail(encode(noise(*size)), limits))).size == wanted
    assert thumbnail(None, limits) == "image is null"
    assert thumbnail(bomb(), limits) == "image is enormous (pixels)"
