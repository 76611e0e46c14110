"""A tiny real model, made once: BERT with 2 layers, 3 labels and a word-level tokenizer."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gallery import save_convnext, save_resnet, save_vit

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # two threads on a busy machine would spin

SENTENCE = "free money now click to win a parcel waits pay the fee hello friend cat sat on mat lunch at noon"
LABELS = {0: "COMPLIANT", 1: "SCAM", 2: "ADULT"}
OUTPUTS = {"adult": "ADULT", "scam": "SCAM"}


def save_tokenizer(folder: Path, special: dict[str, str], template: str) -> int:
    """Write a word-level tokenizer; return the size of its vocabulary."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: number for number, word in enumerate([*special.values(), *SENTENCE.split()])}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    named = [(token, vocabulary[token]) for token in special.values()]
    core.post_processor = processors.TemplateProcessing(single=template, special_tokens=named)
    if "pad_token" in special:
        core.enable_padding(length=128)  # as the tokenizers of sentence encoders do; the scorer must undo it
    PreTrainedTokenizerFast(tokenizer_object=core, model_max_length=40, **special).save_pretrained(folder)  # type: ignore[no-untyped-call]
    return len(vocabulary)


def save_bert(folder: Path, size: dict[str, Any], **labels: Any) -> None:
    """Write a BERT classifier with seeded random weights, large enough that scores differ."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    special = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep")}
    vocabulary = save_tokenizer(folder, special, "[CLS] $A [SEP]")
    config = BertConfig(vocab_size=vocabulary, max_position_embeddings=64, initializer_range=0.3, **size, **labels)
    torch.manual_seed(5)
    BertForSequenceClassification(config).save_pretrained(folder)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tiny model; do not change it."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    size = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    save_bert(folder, size, id2label=LABELS, label2id={name: number for number, name in LABELS.items()})
    return folder


@pytest.fixture
def broken(tiny: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model to break."""
    return Path(shutil.copytree(tiny, tmp_path / "broken"))


@pytest.fixture
def rewrite() -> Callable[..., None]:
    """Change keys of a JSON file; None removes one."""

    def change(file: Path, **values: object) -> None:
        content = json.loads(file.read_text()) | values
        file.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))

    return change


@pytest.fixture(scope="session")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with one layer as wide as a MiniLM's, one output and no activation of its own."""
    folder = tmp_path_factory.mktemp("models") / "wide"
    size = {"hidden_size": 384, "num_hidden_layers": 1, "num_attention_heads": 12, "intermediate_size": 1536}
    save_bert(folder, size, num_labels=1)
    return folder


@pytest.fixture(scope="session")
def padless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GPT-2 classifier with an eos token and no pad token, whose tokenizer adds no special tokens."""
    import torch
    from transformers import GPT2Config, GPT2ForSequenceClassification

    folder = tmp_path_factory.mktemp("models") / "padless"
    special = {"eos_token": "[EOS]", "unk_token": "[UNK]"}
    size = save_tokenizer(folder, special, "$A")
    torch.manual_seed(5)
    shape: dict[str, Any] = {"n_positions": 64, "n_embd": 32, "n_layer": 1, "n_head": 2, "initializer_range": 0.3}
    config = GPT2Config(vocab_size=size, bos_token_id=0, eos_token_id=0, pad_token_id=None, **shape)
    GPT2ForSequenceClassification(config).save_pretrained(folder)
    return folder


@pytest.fixture
def texts() -> list[str]:
    """Texts of 0 to 60 words; the tiny model reads 38."""
    random = np.random.default_rng(3)
    counts = [*range(12), *random.integers(0, 25, 40), *random.integers(0, 61, 12)]
    return [" ".join(random.choice(SENTENCE.split(), count)) for count in counts]


@pytest.fixture(autouse=True)
def _threads_are_restored() -> Iterator[None]:
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders of three tiny image models; do not change them."""
    root = tmp_path_factory.mktemp("pictured")
    saved = {"vit": save_vit, "resnet": save_resnet, "convnext": save_convnext}
    return {name: save(root / name) for name, save in saved.items()}


@pytest.fixture
def broken_vit(folders: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the tiny ViT to break."""
    return Path(shutil.copytree(folders["vit"], tmp_path / "broken"))
