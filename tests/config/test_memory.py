"""What strategies remember, as written: reviewers, strikes, copies; and several policies."""

from __future__ import annotations

from typing import Any

import pytest

from engine.config.loading import check_config
from engine.config.sections import Config
from engine.config.strategies import compile_strategies
from engine.errors import UsageError
from engine.expression import ALWAYS, parse
from engine.records import Decision
from engine.state import DAY, FORGETFUL, Capacity, Copies, Memory, Strikes
from engine.strategy import Strategy, build_table

PLAIN = {"rules": [{"when": "v1.scam >= 0.5", "then": "review"}], "otherwise": "approve"}


def config(live: dict[str, Any], **sections: Any) -> Config:
    columns = {"text": ["title"], "spend": "cost"}
    plain = {
        "run": "t",
        "period": {"from": "2026-01-01", "until": "2026-02-01"},
        "creatives": {"path": "lake", "attributes": ["region", "tier"], "columns": columns},
        "policies": ["scam", "adult"],
        "models": {"m": {"path": "m", "outputs": {"scam": "LABEL_1"}}},
        "scores": {name: {"creatives": {"scam": f"{name}_s", "adult": f"{name}_a"}} for name in ("v1", "v2")},
        "strategies": {"live": live},
    }
    return check_config(plain | sections, "t.yaml")


def compiled(live: dict[str, Any], **sections: Any) -> Strategy:
    (strategy,), _ = compile_strategies(config(live, **sections))
    return strategy


def faults(live: dict[str, Any], **sections: Any) -> list[str]:
    with pytest.raises(UsageError) as error:
        config(live, **sections)
    return [fault.removeprefix("t.yaml: ") for fault in error.value.faults]


def capacity(**written: Any) -> Capacity | None:
    return compiled(PLAIN | {"review": {"capacity": written}}, exposure={"life": "14d"}).memory.capacity


def test_a_strategy_without_state_remembers_nothing() -> None:
    assert compiled(PLAIN).memory == FORGETFUL
    assert not compiled(PLAIN).memory
    assert compiled(PLAIN).struck is None


def test_a_capacity_counts_whole_reviews_also_where_it_is_written_in_minutes() -> None:
    assert capacity(per_day=500) == Capacity(500)
    assert capacity(per_day=0) == Capacity(0)
    assert capacity(per_day=480, unit="minutes", minutes=1.5) == Capacity(320)
    counted = [
        capacity(per_day=d, unit="minutes", minutes=m).per_day for d, m in ((60, 0.125), (480, 1.508), (10, 0.01))
    ]
    assert counted == [480, 318, 1000]
    assert capacity(per_day=None) == capacity(per_day=float("inf")) == Capacity(None)


def test_a_capacity_says_all_it_may_say() -> None:
    written = {"per_day": 5, "queue": ["region", "tier"], "order": "score", "by": "v1.scam", "max_wait": 3}
    assert capacity(**written, overflow="pending", waiting="live") == Capacity(
        5, 1, ("region", "tier"), "score", "v1.scam", "impressions", 3, Decision.PENDING, True
    )
    assert capacity(per_day=5, order="exposure", by="spend") == Capacity(5, order="exposure", weighting="spend")
    assert capacity(per_day=5, order="score", by="tier") == Capacity(5, order="score", column="tier")


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ({}, "capacity.per_day: is required"),
        ({"per_day": -1}, "greater than or equal to 0"),
        ({"per_day": float("nan")}, "greater than or equal to 0"),
        ({"per_day": 0.5}, "per_day counts whole items"),
        ({"per_day": 5, "unit": "minutes"}, "goes with `unit: minutes`"),
        ({"per_day": 5, "minutes": 2}, "goes with `unit: minutes`"),
        ({"per_day": 5, "unit": "minutes", "minutes": 0}, "greater than 0"),
        ({"per_day": 5, "order": "score"}, "needs `by`"),
        ({"per_day": 5, "by": "v1.scam"}, "goes with `order: score`"),
        ({"per_day": 5, "order": "exposure", "by": "v1.scam"}, "goes by impressions or spend"),
        ({"per_day": 5, "max_wait": -1}, "greater than or equal to 0"),
        ({"per_day": 5, "max_wait": 1}, "capacity.max_wait: needs exposure.life"),
        ({"per_day": 5, "overflow": "limit 0.5"}, "'approve', 'reject' or 'pending'"),
        ({"per_day": 5, "que": ["region"]}, 'did you mean "queue"'),
        ({"per_day": 5, "queue": ["regio"]}, 'capacity.queue: unknown attribute regio (did you mean "region"?)'),
        (
            {"per_day": 5, "order": "score", "by": "v1.scan"},
            'capacity.by: unknown policy scan of v1 (did you mean "v1.',
        ),
        ({"per_day": 5, "order": "exposure"}, "capacity.by: needs creatives.columns.impressions"),
    ],
)
def test_a_capacity_that_cannot_be_is_refused(written: dict[str, Any], why: str) -> None:
    (fault,) = faults(PLAIN | {"review": {"capacity": written}})
    assert fault.startswith("strategies.live.review.capacity")
    assert why in fault


def test_strikes_lead_to_a_decision_or_to_rules_of_their_own() -> None:
    strikes = {"count": 3, "within": 30, "for": "36h"}
    found = compiled(PLAIN | {"strikes": strikes | {"then": "reject"}})
    assert found.memory == Memory(strikes=Strikes(3, 30 * DAY, 3 * DAY // 2))
    assert [(rule.when, rule.decision) for rule in found.struck or ()] == [(ALWAYS, Decision.REJECT)]
    rules = [{"when": "v1.adult >= 0.1", "then": "limit 0.5"}]
    found = compiled(PLAIN | {"strikes": strikes | {"rules": rules, "otherwise": "review"}})
    assert [(r.when, r.decision, r.share, r.policy) for r in found.struck or ()] == [
        (parse("v1.adult >= 0.1"), Decision.LIMIT, 0.5, "adult"),
        (ALWAYS, Decision.REVIEW, 1.0, None),
    ]
    assert [len(rules) for rules in build_table([found]).struck] == [2]


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ({"count": 0, "within": 1, "for": 1, "then": "reject"}, "greater than or equal to 1"),
        ({"count": 1, "within": 0, "for": 1, "then": "reject"}, "greater than 0"),
        ({"count": 1, "within": 1, "then": "reject"}, "strikes.for: is required"),
        ({"count": 1, "within": 1, "for": 1}, "needs either `then` or `rules`"),
        ({"count": 1, "within": 1, "for": 1, "then": "reject", "rules": []}, "needs either `then` or `rules`"),
        ({"count": 1, "within": 1, "for": 1, "rules": []}, "needs either `then` or `rules`"),
        ({"count": 1, "within": 1, "for": 1, "then": "ban"}, "strikes.then: 'ban' is no decision"),
        ({"count": 1, "within": 1, "for": 1, "rules": [], "otherwise": "ban"}, "strikes.otherwise: 'ban' is no"),
        ({"count": 1, "within": 1, "for": 1, "fro": 1, "then": "reject"}, 'did you mean "for"'),
        (
            {
                "count": 1,
                "within": 1,
                "for": 1,
                "rules": [{"when": "v9.scam > 1", "then": "reject"}],
                "otherwise": "review",
            },
            "strikes.rules.0.when: unknown model v9",
        ),
    ],
)
def test_strikes_that_cannot_be_are_refused(written: dict[str, Any], why: str) -> None:
    (fault,) = faults(PLAIN | {"strikes": written})
    assert fault.startswith("strategies.live.strikes")
    assert why in fault


def test_copies_are_remembered_for_days() -> None:
    assert compiled(PLAIN | {"copies": {"within": 0.5}}).memory == Memory(copies=Copies(DAY // 2))
    assert "on sight for 30 days" in compiled(PLAIN | {"copies": {"within": 30}}).words


def test_memory_is_inherited_and_models_are_replaced_in_all_of_it() -> None:
    live = PLAIN | {
        "review": {"capacity": {"per_day": 5, "order": "score", "by": "v1.scam"}},
        "strikes": {"count": 1, "within": 1, "for": 1, "rules": PLAIN["rules"], "otherwise": "approve"},
    }
    own = {"count": 2, "within": 1, "for": 1, "rules": PLAIN["rules"], "otherwise": "approve"}
    whole = config(live, strategies={
        "live": live,
        "b": {"like": "live", "replace": {"v1": "v2"}},
        "c": {"like": "b", "strikes": own},
        "d": {"like": "b", "rules": PLAIN["rules"]},
    })  # fmt: skip
    _, b, c, d = compile_strategies(whole)[0]
    assert b.memory.capacity == c.memory.capacity == Capacity(5, order="score", column="v2.scam")
    moved, kept = parse("v2.scam >= 0.5"), parse("v1.scam >= 0.5")
    assert [(s.rules[0].when, s.struck[0].when) for s in (b, c, d) if s.struck] == [
        (moved, moved),
        (moved, kept),
        (kept, moved),
    ]


def test_a_sample_is_refused_where_there_is_state() -> None:
    sections = {"labels": {"path": "l"}, "audits": {"path": "a"}}
    lake = {"path": "lake", "columns": {"text": ["title"]}}
    stateful = PLAIN | {"copies": {"within": 30}}
    for sample in ({"share": 0.1}, {"share": 0.1, "by": "creative"}, {"share": 0.1, "by": "advertiser"}):
        (fault,) = faults(stateful, creatives=lake | {"sample": sample}, **sections)
        assert fault.startswith("strategies.live: has state")
        config(PLAIN, creatives=lake | {"sample": sample}, **sections)


def test_drawn_outcomes_need_a_calibrated_score_and_logged_ones_labels() -> None:
    drawn = PLAIN | {"review": {"outcome": "drawn"}, "copies": {"within": 1}}
    (fault,) = faults(drawn)
    assert fault.startswith("strategies.live.review.outcome: drawn needs a calibrated score")
    calibrated = {"m": {"path": "m", "outputs": {"scam": "LABEL_1"}, "calibration": {"method": "platt"}}}
    assert "drawn needs" in faults(drawn, models=calibrated, labels={"path": "l"})[0]  # no rule reads it
    reading = drawn | {"rules": [{"when": "m.scam + v1.scam >= 0.5", "then": "review"}]}
    found = compiled(reading, models=calibrated, labels={"path": "l"})
    assert found.memory == Memory(copies=Copies(DAY), outcome="drawn", drawn_by=("m.scam",))
    logged = PLAIN | {"review": {"outcome": "logged"}, "copies": {"within": 1}}
    assert faults(logged) == [
        "strategies.live.review.outcome: logged reads review labels; it needs the section `labels`"
    ]
    assert compiled(logged, labels={"path": "l"}).memory.outcome == "logged"


# --- Policies --------------------------------------------------------------------------------------------------------

SCAM = {
    "rules": [{"when": "v1.scam >= 0.9", "then": "reject"}, {"when": "tier > 3", "then": "review"}],
    "otherwise": "approve",
}
ADULT = {"rules": [{"when": "v1.scam >= 0.5", "then": "limit 0.5", "policy": "scam"}], "otherwise": "limit 0.9"}


def test_decisions_of_a_policy_are_owed_to_it_unless_a_rule_says_otherwise() -> None:
    found = compiled({"policies": {"scam": SCAM, "adult": ADULT}})
    assert found.match == "policies"
    assert [[rule.policy for rule in (*each.rules, each.otherwise)] for each in found.policies] == [
        ["scam", "scam", "scam"],
        ["scam", "adult"],
    ]
    assert found.words == (
        "scam: v1.scam >= 0.9 → reject; tier > 3 → review; otherwise approve; "
        "adult: v1.scam >= 0.5 → limit 0.5; otherwise limit 0.9; the harshest policy decides"
    )
    (rules,) = build_table([found]).rules
    assert [(rule.decision.name, rule.share, rule.policy) for rule in rules] == [
        ("REJECT", 1.0, "scam"),
        ("REVIEW", 0.5, "scam"),
        ("REVIEW", 0.9, "scam"),
        ("REVIEW", 1.0, "scam"),
        ("LIMIT", 0.5, "scam"),
        ("LIMIT", 0.9, "adult"),
        ("APPROVE", 1.0, None),
    ]


def test_policies_and_rules_put_each_other_out_where_a_strategy_is_like_another() -> None:
    whole = config({}, strategies={
        "live": PLAIN | {"match": "harshest"},
        "by policy": {"like": "live", "policies": {"scam": SCAM}},
        "plain again": {"like": "by policy", **PLAIN},
    })  # fmt: skip
    live, by_policy, again = compile_strategies(whole)[0]
    assert (by_policy.match, by_policy.rules, len(by_policy.policies)) == ("policies", (), 1)
    assert (again.match, again.policies, again.rules) == ("first", (), live.rules)


def test_policies_that_cannot_be_are_refused() -> None:
    (fault,) = faults({"policies": {"scm": SCAM}})
    assert fault == 'strategies.live.policies: unknown policy scm (did you mean "scam"?)'
    (fault,) = faults({"policies": {"scam": SCAM}, "otherwise": "approve"})
    assert "`policies` have rules of their own; otherwise belongs" in fault
    (fault,) = faults({"policies": {}})
    assert "at least 1 item" in fault
    (fault,) = faults({"policies": {"scam": {"rules": []}}})
    assert fault == "strategies.live.policies.scam.otherwise: is required"
    (fault,) = faults({"policies": {"scam": SCAM | {"rules": [{"when": "v1.scan > 1", "then": "reject"}]}}})
    assert fault.startswith("strategies.live.policies.scam.rules.0.when: unknown policy scan of v1")
