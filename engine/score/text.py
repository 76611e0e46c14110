"""Text classifiers of Hugging Face as a Scorer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.errors import DataError
from engine.records import F32, I64, Contents
from engine.score.device import Device
from engine.score.encoder import Encoder, read_encoder
from engine.score.exact import Exact
from engine.score.fields import FieldRule
from engine.score.folder import ModelFolder
from engine.score.kernel import activate
from engine.score.packed import Packed
from engine.score.quantized import quantize_layers
from engine.score.tokens import Tokens, tokenize
from engine.score.transformer import Transformer, load_transformer


@dataclass(frozen=True)
class TextFacts:
    """What the manifest records of a scorer beside its fingerprint.

    path : "packed" or "exact lengths"; why_not_packed : the reason for the latter, "" where there is none.
    halvings : how often a GPU ran out of memory and the tile was halved. contents, cut : since it was opened.
    """

    torch: str
    device: str
    dtype: str
    threads: int
    instruction_set: str
    attention: str
    path: str
    why_not_packed: str
    halvings: int
    pad_adopted: bool
    max_length: int
    contents: int
    cut: int


@dataclass(frozen=True)
class Workload:
    """What scoring some tokens takes: tokens that the contents have, and tokens computed, dummies included."""

    real: int
    computed: int

    @property
    def padding(self) -> float:
        """Computed over real − 1; 0 where nothing is computed."""
        return self.computed / self.real - 1 if self.real else 0.0


@dataclass(frozen=True, eq=False)
class PreparedTexts:
    """Tokenized contents. owner_T : the content of each text, rising."""

    tokens: Tokens
    owner_T: I64
    contents: int


class HuggingFaceText:
    """A text classifier in memory. Open one with `open_text_scorer`.

    Texts are valid Unicode; `fields` says how several make one score. Tokens beyond max_length are cut, which
    `facts()` counts.
    """

    def __init__(
        self, folder: ModelFolder, transformer: Transformer, device: Device, threads: int, fields: FieldRule
    ) -> None:
        self._folder = folder
        self._device = device
        self._threads = threads
        self._fields = fields
        self._tokenizer, self._blank = transformer.tokenizer, transformer.blank
        self._attention, self._pad_adopted = transformer.attention, transformer.pad_adopted
        encoder = read_encoder(transformer.model) if device.name == "cpu" else "it is on a GPU"
        if device.dtype == "int8":
            encoder = _quantized(folder, encoder)
        self._why_not_packed = encoder if isinstance(encoder, str) else ""
        self._path: Packed | Exact
        if isinstance(encoder, str):
            self._path = Exact(transformer.model, device, threads)
        else:
            self._path = Packed(encoder, threads)
        self._column_P = [column for _, column in folder.outputs]
        self._contents = self._cut = 0

    @property
    def policies(self) -> tuple[str, ...]:
        return self._folder.policies

    @property
    def folder(self) -> ModelFolder:
        return self._folder

    @property
    def prepare_key(self) -> object:
        """Scorers of an equal key prepare contents alike."""
        return (self._folder.tokenizer_files, self._folder.max_length, self._fields)

    def score(self, contents: Contents) -> F32:
        """Return float32 scores, shape (U, P), in [0, 1], or NaN where the model gave NaN."""
        return self.score_prepared(self.prepare(contents))

    def prepare(self, contents: Contents) -> PreparedTexts:
        """Tokenize contents; scorers of an equal prepare_key may share them."""
        texts, owner_T = self._fields.texts(contents)
        tokens = tokenize(self._tokenizer, texts, self._folder.max_length, self._blank)
        return PreparedTexts(tokens, owner_T, len(contents))

    def score_prepared(self, prepared: PreparedTexts) -> F32:
        """Return the scores of prepared contents, in their order."""
        self._contents += prepared.contents
        self._cut += len(np.unique(prepared.owner_T[prepared.tokens.cut_U]))
        return self._fields.combine(self.score_tokens(prepared.tokens), prepared.owner_T, prepared.contents)

    def tokens(self, contents: Contents) -> Tokens:
        """Return the tokens of the texts of some contents."""
        return self.prepare(contents).tokens

    def score_tokens(self, tokens: Tokens) -> F32:
        """Return the scores of tokenized contents, in their order; some thousand at a time lose no speed."""
        score_UK = activate(self._path.logits(tokens), self._folder.activation)
        return np.ascontiguousarray(score_UK[:, self._column_P])

    def workload(self, tokens: Tokens) -> Workload:
        """Return what `score_tokens` of the same tokens computes."""
        return Workload(real=int(tokens.length_U.sum()), computed=self._path.computed_tokens(tokens))

    def facts(self) -> TextFacts:
        """Return what the manifest records."""
        import torch

        return TextFacts(
            torch=str(torch.__version__),
            device=torch.cuda.get_device_name() if self._device.name == "cuda" else "cpu",
            dtype=self._device.dtype,
            threads=self._threads,
            instruction_set=torch.backends.cpu.get_cpu_capability(),
            attention=self._attention,
            path=self._path.name,
            why_not_packed=self._why_not_packed,
            halvings=self._path.halvings if isinstance(self._path, Exact) else 0,
            pad_adopted=self._pad_adopted,
            max_length=self._folder.max_length,
            contents=self._contents,
            cut=self._cut,
        )


def open_text_scorer(
    folder: ModelFolder, *, device: Device, threads: int = 1, fields: FieldRule | None = None
) -> HuggingFaceText:
    """Load a text classifier. `threads` is set for the whole process while the scorer computes.

    Raises
    ------
    DataError : the folder cannot be loaded whole (see `load_transformer`), or int8 was asked for and it has no packed
        path.
    """
    import torch

    torch.set_float32_matmul_precision("highest")  # no TF32: a GPU stays within 1e-6 of a CPU
    return HuggingFaceText(folder, load_transformer(folder, device), device, threads, fields or FieldRule())


def _quantized(folder: ModelFolder, encoder: Encoder | str) -> Encoder:
    if isinstance(encoder, str):
        raise DataError(f"{folder.path}: dtype int8 is for models of packed tokens, but {encoder}; use float32")
    return quantize_layers(encoder)
