"""A run over a log with exploration: delivered impressions under other decisions, in the rows of every other number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lake import config_tree, write_lake

from engine.config.loading import check_config
from engine.errors import BacktestError, DataError, UsageError
from engine.pipeline import run
from engine.progress import Progress

OPEN = 0.25  # of would-be rejects that history lets through by chance


@pytest.fixture(scope="module")
def explored(tmp_path_factory) -> Path:
    """Return a lake whose rejects above .6 are let through with probability OPEN; nothing else is random."""
    folder = tmp_path_factory.mktemp("explored")
    write_lake(folder, seed=3, size=3_000)
    rewrite(folder, explore)
    return folder


def rewrite(folder: Path, change) -> None:
    table = change(pq.read_table(folder / "creatives"))
    for path in (folder / "creatives").glob("*"):
        path.unlink()
    pq.write_table(table, folder / "creatives" / "part-0.parquet")


def explore(table: pa.Table) -> pa.Table:
    generator = np.random.default_rng(9)
    risky = table["old_score"].to_numpy() >= 0.6
    through = risky & (generator.random(len(risky)) < OPEN)
    decision = np.where(risky & ~through, "rejected", "approved")
    impressions = generator.integers(50, 150, len(risky))
    columns = {name: table[name] for name in table.column_names}
    columns |= {"decision": pa.array(decision), "final": pa.array(decision)}
    columns["impressions"] = pa.array(impressions, mask=decision == "rejected")
    columns["p"] = pa.array(np.where(through, OPEN, 1 - OPEN), mask=~risky)
    columns["would"] = pa.array(impressions)
    return pa.table(columns)


def tree_of(lake: Path, runs: Path, **off_policy: Any) -> dict[str, Any]:
    tree = config_tree(lake, runs, off_policy={"outcomes": ["impressions"], **off_policy})
    tree["creatives"]["columns"] |= {"propensity": "p"}
    tree["strategies"] = {
        name: {"rules": [{"when": f"v1.scam >= {at}", "then": "reject"}], "otherwise": "approve"}
        for name, at in (("live", 0.6), ("strict", 0.5), ("lax", 0.8))
    }
    tree["strategies"]["asks"] = {"rules": [{"when": "v1.scam >= 0.6", "then": "review"}], "otherwise": "approve"}
    return tree | {
        "compare": {"baseline": "live", "candidate": "lax"},
        "period": tree["period"] | {"until": "2027-01-01"},
    }


def means(tree: dict[str, Any]) -> tuple[dict[tuple[str, str], dict[str, Any]], Path]:
    folder = run(check_config(tree, "test"), Progress()).directory
    rows = pq.read_table(folder / "estimates.parquet").to_pylist()
    here = [row for row in rows if row["metric"] == "mean.impressions" and row["segment"] == "all"]
    return {(row["strategy"], row["inference"]): row for row in here}, folder


@pytest.mark.parametrize("estimator", ["ips", "snips", "doubly_robust"])
def test_a_run_says_what_strategies_would_have_delivered(explored, tmp_path, estimator):
    found, folder = means(tree_of(explored, tmp_path, estimator=estimator))
    table = pq.read_table(explored / "creatives").slice(48)  # submitted before the period
    score, would = table["old_score"].to_numpy(), table["would"].to_numpy()
    exact = found["strict", "history"]
    assert exact["estimate"] == exact["low"] == exact["high"] == pytest.approx(np.mean(would * (score < 0.5)))
    delivered = table["impressions"].to_numpy(zero_copy_only=False)
    assert found["logged", "history"]["low"] == pytest.approx(np.nansum(delivered) / len(delivered))
    for inference in ("history", "future"):
        lax = found["lax", inference]
        assert lax["low"] <= np.mean(would * (score < 0.8)) <= lax["high"]
        assert lax["low"] < lax["estimate"] < lax["high"]
        asks = found["asks", inference]
        assert asks["estimate"] is None
        assert "history drew the strategy's decision for none" in asks["null_reason"]
    assert "mean.impressions" in (folder / "report.md").read_text()


def test_shards_and_workers_change_no_byte_of_the_means(explored, tmp_path):
    bytes_of = set()
    for i, (rows, workers) in enumerate([(3000, 1), (430, 1), (47, 2)]):
        tree = tree_of(explored, tmp_path / str(i)) | {"limits": {"shard_rows": rows}, "execute": {"workers": workers}}
        _, folder = means(tree)
        bytes_of.add(repr(pq.read_table(folder / "estimates.parquet").to_pylist()))
    assert len(bytes_of) == 1


@pytest.mark.parametrize("bad", [0.0, 1.5, float("nan")])
def test_a_propensity_that_is_no_probability_stops_the_run(explored, tmp_path, bad):
    def spoil(table):
        p = [bad if i == 500 else value for i, value in enumerate(table["p"].to_pylist())]
        return table.set_column(table.schema.get_field_index("p"), "p", pa.array(p))

    (tmp_path / "creatives").mkdir()
    pq.write_table(spoil(pq.read_table(explored / "creatives")), tmp_path / "creatives" / "part-0.parquet")
    tree = tree_of(explored, tmp_path / "runs")
    tree["creatives"]["path"] = str(tmp_path / "creatives")
    assert_fault(tree, DataError, r"column p \(creatives.columns.propensity\) has 1 values outside \(0, 1\]")


def test_a_delivered_creative_without_impressions_is_a_fault_and_never_zero(explored, tmp_path):
    table = pq.read_table(explored / "creatives")
    first = next(i for i in range(100, 3000) if table["decision"][i].as_py() == "approved")
    holes = pa.array([None if i == first else value for i, value in enumerate(table["impressions"].to_pylist())])
    (tmp_path / "creatives").mkdir()
    broken = table.set_column(table.schema.get_field_index("impressions"), "impressions", holes)
    pq.write_table(broken, tmp_path / "creatives" / "part-0.parquet")
    tree = tree_of(explored, tmp_path / "runs")
    tree["creatives"]["path"] = str(tmp_path / "creatives")
    assert_fault(tree, DataError, f"1 delivered creatives have no impressions .first: c{first:05d}")


def test_a_missing_column_and_a_missing_key_are_faults(explored, tmp_path):
    tree = tree_of(explored, tmp_path)
    tree["creatives"]["columns"]["propensity"] = "pp"
    assert_fault(tree, DataError, r"column pp \(creatives.columns.propensity\) is missing")
    del tree["creatives"]["columns"]["propensity"]
    assert_fault(tree, UsageError, "creatives.columns.propensity: is required")


def assert_fault(tree: dict[str, Any], kind: type[BacktestError], words: str) -> None:
    with pytest.raises(kind, match=words) as fault:
        means(tree)
    assert len(fault.value.faults) == 1
