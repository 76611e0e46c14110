"""Scores that all runs share, by the fingerprint of what made them: a cache that may be deleted at any time.

A part is a committed table of content ids and scores, in a folder named by the fingerprint, under a name made from its
own bytes. So two runs that compute the same part write the same file, parts are never replaced, and what another model
or setting computed lies where nobody looks for it. Runs may add parts at the same time; no lock is needed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from blake3 import blake3

from engine.errors import DataError
from engine.store.commit import Committed, commit_once, find_committed, read_committed

FINGERPRINT = b"fingerprint"
MACHINE = b"machine"
_NAME_LETTERS = 32


@dataclass(frozen=True)
class Part:
    """Scores that one worker committed. machine : JSON of what that machine does to scores."""

    table: pa.Table
    machine: str


@dataclass(frozen=True)
class ScoreStore:
    """A folder of parts per fingerprint."""

    path: Path

    def commit(self, fingerprint: str, table: pa.Table, machine: Mapping[str, object]) -> Committed:
        """Add a part: `content_id` (16 bytes) and float32 columns, named by the position of the model's label."""
        facts = {FINGERPRINT: fingerprint.encode(), MACHINE: json.dumps(machine, sort_keys=True).encode()}
        sink = pa.BufferOutputStream()
        pq.write_table(table.replace_schema_metadata(facts), sink, compression="zstd", write_page_checksum=True)
        data = sink.getvalue().to_pybytes()
        path = self._folder(fingerprint) / f"{blake3(data).hexdigest()[:_NAME_LETTERS]}.parquet"
        return find_committed(path, fingerprint) or commit_once(path, data, fingerprint, rows=table.num_rows)

    def parts(self, fingerprint: str) -> tuple[Committed, ...]:
        """Return the committed parts of a fingerprint, by name."""
        paths = sorted(self._folder(fingerprint).glob("*.parquet"))
        return tuple(part for path in paths if (part := find_committed(path, fingerprint)) is not None)

    def read(self, part: Committed, fingerprint: str) -> Part:
        """Read a part, its bytes verified.

        Raises
        ------
        DataError : the bytes are not those that were committed, or of another model (somebody moved the file).
        """
        table = read_committed(part)
        facts = table.schema.metadata or {}
        if facts.get(FINGERPRINT) != fingerprint.encode():
            raise DataError(f"{part.path}: holds scores of another model or setting; delete it")
        return Part(table, facts.get(MACHINE, b"{}").decode())

    def _folder(self, fingerprint: str) -> Path:
        return self.path / fingerprint
