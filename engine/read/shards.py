"""Where creatives lie: a file, folder, glob or URL of Parquet, cut into shards of whole row groups."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from blake3 import blake3

from engine.errors import DataError, did_you_mean
from engine.records import Shard

_FOOTER_TAIL = 8  # footer length and magic bytes
_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class Source:
    """All files of a path in order. `identity` changes when a file changes: name, size and footer of each."""

    shards: tuple[Shard, ...]
    schema: pa.Schema
    identity: str
    files: tuple[str, ...]

    @property
    def rows(self) -> int:
        return sum(shard.rows for shard in self.shards)


def find_source(path: str, shard_rows: int, key: str = "creatives.path") -> Source:
    """Find the Parquet files of a path and cut them into shards of at most `shard_rows` rows (or one row group).

    Raises
    ------
    DataError : nothing there, a file that is no Parquet, or files that disagree on the type of a column.
    """
    files = list_files(path, key)
    shards: list[Shard] = []
    schema: pa.Schema | None = None
    digest = blake3()
    rows = 0
    for file, partition in files:
        metadata, columns, footer, size = _open_footer(file)
        schema = _merge(schema, columns, file, files[0][0])
        digest.update(f"{PurePosixPath(file).name}\0{partition}\0{size}\0".encode() + footer)
        for groups in _spans(metadata, shard_rows):
            count = sum(metadata.row_group(g).num_rows for g in groups)
            shards.append(Shard(len(shards), file, groups, count, rows, partition))
            rows += count
    assert schema is not None
    for name, _ in files[0][1]:
        if name not in schema.names:
            schema = schema.append(pa.field(name, pa.string()))
    return Source(tuple(shards), schema, digest.hexdigest(), tuple(file for file, _ in files))


def read_shard_columns(shard: Shard, columns: list[str]) -> pa.Table:
    """Read columns of one shard; Hive keys of the path stand in for columns the file lacks.

    Raises
    ------
    DataError : the file cannot be read (truncated, bit-flipped, gone).
    """
    with _open_shard(shard) as file:
        inside = [name for name in columns if name in file.schema_arrow.names]
        table = file.read_row_groups(list(shard.row_groups), columns=inside)
    return _with_hive_keys(table, shard, columns)


def stream_shard_columns(shard: Shard, columns: list[str], rows: int) -> Iterator[pa.Table]:
    """Yield columns of one shard in order, at most `rows` rows at a time.

    Raises
    ------
    DataError : the file cannot be read (truncated, bit-flipped, gone).
    """
    with _open_shard(shard) as file:
        inside = [name for name in columns if name in file.schema_arrow.names]
        for batch in file.iter_batches(rows, row_groups=list(shard.row_groups), columns=inside):
            yield _with_hive_keys(pa.Table.from_batches([batch]), shard, columns)


def read_bytes(path: str, most: int | None) -> bytes | None:
    """Read a file, of a longer one `most` bytes and one more; None where it is not there or cannot be read."""
    try:
        system, inner = _locate(path)
        with system.open_input_stream(inner) as stream:
            return bytes(stream.read(None if most is None else most + 1))
    except (OSError, pa.ArrowException, DataError):
        return None


@contextmanager
def _open_shard(shard: Shard) -> Iterator[pq.ParquetFile]:
    system, path = _locate(shard.path)
    try:
        with system.open_input_file(path) as source, pq.ParquetFile(source, page_checksum_verification=True) as file:
            yield file
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{shard.path}: cannot be read ({_one_line(error)}); restore the file") from None


def _with_hive_keys(table: pa.Table, shard: Shard, columns: list[str]) -> pa.Table:
    partition = dict(shard.partition)
    for name in columns:
        if name not in table.column_names:
            value = None if partition.get(name) == _HIVE_NULL else partition.get(name)
            table = table.append_column(name, pa.array([value] * table.num_rows, pa.string()))
    return table.select(columns)


def read_table(path: str, key: str) -> tuple[pa.Table, str]:
    """Read a whole small dataset (labels, audits, frames, scores) and its content hash.

    Raises
    ------
    DataError : nothing there or unreadable.
    """
    source = find_source(path, 1 << 62, key)
    digest = blake3()
    for file in source.files:
        system, inner = _locate(file)
        with system.open_input_stream(inner) as stream:
            while block := stream.read(1 << 22):
                digest.update(block)
    tables = [read_shard_columns(shard, source.schema.names) for shard in source.shards]
    if not tables:
        return source.schema.empty_table(), digest.hexdigest()
    return pa.concat_tables(table.cast(source.schema) for table in tables), digest.hexdigest()


def require_columns(schema: pa.Schema, columns: Mapping[str, str], source: str) -> list[str]:
    """Return a line for each config key whose column is not there, the nearest name suggested."""
    return [
        f"{source}: column {column} ({key}) is missing{did_you_mean(column, schema.names)}"
        for key, column in columns.items()
        if column not in schema.names
    ]


def list_files(path: str, key: str) -> list[tuple[str, tuple[tuple[str, str], ...]]]:
    """Return the Parquet files of a path in a fixed order, each with its Hive keys.

    Raises
    ------
    DataError : the path does not exist or holds no Parquet file.
    """
    if any(sign in path for sign in "*?[") and "://" not in path:
        files = sorted(name for name in glob.glob(path, recursive=True) if Path(name).is_file())
    else:
        system, inner = _locate(path)
        info = system.get_file_info(inner)
        if info.type == pafs.FileType.NotFound:
            raise DataError(f"{path} ({key}): does not exist")
        if info.type == pafs.FileType.File:
            files = [path]
        else:
            prefix = path.split("://", maxsplit=1)[0] + "://" if "://" in path else ""
            found = system.get_file_info(pafs.FileSelector(inner, recursive=True))
            inside = [x.path for x in found if x.type == pafs.FileType.File and _is_data(x.path.removeprefix(inner))]
            files = sorted(prefix + name for name in inside)
    if not files:
        raise DataError(f"{path} ({key}): holds no Parquet file")
    return [(file, _hive_keys(file)) for file in files]


def _is_data(path: str) -> bool:
    """Say whether a path inside a folder is data: what starts with _ or . is what a writer left behind."""
    hidden = any(part.startswith(("_", ".")) for part in PurePosixPath(path).parts)
    return path.endswith((".parquet", ".pq")) and not hidden


def _hive_keys(file: str) -> tuple[tuple[str, str], ...]:
    parts = [part.partition("=") for part in PurePosixPath(file).parts[:-1]]
    return tuple((name, unquote(value)) for name, found, value in parts if found and name)


def _locate(path: str) -> tuple[pafs.FileSystem, str]:
    if "://" not in path:
        return pafs.LocalFileSystem(), path
    try:
        return pafs.FileSystem.from_uri(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be opened ({_one_line(error)})") from None


def _open_footer(file: str) -> tuple[pq.FileMetaData, pa.Schema, bytes, int]:
    system, path = _locate(file)
    try:
        with system.open_input_file(path) as source:
            size = source.size()
            source.seek(max(0, size - _FOOTER_TAIL))
            length = int.from_bytes(source.read(4), "little")
            source.seek(max(0, size - _FOOTER_TAIL - length))
            footer = source.read(min(length, size))
            source.seek(0)
            metadata = pq.read_metadata(source)
            schema = metadata.schema.to_arrow_schema()
            schema.names  # noqa: B018 - decodes them, so that broken ones fail here
            return metadata, schema, footer, size
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise DataError(f"{file}: is no readable Parquet file ({_one_line(error)})") from None


def _spans(metadata: pq.FileMetaData, shard_rows: int) -> Iterator[tuple[int, ...]]:
    span: list[int] = []
    rows = 0
    for group in range(metadata.num_row_groups):
        count = metadata.row_group(group).num_rows
        if span and rows + count > shard_rows:
            yield tuple(span)
            span, rows = [], 0
        span.append(group)
        rows += count
    if span:
        yield tuple(span)


def _merge(known: pa.Schema | None, schema: pa.Schema, file: str, first: str) -> pa.Schema:
    if known is None:
        return schema
    for field in schema:
        if field.name in known.names and known.field(field.name).type != field.type:
            old = known.field(field.name).type
            raise DataError(
                f"{file}: column {field.name} is {field.type} here and {old} in {first}; make them one type"
            )
    for name in known.names:
        if name not in schema.names:
            raise DataError(f"{file}: column {name} is missing here and present in {first}")
    return known


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
