"""Contents of a shard → sketches of their texts, by which near-copies are found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from engine import store
from engine.read.near_copies import SKETCH_VERSION, sketch_texts
from engine.read.text import as_contents, raw_fields
from engine.records import Reading, Receipt, Shard
from engine.tasks.owned import Portions, stream_owned
from engine.tasks.work import Work

SKETCH = "sketch"
SIZE = 128  # hashes
_PORTION = Portions(4096, 4096)


@dataclass(frozen=True)
class SketchTask:
    """Rows that own a content (owned/shard-00000.parquet) → sketches/shard-00000.parquet, in their order."""

    reading: Reading
    owned: Path
    folder: Path
    identity: str
    text_bytes: int

    def open(self, shared: None) -> Work:  # noqa: ARG002 - what is to do lies on disk
        """Return the work on one shard."""
        return self._sketch

    def _sketch(self, shard: Shard) -> Receipt:
        path = store.shard_path(self.folder, shard.number)
        identity = store.fingerprint([self.identity, SKETCH_VERSION, SIZE])
        done = store.find_committed(path, identity)
        if done is None:
            found = store.find_committed(store.shard_path(self.owned, shard.number), self.identity)
            assert found is not None, "the driver wrote down what is to do"
            owned = store.read_committed(found)
            sketches = [np.zeros((0, SIZE), np.uint32)]
            for table, _ in stream_owned(shard, owned, list(self.reading.columns), _PORTION):
                contents = as_contents(raw_fields(table, self.reading.columns), self.text_bytes)
                texts = ["\n".join(field or "" for field in fields) for fields in contents.fields]
                sketches.append(sketch_texts(texts, SIZE))
            whole = np.concatenate(sketches)
            raw = pa.FixedSizeBinaryArray.from_buffers(
                pa.binary(4 * SIZE), len(whole), [None, pa.py_buffer(whole.astype("<u4").tobytes())]
            )
            done = store.commit_table(path, pa.table({SKETCH: raw}), identity)
        return Receipt(shard.number, str(path), done.rows, done.hash)


def read_sketches(folder: Path, shard: int, identity: str) -> np.ndarray:
    """Return the sketches of a shard, uint32, shape (U, SIZE)."""
    found = store.find_committed(store.shard_path(folder, shard), store.fingerprint([identity, SKETCH_VERSION, SIZE]))
    assert found is not None, "the task came first"
    column = store.read_committed(found)[SKETCH].combine_chunks()
    raw = np.frombuffer(column.buffers()[1] or b"", "<u4", SIZE * len(column), 4 * SIZE * column.offset)
    return raw.reshape(-1, SIZE).astype(np.uint32)
