"""How long CI waits: whole processes, median of 5, a new run directory each time."""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from record import Bench, at_most

CONFIG = "configs/ci.yaml"


def measure(arguments: Sequence[str]) -> Bench:
    """Time first and second run, help and validate."""
    parser = argparse.ArgumentParser(prog="scripts/bench ci")
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args(arguments).repeats
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "kernels"
        first = [_run(folder, cache, f"first-{i}", empty=True) for i in range(repeats)]
        second = [_run(folder, cache, f"second-{i}", empty=False) for i in range(repeats)]
        shown = [_seconds(["--help"], cache) for _ in range(repeats)]
        validated = [_seconds(["validate", CONFIG], cache) for _ in range(repeats)]
    raw = {"first_s": first, "second_s": second, "help_s": shown, "validate_s": validated}
    limits = {"first_s": 15.0, "second_s": 3.0, "help_s": 0.3, "validate_s": 1.0}
    bars = [at_most(f"ci.{name}", statistics.median(raw[name]), limit, " s") for name, limit in limits.items()]
    table = [
        f"{name}: min {min(x):.2f}  median {statistics.median(x):.2f}  max {max(x):.2f}" for name, x in raw.items()
    ]
    return Bench("ci", {"config": CONFIG, "creatives": 10_000, "repeats": repeats}, raw, bars, table)


def _run(folder: str, cache: Path, run: str, *, empty: bool) -> float:
    if empty:
        shutil.rmtree(cache, ignore_errors=True)
    return _seconds(["run", CONFIG, "--set", f"run={run}", "--set", f"store.path={folder}/runs"], cache)


def _seconds(arguments: list[str], cache: Path) -> float:
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache)}
    command = [str(Path(sys.executable).with_name("backtest")), *arguments]
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return time.perf_counter() - start
