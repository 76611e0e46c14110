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
PREPROCESSOR = "preprocessor_config.json"
PROCESSOR = "processor_config.json"
_PICKLES = {".bin", ".ckpt", ".h5", ".joblib", ".msgpack", ".pickle", ".pkl", ".pt", ".pth"}
_TEXTS = "ForSequenceClassification"
_IMAGES = ("ForImageClassification", "ForImageClassificationWithTeacher")


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


def unsafe_settings(folder: Path, settings: Mapping[str, dict[str, Any]]) -> Iterator[str]:
    """Yield settings that would bring in code or weights from elsewhere. settings : JSON files by name."""
    for name, values in settings.items():
        nested = (value for value in values.values() if isinstance(value, dict))
        if any("auto_map" in each for each in (values, *nested)):
            yield f"{folder}: {name} has auto_map, which asks for its own code; use a model that needs none"
    for key in ("quantization_config", "transformers_weights"):
        if settings[CONFIG].get(key) is not None:
            yield f"{folder}: {CONFIG} has {key}; save the plain weights as {WEIGHTS}"


def reads_images(config: Mapping[str, Any]) -> bool:
    """Say whether the architecture is one of images; what is neither of images nor of texts is a fault below."""
    return _named(config).endswith(_IMAGES)


def wrong_architecture(folder: Path, config: dict[str, Any]) -> Iterator[str]:
    """Yield why the model gives no scores of texts or images."""
    if not _named(config).endswith((_TEXTS, *_IMAGES)):
        named = json.dumps(config.get("architectures"))
        yield f"{folder}: {CONFIG} has architectures {named}; use one model …{_TEXTS} or …{_IMAGES[0]}"
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


def _named(config: Mapping[str, Any]) -> str:
    """Return the one architecture that config.json names, empty where it names none or several."""
    named = config.get("architectures")
    return str(named[0]) if isinstance(named, list) and len(named) == 1 else ""
