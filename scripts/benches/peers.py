"""The contestants, each in the ways it may choose from: Hugging Face pipeline, plain eager torch, onnxruntime, ours.

`int8` is ours with layers in int8, beside the others to show what that gains and how far its scores drift.

All read the same texts with the same tokenizer file, on the same threads; tokenizing is part of what is timed.
Limit: models with a pad token, cut on the right.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from texts import Texts, open_tokenizer

from engine.records import F32, I64, Contents
from engine.score.folder import ModelFolder, inspect_folder

Name = Literal["pipeline", "eager", "onnxruntime", "ours", "int8"]
DeviceName = Literal["cpu", "cuda"]
EAGER_BATCHES: Mapping[DeviceName, tuple[int, ...]] = {"cpu": (8, 16, 32), "cuda": (32, 128, 512)}
PIPELINE_BATCHES = (1, 8, 32)
GRAPHS = ("exported", "fused")


@dataclass(frozen=True)
class Model:
    """A model folder with a policy for each of its labels, and where it runs."""

    folder: ModelFolder
    device: DeviceName
    threads: int


@dataclass(frozen=True)
class Variant:
    """One way to run a contestant. batch : texts in a forward pass, 0 where it plans them itself.

    score : texts → float32, shape (U, K), by label in the model's order.
    """

    label: str
    batch: int
    ordered: bool
    score: Callable[[Texts], F32]


def as_model(path: Path, device: DeviceName, threads: int) -> Model:
    """Inspect a folder with one policy, p0, p1 ..., per label."""
    named = json.loads((path / "config.json").read_bytes()).get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}
    return Model(inspect_folder(path, {f"p{i}": named[str(i)] for i in range(len(named))}), device, threads)


def open_contestant(name: Name, model: Model, graphs: Path) -> list[Variant]:
    """Load a contestant. graphs : folder for the ONNX graphs, which `export_graphs` has written.

    An empty list: it cannot take part here (see `why_absent`).
    """
    if why_absent(name, model):
        return []
    if name == "pipeline":
        return _pipeline(model)
    if name == "eager":
        return _eager(model)
    if name == "onnxruntime":
        return _onnxruntime(model, graphs)
    return [_ours(model, "int8" if name == "int8" else "float32")]


def why_absent(name: Name, model: Model) -> str:
    """Say why a contestant does not take part; empty where it does."""
    if name == "int8":
        return _why_no_int8(model)
    if name != "onnxruntime":
        return ""
    if model.device == "cuda":
        return "skipped: its CPU build is what the extra installs"
    missing = [package for package in ("onnx", "onnxruntime") if importlib.util.find_spec(package) is None]
    return f"skipped: {' and '.join(missing)} not installed (extra bench)" if missing else ""


def _why_no_int8(model: Model) -> str:
    from engine.score.encoder import FAMILIES
    from engine.score.quantized import why_no_int8

    if model.device == "cuda":
        return "skipped: it has no path on a GPU"
    if model.folder.architecture not in FAMILIES:
        return f"skipped: {model.folder.architecture} has no path in int8"
    reason = why_no_int8()
    return f"skipped: {reason}" if reason else ""


def plan(length_U: I64, batch: int, ordered: bool) -> list[I64]:
    """Cut texts, longest first where `ordered`, into batches of `batch`."""
    order_U = np.argsort(-length_U, kind="stable") if ordered else np.arange(len(length_U))
    return [order_U[first : first + batch] for first in range(0, len(order_U), batch)]


def padding(length_U: I64, batch: int, ordered: bool) -> float:
    """Return computed tokens over real tokens − 1 where a batch is padded to its longest text."""
    computed = sum(int(length_U[index].max()) * len(index) for index in plan(length_U, batch, ordered))
    return computed / int(length_U.sum()) - 1


def load_eager(model: Model, attention: str = "sdpa") -> Any:
    """Load the model as transformers gives it, in float32, on the device."""
    import torch
    from transformers import AutoModelForSequenceClassification

    _be_quiet()
    torch.set_num_threads(model.threads)
    loaded = AutoModelForSequenceClassification.from_pretrained(
        model.folder.path, local_files_only=True, dtype=torch.float32, attn_implementation=attention
    )
    return loaded.eval().to(model.device)


def _ours(model: Model, dtype: Literal["float32", "int8"]) -> Variant:
    from engine.score.open import open_scorer
    from engine.score.opening import Opening

    scorer = open_scorer(Opening(model.folder, device=model.device, threads=model.threads, dtype=dtype))
    return Variant("", 0, True, lambda texts: scorer.score(Contents(tuple((text,) for text in texts.texts))))


def _pipeline(model: Model) -> list[Variant]:
    import torch
    from transformers import pipeline

    _be_quiet()
    torch.set_num_threads(model.threads)
    path = str(model.folder.path)
    classify: Callable[..., Any] = pipeline(
        "text-classification", model=path, device=model.device, dtype=torch.float32, top_k=None
    )

    def score(texts: Texts, batch: int, ordered: bool) -> F32:
        order_U = np.concatenate(plan(texts.length_U, batch, ordered))
        found = classify(
            [texts.texts[u] for u in order_U], batch_size=batch, truncation=True, max_length=model.folder.max_length
        )
        score_UK = np.empty((len(texts), len(model.folder.labels)), np.float32)
        for u, rows in zip(order_U, found, strict=True):
            by_label = {row["label"]: row["score"] for row in rows}
            score_UK[u] = [by_label[label] for label in model.folder.labels]
        return score_UK

    return [
        Variant(f"batch {batch}{', sorted' if ordered else ''}", batch, ordered, _bound(score, batch, ordered))
        for batch in PIPELINE_BATCHES
        for ordered in ((True, False) if batch > 1 else (False,))
    ]


def _eager(model: Model) -> list[Variant]:
    import torch

    loaded = load_eager(model)

    def run(id_BL: I64, mask_BL: I64) -> F32:
        with torch.inference_mode():
            ids, mask = (torch.from_numpy(array).to(model.device) for array in (id_BL, mask_BL))
            logit_BK: F32 = loaded(input_ids=ids, attention_mask=mask).logits.float().cpu().numpy()
        return logit_BK

    return [_batched(model, run, f"batch {batch}", batch) for batch in EAGER_BATCHES[model.device]]


def _onnxruntime(model: Model, graphs: Path) -> list[Variant]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = model.threads
    options.log_severity_level = 3

    def run_of(graph: str) -> Callable[[I64, I64], F32]:
        session = onnxruntime.InferenceSession(graphs / f"{graph}.onnx", options, providers=["CPUExecutionProvider"])
        return lambda id_BL, mask_BL: session.run(None, {"input_ids": id_BL, "attention_mask": mask_BL})[0]

    runs = {graph: run_of(graph) for graph in GRAPHS if (graphs / f"{graph}.onnx").exists()}
    return [
        _batched(model, run, f"{graph}, batch {batch}", batch)
        for graph, run in runs.items()
        for batch in EAGER_BATCHES[model.device]
    ]


def _batched(model: Model, run: Callable[[I64, I64], F32], label: str, batch: int) -> Variant:
    """Tokenize, sort by length, pad each batch to its longest, run, activate, put back in order."""
    tokenizer, pad = open_tokenizer(model.folder), _pad(model.folder.path)

    def score(texts: Texts) -> F32:
        id_lists = [encoding.ids for encoding in tokenizer.encode_batch_fast(texts.texts)]
        length_U = np.array([len(ids) for ids in id_lists], np.int64)
        score_UK = np.empty((len(texts), len(model.folder.labels)), np.float32)
        for index in plan(length_U, batch, True):
            mask_BL = (np.arange(length_U[index].max()) < length_U[index, None]).astype(np.int64)
            id_BL = np.full(mask_BL.shape, pad, np.int64)
            for row, u in enumerate(index):
                id_BL[row, : length_U[u]] = id_lists[u]
            score_UK[index] = activated(run(id_BL, mask_BL), model.folder.activation)
        return score_UK

    return Variant(label, batch, True, score)


def activated(logit_BK: F32, activation: Literal["softmax", "sigmoid"]) -> F32:
    """Return scores of logits, in float32."""
    if activation == "sigmoid":
        return np.asarray(1 / (1 + np.exp(-logit_BK)), np.float32)
    power = np.exp(logit_BK - logit_BK.max(axis=1, keepdims=True))
    return np.asarray(power / power.sum(axis=1, keepdims=True), np.float32)


def _bound(score: Callable[[Texts, int, bool], F32], batch: int, ordered: bool) -> Callable[[Texts], F32]:
    return lambda texts: score(texts, batch, ordered)


def _pad(path: Path) -> int:
    pad = json.loads((path / "config.json").read_bytes()).get("pad_token_id")
    if pad is None:
        raise SystemExit(f"{path}: config.json has no pad_token_id; this bench compares models that have one")
    return int(pad)


@cache
def _be_quiet() -> None:
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
