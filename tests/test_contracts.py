"""The import floors are a check that can fail."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["lint-imports", "--no-cache"], cwd=folder, capture_output=True, text=True, check=False)


def test_a_planted_import_across_stages_fails_the_contracts_that_scripts_check_runs(tmp_path):
    assert "lint-imports" in (ROOT / "scripts" / "check").read_text()
    shutil.copytree(ROOT / "engine", tmp_path / "engine", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    clean = lint_imports(tmp_path)
    assert clean.returncode == 0, clean.stdout
    kernels = tmp_path / "engine" / "replay" / "kernels.py"
    kernels.write_text(kernels.read_text() + "\nfrom engine.estimate import interval\n")
    planted = lint_imports(tmp_path)
    assert planted.returncode != 0
    assert "engine.replay.kernels -> engine.estimate" in planted.stdout
