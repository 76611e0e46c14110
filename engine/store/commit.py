"""The commit protocol: what makes a rerun resume and a reader trust what it reads.

An output is written beside its place, synced, renamed, and then marked: the marker holds row count, content hash and
the identity of everything that made it. What has no marker of the wanted identity does not exist.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from blake3 import blake3

from engine.errors import DataError, MachineError
from engine.records import Receipt

_MARK = ".done"


@dataclass(frozen=True)
class Committed:
    """An output and its marker."""

    path: Path
    rows: int
    hash: str

    def receipt(self, shard: int) -> Receipt:
        """Return the receipt that a worker hands back for it."""
        return Receipt(shard, str(self.path), self.rows, self.hash)


def commit_table(path: Path, table: pa.Table, identity: str, facts: Mapping[str, object] | None = None) -> Committed:
    """Commit a table as Parquet; `facts` are kept in its metadata."""
    sink = pa.BufferOutputStream()
    if facts is not None:
        table = table.replace_schema_metadata({"facts": json.dumps(facts, sort_keys=True)})
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    return commit_bytes(path, sink.getvalue().to_pybytes(), identity, rows=table.num_rows)


def commit_bytes(path: Path, data: bytes, identity: str, rows: int = 0) -> Committed:
    """Commit bytes under a path.

    Raises
    ------
    MachineError : the disk refuses.
    """
    _unmark(path)  # a kill from here on leaves an output that does not count
    return commit_once(path, data, identity, rows)


def commit_once(path: Path, data: bytes, identity: str, rows: int = 0) -> Committed:
    """Commit bytes under a path that no other bytes ever get: what is there already stays readable all the time.

    Raises
    ------
    MachineError : the disk refuses.
    """
    committed = Committed(path, rows, blake3(data).hexdigest())
    mark = {"rows": rows, "hash": committed.hash, "identity": identity}
    write_whole(path, data)
    write_whole(mark_path(path), json.dumps(mark).encode())
    return committed


def write_whole(path: Path, data: bytes) -> None:
    """Write a file, and its folder, so that a reader sees the old one or the new one, never a part.

    Raises
    ------
    MachineError : the disk refuses.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}.part")  # pids repeat between hosts
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with beside.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise MachineError(f"{path}: cannot be written ({error.strerror}); make room or mend the permissions") from None


def find_committed(path: Path, identity: str) -> Committed | None:
    """Return a committed output of this identity, or None where it has to be made."""
    try:
        mark = json.loads(mark_path(path).read_bytes())
        if mark["identity"] != identity or not path.is_file():
            return None
        return Committed(path, int(mark["rows"]), str(mark["hash"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def read_committed(committed: Committed) -> pa.Table:
    """Read a committed table, its hash verified.

    Raises
    ------
    DataError : the bytes are not the ones that were committed.
    """
    return pq.read_table(pa.BufferReader(read_committed_bytes(committed)))


def read_committed_bytes(committed: Committed) -> bytes:
    """Read committed bytes, their hash verified.

    Raises
    ------
    DataError : the bytes are not the ones that were committed.
    """
    try:
        data = committed.path.read_bytes()
    except OSError as error:
        raise DataError(f"{committed.path}: cannot be read ({error.strerror})") from None
    if blake3(data).hexdigest() != committed.hash:
        raise DataError(
            f"{committed.path}: does not hold what was committed; delete {mark_path(committed.path).name} to redo"
        )
    return data


def facts_of(table: pa.Table) -> dict[str, int]:
    """Return the facts that were committed with a table."""
    facts: dict[str, int] = json.loads((table.schema.metadata or {}).get(b"facts", b"{}"))
    return facts


def fingerprint(value: object) -> str:
    """Return a hash of plain values, independent of key order."""
    return blake3(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def shard_path(folder: Path, number: int) -> Path:
    """Return where a shard's output lies."""
    return folder / f"shard-{number:05d}.parquet"


def _unmark(path: Path) -> None:
    try:
        mark_path(path).unlink(missing_ok=True)
    except OSError as error:
        raise MachineError(f"{path}: cannot be replaced ({error.strerror})") from None


def mark_path(path: Path) -> Path:
    """Return where the marker of an output lies."""
    return path.with_name(path.name + _MARK)
