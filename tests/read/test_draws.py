"""Frames, draws that add up by every method, and several audits of one history."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from generators import label_table

from engine.errors import DataError
from engine.read.audits import Audit
from engine.read.draws import shared_parts
from engine.read.frame import Frame
from engine.read.labels import label_columns, resolve_labels
from engine.records import Draws, LabelTable

CLUSTERS = {"a": 0, "b": 0, "c": 1, "d": 1, "e": 2, "f": 2}


def framed(method: str, chances: dict[str, float], sample: int, name: str = "a1", **more: Any) -> Audit:
    """Return an audit of one stratum whose frame holds these creatives."""
    size = len(chances)
    cluster = np.array([CLUSTERS[x] if method == "cluster" else -1 for x in chances], np.int64)
    frame = Frame(pa.array(list(chances)), np.zeros(size, np.int32), np.array(list(chances.values())), cluster)
    audit = Audit(name, ("s1",), (method,), np.array([size]), np.array([sample]), (), frame, "")
    return replace(audit, **more)


def resolve(audits: tuple[Audit, ...], *labels: dict[str, Any]) -> LabelTable:
    table = label_columns(label_table(*labels), {}, "labels.parquet")
    return resolve_labels(table, ("scam",), audits, "labels.parquet")


def drew(audit: Audit, *ids: str, **more: Any) -> list[dict[str, Any]]:
    assert audit.frame is not None
    chance = dict(zip(audit.frame.creative_id.to_pylist(), audit.frame.chance_F.tolist(), strict=True))
    return [
        {"creative_id": i, "audit_id": audit.audit_id, "inclusion_probability": chance.get(i, 0.5)} | more for i in ids
    ]


def draws_of(table: LabelTable) -> Draws:
    assert table.draws is not None
    return table.draws


# --- One audit -------------------------------------------------------------------------------------------------------

PPS = {"a": 0.5, "b": 0.5, "c": 0.25, "d": 0.75}
WHOLE = dict.fromkeys("abcdef", 2 / 3)


def test_a_draw_of_fixed_size_has_that_size() -> None:
    audit = framed("pps", PPS, 2)
    assert draws_of(resolve((audit,), *drew(audit, "a", "d"))).chance_d.tolist() == [0.5, 0.75]
    with pytest.raises(DataError, match="1 creatives were drawn, sample_size says 2"):
        resolve((audit,), *drew(audit, "a"))
    wrong = framed("pps", PPS | {"d": 0.5}, 2)
    with pytest.raises(DataError, match=r"π of the frame's 4 creatives add up to 1\.75; .* its sample_size, 2"):
        resolve((wrong,), *drew(wrong, "a", "d"))


def test_clusters_are_numbered_and_whole() -> None:
    audit = framed("cluster", WHOLE, 2)
    found = draws_of(resolve((audit,), *drew(audit, "a", "b", "e", "f")))
    assert found.cluster_d.tolist() == [0, 0, 2, 2]
    with pytest.raises(DataError, match=r"1 creatives of drawn clusters have no label row \('f', …\)"):
        resolve((audit,), *drew(audit, "a", "b", "e"))
    with pytest.raises(DataError, match="3 clusters were drawn, sample_size says 2"):
        resolve((audit,), *drew(audit, *"abcdef"))


def test_a_cluster_has_one_probability_and_every_creative_a_cluster() -> None:
    audit = framed("cluster", WHOLE | {"b": 0.5}, 2)
    with pytest.raises(DataError, match="creative 'b' has another π than the rest of its cluster"):
        resolve((audit,), *drew(audit, "a", "b", "e", "f"))
    audit = framed("cluster", WHOLE, 2)
    assert audit.frame is not None
    audit = replace(audit, frame=replace(audit.frame, cluster_F=np.array([0, 0, -1, 1, 2, 2])))
    with pytest.raises(DataError, match="creative 'c' has no cluster in the frame file"):
        resolve((audit,), *drew(audit, "a", "b", "e", "f"))


def test_a_size_that_the_frame_cannot_have_is_refused() -> None:
    audit = framed("cluster", WHOLE, 2)
    equal = replace(audit, population_H=np.array([7]))  # three clusters of two: Σ 1/π never varies
    with pytest.raises(DataError, match=r"Σ 1/π over 4 drawn creatives is 6\.00, the audits table says 7"):
        resolve((equal,), *drew(audit, "a", "b", "e", "f"))


def test_an_unlucky_draw_of_unequal_clusters_is_not_a_fault() -> None:
    """The two clusters drawn are of one size; what other draws would have given is known from the frame."""
    ids = {"a": 0, "b": 0, "c": 1, "d": 1, **{f"e{i}": 2 for i in range(20)}}
    size = len(ids)
    chance = np.full(size, 2 / 3)
    frame = Frame(pa.array(list(ids)), np.zeros(size, np.int32), chance, np.array(list(ids.values())))
    audit = Audit("a1", ("s1",), ("cluster",), np.array([size]), np.array([2]), (), frame, "")
    found = resolve((audit,), *drew(audit, "a", "b", "c", "d"))
    assert (1 / found.pi_n).sum() == pytest.approx(6.0)


@pytest.mark.parametrize(
    ("label", "fault"),
    [
        ({"creative_id": "x"}, "creative 'x' was drawn and is not in the frame file"),
        ({"inclusion_probability": 0.6}, r"has π = 0\.6 in the labels and 0\.5 in the frame file"),
        ({"stratum": "s2"}, "was drawn from stratum s2; the frame file has it in another"),
    ],
)
def test_a_label_that_contradicts_the_frame_is_refused(label: dict[str, Any], fault: str) -> None:
    two = {"strata": ("s1", "s2"), "method_H": ("srs",) * 2, "population_H": np.array([2, 2])}
    audit = framed("srs", {"a": 0.5, "b": 0.5}, 1, **two)
    with pytest.raises(DataError, match=fault):
        resolve((audit,), *drew(audit, "a", **label))


# --- Several audits --------------------------------------------------------------------------------------------------

FIRST = framed("poisson", {"a": 0.5, "b": 0.5, "c": 1.0}, 2, "a1", population_H=np.array([4]))
SECOND = framed("poisson", {"b": 0.2, "c": 0.4, "d": 0.25}, 2, "a2", population_H=np.array([4]))
BOTH = (*drew(FIRST, "a", "b", "c"), *drew(SECOND, "b", "c", "d"))


def test_parts_add_up_to_one_follow_the_odds_and_a_certain_draw_takes_all() -> None:
    chance_dA = np.array([[0.5, 0.2, 0.0], [0.01, 0.03, 0.0], [1.0, 0.9, 0.3], [1.0, 1.0, 0.5]])
    parts = np.stack([shared_parts(chance_dA, np.full(4, a)) for a in range(3)])
    np.testing.assert_allclose(parts.sum(0), 1.0)
    np.testing.assert_allclose(parts[:, 0], [0.8, 0.2, 0.0])
    np.testing.assert_allclose(parts[:2, 1], [0.25, 0.75], atol=0.01)  # as Kalton and Anderson: by π
    assert parts[:, 2].tolist() == [1.0, 0.0, 0.0]
    assert parts[:, 3].tolist() == [0.5, 0.5, 0.0]


def test_a_creative_in_one_frame_alone_stands_for_itself() -> None:
    found = resolve((FIRST, SECOND), *BOTH)
    draws = draws_of(found)
    assert found.creative_id == ("a", "b", "c", "d")
    assert draws.row_d.tolist() == [0, 1, 1, 2, 2, 3]
    assert draws.stratum_d.tolist() == [0, 0, 1, 0, 1, 1]
    np.testing.assert_allclose(draws.part_d, [1.0, 0.8, 0.2, 1.0, 0.0, 1.0])
    np.testing.assert_allclose(1 / found.pi_n, [2.0, 0.8 / 0.5 + 0.2 / 0.2, 1.0, 4.0])
    assert found.stratum_n.tolist() == [0, 0, 0, 1]
    assert found.counts["audit_drawn"] == 4
    assert [(x.audit, x.drawn) for x in found.strata] == [("a1", 3), ("a2", 3)]


def test_combined_weights_are_unbiased_whatever_is_drawn_together() -> None:
    """Over every outcome of both audits, weighted by its probability: each creative stands for one."""
    expected = dict.fromkeys("abcd", 0.0)
    free = [(FIRST, "a"), (FIRST, "b"), (SECOND, "b"), (SECOND, "c"), (SECOND, "d")]
    for outcome in range(2 ** len(free)):
        chance, labels = 1.0, drew(FIRST, "c")
        for k, (audit, name) in enumerate(free):
            (label,) = drew(audit, name)
            inside = bool(outcome >> k & 1)
            chance *= label["inclusion_probability"] if inside else 1 - label["inclusion_probability"]
            labels += [label] if inside else []
        loose = tuple(replace(audit, population_H=np.array([3])) for audit in (FIRST, SECOND))
        found = resolve(loose, *labels)
        for name, pi in zip(found.creative_id, found.pi_n, strict=True):
            expected[name] += chance / pi
    assert expected == pytest.approx(dict.fromkeys("abcd", 1.0))


def test_each_audit_has_its_own_answers_and_the_rule_picks_among_all_labels() -> None:
    silent = drew(FIRST, "b", label=None)
    found = resolve((FIRST, SECOND), *drew(FIRST, "a", "c"), *silent, *drew(SECOND, "b", "d", label="COMPLIANT"))
    assert found.y_nP.tolist() == [[1], [0], [1], [0]]
    assert draws_of(found).answered_dQ[:, 0].tolist() == [True, False, True, True, True]


def test_one_audit_alone_has_its_probabilities_to_the_last_bit() -> None:
    chances = {name: 1 / n for n, name in enumerate("abcdef", 3)}
    audit = framed("poisson", chances, 3, population_H=np.array([33]))  # Σ 1/π
    assert resolve((audit,), *drew(audit, *chances)).pi_n.tolist() == list(chances.values())
