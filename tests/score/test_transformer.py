"""What only loading can tell."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from engine.errors import DataError
from engine.score.device import Device
from engine.score.folder import inspect_folder
from engine.score.transformer import load_transformer
from engine.score.weights import WEIGHTS

Rewrite = Callable[..., None]


def refusal(folder: Path, max_length: int = 40) -> str:
    """Return why a folder that `inspect_folder` accepts is refused at load."""
    accepted = replace(inspect_folder(folder, {"scam": "SCAM"}), max_length=max_length)
    with pytest.raises(DataError) as caught:
        load_transformer(accepted, Device("cpu"))
    assert all(str(folder) in fault and "\n" not in fault for fault in caught.value.faults)
    return str(caught.value)


def change(folder: Path, **tensors: np.ndarray | None) -> None:
    changed = load_file(folder / WEIGHTS) | tensors
    save_file({name: t for name, t in changed.items() if t is not None}, folder / WEIGHTS)


def test_weights_that_lack_a_tensor_are_refused(broken: Path) -> None:
    change(broken, **{"bert.pooler.dense.weight": None})
    assert "the weights lack bert.pooler.dense.weight" in refusal(broken)


def test_weights_with_a_tensor_too_many_are_refused(broken: Path, rewrite: Rewrite) -> None:
    rewrite(broken / "config.json", num_hidden_layers=1)
    assert "without a place for bert.encoder.layer.1." in refusal(broken)


def test_weights_of_another_shape_are_refused(broken: Path) -> None:
    change(broken, **{"bert.pooler.dense.weight": np.zeros((32, 16), np.float32)})
    assert "another shape than config.json says for bert.pooler.dense.weight" in refusal(broken)


def test_a_special_token_beyond_the_embedding_is_refused(broken: Path, rewrite: Rewrite) -> None:
    rewrite(broken / "tokenizer_config.json", additional_special_tokens=["[NEW]"], extra_special_tokens=["[NEW]"])
    assert "the embedding" in refusal(broken)


def test_an_architecture_that_transformers_lacks_is_refused(broken: Path, rewrite: Rewrite) -> None:
    rewrite(broken / "config.json", architectures=["SesameForSequenceClassification"])
    assert "has no SesameForSequenceClassification" in refusal(broken)


def test_an_architecture_that_is_not_the_model_type_is_refused(broken: Path, rewrite: Rewrite) -> None:
    rewrite(broken / "config.json", architectures=["ElectraForSequenceClassification"])
    assert "architecture ElectraForSequenceClassification but the model_type of Bert" in refusal(broken)


def test_a_tokenizer_that_marks_token_types_is_refused(broken: Path) -> None:
    text = (broken / "tokenizer.json").read_text()
    (broken / "tokenizer.json").write_text(re.sub(r'("id": "\[SEP\]",\s*"type_id": )0', r"\g<1>1", text))
    assert "marks token types" in refusal(broken)


def test_an_unknown_model_type_is_refused(broken: Path, rewrite: Rewrite) -> None:
    rewrite(broken / "config.json", model_type="sesame")
    assert "cannot be loaded" in refusal(broken)


def test_a_config_that_makes_no_model_is_refused(broken: Path, rewrite: Rewrite) -> None:
    rewrite(broken / "config.json", num_attention_heads=5)
    assert "cannot be loaded" in refusal(broken)
    rewrite(broken / "config.json", num_attention_heads="many")
    assert "cannot be loaded" in refusal(broken)


def test_a_tokenizer_that_cannot_be_built_is_refused(broken: Path, rewrite: Rewrite) -> None:
    rewrite(broken / "tokenizer.json", normalizer={"type": "Sesame"})
    assert "the tokenizer cannot be loaded" in refusal(broken)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_file_that_changed_after_the_inspection_is_refused(broken: Path, name: str) -> None:
    folder = inspect_folder(broken, {"scam": "SCAM"})
    (broken / name).write_bytes((broken / name).read_bytes() + b" ")
    with pytest.raises(DataError, match=f"{name} is not what it was"):
        load_transformer(folder, Device("cpu"))
    (broken / name).unlink()
    with pytest.raises(DataError, match=f"{name} is not what it was"):
        load_transformer(folder, Device("cpu"))


def test_a_length_without_room_for_text_is_refused(tiny: Path) -> None:
    assert "max_length 2 must exceed 2 special tokens" in refusal(tiny, max_length=2)


def test_a_tokenizer_without_pad_and_eos_is_refused(broken: Path, rewrite: Rewrite) -> None:
    rewrite(broken / "tokenizer_config.json", pad_token=None)
    rewrite(broken / "tokenizer.json", padding=None)
    assert "no pad_token and no eos_token" in refusal(broken)
