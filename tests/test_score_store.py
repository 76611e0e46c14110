"""The scores that runs share: never another model's, never torn, never lost."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
from writers import MACHINE, commit_parts, part

from engine.errors import DataError
from engine.store import ScoreStore


def test_what_is_committed_is_read_back_with_the_machine_that_made_it(tmp_path: Path) -> None:
    scores = ScoreStore(tmp_path)
    committed = scores.commit("model-a", part(0, 5), MACHINE)
    assert scores.parts("model-a") == (committed,)
    held = scores.read(committed, "model-a")
    assert held.table.select(["content_id", "scam"]).equals(part(0, 5))
    assert held.machine == '{"device": "cpu", "torch": "2.13.0"}'


def test_another_model_is_never_answered_with_these_scores(tmp_path: Path) -> None:
    scores = ScoreStore(tmp_path)
    committed = scores.commit("model-a", part(0, 5), MACHINE)
    assert scores.parts("model-b") == ()
    moved = tmp_path / "model-b" / committed.path.name
    moved.parent.mkdir()
    for path in (committed.path, committed.path.with_name(committed.path.name + ".done")):
        path.rename(moved.with_name(path.name))
    assert scores.parts("model-b") == (), "its marker names another model"


def test_a_part_with_a_forged_marker_is_refused(tmp_path: Path) -> None:
    scores = ScoreStore(tmp_path)
    committed = scores.commit("model-a", part(0, 5), MACHINE)
    with pytest.raises(DataError, match="another model"):
        scores.read(committed, "model-b")


def test_a_bit_flip_is_found_and_the_file_named(tmp_path: Path) -> None:
    scores = ScoreStore(tmp_path)
    committed = scores.commit("model-a", part(0, 50), MACHINE)
    data = bytearray(committed.path.read_bytes())
    data[len(data) // 3] ^= 1
    committed.path.write_bytes(data)
    with pytest.raises(DataError, match=committed.path.name):
        scores.read(committed, "model-a")


def test_a_part_without_its_marker_does_not_exist(tmp_path: Path) -> None:
    scores = ScoreStore(tmp_path)
    committed = scores.commit("model-a", part(0, 5), MACHINE)
    committed.path.with_name(committed.path.name + ".done").unlink()
    assert scores.parts("model-a") == ()


def test_the_same_part_twice_is_one_file(tmp_path: Path) -> None:
    scores = ScoreStore(tmp_path)
    assert scores.commit("model-a", part(0, 5), MACHINE) == scores.commit("model-a", part(0, 5), MACHINE)
    assert len(scores.parts("model-a")) == 1
    scores.commit("model-a", part(0, 5), MACHINE | {"torch": "3"})
    assert len(scores.parts("model-a")) == 2, "another machine's part lies beside it; nothing is replaced"


def test_several_processes_may_add_parts_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=commit_parts, args=(str(tmp_path), n)) for n in (1, 2, 3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    scores = ScoreStore(tmp_path)
    assert len(scores.parts("model-a")) == 7
    assert all(scores.read(each, "model-a").table.num_rows == 5 for each in scores.parts("model-a"))
    assert not list(tmp_path.rglob("*.part"))
