"""Committed outputs: what makes a rerun resume and a reader trust what it reads.

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

from engine.errors import DataError, MachineError, UsageError
from engine.records import Receipt

_MARK = ".done"
MANIFEST = "manifest.json"


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
    committed = Committed(path, rows, blake3(data).hexdigest())
    mark = {"rows": rows, "hash": committed.hash, "identity": identity}
    _unmark(path)  # a kill from here on leaves an output that does not count
    write_whole(path, data)
    write_whole(_mark(path), json.dumps(mark).encode())
    return committed


def write_whole(path: Path, data: bytes) -> None:
    """Write a file, and its folder, so that a reader sees the old one or the new one, never a part.

    Raises
    ------
    MachineError : the disk refuses.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
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
        mark = json.loads(_mark(path).read_bytes())
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
    try:
        data = committed.path.read_bytes()
    except OSError as error:
        raise DataError(f"{committed.path}: cannot be read ({error.strerror})") from None
    if blake3(data).hexdigest() != committed.hash:
        raise DataError(
            f"{committed.path}: does not hold what was committed; delete {_mark(committed.path).name} to redo"
        )
    return pq.read_table(pa.BufferReader(data))


def read_receipt(receipt: Receipt) -> pa.Table:
    """Read the table behind a receipt, its hash verified."""
    return read_committed(Committed(Path(receipt.path), receipt.rows, receipt.hash))


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


@dataclass(frozen=True)
class RunDirectory:
    """The folder of one run. It belongs to one fingerprint: what decides the numbers, and the inputs."""

    path: Path

    def claim(self, decided: Mapping[str, object], inputs: Mapping[str, str]) -> str:
        """Make the folder this run's own, or find that it is; return the fingerprint.

        Raises
        ------
        UsageError : the folder belongs to another config or other inputs; names the first key that differs.
        """
        mine = {"config": decided, "inputs": inputs}
        if (self.path / MANIFEST).exists() and not self._holds_nothing():
            manifest = self.read_manifest()
            theirs = {"config": manifest.get("config"), "inputs": manifest.get("inputs")}
            if fingerprint(theirs) != fingerprint(mine):
                key = _first_difference(theirs, mine)
                raise UsageError(
                    f"{self.path}: belongs to another run: {key} differs; choose another `run` or remove it"
                )
        return fingerprint(mine)

    def _holds_nothing(self) -> bool:
        """Return whether a run that never finished left no score and no number: then the folder is free."""
        unfinished = self.read_manifest().get("state") == "running"
        return unfinished and not any(self.path.glob("scores/*/*.done")) and not any(self.path.glob("cells/*.done"))

    def read_manifest(self) -> dict[str, object]:
        """Read manifest.json.

        Raises
        ------
        DataError : not there, or not one of ours.
        """
        path = self.path / MANIFEST
        try:
            manifest = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: cannot be read ({error}); is {self.path} a run directory?") from None
        if not isinstance(manifest, dict):
            raise DataError(f"{path}: is no manifest")
        return manifest

    def write_manifest(self, manifest: Mapping[str, object]) -> None:
        """Replace manifest.json in one step."""
        write_whole(self.path / MANIFEST, (json.dumps(manifest, indent=1, default=str) + "\n").encode())

    def remove(self, name: str) -> None:
        """Remove an output of an earlier run that this one does not make."""
        _mark(self.path / name).unlink(missing_ok=True)
        (self.path / name).unlink(missing_ok=True)

    def write_text(self, name: str, text: str) -> Path:
        """Write one of the run's readable files in one step."""
        write_whole(self.path / name, text.encode())
        return self.path / name


def _unmark(path: Path) -> None:
    try:
        _mark(path).unlink(missing_ok=True)
    except OSError as error:
        raise MachineError(f"{path}: cannot be replaced ({error.strerror})") from None


def _mark(path: Path) -> Path:
    return path.with_name(path.name + _MARK)


def _first_difference(theirs: object, mine: object, key: str = "") -> str:
    if isinstance(theirs, dict) and isinstance(mine, dict):
        for name in sorted({*theirs, *mine}, key=str):
            if theirs.get(name) != mine.get(name):
                return _first_difference(theirs.get(name), mine.get(name), f"{key}.{name}" if key else str(name))
    return f"{key.removeprefix('config.')} (was {_short(theirs)}, is {_short(mine)})"


def _short(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."
