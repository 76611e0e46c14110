"""backtest label-plan at the command line: what it prints, and that the printed command counts the labels."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from lake import config_tree
from typer.testing import CliRunner

from engine.cli import app


def planned(tree: dict[str, Any], folder: Path, *more: str) -> tuple[Path, str, list[str]]:
    """Plan labels; return the plan, what was said, and the words of the command that was printed."""
    config, out = folder / "c.yaml", folder / "out" / "a plan.parquet"
    config.write_text(json.dumps(tree))
    done = CliRunner().invoke(app, ["label-plan", str(config), "--budget", "90", "-o", str(out), *more])
    assert done.exit_code == 0, done.output
    words = shlex.split(done.output.splitlines()[-1])
    assert words[:3] == ["backtest", "compare", str(config)]
    return out, done.output, words[1:]


def fill_in(plan: Path, lake: Path, creative_id: str = "creative_id", label: str = "label") -> None:
    """Write the truth into the plan, where annotators would."""
    rows, truth = pq.read_table(plan), pq.read_table(lake / "truth.parquet")
    answers = truth["label"].combine_chunks().take(pc.index_in(rows[creative_id], truth["creative_id"]))
    pq.write_table(rows.set_column(rows.column_names.index(label), label, answers), plan)


def audits_counted(tree: dict[str, Any], words: list[str]) -> dict[str, int]:
    """Run the printed command; return how many creatives each audit drew and heard of."""
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    name = json.loads(next(word for word in words if word.startswith("run=")).removeprefix("run="))
    summary = json.loads((Path(tree["store"]["path"]) / name / "summary.json").read_text())
    audits = {stratum["audit"]: 0 for stratum in summary["strata"]}
    for stratum in summary["strata"]:
        audits[stratum["audit"]] += stratum["answered"]
    return audits


@pytest.fixture
def tree(lake, tmp_path) -> dict[str, Any]:
    return config_tree(lake, tmp_path / "runs")


def test_what_is_printed_says_what_was_drawn(tree, tmp_path):
    out, said, _ = planned(tree, tmp_path)
    assert "drawn 90 of 528 creatives" in said
    assert "combined with a1" in said
    assert out.exists()
    assert CliRunner().invoke(app, ["label-plan", str(tmp_path / "c.yaml"), "-o", str(out)]).exit_code == 2


def test_the_printed_command_counts_the_labels_beside_the_earlier_ones(tree, lake, tmp_path):
    out, _, words = planned(tree, tmp_path, "--set", "seed=3")
    assert "seed=3" in words
    fill_in(out, lake)
    counted = audits_counted(tree, words)
    assert counted["label-plan"] == 90
    assert counted["a1"] > 90


def test_gates_with_one_declared_look_are_warned_of(tree, tmp_path):
    warned = "declare compare.looks: 2 before the first comparison"
    assert warned not in planned(tree, tmp_path)[1]
    tree["gates"] = [{"leakage_rate": "worse by at most 0.01"}]
    assert warned in planned(tree, tmp_path)[1], "the same plan, repeated"
    tree["compare"]["looks"] = 2
    assert warned not in planned(tree, tmp_path)[1]


def test_audits_that_are_not_in_use_stay_out(tree, lake, tmp_path):
    """Of `all` audits one could be without a frame file, and then none could be combined."""
    audits = pq.read_table(lake / "audits.parquet")
    other = audits.slice(0, 1).to_pylist()[0] | {"audit_id": "old", "frame_path": None}
    both = pa.concat_tables([audits, pa.Table.from_pylist([other], audits.schema)])
    pq.write_table(both, tmp_path / "audits.parquet")
    tree["audits"] = {"path": str(tmp_path / "audits.parquet"), "use": "a1"}
    out, _, words = planned(tree, tmp_path)
    fill_in(out, lake)
    assert set(audits_counted(tree, words)) == {"a1", "label-plan"}


def test_a_plan_that_stands_alone_is_counted_alone(tree, lake, tmp_path):
    del tree["labels"], tree["audits"]
    out, said, words = planned(tree, tmp_path, "--audit-id", "no")
    assert "stands alone: there is no earlier audit" in said
    fill_in(out, lake)
    assert audits_counted(tree, words) == {"no": 90}


def test_a_plan_has_the_columns_of_the_labels_that_it_is_read_with(tree, lake, tmp_path):
    named = {"creative_id": "ad", "label": "verdict"}
    labels = pq.read_table(lake / "labels.parquet")
    labels = labels.rename_columns([named.get(name, name) for name in labels.column_names])
    (tmp_path / "z-labels").mkdir()
    pq.write_table(labels, tmp_path / "z-labels" / "z.parquet")
    tree["labels"] = {"path": str(tmp_path / "z-labels"), "columns": named}
    out, _, words = planned(tree, tmp_path)
    fill_in(out, lake, "ad", "verdict")
    assert audits_counted(tree, words)["label-plan"] == 90


@pytest.mark.parametrize("key", ["creatives", "labels"])
def test_a_plan_inside_a_folder_that_is_read_as_a_whole_is_refused(tree, tmp_path, key):
    folder = tmp_path / "read"
    folder.mkdir()
    tree[key]["path"] = str(folder)
    (tmp_path / "c.yaml").write_text(json.dumps(tree))
    out = str(folder / "deep" / "next.parquet")
    done = CliRunner().invoke(app, ["label-plan", str(tmp_path / "c.yaml"), "--budget", "90", "-o", out])
    assert done.exit_code == 2
    assert f"all of which is read as {key}.path" in done.stderr
