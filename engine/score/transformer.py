"""A model folder → model and tokenizer in memory, checked once more where only loading can tell."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.errors import DataError
from engine.score.device import Device
from engine.score.folder import ModelFolder, refuse_changed
from engine.score.kernel import widen_products

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from torch import nn

_AUTO = {"text": "AutoModelForSequenceClassification", "image": "AutoModelForImageClassification"}
_MISFITS = {
    "missing_keys": "the weights lack",
    "mismatched_keys": "the weights have another shape than config.json says for",
    "unexpected_keys": "config.json describes a model without a place for",
}


@dataclass(frozen=True)
class Transformer:
    """A classifier ready to run. blank : the token id that stands for a text without any token."""

    model: nn.Module
    tokenizer: Tokenizer
    blank: int
    pad_adopted: bool
    attention: str


def load_transformer(folder: ModelFolder, device: Device) -> Transformer:
    """Load what `inspect_folder` accepted; nothing is downloaded, no code of the folder runs.

    Raises
    ------
    DataError : files that changed since; weights that are missing, left over or of another shape; more token
        ids than embedding rows; a tokenizer that cannot be used.
    """
    refuse_changed(folder)
    be_quiet()
    tokenizer = _load_tokenizer(folder)
    model = load_model(folder, device)
    rows = model.get_input_embeddings().num_embeddings
    highest = max(tokenizer.get_vocab().values())
    if highest >= rows:
        raise DataError(
            f"{folder.path}: the tokenizer has token ids up to {highest}, the embedding {rows} rows; "
            "use the tokenizer that the model was trained with"
        )
    pad_adopted = _adopt_pad(folder, tokenizer)
    if model.config.pad_token_id is None:  # some architectures look for the last token that is no padding
        model.config.pad_token_id = tokenizer.pad_token_id
    widen_products(model)
    return Transformer(
        model=model,
        tokenizer=_cutting(tokenizer, folder),
        blank=int(tokenizer.pad_token_id),
        pad_adopted=pad_adopted,
        attention=str(model.config._attn_implementation),
    )


def load_model(folder: ModelFolder, device: Device) -> Any:
    """Load the classifier alone, whole and in inference mode.

    Raises
    ------
    DataError : transformers lacks the architecture or cannot build it; weights that do not fit it.
    """
    import torch
    import transformers

    kind = getattr(transformers, folder.architecture, None)
    if kind is None:
        version = transformers.__version__
        raise DataError(f"{folder.path}: transformers {version} has no {folder.architecture}; update it")
    try:
        model, loading = getattr(transformers, _AUTO[folder.kind]).from_pretrained(
            folder.path,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            dtype=getattr(torch, device.stored),
            attn_implementation="sdpa" if getattr(kind, "_supports_sdpa", False) else "eager",
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # so that they are named; _refuse_partial refuses them
        )
    except Exception as error:  # configs, architectures and safetensors each raise kinds of their own
        raise DataError(f"{folder.path}: the model cannot be loaded: {first_line(error)}") from error
    if type(model).__name__ != folder.architecture:
        raise DataError(
            f"{folder.path}: config.json has architecture {folder.architecture} but the model_type of "
            f"{type(model).__name__}; save the trained classifier again"
        )
    _refuse_partial(folder, loading)
    return model.eval().to(device.name)


def _refuse_partial(folder: ModelFolder, loading: dict[str, Any]) -> None:
    """Refuse weights that do not fit: what is missing would be random, what is left over unused."""
    faults = [f"{folder.path}: transformers reports {first_line(text)}" for text in loading["error_msgs"]]
    for key, meaning in _MISFITS.items():
        names = sorted(str(name[0] if isinstance(name, tuple) else name) for name in loading[key])
        if names:
            some = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            faults.append(f"{folder.path}: {meaning} {some}; save the trained {folder.architecture} again")
    if faults:
        raise DataError(*faults)


def _load_tokenizer(folder: ModelFolder) -> Any:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder.path, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # tokenizers raises plain Exceptions
        raise DataError(f"{folder.path}: the tokenizer cannot be loaded: {first_line(error)}") from error
    if not tokenizer.is_fast:
        raise DataError(f"{folder.path}: {type(tokenizer).__name__} is not fast; save a tokenizer.json")
    special = tokenizer.num_special_tokens_to_add()
    if folder.max_length <= special:
        raise DataError(f"{folder.path}: max_length {folder.max_length} must exceed {special} special tokens")
    if any(tokenizer.backend_tokenizer.encode("").type_ids):
        raise DataError(f"{folder.path}: the tokenizer marks token types, which the engine does not pass on")
    return tokenizer


def _adopt_pad(folder: ModelFolder, tokenizer: Any) -> bool:
    """Let eos stand for a pad token that is missing; return whether it was."""
    if tokenizer.pad_token is not None:
        return False
    if tokenizer.eos_token is None:
        raise DataError(f"{folder.path}: the tokenizer has no pad_token and no eos_token; name one")
    tokenizer.pad_token = tokenizer.eos_token
    return True


def _cutting(tokenizer: Any, folder: ModelFolder) -> Tokenizer:
    """Return the tokenizer's Rust core, set to cut at max_length and never to pad."""
    core: Tokenizer = tokenizer.backend_tokenizer
    core.no_padding()
    core.enable_truncation(folder.max_length, direction=tokenizer.truncation_side)
    return core


def be_quiet() -> None:
    """Silence what transformers and tokenizers print while loading: this file checks what they would say."""
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def first_line(error: object) -> str:
    """Return what an exception says first, or its name where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
