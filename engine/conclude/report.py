"""The report stage: numbers → summary.json, tables and the pages a person reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from engine import __version__, store
from engine.conclude.numbers import Numbers, sections_read
from engine.conclude.rules import RuleFacts
from engine.conclude.search import Searched
from engine.conclude.series import Series
from engine.conclude.verdict import verdict_facts
from engine.conclude.waiting import Waiting
from engine.config.sections import Config
from engine.errors import DataError
from engine.estimate.findings import find_segments_that_differ
from engine.estimate.metrics import FORMULAS
from engine.estimate.outcomes import outcome_counts, swap_sums
from engine.estimate.reliability import reliability_curves
from engine.records import UNCALIBRATED, WEIGHTINGS, WEIGHTS, Design
from engine.report.gates import junit_xml, read_verdict, verdict_blocks
from engine.report.layout import build_page
from engine.report.markdown import page_markdown, render_blocks
from engine.report.summary import (
    ASSUMPTIONS,
    VERSION,
    Facts,
    headline,
    labels_words,
    score_pictures,
    strategy_facts,
    swap_matrix,
    truth_by_key,
)
from engine.report.tables import estimates_table, truth_table
from engine.stages.read import Creatives
from engine.stages.replay import Replayed
from engine.stages.run import Run
from engine.stages.score import Scored
from engine.verdict.verdict import Verdict

GATE_FILES = ("gates.json", "gates.xml", "gates.md")


@dataclass(frozen=True)
class Insight:
    """What a run knows beside its numbers: of each rule, of a sweep, the verdict, examples, numbers over time."""

    rules: Mapping[str, Sequence[RuleFacts]]
    searched: Searched | None
    verdict: Verdict | None = None
    versus: Mapping[str, Any] = field(default_factory=dict)
    examples: pa.Table | None = None
    series: Series | None = None
    waiting: Waiting | None = None


def report_stage(run: Run, creatives: Creatives, scored: Scored, numbers: Numbers, insight: Insight) -> dict[str, Any]:
    """Write estimates.parquet, truth.parquet, quarantine.parquet, summary.json and the pages; return the summary."""
    with run.progress.stage("report", 1) as step:
        path = run.directory.path
        estimates = estimates_table(numbers.estimates)
        truth = truth_table(numbers.truths) if numbers.truths else None
        store.commit_table(path / "estimates.parquet", estimates, run.identity)
        store.commit_table(path / "quarantine.parquet", creatives.quarantine, run.identity)
        if truth is not None:
            store.commit_table(path / "truth.parquet", truth, run.identity)
        tables = PageTables(estimates, truth, insight.searched.table() if insight.searched else None, insight.examples)
        if tables.search is not None:
            store.commit_table(path / "search.parquet", tables.search, run.identity)
        if tables.examples is not None:
            store.commit_table(path / "examples.parquet", tables.examples, run.identity)
        made_now = {"truth.parquet": truth, "search.parquet": tables.search, "examples.parquet": tables.examples}
        made_now |= {"report.html": run.config.report.html} | dict.fromkeys(GATE_FILES, insight.verdict)
        for name, made in made_now.items():
            if made is None or made is False:
                run.directory.remove(name)
        summary = summarise(run, creatives, scored, numbers, insight)
        run.directory.write_text("summary.json", json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
        write_gates(run.directory, summary)
        write_pages(run.directory, summary, tables, html=run.config.report.html)
        step(estimates.num_rows)
    return summary


def write_gates(directory: store.RunDirectory, summary: dict[str, Any]) -> None:
    """Write gates.json, gates.xml (JUnit) and gates.md (a comment on a pull request), where the run has gates."""
    verdict = read_verdict(summary["verdict"])
    if verdict is None:
        return
    made = json.dumps(summary["verdict"], indent=1, ensure_ascii=False) + "\n", junit_xml(verdict)
    block = render_blocks(verdict.verdict, verdict_blocks(verdict))
    for name, text in zip(GATE_FILES, (*made, block), strict=True):
        directory.write_text(name, text)


@dataclass(frozen=True)
class PageTables:
    """The tables that pages are made from: schema.ESTIMATES, the truth, what a sweep tried, schema.EXAMPLES."""

    estimates: pa.Table
    truth: pa.Table | None
    search: pa.Table | None
    examples: pa.Table | None


def write_pages(directory: store.RunDirectory, summary: dict[str, Any], tables: PageTables, *, html: bool) -> None:
    """Write report.md and report.html; the pages name the run and show examples, the summary does not."""
    shown = tables.examples.to_pylist() if tables.examples is not None else None
    summary = summary | {"run": directory.path.name, "examples": shown}
    page = build_page(summary, tables.estimates, tables.truth, tables.search)
    directory.write_text("report.md", page_markdown(page))
    if html:
        from engine.report.html import page_html

        directory.write_text("report.html", page_html(page))


def summarise(run: Run, creatives: Creatives, scored: Scored, numbers: Numbers, insight: Insight) -> dict[str, Any]:
    """Return summary.json as plain values."""
    config, question = run.config, numbers.question
    columns = config.score_columns()
    named = [name for name in numbers.replayed.kept.column_names if "." in name]
    facts = Facts(
        question.table,
        outcome_counts(question),
        swap_sums(question),
        question.rows,
        [(name, columns[name.removeprefix(UNCALIBRATED)]) for name in named],
        question.policies,
        question.pair,
        config.exposure.spend_unit,
        {name: [rule.as_plain() for rule in found] for name, found in insight.rules.items()},
    )
    by_key = truth_by_key(numbers.truths)
    rows = headline(numbers.estimates, by_key)
    return {
        "version": VERSION,
        "engine": __version__,
        "fingerprint": run.identity,
        "period": config.model_dump(mode="json", by_alias=True)["period"],
        "counts": creatives.counts
        | {"contents": max(scored.contents.values(), default=0), "advertisers": _advertisers(run)},
        "policies": list(question.readable_policies),
        "weightings": list(WEIGHTINGS),
        "segments": [list(pair) for pair in zip(question.segments.by, question.segments.name, strict=True)],
        "confidence": question.confidence,
        "strategies": strategy_facts(facts),
        "models": {
            name: {"contents": count, "asked": scored.billed.get(name, {})} for name, count in scored.contents.items()
        },
        "compare": config.compare.model_dump() if config.compare else None,
        "labels": _label_counts(run, numbers),
        "strata": [asdict(stratum) for stratum in run.prepared.labels.strata] if run.prepared.labels else [],
        "training_overlap": _overlap_words(run, numbers),
        "assumptions": [*ASSUMPTIONS, numbers.assistance, labels_words(question.reviewer_error)],
        "warnings": [*_sample_words(run), *_copy_words(scored), *_drift_words(scored), *_warnings(numbers, creatives)],
        "exposure": _exposure_facts(config, numbers.replayed),
        "headline": [row for row in rows if row["baseline"] is None],
        "paired": [row for row in rows if row["baseline"] is not None],
        "naive": [asdict(n) | {"truth": numbers.naive_truths[n.strategy, n.policy, n.metric]} for n in numbers.naive],
        "swap": swap_matrix(facts),
        "scores": score_pictures(facts),
        "reliability": reliability_curves(question.rows, facts.score_columns, question.policies, question.confidence),
        "calibration": scored.calibration,
        "near_copies": scored.near_copies,
        "drift": scored.drift,
        "findings": _findings(numbers),
        "search": insight.searched.as_plain() if insight.searched else None,
        "verdict": verdict_facts(insight.verdict, config) if insight.verdict else None,
        "versus": dict(insight.versus) or None,
        "series": insight.series.as_plain() if insight.series else None,
        "waiting": insight.waiting.as_plain() if insight.waiting else None,
        "formulas": FORMULAS | {one.metric: one.formula for one in numbers.estimates if one.metric.startswith("mean.")},
    }


def _findings(numbers: Numbers) -> dict[str, Any] | None:
    found = find_segments_that_differ(numbers.question)
    return asdict(found) | {"named": [asdict(one) for one in found.named]} if found else None


def _overlap_words(run: Run, numbers: Numbers) -> str:
    read, overlapping = sections_read(run, numbers.question.table), numbers.overlapping
    unknown = [name for name, section in read.items() if section.trained is None]
    words = []
    if overlapping:
        words.append(
            f"{overlapping} labelled creatives lie inside a model's training and leave every label-based number"
        )
    if unknown:
        words.append(f"training overlap unknown for {', '.join(unknown)}: `trained` is not given")
    return "; ".join(words) or "no labelled creative of the period lies inside the training of any model"


def _advertisers(run: Run) -> int:
    found = pa.chunked_array([c for t in run.tables(["advertiser_id"]) for c in t["advertiser_id"].chunks], pa.string())
    return int(pc.count_distinct(found).as_py())


def _label_counts(run: Run, numbers: Numbers) -> dict[str, int]:
    counts = dict(run.prepared.labels.counts) if run.prepared.labels else {}
    return counts | {"audit_outside_period": counts.get("audit_drawn", 0) - numbers.drawn_inside}


def _warnings(numbers: Numbers, creatives: Creatives) -> list[str]:
    found = [f"{creatives.quarantine.num_rows} creatives are in quarantine"] if creatives.quarantine.num_rows else []
    design: Design = numbers.question.rows.design
    unanswered = int(design.drawn_H.sum() - design.answered_HQ[:, -1].sum()) if len(design.drawn_H) else 0
    if unanswered:
        found.append(f"{unanswered:,} of {int(design.drawn_H.sum()):,} drawn creatives have no concluded label")
    if not len(design.drawn_H):
        found.append("no audit: nothing that depends on labels can be estimated")
    return found


def _sample_words(run: Run) -> list[str]:
    sample = run.config.creatives.sample
    if sample is None:
        return []
    if sample.share == 0:
        return [
            "only labelled creatives were scored: rates of decisions and the swap matrix are estimated from the audit, "
            "and nothing is known of what its frame does not hold"
        ]
    unit = "advertisers, whole," if sample.by == "advertiser" else "creatives"
    share = f"{100 * sample.share:.4g} % of the other {unit}"
    return [
        f"labelled creatives and {share} were scored: rates of decisions and the swap matrix are estimated, not counted"
    ]


def _copy_words(scored: Scored) -> list[str]:
    return [
        f"{column}: {facts['propagated']} of {facts['contents']} contents carry the score of a near-copy; see Scores"
        for column, facts in scored.near_copies.items()
        if facts["propagated"]
    ]


def _drift_words(scored: Scored) -> list[str]:
    return [
        f"{column}: scored in int8, {facts['members']} of {facts['contents']} contents in float32 as well; see Scores"
        for column, facts in scored.drift.items()
    ]


def _exposure_facts(config: Config, replayed: Replayed) -> dict[str, Any]:
    sums = replayed.totals.whole_FCW.sum((0, 1))
    missing = {name: int(sums[WEIGHTS.index(f"{name}_missing")]) for name in WEIGHTINGS[1:]}
    return {"refused": config.exposure.refused, "missing": missing}


def check_report_inputs(directory: store.RunDirectory) -> tuple[dict[str, Any], PageTables]:
    """Read back what the pages are made from.

    Raises
    ------
    DataError : the run is not complete.
    """
    manifest = directory.read_manifest()
    files, identity = manifest.get("files"), str(manifest.get("fingerprint"))
    if manifest.get("state") != "complete" or not isinstance(files, dict):
        raise DataError(f"{directory.path}: holds no finished run; run it first")
    tables = {}
    for name in ("estimates.parquet", "truth.parquet", "search.parquet", "examples.parquet"):
        found = store.find_committed(directory.path / name, identity) if name in files else None
        if name in files and (found is None or found.hash != files[name]):
            raise DataError(f"{directory.path / name}: is not the file of the finished run; run it again")
        tables[name] = store.read_committed(found) if found else None
    estimates = tables["estimates.parquet"]
    assert estimates is not None
    summary = json.loads((directory.path / "summary.json").read_text())
    return summary, PageTables(estimates, *(tables[f"{name}.parquet"] for name in ("truth", "search", "examples")))
