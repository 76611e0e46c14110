"""Reasons to refuse a model folder, one line each: the folder, the file, the value, what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from engine.errors import did_you_mean
from engine.score.weights import WEIGHTS

CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
_PICKLES = {".bin", ".ckpt", ".h5", ".joblib", ".msgpack", ".pickle", ".pkl", ".pt", ".pth"}
_ARCHITECTURE = "ForSequenceClassification"


def unsafe_files(folder: Path) -> Iterator[str]:
    """Yield every file that may run code when it is loaded, or that belongs to another kind of folder."""
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder)
        if file.suffix.lower() in _PICKLES:
            yield f"{folder}: {name} may hold pickled code; remove it, only safetensors are read"
        if file.suffix.lower() == ".py":
            yield f"{folder}: {name} is code, which the engine never runs; use a model that needs none"
    if (folder / "adapter_config.json").is_file():
        yield f"{folder}: adapter_config.json makes it an adapter of another model; save the merged model"


def unsafe_settings(folder: Path, config: dict[str, Any], settings: dict[str, Any]) -> Iterator[str]:
    """Yield settings that would bring in code or weights from elsewhere."""
    for name, values in ((CONFIG, config), (TOKENIZER_CONFIG, settings)):
        if "auto_map" in values:
            yield f"{folder}: {name} has auto_map, which asks for its own code; use a model that needs none"
    for key in ("quantization_config", "transformers_weights"):
        if config.get(key) is not None:
            yield f"{folder}: {CONFIG} has {key}; save the plain weights as {WEIGHTS}"


def wrong_architecture(folder: Path, config: dict[str, Any]) -> Iterator[str]:
    """Yield why the model gives no scores of texts."""
    named = config.get("architectures")
    known = isinstance(named, list) and len(named) == 1 and str(named[0]).endswith(_ARCHITECTURE)
    if not known:
        yield f"{folder}: {CONFIG} has architectures {json.dumps(named)}; use one model …{_ARCHITECTURE}"
    if config.get("problem_type") == "regression":
        yield f"{folder}: {CONFIG} has problem_type regression: outputs outside [0, 1]; use a classifier"


def wrong_outputs(folder: Path, outputs: Mapping[str, str], labels: tuple[str, ...]) -> Iterator[str]:
    """Yield each output whose label the model lacks, or has twice."""
    for policy, label in outputs.items():
        if label not in labels:
            hint = did_you_mean(label, labels)
            yield f'{folder}: outputs.{policy}: the model has no label "{label}"{hint}'
        elif labels.count(label) > 1:
            yield f'{folder}: outputs.{policy}: several labels are named "{label}"; rename them in id2label'


def wrong_sizes(
    folder: Path, vocabulary: int, embedding: int, wanted: int | None, positions: int | None
) -> Iterator[str]:
    """Yield sizes that do not fit together. embedding : rows, 0 where config.json does not say."""
    if embedding and vocabulary > embedding:
        yield (
            f"{folder}: {TOKENIZER} has token ids up to {vocabulary - 1}, {CONFIG} vocab_size {embedding}; "
            "use the tokenizer that the model was trained with"
        )
    if wanted is not None and positions is not None and wanted > positions:
        yield f"{folder}: max_length {wanted} is above the {positions} positions of the model; lower it"
