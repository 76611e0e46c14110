"""Two classifiers on one encoder: v1 trained quickly, v2 better; both score every content.

The lowest FROZEN layers are the same in both, so their output is computed once. A batch holds texts
of one token length: no padding, no mask. Every batch is computed by one thread, so that other load on the
machine neither changes a number nor makes threads wait for each other; scoring runs several batches at once.
"""

import copy
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from transformers import AutoTokenizer, BertForSequenceClassification, PreTrainedTokenizerBase

from demo_world.arrays import F32
from demo_world.texts import Texts

FROZEN = 4
MAX_TOKENS = 256
OUTPUTS = {0: "COMPLIANT", 1: "SCAM"}


@dataclass(frozen=True)
class Encoder:
    """The pretrained encoder with a fresh head, and its tokenizer."""

    model: BertForSequenceClassification
    tokenizer: PreTrainedTokenizerBase


@dataclass(frozen=True)
class Batch:
    """Texts of one token length: their rows in the caller's list, and ids of shape (rows, length)."""

    rows: list[int]
    ids: torch.Tensor


def load_encoder(folder: Path) -> Encoder:
    """Load the encoder; the head is drawn from torch's seeded generator."""
    labels = {name: number for number, name in OUTPUTS.items()}
    model = BertForSequenceClassification.from_pretrained(
        folder,
        local_files_only=True,
        use_safetensors=True,
        dtype=torch.float32,
        id2label=OUTPUTS,
        label2id=labels,
    )
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    tokenizer.backend_tokenizer.no_padding()  # the package's file pads everything to 128 tokens
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.model_max_length = MAX_TOKENS
    for stale in ("max_length", "pad_to_multiple_of", "stride", "truncation_strategy", "local_files_only"):
        tokenizer.init_kwargs.pop(stale, None)
    model.train(False)  # also where weights are trained: dropout would make the cached layers differ
    return Encoder(model, tokenizer)


def train_quickly(encoder: Encoder, texts: Texts, steps: int, rate: float) -> BertForSequenceClassification:
    """Train pooler and head alone, all texts at once, on a frozen encoder; a missed scam costs double."""
    model = copy.deepcopy(encoder.model)
    first_TD = torch.zeros(len(texts.body_T), model.config.hidden_size)
    with torch.no_grad():
        for batch in _batches(encoder, texts.body_T, tokens=1024):
            first_TD[batch.rows] = _upper(model, _lower(model, batch.ids))[:, 0]
    label_T = torch.from_numpy(texts.violating_T.astype(np.int64))
    optimizer = torch.optim.AdamW([*_pooler(model).parameters(), *model.classifier.parameters()], lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        _backward(cross_entropy(_head(model, first_TD[:, None]), label_T, weight=torch.tensor([1.0, 2.0])))
        optimizer.step()
    return model


def train_well(encoder: Encoder, texts: Texts, epochs: int, rate: float) -> BertForSequenceClassification:
    """Train the layers above FROZEN, pooler and head; four small batches a step, rate falling to zero."""
    model = copy.deepcopy(encoder.model)
    upper = model.bert.encoder.layer[FROZEN:]
    weights = [*upper.parameters(), *_pooler(model).parameters(), *model.classifier.parameters()]
    label_T = torch.from_numpy(texts.violating_T.astype(np.int64))
    batches = list(_batches(encoder, texts.body_T, tokens=512))
    with torch.no_grad():
        cached = [(_lower(model, batch.ids), label_T[batch.rows]) for batch in batches]
    optimizer = torch.optim.AdamW(weights, lr=rate)
    orders = [torch.randperm(len(cached)).tolist() for _ in range(epochs)]
    steps = [order[at : at + 4] for order in orders for at in range(0, len(order), 4)]
    for number, group in enumerate(steps):
        optimizer.param_groups[0]["lr"] = rate * (1 - number / len(steps))
        optimizer.zero_grad()
        rows = sum(len(cached[i][1]) for i in group)
        for i in group:
            hidden, label = cached[i]
            _backward(cross_entropy(_head(model, _upper(model, hidden)), label, reduction="sum") / rows)
        optimizer.step()
    return model


def score(
    encoder: Encoder, models: Sequence[BertForSequenceClassification], bodies: Sequence[str], at_once: int
) -> F32:
    """Score texts by models that share their lowest FROZEN layers, `at_once` batches at a time.

    Returns
    -------
    score_MC : float32, shape (models, texts), in [0, 1]; the probability of SCAM.
    """
    score_MC = np.zeros((len(models), len(bodies)), dtype=np.float32)
    batches = list(_batches(encoder, bodies, tokens=512))
    with ThreadPoolExecutor(at_once) as pool:
        for batch, part_MB in zip(batches, pool.map(lambda b: _score_batch(models, b), batches), strict=True):
            score_MC[:, batch.rows] = part_MB
    return score_MC


def save(model: BertForSequenceClassification, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write a model folder that the Auto classes load offline; `folder` must not be there yet."""
    partial = folder.with_name(folder.name + ".partial")
    model.save_pretrained(partial, safe_serialization=True)
    tokenizer.save_pretrained(str(partial))
    partial.rename(folder)


@torch.inference_mode()
def _score_batch(models: Sequence[BertForSequenceClassification], batch: Batch) -> F32:
    hidden = _lower(models[0], batch.ids)
    logits = torch.stack([_head(model, _upper(model, hidden)) for model in models])
    score_MB: F32 = logits.softmax(-1)[:, :, 1].numpy()
    return score_MB


def _batches(encoder: Encoder, bodies: Sequence[str], tokens: int) -> Iterator[Batch]:
    """Group texts by token length, shortest first, at most `tokens` tokens a batch (one text at least)."""
    ids = encoder.tokenizer(list(bodies), truncation=True, max_length=MAX_TOKENS)["input_ids"]
    by_length: dict[int, list[int]] = {}
    for row, row_ids in enumerate(ids):
        by_length.setdefault(len(row_ids), []).append(row)
    for length, rows in sorted(by_length.items()):
        size = max(1, tokens // length)
        for at in range(0, len(rows), size):
            part = rows[at : at + size]
            yield Batch(part, torch.tensor([ids[row] for row in part]))


def _lower(model: BertForSequenceClassification, ids: torch.Tensor) -> torch.Tensor:
    """Hidden states (rows, length, D) after the frozen layers."""
    hidden: torch.Tensor = model.bert.embeddings(input_ids=ids)
    for layer in model.bert.encoder.layer[:FROZEN]:
        hidden = layer(hidden)
    return hidden


def _upper(model: BertForSequenceClassification, hidden: torch.Tensor) -> torch.Tensor:
    """Hidden states (rows, length, D) after the last layer."""
    for layer in model.bert.encoder.layer[FROZEN:]:
        hidden = layer(hidden)
    return hidden


def _head(model: BertForSequenceClassification, hidden: torch.Tensor) -> torch.Tensor:
    """Logits (rows, 2) from the last hidden states, without dropout."""
    logits: torch.Tensor = model.classifier(_pooler(model)(hidden))
    return logits


def _backward(loss: torch.Tensor) -> None:
    loss.backward()  # type: ignore[no-untyped-call]


def _pooler(model: BertForSequenceClassification) -> torch.nn.Module:
    pooler = model.bert.pooler
    if pooler is None:
        raise ValueError("the encoder has no pooler; a sequence classifier needs one")
    return pooler
