"""Run R's survey on the seeded draws and store what it says: python tests/estimate/r_survey/store.py, with tests/ and
the repository on PYTHONPATH. `columns` of the stored file tells whether the draws are still those that R saw."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from estimate.drawn import DESIGNS, Drawing, Population, draw, population, write_columns

HERE = Path(__file__).parent
STORED = HERE / "results.json"
SEED = 6


def seeded_draws() -> tuple[Population, dict[str, Drawing]]:
    """Return the population and its draw under every design."""
    people, generator = population(), np.random.default_rng(SEED)
    return people, {design: draw(people, design, generator) for design in DESIGNS}


def write_draws(folder: Path) -> str:
    """Write the draws as R reads them; return their hash."""
    people, drawings = seeded_draws()
    for name, drawing in drawings.items():
        write_columns(people, drawing, folder / f"{name}.csv")
    lines = ["decision,count", *(f"{i},{count}" for i, count in enumerate(np.bincount(people.decision_N)))]
    (folder / "decisions.csv").write_text("\n".join(lines) + "\n")
    every = np.bincount(people.inside_N * 3 + people.decision_N, minlength=6)
    lines = ["decision,inside,count", *(f"{i % 3},{i // 3},{count}" for i, count in enumerate(every))]
    (folder / "categories.csv").write_text("\n".join(lines) + "\n")
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(folder.glob("*.csv")))).hexdigest()


def ask_r(folder: Path) -> dict[str, Any]:
    """Return the ratios and standard errors that R computes from the draws in a folder."""
    command = ["Rscript", "--vanilla", str(HERE / "ratios.R"), str(folder)]
    found: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=120).stdout)
    return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        made = {"columns": write_draws(Path(name))} | ask_r(Path(name))
        STORED.write_text(json.dumps(made, indent=1) + "\n")
