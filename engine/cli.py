"""The `backtest` command: parses, calls the pipeline, prints. Everything heavy is imported inside a verb."""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.errors import BacktestError, UsageError, did_you_mean

if TYPE_CHECKING:
    from engine.config import Config
    from engine.pipeline import Finished

DIFFERENT, BUG, INTERRUPTED, TERMINATED = 1, 70, 130, 143
app = typer.Typer(
    name="backtest",
    help="What would a moderation strategy have leaked, and what wrongly refused?",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

ConfigPath = Annotated[str, typer.Argument(metavar="CONFIG", help="A run's YAML file.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="a.b=v", help="Override a config key; repeatable.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of a fault.")]


@app.command()
def run(config: ConfigPath, set_: Overrides = None, debug: Debug = False) -> None:
    """Read, score, replay, estimate and report; what is already done is not done again."""
    _guarded(lambda: _print_run(_finish(_load(config, set_))), debug)


@app.command()
def validate(config: ConfigPath, set_: Overrides = None, debug: Debug = False) -> None:
    """Check a config against its data, labels and models; do no work."""
    _guarded(lambda: _validate(_load(config, set_)), debug)


@app.command()
def score(config: ConfigPath, set_: Overrides = None, debug: Debug = False) -> None:
    """Read and score only."""
    _guarded(lambda: _print_scored(_finish(_load(config, set_), score_only=True)), debug)


@app.command()
def plan(config: ConfigPath, set_: Overrides = None, debug: Debug = False) -> None:
    """Print contents to score, cost and expected interval width for labelled-only, sampled and full scoring."""
    _guarded(lambda: _plan(_load(config, set_)), debug)


@app.command()
def replay(config: ConfigPath, set_: Overrides = None, debug: Debug = False) -> None:
    """Replay, estimate and report from scores that are there; never load a model."""
    _guarded(lambda: _print_run(_finish(_load(config, set_), scores_exist=True)), debug)


@app.command()
def compare(
    config: Annotated[str, typer.Argument(metavar="CONFIG|RUN_A", help="A run's YAML file, or a finished run.")],
    run_b: Annotated[str | None, typer.Argument(metavar="[RUN_B]", help="A finished run over the same data.")] = None,
    baseline: Annotated[str | None, typer.Option(metavar="NAME", help="The strategy of RUN_A.")] = None,
    candidate: Annotated[str | None, typer.Option(metavar="NAME", help="The strategy of RUN_B.")] = None,
    undecided: Annotated[
        str, typer.Option(metavar="fail|pass", help="`pass`: exit with 0 where no gate fails, though some are open.")
    ] = "fail",
    set_: Overrides = None,
    debug: Debug = False,
) -> None:
    """Print the verdict, each gate, the paired differences and the swap set; exit with 1 unless all gates pass."""
    _guarded(lambda: _compare(_compared(config, run_b, (baseline, candidate), set_), undecided), debug)


@app.command("label-plan")
def label_plan(
    config: ConfigPath,
    out: Annotated[str, typer.Option("-o", "--out", metavar="FILE", help="The plan; frame and audits beside it.")],
    budget: Annotated[int | None, typer.Option(metavar="N", help="Creatives to label.")] = None,
    width: Annotated[float | None, typer.Option(metavar="W", help="Label as many as this width needs.")] = None,
    metric: Annotated[str, typer.Option(help="The number whose difference is to be narrowed.")] = "leakage_rate",
    weighting: Annotated[str, typer.Option()] = "creatives",
    policy: Annotated[str | None, typer.Option(help="Default: the first.")] = None,
    reading: Annotated[str, typer.Option(help="machine or after_review.")] = "machine",
    floor: Annotated[
        float, typer.Option(help="Share of the labels that lies on all creatives.", min=0.01, max=1)
    ] = 0.1,
    audit_id: Annotated[str, typer.Option(help="What the labels' audit is called.")] = "label-plan",
    texts: Annotated[bool, typer.Option("--texts", help="Show annotators the text columns.")] = False,
    set_: Overrides = None,
    debug: Debug = False,
) -> None:
    """Write which creatives to label next so that candidate − baseline is known best."""
    wished = (metric, weighting, policy, reading, budget, width, floor)
    _guarded(lambda: _label_plan(config, set_ or [], wished, Path(out), audit_id, texts), debug)


@app.command("check-fidelity")
def check_fidelity(
    config: ConfigPath,
    strategy: Annotated[str, typer.Argument(metavar="STRATEGY")],
    at_least: Annotated[float, typer.Option(metavar="SHARE", help="Exit with 1 below this share.", min=0, max=1)] = 1.0,
    set_: Overrides = None,
    debug: Debug = False,
) -> None:
    """Replay a strategy and hold every decision against the one that history logged."""
    _guarded(lambda: _fidelity(_load(config, set_), strategy, at_least), debug)


@app.command("check-lookahead")
def check_lookahead(
    config: ConfigPath,
    moments: Annotated[int, typer.Option(help="How many times history is cut.", min=1)] = 5,
    set_: Overrides = None,
    debug: Debug = False,
) -> None:
    """Cut history at several moments; no decision that was final by then may be another one."""
    _guarded(lambda: _lookahead(_load(config, set_), moments), debug)


@app.command("list")
def list_(
    runs: Annotated[str, typer.Argument(metavar="RUNS", help="The folder of runs.")] = "runs",
    json_: Json = False,
    debug: Debug = False,
) -> None:
    """List the runs of a folder: dates, state, verdict, headline numbers."""
    _guarded(lambda: _list(Path(runs), json_), debug)


@app.command()
def diff(
    run_a: Annotated[str, typer.Argument(metavar="RUN_A")],
    run_b: Annotated[str, typer.Argument(metavar="RUN_B")],
    json_: Json = False,
    debug: Debug = False,
) -> None:
    """Print what changed from one run to another: config, data, models, numbers."""
    _guarded(lambda: _diff(Path(run_a), Path(run_b), json_), debug)


@app.command()
def explain(
    run_dir: Annotated[str, typer.Argument(metavar="RUN_DIR")],
    creative_id: Annotated[str, typer.Argument(metavar="CREATIVE_ID")],
    debug: Debug = False,
) -> None:
    """Print one creative's way through every rule of every strategy of a finished run."""
    _guarded(lambda: _explain(run_dir, creative_id), debug)


@app.command()
def report(run_dir: Annotated[str, typer.Argument(metavar="RUN_DIR")], debug: Debug = False) -> None:
    """Write report.md and report.html of a finished run anew."""
    _guarded(lambda: _report(run_dir), debug)


@app.command()
def schema(name: Annotated[str, typer.Argument(metavar="NAME")], debug: Debug = False) -> None:
    """Print the columns of a table (creatives, labels, audits …), or the JSON Schema of summary.json (summary)."""
    _guarded(lambda: _schema(name), debug)


def main() -> None:
    """Run the command line; exit with the code of section "Exit codes" of the README."""
    signal.signal(signal.SIGTERM, _terminated)
    app()


def _guarded(verb: Callable[[], None], debug: bool) -> None:
    try:
        verb()
    except BacktestError as error:
        if debug:
            traceback.print_exc()
        for fault in error.faults:
            typer.echo(f"backtest: {fault}", err=True)
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        typer.echo("backtest: interrupted; run again to resume", err=True)
        raise typer.Exit(INTERRUPTED) from None
    except typer.Exit:
        raise
    except Exception as error:
        if debug:
            traceback.print_exc()
        typer.echo(f"backtest: a bug in the engine: {type(error).__name__}: {error} (--debug shows where)", err=True)
        raise typer.Exit(BUG) from None


def _terminated(*_: object) -> None:
    typer.echo("backtest: terminated; run again to resume", err=True)
    sys.exit(TERMINATED)


def _load(path: str, overrides: list[str] | None) -> Config:
    from engine.config import load_config

    return load_config(path, overrides or ())


def _finish(
    config: Config, *, score_only: bool = False, scores_exist: bool = False, side_by_side: bool = False
) -> Finished:
    from engine.pipeline import run as run_pipeline
    from engine.progress import on_stderr

    finished = run_pipeline(
        config, on_stderr(), score_only=score_only, scores_exist=scores_exist, side_by_side=side_by_side
    )
    for warning in finished.warnings:
        typer.echo(f"backtest: warning: {warning}", err=True)
    return finished


def _validate(config: Config) -> None:
    from engine.prepare import prepare

    prepared = prepare(config)
    rows, shards = prepared.source.rows, len(prepared.source.shards)
    names = ", ".join(prepared.table.names)
    typer.echo(f"fine: {rows:,} creatives in {shards} shards; strategies {names}")


def _plan(config: Config) -> None:
    from engine.plan import plan as make_plan
    from engine.plan import plan_table
    from engine.progress import on_stderr

    typer.echo(plan_table(make_plan(config, on_stderr())))


def _label_plan(
    path: str,
    overrides: list[str],
    wished: tuple[str, str, str | None, str, int | None, float | None, float],
    out: Path,
    audit_id: str,
    texts: bool,
) -> None:
    from engine.labelling.ground import Wish
    from engine.labelling.next_step import next_step
    from engine.labelling.plan import label_plan_text, plan_labels
    from engine.progress import on_stderr

    config = _load(path, overrides)
    plan = plan_labels(config, Wish(*wished), out, on_stderr(), audit_id=audit_id, texts=texts)
    asked = [path, *(part for override in overrides for part in ("--set", override))]
    typer.echo(label_plan_text(plan, next_step(asked, config, plan.files, plan.use)))


def _fidelity(config: Config, strategy: str, at_least: float) -> None:
    from engine.fidelity import check_fidelity as check
    from engine.fidelity import fidelity_text
    from engine.progress import on_stderr

    found = check(config, strategy, on_stderr())
    typer.echo(fidelity_text(found))
    if found.share < at_least:
        raise typer.Exit(DIFFERENT)


def _lookahead(config: Config, moments: int) -> None:
    from engine.lookahead import check_lookahead as check
    from engine.lookahead import lookahead_text
    from engine.progress import on_stderr

    cuts = check(config, moments, on_stderr())
    typer.echo(lookahead_text(cuts))
    if any(cut.changed for cut in cuts):
        raise typer.Exit(DIFFERENT)


def _explain(run_dir: str, creative_id: str) -> None:
    from engine.explain import explain as retrace
    from engine.explain import explained_text
    from engine.progress import Progress

    typer.echo(explained_text(retrace(run_dir, creative_id, Progress())))


def _list(folder: Path, as_json: bool) -> None:
    from engine.runs.listing import list_runs, listing_text

    found = list_runs(folder)
    typer.echo(_json([run.as_plain() for run in found]) if as_json else listing_text(found, folder))


def _diff(was: Path, now: Path, as_json: bool) -> None:
    from engine.runs.difference import diff_runs, difference_text

    found = diff_runs(was, now)
    typer.echo(_json(found.as_plain()) if as_json else difference_text(found))


def _json(plain: object) -> str:
    import json

    return json.dumps(plain, indent=1, allow_nan=False)  # ASCII: foreign text cannot command a terminal


def _print_scored(finished: Finished) -> None:
    _print_counts(finished)
    typer.echo(f"scores: {finished.directory / 'scores'}")


def _print_run(finished: Finished) -> None:
    from engine.report.terminal import headline_table

    _print_counts(finished)
    typer.echo(headline_table(_summary(finished.directory)))
    pages = [finished.directory / name for name in ("report.html", "report.md")]
    typer.echo(f"report: {next(page for page in pages if page.exists())}")


def _compared(path: str, run_b: str | None, names: tuple[str | None, str | None], set_: list[str] | None) -> Config:
    from engine.two_runs import joined_config

    if run_b is None:
        if any(names):
            raise UsageError("--baseline and --candidate go with two runs; a config names them under `compare`")
        return _load(path, set_)
    if set_:
        raise UsageError("--set goes with a config; two runs are compared as they were made")
    return joined_config(Path(path), Path(run_b), *names)


def _compare(config: Config, undecided: str) -> None:
    from engine.report.terminal import paired_table

    if undecided not in ("fail", "pass"):
        raise UsageError(f"--undecided {undecided}: write fail or pass")
    if config.compare is None:
        raise UsageError("compare: is not in the config; write compare: {baseline: ..., candidate: ...}")
    finished = _finish(config, side_by_side=True)
    summary = _summary(finished.directory)
    typer.echo(paired_table(summary))
    outcomes = {gate["outcome"] for gate in (summary["verdict"] or {"gates": ()})["gates"]}
    if "fail" in outcomes or ("undecided" in outcomes and undecided == "fail"):
        raise typer.Exit(DIFFERENT)


def _report(run_dir: str) -> None:
    from engine.conclude.report import check_report_inputs, write_pages
    from engine.store import RunDirectory

    directory = RunDirectory(Path(run_dir))
    write_pages(directory, *check_report_inputs(directory), html=True)
    typer.echo(f"report: {directory.path / 'report.html'}")


def _schema(name: str) -> None:
    from engine.schema import CREATIVES_FIELDS, SCHEMAS

    if name == "summary":
        lines = [resources.files("engine.report").joinpath("summary.schema.json").read_text(encoding="utf-8").rstrip()]
    elif name == "creatives":
        lines = [f"{field}: {kind}" for field, kind in CREATIVES_FIELDS.items()]
    elif name in SCHEMAS:
        lines = [f"{field.name}: {field.type}{'' if field.nullable else ' not null'}" for field in SCHEMAS[name]]
    else:
        raise UsageError(f"schema: unknown name {name}{did_you_mean(name, ['creatives', 'summary', *SCHEMAS])}")
    typer.echo("\n".join(lines))


def _print_counts(finished: Finished) -> None:
    counts, scored = finished.creatives.counts, finished.scored
    parts = ("kept", "warm_up", "outside_period", "quarantined", "duplicates_dropped")
    shares = " + ".join(
        f"{counts[part]:,} {part.replace('_', ' ')}" for part in parts if counts[part] or part == "kept"
    )
    typer.echo(f"read {counts['read']:,} = {shares}")
    if scored.contents:
        asked, now = (
            ", ".join(f"{name} {count:,}" for name, count in counts.items())
            for counts in (scored.contents, scored.scored_now)
        )
        typer.echo(f"contents: {asked}; scored now: {now}")


def _summary(directory: Path) -> dict[str, Any]:
    import json

    summary: dict[str, Any] = json.loads((directory / "summary.json").read_text())
    return summary | {"run": directory.name}
