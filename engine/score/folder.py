"""A model folder before anything loads it: what it holds, and what of it is refused.

A folder is of texts (…ForSequenceClassification, with a tokenizer) or of images (…ForImageClassification, with a
preprocessor): `kind` says which, and no other place asks for the architecture.

Reads JSON and safetensors headers only: neither torch nor transformers is imported, nothing in it runs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from blake3 import blake3

from engine.errors import DataError
from engine.score.faults import (
    CONFIG,
    PREPROCESSOR,
    PROCESSOR,
    TOKENIZER,
    TOKENIZER_CONFIG,
    reads_images,
    unsafe_files,
    unsafe_settings,
    wrong_architecture,
    wrong_outputs,
    wrong_sizes,
)
from engine.score.lengths import read_lengths, read_vocabulary, whole_number
from engine.score.weights import WEIGHTS, has_head, read_shapes, weight_files

_TOKENIZER_FILES = (
    TOKENIZER,
    TOKENIZER_CONFIG,
    *("special_tokens_map.json", "added_tokens.json", "vocab.txt", "vocab.json", "merges.txt"),
    *("spiece.model", "sentencepiece.bpe.model", "tokenizer.model"),
)
_IMAGE_FILES = (PREPROCESSOR, PROCESSOR)

Activation = Literal["softmax", "sigmoid"]
Kind = Literal["text", "image"]


@dataclass(frozen=True)
class ModelFolder:
    """What the files of a folder say; every check of this file has passed.

    kind : what it reads.
    labels : the model's own names, in output order. outputs : (policy, position in labels), in config order.
    activation : sigmoid where each label is judged apart (multi-label, or a single one), else softmax.
    vocabulary : token ids in tokenizer.json; load compares it with the embedding once more. Images: 0.
    max_length : tokens, special ones included; longer texts are cut. Images: 0.
    files : (name, blake3 hex) of everything that decides a score; tokenizer_files : what decides tokens.
    """

    path: Path
    kind: Kind
    architecture: str
    labels: tuple[str, ...]
    outputs: tuple[tuple[str, int], ...]
    activation: Activation
    vocabulary: int
    max_length: int
    files: tuple[tuple[str, str], ...]

    @property
    def policies(self) -> tuple[str, ...]:
        return tuple(policy for policy, _ in self.outputs)

    @property
    def tokenizer_files(self) -> tuple[tuple[str, str], ...]:
        """Two folders with equal ones, an equal max_length and an equal separator make equal tokens."""
        return tuple(file for file in self.files if file[0] in _TOKENIZER_FILES)


def inspect_folder(path: Path, outputs: Mapping[str, str], max_length: int | None = None) -> ModelFolder:
    """Read the facts of a model folder, or refuse it.

    Parameters
    ----------
    outputs : the model's label by policy, such as {"scam": "LABEL_1"}.
    max_length : tokens; default the tokenizer's limit or the model's positions, the smaller.

    Raises
    ------
    DataError : every reason to refuse the folder that could be found, one line each.
    """
    if not path.is_dir():
        raise DataError(f"{path}: no such model folder; name a folder with {CONFIG} and {WEIGHTS}")
    config = _read_json(path, CONFIG)
    labels = _labels(path, config)
    images = reads_images(config)
    facts, more = _inspect_images(path, max_length) if images else _inspect_texts(path, config, max_length)
    faults = [
        *unsafe_files(path),
        *unsafe_settings(path, {CONFIG: config, **facts.settings}),
        *wrong_architecture(path, config),
        *wrong_outputs(path, outputs, labels),
        *more,
    ]
    if faults:
        raise DataError(*faults)
    weights = _trained_weights(path, len(labels))
    return ModelFolder(
        path=path,
        kind=facts.kind,
        architecture=str(config["architectures"][0]),
        labels=labels,
        outputs=tuple((policy, labels.index(label)) for policy, label in outputs.items()),
        activation=_activation(config, labels),
        vocabulary=facts.vocabulary,
        max_length=facts.max_length,
        files=tuple((file.name, _hash_file(file)) for file in (path / CONFIG, *facts.files, *weights)),
    )


def refuse_changed(folder: ModelFolder) -> None:
    """Check that a folder still is what was inspected, perhaps on another machine.

    Raises
    ------
    DataError : a file is gone or has another hash, so the fingerprint would be a lie.
    """
    for name, digest in folder.files:
        file = folder.path / name
        if not file.is_file() or _hash_file(file) != digest:
            raise DataError(f"{folder.path}: {name} is not what it was when the run began; restore it")


@dataclass(frozen=True)
class _Facts:
    """What only one kind of folder has. settings : JSON files by name; files : those that decide a score."""

    kind: Kind
    settings: Mapping[str, dict[str, Any]]
    files: tuple[Path, ...]
    vocabulary: int = 0
    max_length: int = 0


def _inspect_texts(path: Path, config: dict[str, Any], max_length: int | None) -> tuple[_Facts, list[str]]:
    tokenizer = _read_json(path, TOKENIZER)
    settings = _read_json(path, TOKENIZER_CONFIG) if (path / TOKENIZER_CONFIG).is_file() else {}
    vocabulary, embedding = read_vocabulary(path, tokenizer), whole_number(config, "vocab_size")
    lengths = read_lengths(config, settings)
    faults = list(wrong_sizes(path, vocabulary, embedding, max_length, lengths.positions))
    files = _present(path, _TOKENIZER_FILES)
    return _Facts("text", {TOKENIZER_CONFIG: settings}, files, vocabulary, max_length or lengths.default), faults


def _inspect_images(path: Path, max_length: int | None) -> tuple[_Facts, list[str]]:
    """processor_config.json, where there is one, may hold a preprocessor that goes before preprocessor_config.json."""
    settings = {PREPROCESSOR: _read_json(path, PREPROCESSOR)}
    if (path / PROCESSOR).is_file():
        settings[PROCESSOR] = _read_json(path, PROCESSOR)
    faults = [f"{path}: max_length {max_length} is for texts, the model reads images; remove it"] if max_length else []
    return _Facts("image", settings, _present(path, _IMAGE_FILES)), faults


def _present(path: Path, names: tuple[str, ...]) -> tuple[Path, ...]:
    return tuple(path / name for name in names if (path / name).is_file())


def _read_json(folder: Path, name: str) -> dict[str, Any]:
    if not (folder / name).is_file():
        raise DataError(
            f"{folder}: {name} is missing; save model and tokenizer, or preprocessor, with save_pretrained()"
        )
    try:
        value = json.loads((folder / name).read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{folder}: {name} is no JSON ({type(error).__name__}); copy it again") from error
    if not isinstance(value, dict):
        raise DataError(f"{folder}: {name} holds no JSON object; copy it again")
    return value


def _trained_weights(folder: Path, labels: int) -> tuple[Path, ...]:
    files = weight_files(folder)
    if not has_head(read_shapes(files), labels):
        raise DataError(
            f"{folder}: {files[0].name} holds no classification head of {labels} rows, one per label; its "
            "scores would be random: name the folder of the trained classifier"
        )
    return files


def _labels(folder: Path, config: dict[str, Any]) -> tuple[str, ...]:
    """Return the labels by position; transformers leaves out id2label where it is LABEL_0, LABEL_1."""
    named = config.get("id2label")
    if not isinstance(named, dict) or not named:
        return tuple(f"LABEL_{i}" for i in range(whole_number(config, "num_labels") or 2))
    by_position = {int(key): str(label) for key, label in named.items() if str(key).isdecimal()}
    if sorted(by_position) != list(range(len(named))):
        raise DataError(f"{folder}: {CONFIG} has id2label with keys {', '.join(named)}; number them from 0")
    return tuple(by_position[i] for i in range(len(named)))


def _activation(config: dict[str, Any], labels: tuple[str, ...]) -> Activation:
    """Choose as the text-classification pipeline of transformers does."""
    apart = config.get("problem_type") == "multi_label_classification" or len(labels) == 1
    return "sigmoid" if apart else "softmax"


def _hash_file(file: Path) -> str:
    """Hash a file without holding it in memory."""
    return str(blake3(max_threads=1).update_mmap(file).hexdigest())
