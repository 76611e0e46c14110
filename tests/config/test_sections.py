"""Values of a config: times, durations, shares, names."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from engine.config.loading import _parse
from engine.config.sections import (
    AuditsSection,
    Config,
    CreativesSection,
    ExposureSection,
    LabelsSection,
    Period,
    ScoresSection,
)
from engine.config.strategy_sections import ReviewSection
from engine.errors import UsageError


def period(start: str, until: str = "2026-03-01") -> Period:
    return Period.model_validate(_parse(f"{{from: {start}, until: {until}}}", "f"))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-01-15", datetime(2026, 1, 15, tzinfo=UTC)),
        ("'2026-01-15'", datetime(2026, 1, 15, tzinfo=UTC)),
        ("2026-01-15T06:30:00", datetime(2026, 1, 15, 6, 30, tzinfo=UTC)),
        ("2026-01-15T06:30:00Z", datetime(2026, 1, 15, 6, 30, tzinfo=UTC)),
        ("2026-01-15T06:30:00+02:00", datetime(2026, 1, 15, 4, 30, tzinfo=UTC)),
        ("'2026-01-15T06:30:00-05:00'", datetime(2026, 1, 15, 11, 30, tzinfo=UTC)),
    ],
)
def test_a_date_is_midnight_utc_and_a_zone_is_heeded(written: str, meant: datetime) -> None:
    found = period(written).from_
    assert found == meant
    assert found.tzinfo is not None
    assert found.utcoffset() == meant.utcoffset()


@pytest.mark.parametrize("written", ["2026", "0", "1.5e9", "true", "soon", "2026-02-30", "'2026-1-1'"])
def test_what_is_no_date_is_refused(written: str) -> None:
    with pytest.raises((ValidationError, UsageError)):
        period(written, "2030-01-01")


def test_audits_are_named_one_by_one_or_together_and_labels_have_a_rule() -> None:
    for use in (None, "a1", "all", ["a1", "a2"]):
        assert AuditsSection.model_validate({"path": "a", "use": use}).use == use
    for use in ([], ["a1", "a1"], 3):
        with pytest.raises(ValidationError):
            AuditsSection.model_validate({"path": "a", "use": use})
    found = LabelsSection.model_validate({"path": "l", "older_than": "14d", "known_by": "2026-03-01"})
    assert (found.resolve, found.older_than, found.guideline) == ("latest", 14 * 86_400, None)
    assert found.known_by == datetime(2026, 3, 1, tzinfo=UTC)
    with pytest.raises(ValidationError, match="latest"):
        LabelsSection.model_validate({"path": "l", "resolve": "newest"})


@pytest.mark.parametrize(
    "dates",
    [
        {"from": "2026-02-01", "until": "2026-01-01"},
        {"from": "2026-02-01", "until": "2026-02-01"},
        {"warm_up_from": "2026-02-02", "from": "2026-02-01", "until": "2026-03-01"},
    ],
)
def test_a_period_that_ends_before_it_begins_is_refused(dates: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="warm_up_from <= from < until"):
        Period.model_validate(dates)


@pytest.mark.parametrize(
    ("written", "seconds"), [("90s", 90), ("15m", 900), ("36h", 129_600), ("14d", 1_209_600), ("1.5 h", 5400), (30, 30)]
)
def test_a_duration_is_a_number_and_a_unit(written: object, seconds: float) -> None:
    assert ReviewSection.model_validate({"wait": written}).wait == seconds


@pytest.mark.parametrize("written", ["12", "h", "-1h", "1w", "1 hour", "", -1, "1e3s"])
def test_a_duration_without_a_unit_or_below_zero_is_refused(written: object) -> None:
    with pytest.raises(ValidationError):
        ReviewSection.model_validate({"wait": written})


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan"), "much"])
def test_a_share_lies_between_0_and_1(share: object) -> None:
    with pytest.raises(ValidationError):
        ReviewSection.model_validate({"sensitivity": share})
    with pytest.raises(ValidationError):
        ReviewSection.model_validate({"specificity": {"scam": share}})


def test_a_whole_number_is_a_rate_too() -> None:
    review = ReviewSection.model_validate({"sensitivity": 1, "specificity": {"scam": 0}})
    assert isinstance(review.sensitivity, float)
    assert review.specificity == {"scam": 0.0}


@pytest.mark.parametrize(
    "section",
    [
        {},
        {"path": "p"},
        {"columns": {"scam": "s"}},
        {"path": "p", "creatives": {"scam": "s"}},
        {"path": "p", "columns": {}},
    ],
)
def test_brought_scores_have_one_source(section: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="needs either"):
        ScoresSection.model_validate(section)


def test_brought_scores_name_their_policies_wherever_they_lie() -> None:
    assert ScoresSection(path="p", columns={"scam": "s"}).policies == {"scam": "s"}
    assert ScoresSection(creatives={"scam": "s"}).policies == {"scam": "s"}


@pytest.mark.parametrize("name", ["segment_median", "zero", "column:guess", None])
def test_a_model_of_refused_exposure_is_one_of_three(name: str | None) -> None:
    assert ExposureSection(refused=name).refused == name


@pytest.mark.parametrize("unit", [0, -0.01])
def test_a_spend_unit_is_above_zero(unit: float) -> None:
    with pytest.raises(ValidationError):
        ExposureSection(spend_unit=unit)


def test_names_that_appear_twice_are_refused() -> None:
    with pytest.raises(ValidationError, match="twice"):
        CreativesSection(path="p", attributes=["region", "region"])


PLAIN = {
    "run": "t",
    "period": {"from": "2026-01-01", "until": "2026-02-01"},
    "creatives": {"path": "p"},
    "policies": ["scam"],
}


@pytest.mark.parametrize("run", ["", "../x", "a/b", ".hidden", "a b", "ü"])
def test_a_run_is_a_plain_folder_name(run: str) -> None:
    with pytest.raises(ValidationError):
        Config.model_validate(PLAIN | {"run": run})


@pytest.mark.parametrize("policy", ["sc am", "v1.scam", "1st", "", "scam;"])
def test_policies_and_models_are_words_that_an_expression_can_write(policy: str) -> None:
    with pytest.raises(ValidationError):
        Config.model_validate(PLAIN | {"policies": [policy]})
    with pytest.raises(ValidationError):
        Config.model_validate(PLAIN | {"models": {policy: {"path": "m", "outputs": {"scam": "x"}}}})


def test_a_policy_stands_once_in_the_list() -> None:
    with pytest.raises(ValidationError, match="twice"):
        Config.model_validate(PLAIN | {"policies": ["scam", "scam"]})


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Config.model_validate(PLAIN).seed = 3  # type: ignore[misc]
