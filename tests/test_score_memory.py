"""A worker that scores holds a portion of a shard, never the lake: its peak memory does not grow with the rows."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lake import WORDS, config_tree

from engine.config.loading import check_config
from engine.pipeline import run
from engine.progress import Progress

SHARD = 5_000


def write_rows(folder: Path, rows: int) -> None:
    """Write creatives of which no two share a text."""
    folder.mkdir(parents=True)
    word = np.array(WORDS)
    schema = None
    with_rows = range(0, rows, 50_000)
    for part, first in enumerate(with_rows):
        size = min(50_000, rows - first)
        generator = np.random.default_rng([rows, part])
        chosen = word[generator.integers(0, len(WORDS), (size, 6))]
        table = pa.table(
            {
                "creative_id": [f"c{first + i}" for i in range(size)],
                "advertiser_id": [f"a{i % 97}" for i in range(size)],
                "submitted_at": pa.array(np.full(size, 1_767_600_000_000_000), pa.timestamp("us", "UTC")),
                "title": [str(first + i) for i in range(size)],
                "body": [" ".join(row) for row in chosen],
                "region": ["US"] * size,
            }
        )
        schema = schema or table.schema
        pq.write_table(table, folder / f"part-{part:03d}.parquet", row_group_size=SHARD)


class Children(threading.Thread):
    """Watches the peak resident memory of this process's children, MB."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak: dict[int, float] = {}
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.02):
            for pid in Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split():
                try:
                    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
                except OSError:
                    continue
                for line in lines:
                    if line.startswith("VmHWM:"):
                        self.peak[int(pid)] = int(line.split()[1]) / 1024


def peak_of_workers(rows: int, models: Path, folder: Path) -> float:
    """Score a lake by one model in two worker processes; return the larger one's peak, MB."""
    write_rows(folder / "lake", rows)
    tree: dict[str, Any] = config_tree(folder, folder / "runs", models, execute={"workers": 2})
    tree["creatives"] = {
        "path": str(folder / "lake"),
        "columns": {"text": ["title", "body"]},
        "attributes": ["region"],
    }
    tree["strategies"] = {"live": {"rules": [{"when": "v1.scam >= 0.5", "then": "reject"}], "otherwise": "approve"}}
    tree |= {"labels": None, "audits": None, "exposure": {}, "compare": None, "limits": {"shard_rows": SHARD}}
    watch = Children()
    watch.start()
    finished = run(check_config(tree, "test"), Progress(), score_only=True)
    watch.over.set()
    watch.join()
    assert finished.scored.scored_now == {"v1": rows}
    return max(watch.peak.values())


@pytest.mark.parametrize(
    "rows", [pytest.param(30_000, id="30k"), pytest.param(1_000_000, id="1m", marks=pytest.mark.slow)]
)
def test_the_peak_of_a_worker_is_flat(rows: int, tiny_models: Path, tmp_path: Path) -> None:
    small = peak_of_workers(10_000, tiny_models, tmp_path / "small")
    large = peak_of_workers(rows, tiny_models, tmp_path / "large")
    print(f"peak of a worker: {small:.0f} MB at 10,000 rows, {large:.0f} MB at {rows:,}")
    assert large <= 1.1 * small
