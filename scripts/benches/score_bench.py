"""Our scorer beside the Hugging Face pipeline, plain eager torch and onnxruntime; then the whole score stage.

Inputs: the demo's distinct contents, made-up texts of the same token lengths, and a Parquet of your own. A bar that
compares with a peer takes the worse of the demo and your own; padding and stage share are those of the made-up texts.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from arithmetic import arithmetic_of
from backtests import Backtests, stage_lines, stage_raw
from graphs import export_graphs
from peers import Model, as_model, load_eager, why_absent
from race import Race, measure_memory, open_all, run_race, table, worst, worst_share
from record import Bar, Bench, at_least, at_most, within
from texts import BLOCK, Texts, as_texts, made_up_texts, open_tokenizer, read_texts
from tokenizers import Tokenizer

from engine.errors import MachineError
from engine.score.device import choose_device

DEMO = Path("data/demo/creatives")
MODEL = Path("data/demo/models/scam-v2")
SYNTHETIC, OWN = "synthetic", "creatives"
DRAWN = f"runs of {BLOCK} neighbours by length, evenly spaced over all lengths"
_TOKENS = {"cpu": 8_000, "cuda": 1_500_000}
_SEED = 7


@dataclass
class Outcome:
    """What was measured so far. bars : those of the whole stage, empty where that part was left out."""

    races: dict[str, Race] = field(default_factory=dict)
    bars: dict[str, float] = field(default_factory=dict)
    raw: dict[str, Any] = field(default_factory=dict)


def measure(arguments: Sequence[str]) -> Bench:
    """Run the parts that are asked for and hold them against the bars.

    Raises
    ------
    SystemExit : no such device, creatives or columns.
    """
    options = _options(arguments)
    try:
        choose_device(options.device)
    except MachineError as error:
        raise SystemExit(str(error)) from None
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # else some would tokenize on more threads than they were given
    model = as_model(options.model, options.device, options.threads)
    tokenizer = open_tokenizer(model.folder)
    outcome = Outcome()
    demo = as_texts("demo", read_texts(options.demo), tokenizer)
    with tempfile.TemporaryDirectory() as folder:
        if options.only != "stage":
            inputs = _inputs(demo, tokenizer, options)
            _race(outcome, model, inputs, options, Path(folder))
        if options.only != "texts":
            _backtest(outcome, Backtests(model, demo, tokenizer, Path(folder)), options)
    return Bench("score", _described(options, outcome), outcome.raw, _bars(outcome, model), [""])


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench score", description=__doc__)
    parser.add_argument("--creatives", type=Path, help="Parquet with text columns title, body, or one of them")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--contents", type=int, help="contents of each input in a round (default: by tokens)")
    parser.add_argument("--tokens", type=int, help=f"tokens of each input in a round, about (default: {_TOKENS})")
    parser.add_argument("--only", choices=("texts", "stage"), help="one of the two parts")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of every contestant (default: all)")
    parser.add_argument("--synthetic", type=int, default=20_000, help="made-up contents")
    parser.add_argument("--shards", type=int, default=10)
    parser.add_argument("--shard-seconds", type=float, default=10.0)
    parser.add_argument("--demo", type=Path, default=DEMO, help=f"creatives whose lengths are copied ({DEMO})")
    parser.add_argument("--model", type=Path, default=MODEL, help=f"model folder ({MODEL})")
    return parser.parse_args(arguments)


def _inputs(demo: Texts, tokenizer: Tokenizer, options: argparse.Namespace) -> list[Texts]:
    inputs = [demo, made_up_texts(SYNTHETIC, tokenizer, demo.length_U, options.synthetic, _SEED)]
    if options.creatives:
        inputs.append(as_texts(OWN, read_texts(options.creatives), tokenizer))
    return inputs


def _race(outcome: Outcome, model: Model, inputs: Sequence[Texts], options: argparse.Namespace, folder: Path) -> None:
    if not why_absent("onnxruntime", model):
        export_graphs(model, folder)
    arithmetic = arithmetic_of(load_eager(model))
    contestants = open_all(model, folder)
    for texts in inputs:
        tokens = options.tokens or _TOKENS[model.device]
        count = options.contents or max(4 * BLOCK, round(tokens * len(texts) / texts.tokens))
        race = run_race(contestants, model, arithmetic, texts, count, options.rounds)
        if texts.name != SYNTHETIC:
            measure_memory(race, model, folder, folder)
        outcome.races[texts.name] = race
        outcome.raw[texts.name] = race.raw()
        _show(table(race, model))


def _backtest(outcome: Outcome, backtests: Backtests, options: argparse.Namespace) -> None:
    rows = backtests.rows_for(options.shard_seconds)
    shares = backtests.shares(options.shards, rows)
    duplicates = backtests.duplicates(max(8, rows // 2))
    sequence = backtests.sequence(max(8, rows // 4))
    outcome.bars = {f"stage_share.{where}": shares.share(where) for where in shares.stages} | {"once": sequence.once}
    _show(stage_lines(shares, duplicates, sequence))
    outcome.raw["stage"] = stage_raw(shares, duplicates, sequence)


def _show(lines: Sequence[str]) -> None:
    """Print at once: the whole bench takes minutes."""
    print("\n".join(lines), flush=True)


def _bars(outcome: Outcome, model: Model) -> list[Bar]:
    """The bars against peers speak of a CPU; on a GPU they are not measured, the table has the figures."""
    real = {name: race for name, race in outcome.races.items() if name != SYNTHETIC and model.device == "cpu"}
    synthetic = outcome.races.get(SYNTHETIC)
    bars = outcome.bars
    return [
        at_least("score.vs_pipeline", worst(real, "pipeline"), 3.5),
        at_least("score.vs_onnxruntime", worst(real, "onnxruntime"), 1.2),
        at_least("score.gemm_share", worst_share(real), 0.85),
        at_most("score.padding", synthetic.padding if synthetic else None, 0.06),
        at_least("score.stage_share.local", bars.get("stage_share.local"), 0.9),
        at_least("score.stage_share.ray", bars.get("stage_share.ray"), 0.9),
        within("score.once", bars.get("once"), 1, 1),
    ]


def _described(options: argparse.Namespace, outcome: Outcome) -> dict[str, Any]:
    inputs = {
        name: {
            "distinct_contents": len(race.texts),
            "tokens": race.texts.tokens,
            "in_a_round": {"contents": len(race.part), "tokens": race.part.tokens, "drawn": DRAWN},
        }
        for name, race in outcome.races.items()
    }
    return {name: str(value) for name, value in vars(options).items() if value is not None} | {"inputs": inputs}
