"""Committed outputs: what is read is what was committed, or a fault says so."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from engine.errors import DataError, MachineError, UsageError
from engine.store import (
    Committed,
    RunDirectory,
    commit_bytes,
    commit_table,
    facts_of,
    find_committed,
    fingerprint,
    read_committed,
    shard_path,
    write_whole,
)

TABLE = pa.table({"id": ["a", None, "ü"], "x": pa.array([0.1, float("nan"), 1.0], pa.float32())})


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_committed_is_found_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "shard-00000.parquet"
    committed = commit_table(path, TABLE, "made by v1", {"read": 3})
    found = find_committed(path, "made by v1")
    assert found == committed
    table = read_committed(committed)
    assert table.schema.names == TABLE.schema.names
    assert str(table.to_pylist()) == str(TABLE.to_pylist())  # NaN is not equal to itself
    assert facts_of(table) == {"read": 3}
    assert files(path.parent) == ["shard-00000.parquet", "shard-00000.parquet.done"]


def test_a_receipt_names_the_output_and_leads_back_to_it(tmp_path: Path) -> None:
    committed = commit_table(tmp_path / "t.parquet", TABLE, "i")
    receipt = committed.receipt(7)
    assert (receipt.shard, receipt.rows, receipt.hash) == (7, 3, committed.hash)
    assert pickle.loads(pickle.dumps(receipt)) == receipt


def test_an_output_of_another_identity_does_not_exist(tmp_path: Path) -> None:
    commit_table(tmp_path / "t.parquet", TABLE, "one")
    assert find_committed(tmp_path / "t.parquet", "two") is None


def test_without_its_marker_or_its_file_an_output_does_not_exist(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    assert find_committed(path, "i") is None
    commit_table(path, TABLE, "i")
    path.unlink()
    assert find_committed(path, "i") is None
    commit_table(path, TABLE, "i")
    path.with_name("t.parquet.done").unlink()
    assert find_committed(path, "i") is None


@pytest.mark.parametrize(
    "mark",
    [
        b"",
        b"{",
        b"[]",
        b'"i"',
        b"null",
        b"3",
        b"{}",
        b'{"identity": "i"}',
        b"\xff\xfe",
        b'{"identity": "i", "rows": null, "hash": 1}',
    ],
)
def test_a_marker_that_makes_no_sense_marks_nothing(tmp_path: Path, mark: bytes) -> None:
    path = tmp_path / "t.parquet"
    commit_table(path, TABLE, "i")
    path.with_name("t.parquet.done").write_bytes(mark)
    assert find_committed(path, "i") is None


def test_a_flipped_bit_anywhere_is_detected_and_the_file_named(tmp_path: Path) -> None:
    committed = commit_table(tmp_path / "t.parquet", TABLE, "i")
    whole = committed.path.read_bytes()
    for at in range(0, len(whole), 37):
        broken = bytearray(whole)
        broken[at] ^= 1 << at % 8
        committed.path.write_bytes(broken)
        with pytest.raises(DataError, match=r"t\.parquet: does not hold what was committed"):
            read_committed(committed)


@pytest.mark.parametrize("kept", [0, 1, 100, -1])
def test_a_truncated_output_is_detected(tmp_path: Path, kept: int) -> None:
    committed = commit_table(tmp_path / "t.parquet", TABLE, "i")
    committed.path.write_bytes(committed.path.read_bytes()[:kept])
    with pytest.raises(DataError, match=r"t\.parquet"):
        read_committed(committed)


def test_an_output_that_is_gone_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.parquet: cannot be read"):
        read_committed(Committed(tmp_path / "gone.parquet", 0, ""))


def test_committing_the_same_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    one, two = (commit_table(tmp_path / name, TABLE, "i", {"b": 1, "a": 2}) for name in ("one", "two"))
    assert one.hash == two.hash
    assert one.path.read_bytes() == two.path.read_bytes()


def test_committed_bytes_need_no_table(tmp_path: Path) -> None:
    committed = commit_bytes(tmp_path / "x.bin", b"\0\1", "i", rows=2)
    assert find_committed(tmp_path / "x.bin", "i") == committed
    assert committed.path.read_bytes() == b"\0\1"


def no_room(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_torn_write_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.md"
    write_whole(path, b"old")
    with monkeypatch.context() as torn:
        torn.setattr(os, "fsync", no_room)
        with pytest.raises(MachineError, match=r"report\.md: cannot be written \(No space left on device\)"):
            write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert files(tmp_path) == ["report.md"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_commit_that_the_disk_refuses_is_a_machine_error_and_marks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "t.parquet"
    with monkeypatch.context() as torn:
        torn.setattr(*((os, "fsync", no_room) if step == "fsync" else (Path, "replace", no_room)))
        with pytest.raises(MachineError, match=r"t\.parquet: cannot be written \(No space left on device\)"):
            commit_table(path, TABLE, "i")
    assert find_committed(path, "i") is None
    assert files(tmp_path) == []


def test_a_crash_between_the_file_and_its_marker_leaves_nothing_to_trust(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.parquet"
    commit_table(path, TABLE, "old")
    synced: list[int] = []

    def only_the_first(file: int) -> None:
        synced.append(file)
        if len(synced) > 1:
            no_room()

    with monkeypatch.context() as torn:
        torn.setattr(os, "fsync", only_the_first)
        with pytest.raises(MachineError):
            commit_table(path, TABLE.slice(0, 1), "new")
    assert find_committed(path, "new") is None
    assert find_committed(path, "old") is None  # the old marker went before the old file did


def test_a_folder_that_cannot_be_made_is_a_machine_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(MachineError):
        commit_bytes(tmp_path / "file" / "x", b"", "i")


def test_a_fingerprint_does_not_know_the_order_of_keys() -> None:
    assert fingerprint({"a": 1, "b": {"c": 2, "d": 3}}) == fingerprint({"b": {"d": 3, "c": 2}, "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": "1"})
    assert fingerprint([1, 2]) != fingerprint([2, 1])
    assert fingerprint({"a": None}) != fingerprint({})


def test_shards_sort_by_name_as_by_number() -> None:
    names = [str(shard_path(Path("f"), number)) for number in (0, 9, 10, 99_999)]
    assert names == sorted(names)


# --- Run directory ---------------------------------------------------------------------------------------------------

CONFIG = {"seed": 0, "strategies": {"live": {"rules": [{"when": "v1.scam >= 0.9"}]}}, "policies": ["scam"]}
INPUTS = {"creatives": "abc", "labels": "def"}


@pytest.fixture
def claimed(tmp_path: Path) -> RunDirectory:
    """A run directory that belongs to CONFIG and INPUTS."""
    directory = RunDirectory(tmp_path / "runs" / "t")
    directory.claim(CONFIG, INPUTS)
    directory.write_manifest({"config": CONFIG, "inputs": INPUTS, "state": "complete"})
    return directory


def test_a_directory_is_claimed_again_by_the_same_config_and_inputs(claimed: RunDirectory) -> None:
    assert claimed.claim(CONFIG, INPUTS) == claimed.claim(
        json.loads(json.dumps(CONFIG)), dict(reversed(INPUTS.items()))
    )


@pytest.mark.parametrize(
    ("config", "inputs", "key"),
    [
        (CONFIG | {"seed": 1}, INPUTS, r"seed \(was 0, is 1\)"),
        (
            CONFIG | {"strategies": {"live": {"rules": [{"when": "v1.scam >= 0.8"}]}}},
            INPUTS,
            r"strategies\.live\.rules \(was .*0\.9.*, is .*0\.8",
        ),
        (CONFIG | {"strategies": {}}, INPUTS, r"strategies\.live \(was .*, is null\)"),
        (CONFIG | {"cost": {"leaked": 1}}, INPUTS, r"cost \(was null, is "),
        (CONFIG, INPUTS | {"labels": "xyz"}, r'inputs\.labels \(was "def", is "xyz"\)'),
        (CONFIG, {"creatives": "abc"}, r'inputs\.labels \(was "def", is null\)'),
        (CONFIG | {"policies": ["p" * 500]}, INPUTS, r"policies \(was .*\.\.\."),
    ],
)
def test_another_run_on_a_directory_is_refused_and_the_key_that_differs_named(
    claimed: RunDirectory, config: dict[str, object], inputs: dict[str, str], key: str
) -> None:
    with pytest.raises(UsageError, match=key) as error:
        claimed.claim(config, inputs)
    assert str(claimed.path) in str(error.value)
    assert len(str(error.value)) < 400 + len(str(claimed.path))


def test_a_fresh_directory_is_anybodys(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "new")
    assert directory.claim(CONFIG, INPUTS) != directory.claim(CONFIG, INPUTS | {"labels": "x"})
    assert not directory.path.exists()


@pytest.mark.parametrize("spoil", [None, b"", b"{", b"[]", b"\xff"])
def test_a_manifest_that_is_none_is_a_data_error(tmp_path: Path, spoil: bytes | None) -> None:
    directory = RunDirectory(tmp_path)
    if spoil is not None:
        (tmp_path / "manifest.json").write_bytes(spoil)
    with pytest.raises(DataError, match=r"manifest\.json"):
        directory.read_manifest()


def test_a_manifest_comes_back_as_it_was_written(claimed: RunDirectory) -> None:
    claimed.write_manifest({"a": {"b": [1, 2.5, None]}, "path": Path("x")})
    assert claimed.read_manifest() == {"a": {"b": [1, 2.5, None]}, "path": "x"}


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Make every write stop half-way."""
    return lambda: monkeypatch.setattr(os, "fsync", no_room)


def test_a_torn_manifest_leaves_the_old_one(claimed: RunDirectory, interrupted: Callable[[], None]) -> None:
    interrupted()
    with pytest.raises(MachineError, match="No space"):
        claimed.write_manifest({"state": "running"})
    assert claimed.read_manifest()["state"] == "complete"
    assert files(claimed.path) == ["manifest.json"]


def test_numbers_of_numpy_are_no_part_of_a_marker(tmp_path: Path) -> None:
    committed = commit_table(tmp_path / "t.parquet", pa.table({"x": np.arange(5)}), "i")
    assert json.loads((tmp_path / "t.parquet.done").read_bytes()) == {
        "rows": 5,
        "hash": committed.hash,
        "identity": "i",
    }
