"""Where creatives lie: files in a fixed order, shards of whole row groups, faults that name file and column."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from generators import examples, lake_table, write_lake
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import DataError
from engine.read.shards import Source, find_source, list_files, read_shard_columns, read_table, require_columns

TABLE = pa.table({"id": [f"c{i}" for i in range(250)], "x": np.arange(250) / 7, "n": np.arange(250)})


def read_all(source: Source, columns: list[str]) -> pa.Table:
    return pa.concat_tables(read_shard_columns(shard, columns) for shard in source.shards)


def check_cut(source: Source, rows: int) -> None:
    """Every row lies in one shard, shards follow each other, row groups are whole and in order."""
    assert source.rows == rows
    assert [shard.number for shard in source.shards] == list(range(len(source.shards)))
    assert [s.first_row for s in source.shards] == np.cumsum([0, *(s.rows for s in source.shards)])[:-1].tolist()
    for file in source.files:
        groups = [group for shard in source.shards if shard.path == file for group in shard.row_groups]
        assert groups == list(range(pq.read_metadata(file).num_row_groups))


@pytest.mark.parametrize("shard_rows", [1, 39, 40, 41, 80, 100, 1000])
def test_a_file_is_cut_into_whole_row_groups(tmp_path: Path, shard_rows: int) -> None:
    write_lake(TABLE, tmp_path / "a.parquet", row_group=40)
    source = find_source(str(tmp_path / "a.parquet"), shard_rows)
    check_cut(source, 250)
    assert all(shard.rows <= max(shard_rows, 40) for shard in source.shards)
    assert read_all(source, ["id", "x", "n"]).equals(TABLE)


@pytest.mark.parametrize(
    ("shard_rows", "cut"),
    [(39, [40] * 6 + [10]), (40, [40] * 6 + [10]), (79, [40] * 5 + [50]), (80, [80] * 3 + [10]), (250, [250])],
)
def test_a_shard_holds_as_many_row_groups_as_fit(tmp_path: Path, shard_rows: int, cut: list[int]) -> None:
    write_lake(TABLE, tmp_path / "a.parquet", row_group=40)
    assert [shard.rows for shard in find_source(str(tmp_path / "a.parquet"), shard_rows).shards] == cut


@examples(15)
@given(
    rows=st.integers(0, 90),
    files=st.integers(1, 3),
    row_group=st.integers(1, 30),
    shard_rows=st.integers(1, 100),
)
def test_any_cut_keeps_every_row_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, rows: int, files: int, row_group: int, shard_rows: int
) -> None:
    folder = tmp_path_factory.mktemp("lake")
    part = TABLE.slice(0, rows)
    write_lake(part, *(folder / f"{i}.parquet" for i in range(files)), row_group=row_group)
    source = find_source(str(folder), shard_rows)
    check_cut(source, rows)
    assert [x for shard in source.shards for x in read_shard_columns(shard, ["n"])["n"].to_pylist()] == list(
        range(rows)
    )


def test_a_folder_is_read_in_the_order_of_its_paths(tmp_path: Path) -> None:
    write_lake(
        TABLE, tmp_path / "b" / "1.parquet", tmp_path / "a.parquet", tmp_path / "c.pq", tmp_path / "b" / "0.parquet"
    )
    source = find_source(str(tmp_path), 1000)
    assert [os.path.relpath(file, tmp_path) for file in source.files] == [
        "a.parquet",
        os.path.join("b", "0.parquet"),
        os.path.join("b", "1.parquet"),
        "c.pq",
    ]
    check_cut(source, 250)


@pytest.mark.parametrize("ending", ["", "/"])
def test_a_glob_a_folder_and_a_url_find_the_same_rows(tmp_path: Path, ending: str) -> None:
    write_lake(TABLE, tmp_path / "lake" / "a.parquet", tmp_path / "lake" / "b.parquet")
    folder, by_glob, url = (
        find_source(path, 50)
        for path in (f"{tmp_path}/lake{ending}", f"{tmp_path}/lake/*.parquet", f"file://{tmp_path}/lake{ending}")
    )
    for source in (by_glob, url):
        assert [shard.rows for shard in source.shards] == [shard.rows for shard in folder.shards]
        assert source.identity == folder.identity
        assert read_all(source, ["id"]).equals(read_all(folder, ["id"]))


def test_a_glob_goes_down_folders(tmp_path: Path) -> None:
    write_lake(TABLE, tmp_path / "a" / "1.parquet", tmp_path / "b" / "c" / "2.parquet")
    assert len(find_source(f"{tmp_path}/**/*.parquet", 1000).files) == 2


def test_what_writers_leave_behind_is_no_data(tmp_path: Path) -> None:
    kept = tmp_path / "day=1" / "a.parquet"
    write_lake(TABLE, kept)
    for name in (
        "_SUCCESS",
        ".a.parquet",
        "_metadata.parquet",
        "_temporary/0/b.parquet",
        ".tmp/c.parquet",
        "notes.txt",
    ):
        write_lake(TABLE, tmp_path / name)
    assert find_source(str(tmp_path), 1000).files == (str(kept),)


def test_a_lake_inside_a_hidden_folder_is_a_lake(tmp_path: Path) -> None:
    write_lake(TABLE, tmp_path / ".cache" / "_lake" / "a.parquet")
    assert len(find_source(str(tmp_path / ".cache" / "_lake"), 1000).files) == 1


def test_hive_keys_stand_in_for_columns_that_the_files_lack(tmp_path: Path) -> None:
    for at, region in enumerate(["DE", "A%2FB", "__HIVE_DEFAULT_PARTITION__"]):
        write_lake(TABLE.slice(10 * at, 10), tmp_path / f"region={region}" / "day=2026-01-01" / "a.parquet")
    source = find_source(str(tmp_path), 1000)
    assert source.schema.field("region").type == pa.string()
    table = read_all(source, ["region", "id", "day"])
    assert table["region"].to_pylist() == ["A/B"] * 10 + ["DE"] * 10 + [None] * 10
    assert set(table["day"].to_pylist()) == {"2026-01-01"}


def test_a_column_of_the_file_wins_over_a_hive_key(tmp_path: Path) -> None:
    write_lake(TABLE, tmp_path / "n=77" / "a.parquet")
    assert read_all(find_source(str(tmp_path), 1000), ["n"]).equals(TABLE.select(["n"]))


def test_the_identity_changes_with_name_rows_and_partition_and_not_with_the_place(tmp_path: Path) -> None:
    def identity(folder: str, table: pa.Table = TABLE, name: str = "a.parquet", row_group: int = 40) -> str:
        write_lake(table, tmp_path / folder / name, row_group=row_group)
        return find_source(str(tmp_path / folder), 100).identity

    plain = identity("plain")
    assert identity("elsewhere") == plain
    others = [
        identity("renamed", name="b.parquet"),
        identity("cut", row_group=50),
        identity("shorter", TABLE.slice(0, 249)),
        identity("changed", TABLE.set_column(1, "x", pa.array(np.arange(250) / 8))),
        identity("hive", name="day=1/a.parquet"),
    ]
    assert len({plain, *others}) == 6


def test_a_whole_small_dataset_has_the_hash_of_its_bytes(tmp_path: Path) -> None:
    write_lake(TABLE, tmp_path / "a.parquet", tmp_path / "b.parquet")
    table, digest = read_table(str(tmp_path), "labels.path")
    assert table.equals(TABLE)
    write_lake(TABLE, tmp_path / "a.parquet", tmp_path / "b.parquet")
    assert read_table(str(tmp_path), "labels.path")[1] == digest
    write_lake(TABLE.set_column(1, "x", pa.array(np.arange(250) / 8)), tmp_path / "a.parquet", tmp_path / "b.parquet")
    assert read_table(str(tmp_path), "labels.path")[1] != digest


def test_an_empty_dataset_is_an_empty_table(tmp_path: Path) -> None:
    pq.write_table(TABLE.slice(0, 0), tmp_path / "a.parquet")
    table, _ = read_table(str(tmp_path / "a.parquet"), "labels.path")
    assert table.num_rows == 0
    assert table.schema.names == TABLE.schema.names


# --- Faults ----------------------------------------------------------------------------------------------------------


def test_nothing_there_is_a_data_error_that_names_path_and_key(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere \(creatives\.path\): does not exist"):
        find_source(str(tmp_path / "nowhere"), 10)
    with pytest.raises(DataError, match=r"\(labels\.path\): holds no Parquet file"):
        find_source(str(tmp_path), 10, "labels.path")
    with pytest.raises(DataError, match="holds no Parquet file"):
        find_source(f"{tmp_path}/*.parquet", 10)
    with pytest.raises(DataError, match="nosuch://x"):
        find_source("nosuch://x/y", 10)


@pytest.mark.parametrize("bytes_", [b"", b"PAR1", b"hello, world\n" * 10, b"PAR1" + b"\xff" * 20 + b"PAR1", b"\0" * 64])
def test_a_file_that_is_no_parquet_is_named(tmp_path: Path, bytes_: bytes) -> None:
    (tmp_path / "bad.parquet").write_bytes(bytes_)
    with pytest.raises(DataError, match=r"bad\.parquet: is no readable Parquet file"):
        find_source(str(tmp_path), 10)


@pytest.mark.parametrize("lost", [1, 8, 9, 500, 4000])
def test_a_truncated_file_is_named(tmp_path: Path, lost: int) -> None:
    path = tmp_path / "cut.parquet"
    write_lake(TABLE, path)
    path.write_bytes(path.read_bytes()[:-lost])
    with pytest.raises(DataError, match=r"cut\.parquet"):
        find_source(str(path), 10)


def test_a_file_that_lost_its_data_after_it_was_found_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_lake(TABLE, path)
    (shard, *_) = find_source(str(path), 1000).shards
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"a\.parquet: cannot be read"):
        read_shard_columns(shard, ["id"])
    path.unlink()
    with pytest.raises(DataError, match=r"a\.parquet: cannot be read"):
        read_shard_columns(shard, ["id"])


def test_a_bit_flipped_in_any_data_page_is_detected(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_lake(lake_table(1, 120), path, row_group=60)
    whole = path.read_bytes()
    metadata = pq.read_metadata(path)
    columns = metadata.schema.names
    flipped = 0
    for group in range(metadata.num_row_groups):
        for c, name in enumerate(columns):
            chunk = metadata.row_group(group).column(c)
            start = min(x for x in (chunk.dictionary_page_offset, chunk.data_page_offset) if x)
            last = start + chunk.total_compressed_size - 1  # the last byte of a chunk lies in the body of its last page
            broken = bytearray(whole)
            broken[last] ^= 1 << c % 8
            path.write_bytes(broken)
            shards = find_source(str(path), 60).shards
            with pytest.raises(DataError, match=r"a\.parquet: cannot be read"):
                read_shard_columns(shards[group], [name])
            read_shard_columns(shards[1 - group], [name])  # the other row group is whole
            flipped += 1
    assert flipped == 2 * len(columns)


@pytest.mark.parametrize("part", ["data", "footer"])
def test_bits_flipped_anywhere_are_a_data_error_at_worst(tmp_path: Path, part: str) -> None:
    path = tmp_path / "a.parquet"
    write_lake(TABLE, path, row_group=125)
    whole = path.read_bytes()
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    places = range(0, footer, 41) if part == "data" else range(footer, len(whole), 5)
    detected, undetected = 0, len(places)
    for at in places:
        broken = bytearray(whole)
        broken[at] ^= 1 << at % 8
        path.write_bytes(broken)
        try:
            read_all(find_source(str(path), 1000), ["id", "x", "n"])
        except DataError as error:
            detected += str(path) in str(error)
            undetected -= 1
    assert detected == len(places) - undetected
    assert detected >= len(places) // 3


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("x", pa.array(np.arange(250), pa.float32())),
        ("n", pa.array([str(i) for i in range(250)])),
        ("n", pa.array(np.arange(250), pa.int32())),
        ("id", pa.array([f"c{i}" for i in range(250)]).dictionary_encode()),
    ],
)
def test_mixed_types_across_files_name_file_column_and_both_types(
    tmp_path: Path, column: str, values: pa.Array
) -> None:
    write_lake(TABLE, tmp_path / "a.parquet")
    write_lake(TABLE.set_column(TABLE.schema.names.index(column), column, values), tmp_path / "b.parquet")
    with pytest.raises(DataError, match=rf"b\.parquet: column {column} is .* here and .* in .*a\.parquet"):
        find_source(str(tmp_path), 10)


def test_mixed_time_zones_across_files_are_mixed_types(tmp_path: Path) -> None:
    for name, zone in (("a", "UTC"), ("b", "Europe/Berlin"), ("c", None)):
        write_lake(pa.table({"t": pa.array([1], pa.timestamp("us", zone))}), tmp_path / name / "x.parquet")
    for one, other in (("a", "b"), ("a", "c")):
        with pytest.raises(DataError, match="column t is timestamp"):
            find_source(f"{tmp_path}/[{one}{other}]/*.parquet", 10)


def test_a_column_that_a_later_file_lacks_is_named(tmp_path: Path) -> None:
    write_lake(TABLE, tmp_path / "a.parquet")
    write_lake(TABLE.drop_columns(["n"]), tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"b\.parquet: column n is missing here and present in .*a\.parquet"):
        find_source(str(tmp_path), 10)


def test_a_column_that_only_a_later_file_has_is_not_read(tmp_path: Path) -> None:
    write_lake(TABLE.drop_columns(["n"]), tmp_path / "a.parquet")
    write_lake(TABLE.select(["x", "n", "id"]), tmp_path / "b.parquet")
    source = find_source(str(tmp_path), 1000)
    assert source.schema.names == ["id", "x"]
    assert read_all(source, ["id", "x"]).num_rows == 500


def test_a_missing_column_is_named_with_its_key_and_the_nearest_name() -> None:
    faults = require_columns(TABLE.schema, {"creatives.columns.id": "idd", "b": "x", "c": "nothing_like"}, "lake/")
    assert faults == [
        'lake/: column idd (creatives.columns.id) is missing (did you mean "id"?)',
        "lake/: column nothing_like (c) is missing (known: id, n, x)",
    ]


def test_files_carry_their_hive_keys_in_order(tmp_path: Path) -> None:
    write_lake(TABLE, tmp_path / "lake" / "b=2" / "a=1" / "x.parquet")
    ((_, keys),) = list_files(str(tmp_path / "lake"), "creatives.path")
    assert keys[-2:] == (("b", "2"), ("a", "1"))
