"""Same input, same bytes: what a run leaves for people holds no clock, no order of a set, no path of the machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from lake import config_tree

from engine.config.loading import check_config, dump_yaml
from engine.pipeline import run
from engine.progress import Progress

FILES = ("summary.json", "report.md", "report.html", "estimates.parquet")


def bytes_of(directory: Path) -> dict[str, bytes]:
    return {name: (directory / name).read_bytes() for name in FILES}


def written(lake: Path, folder: Path) -> dict:
    return config_tree(lake, folder / "runs", report={"html": True, "truth": str(lake / "truth.parquet")})


@pytest.fixture(scope="module")
def first(lake, tmp_path_factory) -> Path:
    return run(check_config(written(lake, tmp_path_factory.mktemp("first")), "test"), Progress()).directory


def test_a_run_anew_in_another_process_with_another_hash_seed_leaves_the_same_bytes(first, lake, tmp_path):
    (tmp_path / "config.yaml").write_text(dump_yaml(written(lake, tmp_path)))
    environment = os.environ | {"PYTHONHASHSEED": "77", "TZ": "Asia/Tokyo", "LC_ALL": "C"}
    command = [sys.executable, "-m", "engine", "run", str(tmp_path / "config.yaml")]
    subprocess.run(command, check=True, capture_output=True, env=environment)
    assert bytes_of(tmp_path / "runs" / "r") == bytes_of(first)


def test_the_report_written_anew_is_the_report(first):
    before = bytes_of(first)
    subprocess.run([sys.executable, "-m", "engine", "report", str(first)], check=True, capture_output=True)
    assert bytes_of(first) == before
