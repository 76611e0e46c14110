"""manifest.json: what a reader trusts, and the only file with clocks, hosts, rates and where the run ran."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from blake3 import blake3

from engine import __version__
from engine.conclude.numbers import Numbers
from engine.config.loading import dump_yaml
from engine.stages.read import Creatives
from engine.stages.run import Run
from engine.stages.score import Scored, facts_path

_PACKAGES = ("numba", "numpy", "pyarrow", "ray", "scipy", "tokenizers", "torch", "transformers")
_MOST_FILES = 10_000
_FILES = (
    "config.resolved.yaml",
    "summary.json",
    "report.md",
    "report.html",
    "estimates.parquet",
    "truth.parquet",
    "quarantine.parquet",
    "search.parquet",
)


def start(run: Run) -> None:
    """Write the manifest of a run that begins or resumes, and the resolved config."""
    run.directory.write_manifest(_head(run) | {"state": "running"})
    run.directory.write_text("config.resolved.yaml", dump_yaml(run.config.decided()))


def finish(run: Run, creatives: Creatives, scored: Scored, numbers: Numbers | None) -> None:
    """Write the manifest of a run that came to its end."""
    began = run.directory.read_manifest()["started"]
    state = "scored" if numbers is None else "complete"
    head = _head(run) | {"state": state, "started": began, "finished": _now()}
    stages = run.progress.stages
    for stage in stages.values():
        stage["rows_per_second"] = round(stage["rows"] / stage["seconds"], 1) if stage["seconds"] else 0.0
    counts = creatives.counts | {
        "contents": dict(scored.contents),
        "scored_now": dict(scored.scored_now),
        "scored_twice": dict(scored.twice),
    }
    head |= {"machines": {name: _machines(run, name) for name in scored.contents}}
    run.directory.write_manifest(head | {"counts": counts, "stages": stages, "files": _files(run)})


def _head(run: Run) -> dict[str, Any]:
    sections = run.config.model_dump(mode="json", by_alias=True)
    return {
        "engine": __version__,
        "fingerprint": run.identity,
        **{name: sections[name] for name in ("run", "execute", "report", "store")},
        "config": run.config.decided(),
        "inputs": dict(run.prepared.inputs),
        "files_read": _files_read(run),
        "models": {name: opening.fingerprint() for name, opening in run.prepared.openings.items()},
        "started": _now(),
        "host": {"name": platform.node(), "machine": platform.machine(), "cpus": os.cpu_count()},
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in _PACKAGES},
    }


def _files_read(run: Run) -> dict[str, int] | None:
    """Return the rows of each file of creatives, None where there are too many files to write down."""
    rows: Counter[str] = Counter()
    for shard in run.shards:
        rows[shard.path] += shard.rows
    return dict(rows) if len(rows) <= _MOST_FILES else None


def _machines(run: Run, model: str) -> list[dict[str, Any]]:
    """Return what the machines that computed a model's scores do to scores, and how many contents each scored."""
    held = json.loads(facts_path(run, model).read_bytes())["machines"]
    return [json.loads(machine) | {"contents": count} for machine, count in sorted(held.items())]


def _files(run: Run) -> dict[str, str]:
    """Return the hash of each readable file and of each committed output."""
    paths = [run.directory.path / name for name in _FILES]
    paths += sorted(run.directory.path.glob("scores/*.parquet"))
    return {
        str(path.relative_to(run.directory.path)): blake3(path.read_bytes()).hexdigest()
        for path in paths
        if path.exists()
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
