"""Make the demo's world below data/demo: two trained classifiers, 40,000 creatives, labels and an audit.

Real: the SMS texts, their labels, the encoder, the training, every score. Simulated: everything around them.
Same seed, same machine: same bytes. A finished folder is left alone.

    python scripts/make_demo_data.py [--out data/demo] [--seed 2026] [--creatives 40000]
"""

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from demo_world import about, advertisers, audit, classifiers, moderation, packages, tables, texts
from demo_world.arrays import F32
from demo_world.creatives import Contents, submit
from demo_world.world import World, creatives_by_month
from transformers import BertForSequenceClassification
from transformers.utils import logging as transformers_logging

VERSION = 1  # of the world: raise it when the same seed should give another one
TABLES = ("labels.parquet", "audits.parquet", "frame.parquet", "truth.parquet")
CHILDREN = ("models", "creatives", *TABLES, "about.json")
TRAINED_TEXTS, TRAINED_BY_V1 = 1_400, 600
STRATA = ("s0", "s1", "s2", "s3", "s4")
BANDS = (0.02, 0.1, 0.5, 0.9)  # of v1's score: s0 lies below the first, s4 from the last on
BAND_SHARE = (0.36, 0.18, 0.26, 0.12, 0.08)
AUDITED_SHARE = 0.1125  # 4,500 labels for 40,000 creatives
FRAME = "all creatives submitted 2026-01-01..2026-03-01"
ROWS_PER_GROUP = 4_000
BATCHES_AT_ONCE = 2


def main() -> None:
    """Make the demo's data, or say that it is already there."""
    asked = _arguments()
    out: Path = asked.out
    identity = {"world": "demo", "version": VERSION, "seed": asked.seed, "creatives": asked.creatives}
    if tables.is_complete(out, identity):
        print(f"{out}: already complete (seed {asked.seed}, {asked.creatives:,} creatives)")
        return
    tables.clear(out, CHILDREN)
    with _told(f"{out}: complete"):
        world = _make(out, asked.seed, asked.creatives)
        _write(world, out, asked.seed)
        tables.mark_complete(out, identity, CHILDREN)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Make the demo's models, creatives, labels and audit.")
    parser.add_argument("--out", type=Path, default=Path("data/demo"))
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--creatives", type=int, default=40_000)
    return parser.parse_args()


def _make(out: Path, seed: int, count: int) -> World:
    """Fetch, train, invent, score and decide; every stage has a generator of its own."""
    carried = out.parent / "packages"
    with _told(f"packages in {carried}"):
        packages.fetch(carried)
    every = texts.read_texts(carried / packages.TEXTS)
    trained, scored = texts.split(every, TRAINED_TEXTS, np.random.default_rng([seed, 1]))
    encoder, models = _train(carried / packages.ENCODER, trained, out / "models", seed)
    with _told(f"scores of {len(scored.body_T):,} texts that no model was trained on"):
        score_MT = classifiers.score(encoder, models, scored.body_T, BATCHES_AT_ONCE)
    actors = advertisers.invent_advertisers(count, np.random.default_rng([seed, 2]))
    with _told(f"{count:,} creatives of {len(actors.size_A):,} advertisers"):
        creatives, contents = submit(actors, scored, score_MT[0], trained, np.random.default_rng([seed, 3]))
    with _told(f"scores of the near-copies among their {len(contents.body_C):,} contents"):
        score_MC = _score_contents(encoder, models, contents, scored, score_MT)
    handling = moderation.moderate(
        score_MC[0, creatives.content_N],
        contents.violating_C[creatives.content_N],
        creatives.submitted_N,
        np.random.default_rng([seed, 4]),
    )
    id_N = np.array([f"c{number:06d}" for number in range(1, count + 1)])
    return World(actors, creatives, contents, score_MC, handling, id_N)


def _train(
    encoder_folder: Path, trained: texts.Texts, out: Path, seed: int
) -> tuple[classifiers.Encoder, list[BertForSequenceClassification]]:
    """Train and save v1 and v2."""
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    torch.set_num_threads(1)  # the order of sums depends on it
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(seed)
    encoder = classifiers.load_encoder(encoder_folder)
    few = texts.Texts(trained.body_T[:TRAINED_BY_V1], trained.violating_T[:TRAINED_BY_V1])
    with _told(f"model v1: pooler and head on a frozen encoder, {len(few.body_T):,} texts"):
        v1 = classifiers.train_quickly(encoder, few, steps=60, rate=1e-3)
    with _told(f"model v2: two layers more, {len(trained.body_T):,} texts"):
        v2 = classifiers.train_well(encoder, trained, epochs=2, rate=3e-4)
    out.mkdir(parents=True)
    for name, model in (("scam-v1", v1), ("scam-v2", v2)):
        classifiers.save(model, encoder.tokenizer, out / name)
    return encoder, [v1, v2]


def _score_contents(
    encoder: classifiers.Encoder,
    models: list[BertForSequenceClassification],
    contents: Contents,
    scored: texts.Texts,
    score_MT: F32,
) -> F32:
    """Score the near-copies; every other content is a text whose scores are known."""
    copies = [body for body, is_copy in zip(contents.body_C, contents.is_copy_C, strict=True) if is_copy]
    place = {body: number for number, body in enumerate([*scored.body_T, *copies])}
    copied_MT = classifiers.score(encoder, models, copies, BATCHES_AT_ONCE)
    return np.concatenate([score_MT, copied_MT], axis=1)[:, [place[body] for body in contents.body_C]]


def _write(world: World, out: Path, seed: int) -> None:
    """Draw the audit, write every table, and tell the figures."""
    violating_N = world.violating_N
    plan = audit.Plan(STRATA, BAND_SHARE, round(AUDITED_SHARE * len(violating_N)))
    stratum_N = np.searchsorted(np.array(BANDS, dtype=np.float32), world.score_MN[0], side="right")
    drawn = audit.draw(plan, stratum_N, violating_N, np.random.default_rng([seed, 5]))
    sources = [
        world.handling.reviews,
        moderation.appeals(world.handling, violating_N, np.random.default_rng([seed, 6])),
        moderation.reports(world.handling, violating_N, np.random.default_rng([seed, 7])),
    ]
    for month, table in creatives_by_month(world, np.random.default_rng([seed, 8])):
        tables.write_table(table, out / "creatives" / f"month={month}" / "part-0.parquet", ROWS_PER_GROUP)
    frame = out / "frame.parquet"
    by_frame = (None,) * len(STRATA)
    tables.write_table(tables.label_table(sources, drawn, world.id_N), out / "labels.parquet")
    tables.write_table(tables.audit_table(drawn, FRAME, frame.as_posix(), by_frame), out / "audits.parquet")
    tables.write_table(tables.frame_table(drawn, world.id_N), frame)
    tables.write_table(tables.truth_table(violating_N, world.id_N), out / "truth.parquet")
    told = about.about(world, drawn, sources)
    tables.write_json(told, out / "about.json")
    print(about.outline(told))


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Print what was done and the seconds that it took."""
    started = time.perf_counter()
    yield
    print(f"{what} ({time.perf_counter() - started:.1f} s)", flush=True)


if __name__ == "__main__":
    main()
