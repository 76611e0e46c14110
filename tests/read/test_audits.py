"""The audits table: whom an audit could have drawn, how, and whether its draw adds up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from generators import audit_table

from engine.errors import DataError
from engine.expression import parse
from engine.read.audits import Audit, read_audits
from engine.read.balance import check_draw

RULE = {"stratum_when": 'region == "US"'}


def written(folder: Path, *strata: dict[str, Any]) -> str:
    path = folder / "audits.parquet"
    pq.write_table(audit_table(*strata), path)
    return str(path)


def frame(folder: Path, name: str, ids: list[str], probabilities: list[float | None]) -> str:
    path = folder / name
    pq.write_table(
        pa.table(
            {
                "creative_id": ids,
                "stratum": ["s1"] * len(ids),
                "inclusion_probability": pa.array(probabilities, pa.float64()),
            }
        ),
        path,
    )
    return str(path)


def read_one(path: str, use: str | None) -> Audit:
    (audit,) = read_audits(path, use)
    return audit


def test_an_audit_has_its_strata_methods_sizes_and_rules(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        RULE,
        {
            "stratum": "s2",
            "method": "poisson",
            "population_size": 7,
            "sample_size": 3,
            "stratum_when": "missing(region)",
        },
    )
    audit = read_one(path, None)
    assert (audit.audit_id, audit.strata, audit.method_H) == ("a1", ("s1", "s2"), ("srs", "poisson"))
    assert (audit.population_H.tolist(), audit.sample_H.tolist()) == ([10, 7], [5, 3])
    assert audit.when == (parse('region == "US"'), parse("missing(region)"))
    assert audit.frame is None


def test_of_several_audits_one_must_be_named(tmp_path: Path) -> None:
    path = written(tmp_path, RULE, {"audit_id": "a2", "population_size": 99} | RULE)
    with pytest.raises(DataError, match=r"audits\.parquet: holds 2 audits; name one of a1, a2 in audits\.use"):
        read_one(path, None)
    assert read_one(path, "a2").population_H.tolist() == [99]
    with pytest.raises(DataError, match=r'audits\.use: unknown audit a22 \(did you mean "a2"\?\)'):
        read_one(path, "a22")


def test_an_audits_table_without_rows_is_refused(tmp_path: Path) -> None:
    pq.write_table(audit_table(RULE).slice(0, 0), tmp_path / "none.parquet")
    with pytest.raises(DataError, match=r"none\.parquet: holds 0 audits"):
        read_one(str(tmp_path / "none.parquet"), None)


@pytest.mark.parametrize("column", ["audit_id", "stratum", "method", "population_size", "sample_size"])
def test_a_missing_column_is_named(tmp_path: Path, column: str) -> None:
    path = str(tmp_path / "audits.parquet")
    pq.write_table(audit_table(RULE).drop_columns([column]), path)
    with pytest.raises(DataError, match=rf"audits\.parquet: column {column} \(audits\.{column}\) is missing"):
        read_one(path, None)


@pytest.mark.parametrize(
    ("strata", "fault"),
    [
        (
            ({"method": "systematic"} | RULE,),
            "method 'systematic' cannot be estimated; the engine knows srs, poisson, pps",
        ),
        (({"method": "pps"} | RULE,), "stratum s1: pps needs a frame file"),
        (({"method": "cluster"} | RULE,), "stratum s1: cluster needs a frame file"),
        (({"method": None} | RULE,), "method None cannot be estimated"),
        ((RULE, RULE), "an audit names a stratum twice"),
        (({},), "neither stratum_when nor frame_path"),
        (({"stratum_when": None},), "neither stratum_when nor frame_path"),
        (({"stratum_when": "open('f')"},), "column stratum_when: at column 1"),
        (({"stratum_when": "hour < 6"},), "column stratum_when reads hour; a stratum is told by attributes alone"),
        (({"stratum_when": "age >= $t"},), r"column stratum_when reads \$t; a stratum is told by attributes alone"),
        (({"population_size": None} | RULE, {"stratum": "s2"}), "column population_size: .* must be a whole number"),
        (({"stratum": None} | RULE,), "column stratum is null in 1 rows"),
        (({"audit_id": None} | RULE,), "column audit_id is null in 1 rows"),
        (({"sample_size": 2.5} | RULE,), "column sample_size: .* must be a whole number"),
        (({"population_size": "many"} | RULE,), "column population_size: .* must be a whole number"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused_with_its_file(
    tmp_path: Path, strata: tuple[dict[str, Any], ...], fault: str
) -> None:
    with pytest.raises(DataError, match=rf"audits\.parquet: .*{fault}"):
        read_one(written(tmp_path, *strata), None)


def test_audits_and_strata_may_be_numbered(tmp_path: Path) -> None:
    audit = read_one(written(tmp_path, {"audit_id": 1, "stratum": 7} | RULE, {"audit_id": 2, "stratum": 8} | RULE), "2")
    assert (audit.audit_id, audit.strata) == ("2", ("8",))


def test_a_frame_file_says_who_could_be_drawn(tmp_path: Path) -> None:
    one = frame(tmp_path, "f1.parquet", ["a", "b", "c"], [0.5, 0.0, None])
    two = frame(tmp_path, "f2.parquet", ["d"], [1.0])
    audit = read_one(written(tmp_path, {"frame_path": one}, {"stratum": "s2", "frame_path": two}), None)
    assert audit.frame is not None
    assert sorted(audit.frame.creative_id.to_pylist()) == ["a", "d"]
    assert audit.when == ()


def test_a_frame_of_two_strata_is_read_once(tmp_path: Path) -> None:
    path = frame(tmp_path, "f.parquet", ["a", "b"], [0.5, 0.5])
    audit = read_one(written(tmp_path, {"frame_path": path}, {"stratum": "s2", "frame_path": path}), None)
    assert audit.frame is not None
    assert audit.frame.creative_id.to_pylist() == ["a", "b"]


def test_a_frame_file_and_a_rule_may_stand_side_by_side(tmp_path: Path) -> None:
    path = frame(tmp_path, "f.parquet", ["a"], [0.5])
    audit = read_one(written(tmp_path, {"frame_path": path} | RULE), None)
    assert audit.frame is not None
    assert audit.when == (parse(RULE["stratum_when"]),)


def test_a_frame_file_that_is_gone_or_lacks_a_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.parquet .*does not exist"):
        read_one(written(tmp_path, {"frame_path": str(tmp_path / "gone.parquet")}), None)
    pq.write_table(pa.table({"creative_id": ["a"], "stratum": ["s1"]}), tmp_path / "f.parquet")
    with pytest.raises(DataError, match=r"f\.parquet: column inclusion_probability .* is missing"):
        read_one(written(tmp_path, {"frame_path": str(tmp_path / "f.parquet")}), None)


def test_a_frame_holds_probabilities_and_each_creative_once(tmp_path: Path) -> None:
    path = frame(tmp_path, "f.parquet", ["a", "b"], [0.5, 1.5])
    with pytest.raises(DataError, match=r"f\.parquet: column inclusion_probability holds values above 1"):
        read_one(written(tmp_path, {"frame_path": path}), None)
    path = frame(tmp_path, "f.parquet", ["a", "b", "a"], [0.5, 1.0, 0.5])
    with pytest.raises(DataError, match=r"audits\.parquet: creative 'a' stands in the frame twice"):
        read_one(written(tmp_path, {"frame_path": path}), None)


def test_several_audits_are_read_in_the_order_of_the_table(tmp_path: Path) -> None:
    path = frame(tmp_path, "f.parquet", ["a", "b"], [0.5, 0.5])
    table = written(tmp_path, *({"audit_id": name, "frame_path": path} for name in ("a1", "a2", "a3")))
    assert [audit.audit_id for audit in read_audits(table, "all")] == ["a1", "a2", "a3"]
    assert [audit.audit_id for audit in read_audits(table, ["a3", "a1"])] == ["a1", "a3"]
    with pytest.raises(DataError, match=r"audits\.use: unknown audit a4 \(known: a1, a2, a3\)"):
        read_audits(table, ["a1", "a4"])


def test_the_identity_follows_the_table_and_the_frame(tmp_path: Path) -> None:
    path = written(tmp_path, {"frame_path": frame(tmp_path, "f.parquet", ["a"], [0.5])})
    before = read_one(path, None).identity
    assert read_one(path, None).identity == before
    frame(tmp_path, "f.parquet", ["b"], [0.5])
    changed = read_one(path, None).identity
    assert changed != before
    assert read_one(
        written(tmp_path, {"frame_path": str(tmp_path / "f.parquet"), "population_size": 11}), None
    ).identity not in (
        before,
        changed,
    )


def audit(*methods: str, population: list[int]) -> Audit:
    size = np.array(population, np.int64)
    return Audit("a1", tuple(f"s{h}" for h in range(len(methods))), methods, size, size, (), None, "")


def check(by: Audit, chance_d: np.ndarray, stratum_d: np.ndarray) -> None:
    check_draw(by, pa.array([f"c{i}" for i in range(len(chance_d))]), chance_d, stratum_d)


def test_a_simple_random_draw_adds_up_to_its_population_exactly() -> None:
    pi_n, stratum_n = np.full(9, 0.3), np.zeros(9, np.int32)
    check(audit("srs", population=[30]), pi_n, stratum_n)
    with pytest.raises(DataError, match=r"audit a1, stratum s0: Σ 1/π over 9 drawn creatives is 30\.00, .* says 31"):
        check(audit("srs", population=[31]), pi_n, stratum_n)
    with pytest.raises(DataError, match="over 8 drawn"):
        check(audit("srs", population=[30]), pi_n[1:], stratum_n[1:])


def test_a_poisson_draw_lies_within_five_standard_errors() -> None:
    pi_n, stratum_n = np.full(100, 0.25), np.zeros(100, np.int32)
    error = float(np.sqrt((0.75 / 0.25**2) * 100))  # 34.6
    check(audit("poisson", population=[round(400 + 4.9 * error)]), pi_n, stratum_n)
    check(audit("poisson", population=[round(400 - 4.9 * error)]), pi_n, stratum_n)
    for population in (round(400 + 5.1 * error), round(400 - 5.1 * error)):
        with pytest.raises(DataError, match="stratum s0"):
            check(audit("poisson", population=[population]), pi_n, stratum_n)


def test_a_certain_poisson_draw_must_be_exact() -> None:
    with pytest.raises(DataError, match="stratum s0"):
        check(audit("poisson", population=[11]), np.ones(10), np.zeros(10, np.int32))


def test_every_stratum_that_does_not_add_up_is_named_at_once() -> None:
    pi_n, stratum_n = np.array([0.5, 0.5]), np.array([0, 1], np.int32)
    with pytest.raises(DataError) as error:
        check(audit("srs", "srs", "srs", population=[2, 3, 1]), pi_n, stratum_n)
    assert [fault.split(":")[0] for fault in error.value.faults] == ["audit a1, stratum s1", "audit a1, stratum s2"]
