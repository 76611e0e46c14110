"""A config file: YAML 1.2, overrides, and every fault named at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from generators import examples
from hypothesis import given
from hypothesis import strategies as st

from engine.config import Config, load_config
from engine.config.loading import _parse, dump_yaml
from engine.errors import UsageError

PLAIN = """
run: t
period: {from: 2026-01-15, until: 2026-03-01}
creatives:
  path: lake/
  columns: {impressions: impressions, logged_decision: decision}
  attributes: [region]
  decisions: {approved: APPROVE, shown less: LIMIT 0.25, rejected: REJECT}
policies: [scam, adult]
scores:
  v1: {creatives: {scam: a, adult: b}}
  v2: {creatives: {scam: c, adult: d}}
strategies:
  live:
    rules:
      - {when: v1.scam >= 0.9, then: reject}
      - {when: 'v1.adult >= 1e-3 and region in ["US"]', then: limit 0.5}
    otherwise: approve
  candidate: {like: live, replace: {v1: v2}}
compare: {baseline: live, candidate: candidate}
"""
Load = Callable[..., Config]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load a text, with overrides."""

    def loaded(text: str = PLAIN, *overrides: str) -> Config:
        path = tmp_path / "run.yaml"
        path.write_text(text, encoding="utf-8")
        return load_config(path, overrides)

    return loaded


@pytest.fixture
def faults(load: Load) -> Callable[..., list[str]]:
    """Return the faults of a text, without the file's name."""

    def found(text: str = PLAIN, *overrides: str) -> list[str]:
        with pytest.raises(UsageError) as error:
            load(text, *overrides)
        return [fault.split("run.yaml: ", 1)[-1] for fault in error.value.faults]

    return found


Faults = Callable[..., list[str]]


def test_a_plain_config_loads_with_its_defaults(load: Load) -> None:
    config = load()
    assert config.execute.where == "local"
    assert config.creatives.columns.id == "creative_id"
    assert config.period.from_ == datetime(2026, 1, 15, tzinfo=UTC)
    assert config.score_columns() == {"v1.scam": "scam", "v1.adult": "adult", "v2.scam": "scam", "v2.adult": "adult"}


@pytest.mark.parametrize("name", ["ci", "demo"])
def test_the_configs_of_the_repository_load(name: str) -> None:
    assert load_config(Path(__file__).parents[2] / "configs" / f"{name}.yaml").run == name


def test_every_fault_of_a_kind_is_named_at_once_with_the_nearest_name(faults: Faults) -> None:
    text = """
run: t
perod: {from: 2026-01-15, until: 2026-03-01}
period: {from: 2026-03-15, until: 2026-03-01}
creatives:
  colums: {id: x}
  columns: {text: [a, a], advertizer: x}
  on_duplicate: ignore
policies: []
models:
  v1: {path: m, outputs: {scam: LABEL_1}, max_lenght: 3}
scores:
  v2: {path: a.parquet, creatives: {scam: s}}
strategies:
  live: {rules: [{wen: x >= 1, then: reject}], otherwise: approve, revue: {}, review: {sensitivty: 1.0}}
exposure: {refused: median, life: soon}
estimate: {confidence: 95}
limits: {shard_rows: 0}
execute: {where: slurm, workers: none}
"""
    found = faults(text)
    for key, hint in {
        "perod": 'did you mean "period"?',
        "period": "needs warm_up_from <= from < until",
        "creatives.path": "is required",
        "creatives.colums": 'did you mean "columns"?',
        "creatives.columns.text": "holds a name twice",
        "creatives.columns.advertizer": 'did you mean "advertiser"?',
        "creatives.on_duplicate": "'stop', 'first' or 'last'",
        "policies": "at least 1 item",
        "models.v1.max_lenght": 'did you mean "max_length"?',
        "scores.v2": "needs either `path`",
        "strategies.live.rules.0.when": "is required",
        "strategies.live.rules.0.wen": 'did you mean "when"?',
        "strategies.live.revue": 'did you mean "review"?',
        "strategies.live.review.sensitivty": 'did you mean "sensitivity"?',
        "exposure": "refused is 'median'",
        "exposure.life": "as in 36h",
        "estimate.confidence": "less than 1",
        "limits.shard_rows": "greater than or equal to 1",
        "execute.where": "'local' or 'ray'",
        "execute.workers": "valid integer",
    }.items():
        lines = [fault for fault in found if fault.startswith(f"{key}: ")]
        if key == "exposure":  # a section whose parts are broken is not checked as a whole
            assert not lines
            continue
        assert len(lines) == 1, (key, found)
        assert hint in lines[0]


def test_every_name_that_is_not_defined_is_named_at_once_with_the_nearest_one(faults: Faults) -> None:
    text = """
run: t
period: {from: 2026-01-15, until: 2026-03-01}
creatives:
  path: lake/
  columns: {logged_decision: decision}
  attributes: [region, row, v1.scam]
  decisions: {approved: APROVE}
audits: {path: a.parquet}
policies: [scam, adult, any]
models:
  m1: {path: m, outputs: {scm: LABEL_1}}
scores:
  v1: {creatives: {scam: a, adlt: b}}
  m1: {creatives: {scam: c}}
estimate: {segments: [reigon]}
strategies:
  logged: {rules: [], otherwise: approve}
  live:
    rules:
      - {when: v1.scan >= 0.9, then: reject}
      - {when: v3.scam >= 0.9, then: rejekt}
      - {when: scam >= 0.9, then: pending}
      - {when: open("x") == 1, then: limit 2}
      - {when: vertical == "x", then: reject, policy: scm}
    otherwise: aprove
    review: {sensitivity: {scm: 0.9}, wait: 2h}
  orphan: {like: lives}
  empty: {otherwise: approve}
compare: {baseline: lve, candidate: candidat}
"""
    found = faults(text)
    for start, hint in [
        ("models.m1.outputs: unknown policy scm", '"scam"'),
        ("scores.v1: unknown policy adlt", '"adult"'),
        ("scores.m1: is also a model", ""),
        ("policies: any is reserved", ""),
        ("creatives.columns.text: is required where models score", ""),
        ("labels: is required where audits are given", ""),
        ("estimate.segments: unknown attribute reigon", '"region"'),
        ("creatives.decisions.approved: 'APROVE' is no decision", "REJECT"),
        ("creatives.attributes: row is a name the engine uses itself", ""),
        ("creatives.attributes: v1.scam is a name the engine uses itself", ""),
        ("strategies.logged: is the reserved name", ""),
        ("strategies.live.rules.0.when: unknown policy scan of v1", '"v1.scam"'),
        ("strategies.live.rules.1.when: unknown model v3", "v1.scam"),
        ("strategies.live.rules.1.then: 'rejekt' is no decision", "reject"),
        ("strategies.live.rules.2.when: scam is scored by several models", "v1.scam"),
        ("strategies.live.rules.2.then: 'pending' is no decision", ""),
        ("strategies.live.rules.3.when: at column 1", "open"),
        ("strategies.live.rules.3.then: 'limit 2' is no decision", ""),
        ("strategies.live.rules.4.when: unknown name vertical", ""),
        ("strategies.live.rules.4.policy: unknown policy scm", '"scam"'),
        ("strategies.live.otherwise: 'aprove' is no decision", "approve"),
        ("strategies.live.review.sensitivity: unknown policy scm", '"scam"'),
        ("strategies.live.review.wait: needs exposure.life", ""),
        ("strategies.orphan.like: unknown strategy lives", '"live"'),
        ("strategies.empty: needs rules and otherwise", ""),
        ("compare.baseline: unknown strategy lve", '"live"'),
        ("compare.candidate: unknown strategy candidat", "known"),
    ]:
        lines = [fault for fault in found if fault.startswith(start)]
        assert len(lines) == 1, (start, found)
        assert hint in lines[0]
    assert len(found) == len(set(found))


def test_faults_name_the_file_and_the_exit_code_is_that_of_usage(load: Load) -> None:
    with pytest.raises(UsageError) as error:
        load("run: t\n")
    assert all("run.yaml: " in fault for fault in error.value.faults)
    assert len(error.value.faults) == 3  # period, creatives, policies
    assert error.value.exit_code == 2


def test_a_value_that_does_not_fit_is_shown_and_cut_where_it_is_long(faults: Faults) -> None:
    (fault,) = faults(PLAIN, "seed=" + "x" * 500)
    assert "seed: " in fault
    assert "'xxx" in fault
    assert len(fault) < 200


# --- YAML ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("yes", "yes"),
        ("off", "off"),
        ("y", "y"),
        ("true", True),
        ("1e-3", 0.001),
        ("1E5", 100000.0),
        ("0.5", 0.5),
        (".5", 0.5),
        ("012", 12),
        ("12:30:00", "12:30:00"),
        ("'1e-3'", "1e-3"),
        ("null", None),
        ("~", None),
    ],
)
def test_scalars_are_read_as_yaml_1_2(text: str, value: object) -> None:
    found = _parse(f"a: {text}", "f")
    assert found == {"a": value}
    assert type(found["a"]) is type(value)


def test_a_country_called_no_stays_a_text(load: Load) -> None:
    config = load(PLAIN.replace("approved: APPROVE", "no: APPROVE"))
    assert next(iter(config.creatives.decisions)) == "no"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("run: a\nseed: 1\nrun: b\n", 3),
        ("run: a\nstrategies:\n  live: {}\n  other: {}\n  live: {}\n", 5),
        ("run: [a\n", 2),
        ("run: a\n\tseed: 1\n", 2),
        ("run: !!python/object:os.system x\n", 1),
        ("run: *nothing\n", 1),
    ],
)
def test_a_broken_file_is_refused_with_its_line(load: Load, text: str, line: int) -> None:
    with pytest.raises(UsageError, match=rf"run.yaml: line {line} ") as error:
        load(text)
    assert len(error.value.faults) == 1
    assert "\n" not in error.value.faults[0]


def test_a_repeated_key_is_named(load: Load) -> None:
    with pytest.raises(UsageError, match='duplicate key "seed"'):
        load("run: a\nseed: 1\nseed: 2\n")


@pytest.mark.parametrize("text", ["", "a", "- a\n", "3", "null", "[[[[", "[" * 1000, "- " * 1000, "\0", "a: !!bool x"])
def test_what_is_no_mapping_is_a_usage_error(load: Load, text: str) -> None:
    with pytest.raises(UsageError):
        load(text)


TOKENS = [
    *(
        "a",
        "b: ",
        "- ",
        "\n",
        "  ",
        "[",
        "]",
        "{",
        "}",
        ": ",
        ", ",
        "*a",
        "!!int ",
        "!!bool ",
        "!!timestamp ",
        "!!set ",
    ),
    *("!!binary ", "!!omap ", "!!merge ", "|", ">", "'", '"', "? ", "%YAML 1.1\n", "---\n", "...\n", "#", "<<: ", "~"),
    *("2026-01-01", "2026-13-45", "1e3", ".inf", "\t", "0x", "1:30", "!x ", "@", "`", "\\", "\0"),
]


@examples(150)
@given(text=st.one_of(st.text(max_size=30), st.lists(st.sampled_from(TOKENS), max_size=10).map("".join)))
def test_any_text_is_yaml_or_a_usage_error_of_one_line(text: str) -> None:
    faults: tuple[str, ...] = ("",)
    try:
        _parse(text, "f")
    except UsageError as error:
        faults = error.faults
    assert len(faults) == 1
    assert "\n" not in faults[0]


def test_a_file_that_cannot_be_read_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.yaml: cannot be read"):
        load_config(tmp_path / "nowhere.yaml")
    with pytest.raises(UsageError, match="cannot be read"):
        load_config(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"run: caf\xe9\n")
    with pytest.raises(UsageError, match=r"latin\.yaml: cannot be read"):
        load_config(tmp_path / "latin.yaml")


WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\x85"), max_size=20)
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**20), 10**20), st.floats(allow_nan=False, allow_infinity=False), WORDS
)
ODD_WORDS = [
    "no",
    "1e-3",
    "null",
    "~",
    "",
    " ",
    "2026-01-01",
    "0x1f",
    "true",
    "a: b",
    "# c",
    "*d",
    "- e",
    "'",
    "\n",
    "x\ny\n",
]


@examples(100)
@given(
    tree=st.dictionaries(
        WORDS,
        st.recursive(
            st.one_of(LEAVES, st.sampled_from(ODD_WORDS)),
            lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=3)),
            max_leaves=6,
        ),
        max_size=3,
    )
)
def test_what_is_dumped_is_read_back_in_the_same_order(tree: dict[str, Any]) -> None:
    found = _parse(dump_yaml(tree), "f")
    assert found == tree
    assert list(found) == list(tree)


def test_a_config_that_is_dumped_and_loaded_decides_the_same(load: Load) -> None:
    config = load()
    resolved = dump_yaml(config.model_dump(mode="json", by_alias=True))
    assert load(resolved) == config
    assert load(resolved).decided() == config.decided()


def test_run_execute_and_report_do_not_decide(load: Load) -> None:
    config = load()
    other = load(PLAIN, "run=u", "execute.where=ray", "execute.workers=3", "report.html=false")
    assert other.decided() == config.decided()
    assert load(PLAIN, "seed=1").decided() != config.decided()


# --- Overrides -------------------------------------------------------------------------------------------------------


def test_an_override_replaces_a_value_and_is_read_as_yaml(load: Load) -> None:
    config = load(PLAIN, "seed=7", "limits.quarantine_share=1e-2", "creatives.attributes=[region, vertical]", "run=no")
    assert config.seed == 7
    assert config.limits.quarantine_share == 0.01
    assert config.creatives.attributes == ["region", "vertical"]
    assert config.run == "no"


def test_the_last_override_of_a_key_wins_and_sections_are_made(load: Load) -> None:
    config = load(PLAIN, "seed=1", "seed=2", "cost.leaked=3", "strategies.strict.like=live")
    assert config.seed == 2
    assert config.cost is not None
    assert config.cost.leaked == 3.0
    assert "strict" in config.strategies


def test_an_override_may_hold_an_equals_sign(load: Load) -> None:
    assert load(PLAIN, "creatives.path=lake/day=1/").creatives.path == "lake/day=1/"


@pytest.mark.parametrize(
    ("override", "hint"),
    [
        ("seed", "write key=value"),
        ("=1", "write key=value"),
        ("run.name=1", "run is no section"),
        ("seed=[1", "--set seed"),
        ("sed=1", 'did you mean "seed"?'),
        ("execute.were=ray", 'did you mean "where"?'),
        ("policies.0=scam", "policies is no section"),
    ],
)
def test_a_broken_override_is_refused_and_named(faults: Faults, override: str, hint: str) -> None:
    (fault,) = faults(PLAIN, override)
    assert hint in fault
