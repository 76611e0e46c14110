"""Text classifiers of Hugging Face as a Scorer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.records import F32, Contents
from engine.score.device import Device
from engine.score.folder import ModelFolder
from engine.score.kernel import activate, forward
from engine.score.shapes import Shapes, plan_batches
from engine.score.tokens import Tokens, join_fields, tokenize
from engine.score.transformer import Transformer, load_transformer

# Tile sizes: on a CPU by measurement (README). A GPU wants larger ones; its results may depend on the rows.
SHAPES = {"cpu": Shapes(tile=1024, ragged=True), "cuda": Shapes(tile=32_768, ragged=False)}


@dataclass(frozen=True)
class TextFacts:
    """What the manifest records of a scorer beside its fingerprint. contents, cut : since it was opened."""

    torch: str
    device: str
    dtype: str
    threads: int
    instruction_set: str
    attention: str
    pad_adopted: bool
    max_length: int
    contents: int
    cut: int


class HuggingFaceText:
    """A text classifier in memory. Open one with `open_text_scorer`.

    Texts are valid Unicode; their fields are joined by `separator`, None reads as empty. Tokens beyond
    max_length are cut, which `facts()` counts.
    """

    def __init__(self, folder: ModelFolder, transformer: Transformer, device: Device, separator: str) -> None:
        self._folder = folder
        self._transformer = transformer
        self._device = device
        self._separator = separator
        self._shapes = SHAPES[device.name]
        self._column_P = [column for _, column in folder.outputs]
        self._contents = self._cut = 0

    @property
    def policies(self) -> tuple[str, ...]:
        return self._folder.policies

    @property
    def folder(self) -> ModelFolder:
        return self._folder

    @property
    def tokens_key(self) -> object:
        """Scorers of an equal key turn contents into equal tokens, and may share them."""
        return (self._folder.tokenizer_files, self._folder.max_length, self._separator)

    def score(self, contents: Contents) -> F32:
        """Return float32 scores, shape (U, P), in [0, 1], or NaN where the model gave NaN."""
        tokens = self.tokens(contents)
        self._contents += len(contents)
        self._cut += int(tokens.cut_U.sum())
        return self.score_tokens(tokens)

    def tokens(self, contents: Contents) -> Tokens:
        """Tokenize contents; scorers of equal tokenizer_files, max_length and separator may share them."""
        texts = join_fields(contents, self._separator)
        return tokenize(self._transformer.tokenizer, texts, self._folder.max_length, self._transformer.blank)

    def score_tokens(self, tokens: Tokens) -> F32:
        """Return the scores of tokenized contents, in their order."""
        score_UP = np.empty((len(tokens.length_U), len(self._column_P)), np.float32)
        for batch in plan_batches(tokens.length_U, self._shapes):
            logit_BK = forward(self._transformer.model, tokens.ids(batch), self._device.name)
            real_B = batch.index_B >= 0
            scored = activate(logit_BK[real_B], self._folder.activation)
            score_UP[batch.index_B[real_B]] = scored[:, self._column_P]
        return score_UP

    def facts(self) -> TextFacts:
        """Return what the manifest records."""
        import torch

        return TextFacts(
            torch=str(torch.__version__),
            device=torch.cuda.get_device_name() if self._device.name == "cuda" else "cpu",
            dtype=self._device.dtype,
            threads=torch.get_num_threads(),
            instruction_set=torch.backends.cpu.get_cpu_capability(),
            attention=self._transformer.attention,
            pad_adopted=self._transformer.pad_adopted,
            max_length=self._folder.max_length,
            contents=self._contents,
            cut=self._cut,
        )


def open_text_scorer(
    folder: ModelFolder, *, device: Device, threads: int = 1, separator: str = "\n"
) -> HuggingFaceText:
    """Load a text classifier. `threads` is set for the whole process.

    Raises
    ------
    DataError : the folder cannot be loaded whole (see `load_transformer`).
    """
    import torch

    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("highest")  # no TF32: a GPU stays within 1e-6 of a CPU
    return HuggingFaceText(folder, load_transformer(folder, device), device, separator)
