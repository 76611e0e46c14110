"""A model folder before anything loads it: what it holds, what of it is refused, and its fingerprint.

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
    TOKENIZER,
    TOKENIZER_CONFIG,
    unsafe_files,
    unsafe_settings,
    wrong_architecture,
    wrong_outputs,
    wrong_sizes,
)
from engine.score.kernel import KERNEL_VERSION
from engine.score.weights import WEIGHTS, has_head, read_shapes, weight_files

_TOKENIZER_FILES = (
    TOKENIZER,
    TOKENIZER_CONFIG,
    *("special_tokens_map.json", "added_tokens.json", "vocab.txt", "vocab.json", "merges.txt"),
    *("spiece.model", "sentencepiece.bpe.model", "tokenizer.model"),
)
_POSITIONS = ("max_position_embeddings", "n_positions")
# Position 0 of a text is padding_idx + 1 in these, so their tables hold that many positions more than tokens.
_OFFSET_POSITIONS = {"camembert", "data2vec-text", "ibert", "longformer", "mpnet", "roberta", "xlm-roberta"}
_NO_LIMIT = 1_000_000  # transformers writes 1e30 where a tokenizer knows no limit
_DEFAULT_LENGTH = 512  # tokens, where neither tokenizer nor model sets a limit

Activation = Literal["softmax", "sigmoid"]


@dataclass(frozen=True)
class ModelFolder:
    """What the config, the tokenizer and the weights of a folder say; every check of this file has passed.

    labels : the model's own names, in output order. outputs : (policy, position in labels), in config order.
    activation : sigmoid where each label is judged apart (multi-label, or a single one), else softmax.
    vocabulary : token ids in tokenizer.json; load compares it with the embedding once more.
    max_length : tokens, special ones included; longer texts are cut.
    files : (name, blake3 hex) of everything that decides a score; tokenizer_files : what decides tokens.
    """

    path: Path
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
    tokenizer = _read_json(path, TOKENIZER)
    settings = _read_json(path, TOKENIZER_CONFIG) if (path / TOKENIZER_CONFIG).is_file() else {}
    labels = _labels(path, config)
    vocabulary, embedding = _vocabulary(path, tokenizer), _whole_number(config, "vocab_size")
    limits = _length_limits(config, settings)
    faults = [
        *unsafe_files(path),
        *unsafe_settings(path, config, settings),
        *wrong_architecture(path, config),
        *wrong_outputs(path, outputs, labels),
        *wrong_sizes(path, vocabulary, embedding, max_length, limits.positions),
    ]
    if faults:
        raise DataError(*faults)
    weights = _trained_weights(path, len(labels))
    present = [path / name for name in (CONFIG, *_TOKENIZER_FILES) if (path / name).is_file()]
    return ModelFolder(
        path=path,
        architecture=str(config["architectures"][0]),
        labels=labels,
        outputs=tuple((policy, labels.index(label)) for policy, label in outputs.items()),
        activation=_activation(config, labels),
        vocabulary=vocabulary,
        max_length=max_length or limits.default,
        files=tuple((file.name, _hash_file(file)) for file in (*present, *weights)),
    )


def fingerprint(
    folder: ModelFolder, *, fields: int, separator: str, dtype: str = "float32", backend: str = "transformers"
) -> str:
    """Return the identity of a model's scores as hex: equal fingerprints mean equal scores of equal contents.

    fields : number of text fields that `separator` joins. Path, device and threads are not part of it.
    """
    made_of = [folder.files, folder.outputs, folder.activation, folder.max_length]
    settings = [fields, separator, dtype, backend, KERNEL_VERSION]
    return blake3(json.dumps([made_of, settings]).encode()).hexdigest()


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
class _Limits:
    """Tokens: what the model has positions for (None: no limit), and the length where the user gives none."""

    positions: int | None
    default: int


def _read_json(folder: Path, name: str) -> dict[str, Any]:
    if not (folder / name).is_file():
        raise DataError(f"{folder}: {name} is missing; save model and tokenizer with save_pretrained()")
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
        return tuple(f"LABEL_{i}" for i in range(_whole_number(config, "num_labels") or 2))
    by_position = {int(key): str(label) for key, label in named.items() if str(key).isdecimal()}
    if sorted(by_position) != list(range(len(named))):
        raise DataError(f"{folder}: {CONFIG} has id2label with keys {', '.join(named)}; number them from 0")
    return tuple(by_position[i] for i in range(len(named)))


def _activation(config: dict[str, Any], labels: tuple[str, ...]) -> Activation:
    """Choose as the text-classification pipeline of transformers does."""
    apart = config.get("problem_type") == "multi_label_classification" or len(labels) == 1
    return "sigmoid" if apart else "softmax"


def _vocabulary(folder: Path, tokenizer: dict[str, Any]) -> int:
    """Return the highest token id of a tokenizer.json plus 1."""
    try:
        vocab = tokenizer["model"]["vocab"]
        # Unigram writes a list of (token, log probability), the others a map from token to id.
        ids = vocab.values() if isinstance(vocab, dict) else range(len(vocab))
        added = [token["id"] for token in tokenizer.get("added_tokens") or []]
        return int(max([-1, *ids, *added])) + 1
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{folder}: {TOKENIZER} has no vocabulary; save the tokenizer again") from error


def _length_limits(config: dict[str, Any], settings: dict[str, Any]) -> _Limits:
    positions = next((n for key in _POSITIONS if (n := _whole_number(config, key))), None)
    if positions and config.get("model_type") in _OFFSET_POSITIONS:
        positions -= _whole_number(config, "pad_token_id") + 1
    given = settings.get("model_max_length")
    limit = int(given) if isinstance(given, int | float) and 0 < given < _NO_LIMIT else None
    return _Limits(positions, min((n for n in (positions, limit) if n), default=_DEFAULT_LENGTH))


def _whole_number(config: dict[str, Any], key: str) -> int:
    """Return a whole number of the config, 0 where it has none."""
    value = config.get(key)
    return value if isinstance(value, int) else 0


def _hash_file(file: Path) -> str:
    """Hash a file without holding it in memory."""
    return str(blake3(max_threads=1).update_mmap(file).hexdigest())
