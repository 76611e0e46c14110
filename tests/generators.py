"""Made-up inputs: expressions, rule lists, columns with ties at thresholds, and small lakes on disk.

Whatever is drawn comes twice: as plain values for the oracles, and as what the engine eats.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from oracles import Tree, columns, term_columns, term_value

from engine.expression import Arithmetic, Atom, Reference, parse
from engine.read.spec import CreativesSpec, LoggedValue
from engine.records import WEIGHTS, Column, Decision, Reading
from engine.replay.replay import Creatives
from engine.strategy import Rule, Strategy

ODD_SIZES = (0, 1, 63, 64, 65, 129)
THRESHOLDS = (0.1, 0.3, 1 / 3, 0.5, 0.7, 0.9, 0.0, 1.0)
REGIONS = ("US", "GB", "DE", "naïve ★")
SINGLE = frozenset({"v1.scam", "v1.adult"})  # the float32 columns


def examples(count: int) -> settings:
    """Return the house settings for a property: the same examples on every machine, no clock."""
    return settings(max_examples=count, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])


# --- Expressions -----------------------------------------------------------------------------------------------------


def _score_atoms() -> st.SearchStrategy[Tree]:
    column = st.sampled_from(["v1.scam", "v2.scam", "v1.adult"])
    number = st.sampled_from([*THRESHOLDS, -0.5, 2.0, 1e300])
    compared = st.tuples(st.just("atom"), column, st.sampled_from([">=", ">", "<=", "<", "==", "!="]), number)
    listed = st.tuples(
        st.just("atom"), column, st.sampled_from(["in", "not in"]), st.lists(number, min_size=1, max_size=3).map(tuple)
    )
    rising = st.sampled_from(["<", "<="])
    chained = st.tuples(st.just("chain"), number, rising, column, rising, number)
    return st.one_of(compared, compared, listed, chained, st.tuples(st.just("missing"), column))


def _attribute_atoms() -> st.SearchStrategy[Tree]:
    region = st.sampled_from([*REGIONS, "nowhere"])
    return st.one_of(
        st.tuples(st.just("atom"), st.just("region"), st.sampled_from(["==", "!="]), region),
        st.tuples(
            st.just("atom"),
            st.just("region"),
            st.sampled_from(["in", "not in"]),
            st.lists(region, min_size=1, max_size=3).map(tuple),
        ),
        st.tuples(st.just("atom"), st.just("new"), st.sampled_from(["==", "!="]), st.booleans()),
        st.tuples(
            st.just("atom"), st.just("age"), st.sampled_from([">=", "<", "=="]), st.sampled_from([0.0, 3.0, 7.0])
        ),
        st.tuples(st.just("missing"), st.sampled_from(["region", "new", "age"])),
    )


_OPERATIONS = ("+", "-", "*", "/", "min", "max")
NUMBERS = (0.0, 0.1, 0.5, 1.0, 2.0, 3.0, 7.0, 1e300, 1e-300)


def terms() -> st.SearchStrategy[Any]:
    """Draw arithmetic over numeric columns of a world, as the oracles read it; the engine folds what reads none."""
    leaf = st.one_of(st.sampled_from(["v1.scam", "v2.scam", "v1.adult", "age"]), st.sampled_from(NUMBERS))
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.tuples(st.sampled_from(_OPERATIONS), inner, inner),
            st.tuples(st.sampled_from(["min", "max"]), inner, inner, inner),
            st.tuples(st.sampled_from(["-", "abs"]), inner),
        ),
        max_leaves=5,
    ).filter(_folds)


def _folds(term: Any) -> bool:
    """Say whether every part that reads no column is a number: what is not is refused where it is written."""
    if not isinstance(term, tuple):
        return True
    return all(map(_folds, term[1:])) and (bool(term_columns(term)) or term_value(term, {}) is not None)


def _term_atoms() -> st.SearchStrategy[Tree]:
    operator = st.sampled_from([">=", ">", "<=", "<", "==", "!="])
    compared = st.tuples(st.just("compare"), terms(), operator, terms())
    return st.one_of(compared, compared, st.tuples(st.just("uncalculable"), terms())).filter(is_arithmetic)


def is_arithmetic(tree: Tree) -> bool:
    """Leave a column against a number to the atoms that know its dtype."""
    read = [term_columns(term) for term in tree[1::2]]
    plain = all(isinstance(term, str) for term, names in zip(tree[1::2], read, strict=True) if names)
    return any(read) and not (plain and sum(map(bool, read)) < 2)


def tree_of(atom: Atom) -> Tree:
    """Return an atom of the engine as the oracles read it."""
    if atom.term is None:
        kind = ("missing", atom.column) if atom.operator == "missing" else None
        return kind or ("atom", atom.column, atom.operator, atom.value)
    term = _term_of(atom.term)
    return ("uncalculable", term) if atom.operator == "missing" else ("compare", term, atom.operator, atom.value)


def _term_of(term: Any) -> Any:
    if isinstance(term, Arithmetic):
        return (term.operator, *map(_term_of, term.parts))
    return term.name if isinstance(term, Reference) else term


def trees() -> st.SearchStrategy[Tree]:
    """Draw an expression over the columns of a world, as the oracles read it."""
    return st.recursive(
        st.one_of(_score_atoms(), _attribute_atoms(), _term_atoms()),
        lambda inner: st.one_of(
            st.tuples(st.just("not"), inner),
            st.tuples(st.sampled_from(["and", "or"]), inner, inner),
            st.tuples(st.sampled_from(["and", "or"]), inner, inner, inner),
        ),
        max_leaves=6,
    )


def write(tree: Tree) -> str:
    """Write a tree as an operator would."""
    kind = tree[0]
    if kind in ("and", "or"):
        return f" {kind} ".join(f"({write(part)})" for part in tree[1:])
    if kind == "not":
        return f"not ({write(tree[1])})"
    if kind == "missing":
        return f"missing({tree[1]})"
    if kind == "uncalculable":
        return f"missing({write_term(tree[1])})"
    if kind == "compare":
        return f"{write_term(tree[1])} {tree[2]} {write_term(tree[3])}"
    if kind == "chain":
        return "{1} {2} {3} {4} {5}".format(*tree)
    _, column, operator, value = tree
    return f"{column} {operator} {list(value) if isinstance(value, tuple) else value!r}"


def write_term(term: Any) -> str:
    """Write arithmetic as an operator would who trusts no precedence."""
    if not isinstance(term, tuple):
        return term if isinstance(term, str) else repr(term)
    operation, *parts = term
    if operation in ("min", "max", "abs"):
        return f"{operation}({', '.join(map(write_term, parts))})"
    return f"(-{write_term(parts[0])})" if len(parts) == 1 else f"({f' {operation} '.join(map(write_term, parts))})"


# --- Strategies ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rules:
    """A strategy in plain values: what oracles.decide takes."""

    rules: tuple[tuple[Tree, str, float, str | None], ...]
    otherwise: tuple[Tree, str, float, str | None]
    match: str

    def strategy(self, name: str = "s") -> Strategy:
        """Return it as the engine's own."""
        return Strategy(name, tuple(_rule(rule) for rule in self.rules), _rule(self.otherwise), self.match)

    @property
    def score_columns(self) -> list[str]:
        """Return the score columns that the rules read."""
        return sorted({name for rule in self.rules for name in columns(rule[0]) if "." in name})


def _rule(rule: tuple[Tree, str, float, str | None]) -> Rule:
    tree, decision, share, policy = rule
    return Rule(parse(write(tree)), Decision[decision], share, policy)


_ALWAYS: Tree = ("or", ("missing", "region"), ("not", ("missing", "region")))


def rule_lists(decisions: Sequence[str] = ("REJECT", "REVIEW", "LIMIT", "APPROVE")) -> st.SearchStrategy[Rules]:
    """Draw a strategy: up to five rules, LIMITs of several shares among them, `first` or `harshest`."""
    decided = st.sampled_from(decisions).flatmap(
        lambda word: st.tuples(st.just(word), st.sampled_from([0.25, 0.5, 0.75]) if word == "LIMIT" else st.just(1.0))
    )
    policy = st.sampled_from(["scam", "adult", None])
    rule = st.tuples(trees(), decided, policy).map(lambda x: (x[0], *x[1], x[2]))
    otherwise = st.tuples(decided, policy).map(lambda x: (_ALWAYS, *x[0], x[1]))
    return st.builds(Rules, st.lists(rule, max_size=5).map(tuple), otherwise, st.sampled_from(["first", "harshest"]))


# --- Worlds ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class World:
    """N creatives twice: `creatives` for the engine, `plain` one dict each for the oracles."""

    creatives: Creatives
    plain: tuple[dict[str, Any], ...]
    cells: int

    def __len__(self) -> int:
        return len(self.plain)

    def part(self, first: int, last: int) -> World:
        """Return consecutive creatives as a world of their own."""
        at = slice(first, last)
        columns = tuple(replace(column, values_N=column.values_N[at]) for column in self.creatives.columns)
        held = self.creatives
        chosen = Creatives(columns, held.cell_N[at], held.frame_N[at], held.weight_NW[at])
        return World(chosen, self.plain[at], self.cells)


def worlds(sizes: Sequence[int] = ODD_SIZES) -> st.SearchStrategy[World]:
    """Draw a world of one of these sizes."""
    return st.builds(make_world, st.integers(0, 2**32 - 1), st.sampled_from(sizes))


def make_world(seed: int, rows: int) -> World:
    """Make creatives whose scores sit on, one step above and one step below thresholds; some are null."""
    rng = np.random.default_rng(seed)
    numbers = {
        "v1.scam": tied_scores(rng, rows, np.float32),
        "v2.scam": tied_scores(rng, rows, np.float64),
        "v1.adult": tied_scores(rng, rows, np.float32),
        "age": np.where(rng.random(rows) < 0.2, np.nan, rng.integers(0, 9, rows).astype(np.float64)),
    }
    texts = {
        "region": (rng.integers(-1, len(REGIONS), rows).astype(np.int32), REGIONS),
        "new": (rng.integers(-1, 2, rows).astype(np.int32), ("false", "true")),
    }
    columns = [Column(name, values) for name, values in numbers.items()]
    columns += [Column(name, codes, levels) for name, (codes, levels) in texts.items()]
    plain = tuple(
        {name: None if np.isnan(values[i]) else float(values[i]) for name, values in numbers.items()}
        | {name: None if codes[i] < 0 else levels[codes[i]] for name, (codes, levels) in texts.items()}
        for i in range(rows)
    )
    cells = 3
    weight_NW = rng.integers(0, 1 << 40, (rows, len(WEIGHTS)))
    weight_NW[:, 0] = 1
    creatives = Creatives(
        tuple(columns), rng.integers(0, cells, rows), rng.integers(0, 2, rows).astype(np.uint8), weight_NW
    )
    return World(creatives, plain, cells)


def tied_scores(rng: np.random.Generator, rows: int, dtype: type[np.floating]) -> np.ndarray:
    """Draw scores around thresholds in a dtype; float64 ones include the float32 roundings of the thresholds."""
    exact = np.array(THRESHOLDS, dtype)
    one = np.array(1, dtype)
    pool = [exact, np.nextafter(exact, one), np.nextafter(exact, -one), np.array(THRESHOLDS, np.float32).astype(dtype)]
    scores = rng.choice(np.clip(np.concatenate([*pool, rng.random(8).astype(dtype)]), 0, 1), rows)
    scores[rng.random(rows) < 0.1] = np.nan
    return scores.astype(dtype)


# --- Lakes -----------------------------------------------------------------------------------------------------------

START = datetime(2026, 1, 1, tzinfo=UTC)
DECISIONS = {"approved": 1.0, "limited": 0.25, "queued": 0.0, "rejected": 0.0}  # value → share delivered
SPEC = CreativesSpec(
    columns={
        "id": "creative_id",
        "advertiser": "advertiser_id",
        "submitted_at": "submitted_at",
        "impressions": "impressions",
        "spend": "spend",
        "logged_decision": "decision",
    },
    readings=(Reading(0, ("title", "body")),),
    attributes=("region", "tier", "new"),
    scores={"v1.scam": "v1_scam", "v2.scam": "v2_scam"},
    logged=tuple(LoggedValue(value, share) for value, share in DECISIONS.items()),
    refused_column=None,
    spend_unit=0.01,
    warm_up=round(START.timestamp() * 1e6),
    since=round((START + timedelta(days=7)).timestamp() * 1e6),
    until=round((START + timedelta(days=28)).timestamp() * 1e6),
    text_bytes=1000,
    missing_score_allowed=True,
)


def lake_table(seed: int, rows: int) -> pa.Table:
    """Make a lake's creatives: some outside the period, some that cannot be used, nulls in every optional column."""
    rng = np.random.default_rng(seed)

    def some(values: Sequence[Any], share: float = 0.1) -> list[Any]:
        return [None if gone else value for value, gone in zip(values, rng.random(rows) < share, strict=True)]

    minutes = rng.integers(-2 * 1440, 30 * 1440, rows)
    words = ["win a phone", "", "ünïcode ★", "shoes", "ab", "c"]
    return pa.table(
        {
            "creative_id": pa.array(some([f"c{seed}-{i}" for i in range(rows)], 0.02), pa.string()),
            "advertiser_id": pa.array(some([int(x) for x in rng.integers(0, 20, rows)], 0.02), pa.int64()),
            "submitted_at": pa.array(
                some([START + timedelta(minutes=int(m)) for m in minutes], 0.02), pa.timestamp("us", tz="UTC")
            ),
            "title": pa.array(some([words[i] for i in rng.integers(0, len(words), rows)]), pa.string()),
            "body": pa.array(some([words[i] for i in rng.integers(0, len(words), rows)]), pa.string()),
            "region": pa.array(some([REGIONS[i] for i in rng.integers(0, len(REGIONS), rows)]), pa.string()),
            "tier": pa.array(some([int(x) for x in rng.integers(1, 4, rows)]), pa.int64()),
            "new": pa.array(some([bool(x) for x in rng.integers(0, 2, rows)]), pa.bool_()),
            "impressions": pa.array(some([int(x) for x in rng.integers(-1, 1000, rows)]), pa.int64()),
            "spend": pa.array(some([round(float(x), 2) for x in 100 * rng.random(rows)]), pa.float64()),
            "decision": pa.array([list(DECISIONS)[i] for i in rng.integers(0, len(DECISIONS), rows)], pa.string()),
            "v1_scam": pa.array(tied_scores(rng, rows, np.float32)),
            "v2_scam": pa.array(tied_scores(rng, rows, np.float64)),
        }
    )


def write_lake(table: pa.Table, *files: Path, row_group: int = 40) -> None:
    """Write a table as consecutive Parquet files with page checksums."""
    bounds = np.linspace(0, table.num_rows, len(files) + 1).astype(int)
    for file, first, last in zip(files, bounds, bounds[1:], strict=False):
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(
            table.slice(first, last - first),
            file,
            row_group_size=row_group,
            compression="none",
            write_page_checksum=True,
        )


def audit_table(*strata: dict[str, Any]) -> pa.Table:
    """Make an audits table; what a stratum does not say gets a default."""
    plain = {"audit_id": "a1", "stratum": "s1", "method": "srs", "population_size": 10, "sample_size": 5}
    return pa.Table.from_pylist([plain | stratum for stratum in strata])


def label_table(*labels: dict[str, Any]) -> pa.Table:
    """Make a labels table; what a label does not say gets a default."""
    plain = {
        "creative_id": "c1",
        "policy": "scam",
        "label": "VIOLATING",
        "source": "audit",
        "audit_id": "a1",
        "stratum": "s1",
        "inclusion_probability": 0.5,
        "known_at": START,
        "reviewer_id": "r1",
        "guideline_version": None,
    }
    rows = [plain | label for label in labels]
    return pa.table(
        {name: pa.array([row[name] for row in rows], _LABEL_TYPES.get(name, pa.string())) for name in plain}
    )


_LABEL_TYPES = {"inclusion_probability": pa.float64(), "known_at": pa.timestamp("us", tz="UTC")}
