"""A small world on disk: text creatives, labels, an audit, the truth, and tiny real models. Made up, from a seed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

WORDS = (
    "win",
    "free",
    "prize",
    "cash",
    "hello",
    "meeting",
    "lunch",
    "shoes",
    "sale",
    "today",
    "claim",
    "now",
    "friend",
)
SCAMMY = 5  # the first words are those of scams
SIZE = 600
START = datetime(2026, 1, 1, tzinfo=UTC)


def write_lake(folder: Path, seed: int = 1, size: int = SIZE) -> None:
    """Write creatives (three files), labels, audits and truth below a folder."""
    generator = np.random.default_rng(seed)
    texts, violating = _texts(generator, size // 6)
    content = generator.integers(0, len(texts), size)
    y = violating[content]
    logged = np.clip(0.5 * y + generator.normal(0.25, 0.2, size), 0, 1).astype(np.float32)
    decision = np.where(logged >= 0.8, "rejected", np.where(logged >= 0.5, "queued", "approved"))
    final = np.where(
        (decision == "queued") & (y == 1), "rejected", np.where(decision == "rejected", "rejected", "approved")
    )
    delivered = final == "approved"
    impressions = np.rint(np.exp(generator.normal(5, 1, size))).astype(np.int64)
    table = pa.table(
        {
            "creative_id": [f"c{i:05d}" for i in range(size)],
            "advertiser_id": [f"a{i}" for i in generator.zipf(1.6, size) % 60],
            "submitted_at": pa.array(
                [START + timedelta(minutes=60 * i) for i in range(size)], pa.timestamp("us", "UTC")
            ),
            "title": pa.array([None if i % 17 == 0 else texts[c].split()[0] for i, c in enumerate(content)]),
            "body": [texts[c] for c in content],
            "impressions": pa.array(impressions, mask=~delivered),
            "spend": pa.array(np.round(impressions / 100, 2), mask=~delivered),
            "region": pa.array(generator.choice(["US", "DE", "IN"], size)),
            "decision": decision,
            "final": final,
            "old_score": logged,
        }
    )
    (folder / "creatives").mkdir(parents=True)
    for part in range(3):
        piece = table.slice(part * size // 3, size // 3)
        pq.write_table(piece, folder / "creatives" / f"part-{part}.parquet", row_group_size=50)
    write_audit(folder, table["creative_id"].to_pylist(), logged, y, seed)


def write_audit(folder: Path, ids: list[str], logged: np.ndarray, y: np.ndarray, seed: int) -> None:
    """Draw a stratified audit and write labels, audits, frame and truth."""
    generator = np.random.default_rng([seed, 1])
    stratum = np.where(logged >= 0.5, "high", "low")
    rows, audits, pi = [], [], np.zeros(len(ids))
    for name, share in (("low", 0.3), ("high", 0.7)):
        members = np.flatnonzero(stratum == name)
        count = round(share * len(members))
        drawn = generator.choice(members, count, replace=False)
        pi[members] = count / len(members)
        audits.append({"audit_id": "a1", "stratum": name, "frame": "all", "frame_path": str(folder / "frame.parquet"),
                       "method": "srs", "population_size": len(members), "sample_size": count})  # fmt: skip
        for i in drawn:
            label = None if generator.random() < 0.02 else _label(y[i])
            rows.append({"creative_id": ids[i], "policy": "scam", "label": label, "source": "audit", "audit_id": "a1",
                         "stratum": name, "inclusion_probability": pi[i], "known_at": START})  # fmt: skip
    rows += [
        {"creative_id": ids[i], "policy": "scam", "label": _label(y[i]), "source": "review", "known_at": START}
        for i in np.flatnonzero(logged >= 0.5)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=_LABELS), folder / "labels.parquet")
    pq.write_table(pa.Table.from_pylist(audits), folder / "audits.parquet")
    pq.write_table(
        pa.table({"creative_id": ids, "stratum": stratum, "inclusion_probability": pi}), folder / "frame.parquet"
    )
    truth = {"creative_id": ids, "policy": ["scam"] * len(ids), "label": [_label(v) for v in y]}
    pq.write_table(pa.table(truth), folder / "truth.parquet")


def write_models(folder: Path) -> None:
    """Write two tiny BERT classifiers, random but real, that share a tokenizer."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    vocabulary = {word: i for i, word in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=64,
    )
    for seed, name in ((1, "m1"), (2, "m2")):
        torch.manual_seed(seed)
        config = BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=64,
            initializer_range=0.4,
            id2label={0: "FINE", 1: "SCAM"},
            label2id={"FINE": 0, "SCAM": 1},
        )
        BertForSequenceClassification(config).save_pretrained(folder / name)
        fast.save_pretrained(folder / name)


def config_tree(lake: Path, runs: Path, models: Path | None = None, **sections: Any) -> dict[str, Any]:
    """Return a config over the lake as plain values: brought scores, or the tiny models where given."""
    tree: dict[str, Any] = {
        "run": "r",
        "period": {"warm_up_from": "2026-01-01", "from": "2026-01-03", "until": "2026-01-25"},
        "creatives": {
            "path": str(lake / "creatives"),
            "columns": {"text": ["title", "body"], "impressions": "impressions", "spend": "spend",
                        "logged_decision": "decision", "logged_final": "final"},
            "attributes": ["region"],
            "decisions": {"approved": "APPROVE", "queued": "REVIEW", "rejected": "REJECT"},
        },
        "labels": {"path": str(lake / "labels.parquet")},
        "audits": {"path": str(lake / "audits.parquet")},
        "policies": ["scam"],
        "strategies": {
            "live": {
                "rules": [{"when": "v1.scam >= 0.8", "then": "reject"}, {"when": "v1.scam >= 0.5", "then": "review"}],
                "otherwise": "approve",
                "review": {"sensitivity": 0.9, "specificity": 0.95},
            },
        },
        "exposure": {"refused": "segment_median"},
        "limits": {"shard_rows": 100},
        "store": {"path": str(runs)},
        "report": {"html": False},
    }  # fmt: skip
    if models is None:
        tree["scores"] = {"v1": {"creatives": {"scam": "old_score"}}}
        tree["strategies"]["strict"] = {"like": "live", "rules": [{"when": "v1.scam >= 0.6", "then": "reject"}]}
        tree["compare"] = {"baseline": "live", "candidate": "strict"}
    else:
        tree["models"] = {
            name: {"path": str(models / folder), "outputs": {"scam": "SCAM"}}
            for name, folder in (("v1", "m1"), ("v2", "m2"))
        }
        tree["strategies"]["candidate"] = {"like": "live", "replace": {"v1": "v2"}}
        tree["compare"] = {"baseline": "live", "candidate": "candidate"}
    return tree | sections


def _texts(generator: np.random.Generator, count: int) -> tuple[list[str], np.ndarray]:
    violating = generator.random(count) < 0.3
    texts = []
    for bad in violating:
        words = WORDS[:SCAMMY] if bad else WORDS[SCAMMY:]
        texts.append(" ".join(generator.choice(words, int(generator.integers(3, 20)))))
    return texts, violating.astype(np.int64)


def _label(y: int) -> str:
    return "VIOLATING" if y else "COMPLIANT"


_LABELS = pa.schema(
    [
        ("creative_id", pa.string()),
        ("policy", pa.string()),
        ("label", pa.string()),
        ("source", pa.string()),
        ("audit_id", pa.string()),
        ("stratum", pa.string()),
        ("inclusion_probability", pa.float64()),
        ("known_at", pa.timestamp("us", "UTC")),
        ("reviewer_id", pa.string()),
    ]
)
