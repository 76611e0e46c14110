"""Numbers and texts in rules, and the names of features."""

from __future__ import annotations

from typing import Any

import pytest

from engine.config.kinds import kind_faults
from engine.config.loading import check_config
from engine.config.sections import Config
from engine.config.strategies import compile_strategies
from engine.errors import UsageError

ATTRIBUTES = {"region": False, "tier": True}


def config(*whens: str, **sections: Any) -> Config:
    rules = [{"when": when, "then": "reject"} for when in whens]
    plain = {
        "run": "t",
        "period": {"from": "2026-01-01", "until": "2026-02-01"},
        "creatives": {"path": "lake", "attributes": [*ATTRIBUTES, "odd"]},
        "policies": ["scam"],
        "scores": {"v1": {"creatives": {"scam": "s"}}},
        "strategies": {"live": {"rules": rules, "otherwise": "approve"}},
    }
    return check_config(plain | sections, "t.yaml")


def found(*whens: str, **sections: Any) -> list[str]:
    return list(kind_faults(compile_strategies(config(*whens, **sections))[0], ATTRIBUTES))


@pytest.mark.parametrize(
    "when",
    [
        'region == "US"',
        "region in ['US'] and missing(region)",
        "tier >= 3",
        "tier in [1, 2] or missing(tier - 1)",
        "v1.scam * tier >= hour + weekday / velocity(24)",
        "odd == 1 and odd == 'one' and odd >= 1",
        "missing(advertiser_age)",
    ],
)
def test_what_fits_has_no_fault(when: str) -> None:
    assert found(when) == []


@pytest.mark.parametrize(
    ("when", "why", "at"),
    [
        ("tier >= 1 and region >= 1", "region holds texts; compare it by", "region"),
        ("not region == 1", "region holds texts; compare it by", "region"),
        ('region > "US"', "region holds texts; compare it by", "region"),
        ("region in [1]", "region holds texts; compare it by", "region"),
        ("tier + region >= 1", "region holds texts; only numbers can be calculated with", "region"),
        ("missing(-region)", "region holds texts; only numbers can be calculated with", "region"),
        ('v1.scam == "high"', "v1.scam holds numbers and is compared with 'high'", "v1.scam"),
        ("scam == True", "v1.scam holds numbers and is compared with True", "scam"),
        ('tier in [1, "a"]', "tier holds numbers and is compared with 'a'", "tier"),
        ('hour == "noon"', "hour holds numbers and is compared with 'noon'", "hour"),
        ('velocity(24) == "a"', "velocity(24) holds numbers and is compared with 'a'", "velocity"),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(when: str, why: str, at: str) -> None:
    (fault,) = found(when)
    said, text, caret = fault.splitlines()
    assert said.startswith(f"strategies.live: {why}")
    assert text.strip() == when
    assert text[caret.index("^") :].startswith(at)


def test_rules_of_policies_and_struck_ones_are_judged_and_so_is_the_order_of_a_queue() -> None:
    live = {
        "policies": {"scam": {"rules": [{"when": "region > 1", "then": "reject"}], "otherwise": "approve"}},
        "strikes": {
            "count": 1,
            "within": 1,
            "for": 1,
            "otherwise": "reject",
            "rules": [{"when": 'tier == "a"', "then": "reject"}],
        },
        "review": {"capacity": {"per_day": 1, "order": "score", "by": "region"}},
    }
    said = [fault.splitlines()[0] for fault in found(strategies={"live": live})]
    assert said == [
        "strategies.live: region holds texts; compare it by == != in, with quoted texts",
        "strategies.live: tier holds numbers and is compared with 'a'",
        "strategies.live.review.capacity.by: region holds texts; order by a number",
    ]


@pytest.mark.parametrize("name", ["hour", "weekday", "advertiser_age", "velocity(24)"])
def test_a_feature_is_no_name_for_an_attribute_or_a_policy(name: str) -> None:
    with pytest.raises(UsageError, match=r"creatives\.attributes: .* is a name the engine uses itself"):
        config("v1.scam > 1", creatives={"path": "lake", "attributes": [name]})
    if "(" not in name:
        with pytest.raises(UsageError, match=f"policies: {name} is a feature"):
            config("v1.scam > 1", policies=["scam", name])


def test_the_zone_of_a_team_is_utc_unless_it_is_named() -> None:
    period = {"from": "2026-01-01", "until": "2026-02-01"}
    assert config("v1.scam > 1").period.time_zone == "UTC"
    assert config("v1.scam > 1", period=period | {"time_zone": "Asia/Kolkata"}).period.time_zone == "Asia/Kolkata"
    with pytest.raises(UsageError, match=r'period\.time_zone: is no IANA time zone \(did you mean "Europe/Berlin"'):
        config("v1.scam > 1", period=period | {"time_zone": "Europe/Berln"})
