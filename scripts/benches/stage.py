"""The whole `score` stage: a made-up lake, the run that scores it, and the bare scorer on the same contents.

Each measurement is a process of its own with 1 worker and 1 thread, as `backtest score` would be; opening the model
(and importing torch) is part of the stage. For Ray the cluster is connected to beforehand, and timed apart.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from peers import Model, as_model

from engine.records import Contents

START = datetime(2026, 1, 1, tzinfo=UTC)
_WARM = 16


@dataclass(frozen=True)
class StageRun:
    """What one run's manifest and clock say.

    seconds : of the score stage. waited : for input, where the manifest says. connect : to Ray. whole : of the run,
    without `connect`.
    """

    seconds: float
    rows: int
    scored_now: int
    waited: float | None
    connect: float
    whole: float


def write_lake(folder: Path, shards: list[list[str]], seed: int = 1) -> Path:
    """Write one Parquet file per shard; return their folder."""
    folder.mkdir(parents=True)
    row = 0
    for number, bodies in enumerate(shards):
        ids = range(row, row + len(bodies))
        table = pa.table(
            {
                "creative_id": [f"c{i}" for i in ids],
                "advertiser_id": [f"a{i % 97}" for i in ids],
                "submitted_at": pa.array([START + timedelta(seconds=i) for i in ids], pa.timestamp("us", "UTC")),
                "body": bodies,
            }
        )
        pq.write_table(table, folder / f"part-{seed}-{number:03d}.parquet")
        row += len(bodies)
    return folder


def repeated(texts: list[str], duplicates: float, seed: int) -> list[str]:
    """Return creatives of which a share `duplicates` repeats a text that another has; every text is there."""
    random = np.random.default_rng(seed)
    rows = round(len(texts) / (1 - duplicates))
    copy = random.integers(0, len(texts), rows - len(texts))
    return [texts[i] for i in random.permutation(np.concatenate([np.arange(len(texts)), copy]))]


def stage_config(
    model: Model, lake: Path, store: Path, run: str, where: Literal["local", "ray"], shard_rows: int
) -> dict[str, Any]:
    """Return the config of a run that scores a lake by one model, on 1 worker and 1 thread."""
    policies = list(model.folder.policies)
    rule = {"when": f"m.{policies[0]} >= 0.5", "then": "reject"}
    outputs = dict(zip(policies, model.folder.labels, strict=True))
    execute = {"where": where, "workers": 1, "threads_per_worker": 1, "device": model.device}
    return {
        "run": run,
        "period": {"from": "2026-01-01", "until": "2027-01-01"},
        "creatives": {"path": str(lake), "columns": {"text": ["body"]}},
        "policies": policies,
        "models": {"m": {"path": str(model.folder.path), "outputs": outputs}},
        "strategies": {"s": {"rules": [rule], "otherwise": "approve"}},
        "limits": {"shard_rows": shard_rows},
        "store": {"path": str(store)},
        "execute": execute | {"gpus_per_worker": 1.0 if model.device == "cuda" else 0.0},
    }


def run_stage(config: dict[str, Any]) -> StageRun:
    """Run a config up to its scores in a new process; read its manifest."""
    clock = _child("run", config)
    manifest = json.loads((Path(config["store"]["path"]) / config["run"] / "manifest.json").read_bytes())
    stage = manifest["stages"]["score"]
    return StageRun(
        seconds=stage["seconds"],
        rows=manifest["counts"]["kept"],
        scored_now=sum(manifest["counts"]["scored_now"].values()),
        waited=stage.get("waited_seconds"),
        connect=clock["connect"],
        whole=clock["whole"],
    )


def bare_seconds(model: Model, lake: Path) -> list[float]:
    """Score the bodies of each file of a lake by the bare scorer, open and warm, on 1 thread, in a new process."""
    job = {"path": str(model.folder.path), "device": model.device, "lake": str(lake)}
    return [float(seconds) for seconds in _child("bare", job)]


def _child(what: Literal["run", "bare"], job: dict[str, Any]) -> Any:
    done = subprocess.run(
        [sys.executable, __file__, what], input=json.dumps(job), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"the stage's process failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Do what the parent asks for on standard input; print one line of JSON."""
    job = json.load(sys.stdin)
    print(json.dumps(_run(job) if sys.argv[1] == "run" else _bare(job)))


def _run(tree: dict[str, Any]) -> dict[str, float]:
    from engine.config.loading import check_config
    from engine.execute import connect
    from engine.pipeline import run
    from engine.progress import Progress

    config = check_config(tree, "bench")
    start = time.perf_counter()
    if config.execute.where == "ray":
        connect(None)
    connected = time.perf_counter()
    run(config, Progress(), score_only=True)
    return {"connect": connected - start, "whole": time.perf_counter() - connected}


def _bare(job: dict[str, Any]) -> list[float]:
    from engine.score.open import open_scorer
    from engine.score.opening import Opening

    model = as_model(Path(job["path"]), job["device"], threads=1)
    scorer = open_scorer(Opening(model.folder, device=model.device))
    seconds: list[float] = []
    for file in sorted(Path(job["lake"]).glob("*.parquet")):
        bodies = pq.read_table(file, columns=["body"])["body"].to_pylist()
        contents = Contents(tuple((body,) for body in bodies))
        if not seconds:
            scorer.score(Contents(contents.fields[:_WARM]))
        start = time.perf_counter()
        scorer.score(contents)
        seconds.append(time.perf_counter() - start)
    return seconds


if __name__ == "__main__":
    main()
