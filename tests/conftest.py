"""Fixtures that several folders share: a small lake, tiny models, one Ray for the whole session."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lake import write_lake, write_models
from summaries import faults_of_some

os.environ.setdefault("HF_HUB_OFFLINE", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep a file, and all files that start Ray, in one process; leave slow tests to `scripts/test --all`."""
    on_ray = {item.path for item in items if item.get_closest_marker("cluster")}
    for item in items:
        item.add_marker(pytest.mark.xdist_group("ray" if item.path in on_ray else str(item.path)))
    if os.environ.get("BACKTEST_ALL"):
        return
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.skip(reason="slow: runs with scripts/test --all"))


@pytest.fixture(scope="session", autouse=True)
def every_summary_keeps_to_its_schema() -> Iterator[None]:
    """Hold the summary of every run of every test against the schema in the package."""
    from engine.conclude import report

    written = report.summarise

    def checked(*what: Any) -> dict[str, Any]:
        summary = written(*what)
        assert faults_of_some(summary) == []
        return summary

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "summarise", checked)
        yield


@pytest.fixture(scope="session")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lake")
    write_lake(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_models(folder)
    return folder


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    from engine.execute import connect

    ray = connect(None)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def events() -> Iterator[list[str]]:
    """Record whatever Python executes, opens or starts: an audit hook sees it all and cannot be taken back."""
    seen: list[str] = []
    listening = [True]

    def listen(event: str, _: object) -> None:
        if listening[0] and event in ("exec", "open", "import", "os.system", "subprocess.Popen"):
            seen.append(event)

    sys.addaudithook(listen)
    yield seen
    listening[0] = False
