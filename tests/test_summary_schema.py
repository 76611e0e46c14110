"""summary.json keeps to the JSON Schema in the package; the README's query of estimates.parquet runs."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from jsonschema import Draft202012Validator
from lake import config_tree
from summaries import SCHEMA, faults, objects
from typer.testing import CliRunner

from engine.cli import app
from engine.config.loading import check_config, load_config
from engine.estimate.metrics import FORMULAS
from engine.pipeline import run
from engine.progress import Progress
from engine.records import Estimate
from engine.report.summary import VERSION

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def directory(lake, tmp_path_factory) -> Path:
    return run(check_config(config_tree(lake, tmp_path_factory.mktemp("runs")), "test"), Progress()).directory


@pytest.fixture(scope="module")
def summary(directory) -> dict[str, Any]:
    return json.loads((directory / "summary.json").read_text())


def test_the_schema_is_one_and_refuses_keys_that_it_does_not_know():
    Draft202012Validator.check_schema(SCHEMA)
    found = list(objects(SCHEMA))
    assert len(found) > 20
    assert all("additionalProperties" in each for each in found)
    assert SCHEMA["properties"]["version"]["const"] == VERSION
    assert set(SCHEMA["$defs"]["metric"]["enum"]) == {*FORMULAS, "mean.impressions", "mean.spend"}
    fields = set(Estimate._fields)
    assert set(SCHEMA["$defs"]["added"]["properties"]) == fields
    assert set(SCHEMA["$defs"]["headline"]["properties"]) == fields - {"segment_by", "segment"} | {"truth"}


def test_the_summary_of_a_run_keeps_to_the_schema(summary):
    assert faults(summary) == []


@pytest.mark.skipif(not (ROOT / "data/ci").exists(), reason="scripts/setup makes data/ci")
def test_the_summary_of_the_ci_config_keeps_to_the_schema(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    config = load_config("configs/ci.yaml", [f"store.path={tmp_path}"])
    assert faults(json.loads((run(config, Progress()).directory / "summary.json").read_text())) == []


@pytest.mark.slow
def test_the_summary_of_the_demo_keeps_to_the_schema(tmp_path, monkeypatch):
    if not (ROOT / "data/demo/models").exists():
        pytest.skip("scripts/demo makes data/demo")
    monkeypatch.chdir(ROOT)
    config = load_config("configs/demo.yaml", [f"store.path={tmp_path}", "store.scores=runs/_scores"])
    assert faults(json.loads((run(config, Progress()).directory / "summary.json").read_text())) == []


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every object in a tree, of a list's those of its first item."""
    if isinstance(value, dict):
        return [path, *(place for name, inner in value.items() for place in places(inner, (*path, name)))]
    return places(value[0], (*path, 0)) if isinstance(value, list) and value else []


def test_an_unknown_key_or_a_missing_one_is_refused_wherever_it_stands(summary):
    named = {"models", "calibration", "near_copies", "drift", "formulas"}  # keyed by names of the run
    free = {(name,) for name in named} | {("models", *rest) for rest in places(summary["models"])}
    free -= {("models", name) for name in summary["models"]}
    checked = [place for place in places(summary) if place not in free]
    assert len(checked) > 10
    for place in checked:
        more, less = copy.deepcopy(summary), copy.deepcopy(summary)
        inside_more, inside_less = more, less
        for step in place:
            inside_more, inside_less = inside_more[step], inside_less[step]
        inside_more["surprise"] = 1
        assert any("surprise" in fault for fault in faults(more)), place
        inside_less.clear()
        assert faults(less), place


def test_a_number_that_is_no_number_is_refused(summary):
    broken = summary | {"headline": [summary["headline"][0] | {"estimate": float("nan")}]}
    with pytest.raises(ValueError, match="JSON compliant"):
        faults(broken)


def test_the_command_prints_the_schema():
    printed = CliRunner().invoke(app, ["schema", "summary"])
    assert printed.exit_code == 0
    assert json.loads(printed.output) == SCHEMA


def test_the_query_of_the_readme_gives_the_rows_that_arrow_finds(directory):
    duckdb = pytest.importorskip("duckdb", reason="pip install 'ad-backtest[bench]' brings duckdb")
    (query,) = re.findall(r"```sql\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert "'runs/demo/estimates.parquet'" in query
    path = directory / "estimates.parquet"
    found = duckdb.connect(":memory:").execute(query.replace("runs/demo/estimates.parquet", str(path))).fetchall()
    assert found == rows_of_arrow(path)


def test_the_same_rows_without_duckdb(directory):
    found = rows_of_arrow(directory / "estimates.parquet")
    assert [row[1] for row in found] == sorted(["DE", "IN", "US"] * 3)
    assert {row[0] for row in found} == {"logged", "live", "strict"}
    assert all(0 <= low <= leaks <= high <= 100 for _, _, leaks, low, high in found)


def rows_of_arrow(path: Path) -> list[tuple[Any, ...]]:
    """Return what the README asks DuckDB for."""
    wanted = {"metric": "leakage_rate", "segment_by": "region", "weighting": "creatives", "reading": "machine"}
    table = pq.read_table(path)
    mask = pc.is_null(table["baseline"])
    for name, value in (wanted | {"inference": "history"}).items():
        mask = pc.and_(mask, pc.equal(table[name], value))
    rows = sorted(table.filter(mask).to_pylist(), key=lambda row: (row["segment"], row["estimate"]))
    return [
        (row["strategy"], row["segment"], *(round(100 * row[name], 1) for name in ("estimate", "low", "high")))
        for row in rows
    ]
