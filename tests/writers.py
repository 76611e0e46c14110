"""What other processes do in tests of shared files: importable there, as a test module is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from engine.store import ScoreStore

MACHINE = {"torch": "2.13.0", "device": "cpu"}


def part(first: int, count: int, shift: float = 0.0) -> pa.Table:
    """Return scores of made-up contents."""
    ids = pa.array([i.to_bytes(16, "big") for i in range(first, first + count)], pa.binary(16))
    return pa.table({"content_id": ids, "scam": pa.array(np.arange(count) / 100 + shift, pa.float32())})


def commit_parts(path: str, step: int) -> None:
    """Commit seven different parts, each several times."""
    for i in range(20):
        ScoreStore(Path(path)).commit("model-a", part(step * i % 7, 5), MACHINE)
