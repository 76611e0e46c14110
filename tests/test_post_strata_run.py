"""A run whose rates are calibrated to counted creatives: the same however it is cut up, and said in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lake import config_tree, write_lake

from engine.config.loading import check_config
from engine.errors import UsageError
from engine.pipeline import Finished, run
from engine.progress import Progress

ON = {"post_strata": ["decision"], "segments": ["region"]}


def execute(tree: dict[str, Any], name: str, **sections: Any) -> Finished:
    return run(check_config(tree | {"run": name} | sections, "test"), Progress())


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("post-strata")
    write_lake(folder, seed=5, size=2_000)
    plain = config_tree(folder, folder / "runs", execute={"workers": 1})
    creatives = plain["creatives"] | {"attributes": ["region", "decision"]}
    period = {"from": "2026-01-03", "until": "2026-03-20"}
    return plain | {"creatives": creatives, "period": period, "estimate": ON}


@pytest.fixture(scope="module")
def undisturbed(tree) -> Finished:
    return execute(tree, "one", limits={"shard_rows": 2_000})


def test_calibrated_rates_say_so(undisturbed):
    rows = [row for row in undisturbed.numbers.estimates if "post_strata" in (row.estimator or "")]
    assert {row.inference for row in rows} == {"history"}
    assert {row.segment for row in rows} == {"all", "US", "DE", "IN"}
    assert any(row.baseline for row in rows)
    for name in ("summary.json", "report.md"):
        assert "calibrated to the counted creatives by decision within" in (undisturbed.directory / name).read_text()


def test_weights_stand_for_the_creatives_that_the_shards_hold(undisturbed):
    question = undisturbed.numbers.question
    creatives = pa.concat_tables(
        pq.read_table(path) for path in sorted((undisturbed.directory / "creatives").glob("shard-*.parquet"))
    )
    framed = creatives.filter(creatives["in_frame"].cast(pa.bool_()))
    cells = question.segments.cell_level_CK[:, question.segments.attributes.index("decision")]
    levels = question.segments.levels[question.segments.attributes.index("decision")]
    for code, level in enumerate(levels):
        counted = question.totals.whole_FCW[1, cells == code, 0].sum()
        assert counted == np.sum(np.array(framed["decision"].to_pylist()) == level) > 0


@pytest.mark.parametrize("rows", [150, 999])
def test_shards_of_any_size_give_the_same_numbers(undisturbed, tree, rows):
    other = execute(tree, f"of-{rows}", limits={"shard_rows": rows}, execute={"workers": 2})
    assert other.numbers.estimates == undisturbed.numbers.estimates


def test_counts_that_hold_creatives_of_a_training_calibrate_nothing(tree):
    scores = {"v1": tree["scores"]["v1"] | {"trained": {"until": "2026-02-01"}}}
    later = execute(tree, "trained", scores=scores)
    assert "creatives from inside a model's training" in later.numbers.assistance
    assert not [row for row in later.numbers.estimates if "post_strata" in (row.estimator or "")]


def test_a_sample_that_is_scored_is_calibrated_to_all_creatives(undisturbed, tree):
    sampled = execute(tree, "sampled", creatives=tree["creatives"] | {"sample": {"share": 0.2}})
    rates, whole = (
        {
            (row.strategy, row.segment, row.weighting, row.reading, row.metric): (row.estimate, row.labels)
            for row in found.numbers.estimates
            if "post_strata" in (row.estimator or "") and not row.baseline
        }
        for found in (sampled, undisturbed)
    )
    assert rates == whole
    assert rates


@pytest.mark.parametrize(
    ("estimate", "words"),
    [
        ({"post_strata": ["regoin"]}, 'estimate.post_strata: unknown attribute regoin (did you mean "region"?)'),
        ({"post_strata": ["tier"]}, "estimate.post_strata: tier holds numbers"),
        ({"post_strata": ["region"], "estimator": "difference"}, "estimate.post_strata: calibrates Hájek ratios"),
    ],
)
@pytest.mark.parametrize("plain", [True, False])
def test_post_strata_that_cannot_be_counted_are_refused(tree, tmp_path, estimate, words, plain):
    path = tmp_path / "creatives.parquet"
    table = pa.concat_tables(pq.read_table(each) for each in sorted(Path(tree["creatives"]["path"]).glob("*.parquet")))
    tier = pa.array(np.arange(table.num_rows) % 3)
    pq.write_table(table.append_column("tier", tier if plain else tier.dictionary_encode()), path)
    creatives = tree["creatives"] | {"path": str(path), "attributes": ["region", "tier"]}
    with pytest.raises(UsageError) as error:
        execute(tree, "refused", creatives=creatives, estimate=estimate)
    assert words in str(error.value)
