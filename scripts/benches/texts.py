"""What the contestants read: real texts, made-up texts of the same lengths, and a part that stands for all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.dataset as ds
from tokenizers import Tokenizer

from engine.records import I64
from engine.score.folder import ModelFolder

COLUMNS = ("title", "body")
BLOCK = 16
_TRIES = 20  # draws per made-up text before a vocabulary counts as too small
_WORDS = 5000
_TOKENIZED_AT_ONCE = 1000


@dataclass(frozen=True, eq=False)
class Texts:
    """Distinct texts, none of them blank. length_U : tokens of each, special ones included, cut at max_length."""

    name: str
    texts: tuple[str, ...]
    length_U: I64

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def tokens(self) -> int:
        return int(self.length_U.sum())

    def part(self, count: int, seed: int = 1) -> Texts:
        """Return about `count` texts: runs of BLOCK neighbours by length, evenly spaced, shuffled; or all there are.

        Runs, because batches of a sorted part would else be padded as those of the sorted whole never are.
        """
        by_length = np.argsort(self.length_U, kind="stable")
        blocks = -(-len(self) // BLOCK)
        wanted = min(blocks, max(1, round(count / BLOCK)))
        first = ((np.arange(wanted) + 0.5) * blocks / wanted).astype(np.int64) * BLOCK
        chosen = np.concatenate([by_length[f : f + BLOCK] for f in first])
        chosen = np.random.default_rng(seed).permutation(chosen)
        return Texts(self.name, tuple(self.texts[i] for i in chosen), self.length_U[chosen])


def open_tokenizer(folder: ModelFolder) -> Tokenizer:
    """Return the folder's tokenizer, cutting at max_length on the right, never padding."""
    tokenizer = Tokenizer.from_file(str(folder.path / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(folder.max_length)
    return tokenizer


def as_texts(name: str, texts: Iterable[str], tokenizer: Tokenizer) -> Texts:
    """Drop blank and repeated texts and count the tokens of the rest."""
    distinct = tuple(text for text in dict.fromkeys(texts) if text.strip())
    length: list[int] = []
    for first in range(0, len(distinct), _TOKENIZED_AT_ONCE):
        length += [len(e.ids) for e in tokenizer.encode_batch_fast(distinct[first : first + _TOKENIZED_AT_ONCE])]
    return Texts(name, distinct, np.array(length, np.int64))


def read_texts(path: Path) -> list[str]:
    """Return title and body, as far as the Parquet has them, of every row, joined by a line end; null reads as empty.

    Raises
    ------
    SystemExit : nothing there, or neither column.
    """
    if not path.exists():
        raise SystemExit(f"{path}: not there; scripts/demo makes the demo's creatives")
    lake = ds.dataset(path, format="parquet")
    columns = [name for name in COLUMNS if name in lake.schema.names]
    if not columns:
        raise SystemExit(f"{path}: has no column {' or '.join(COLUMNS)}")
    table = lake.to_table(columns=columns)
    fields = [table[name].to_pylist() for name in columns]
    return ["\n".join(field or "" for field in row) for row in zip(*fields, strict=True)]


def made_up_texts(name: str, tokenizer: Tokenizer, length_U: I64, count: int, seed: int) -> Texts:
    """Write `count` distinct texts of single-token words, whose lengths are drawn from `length_U`.

    Raises
    ------
    ValueError : the vocabulary is too small for so many distinct texts.
    """
    random = np.random.default_rng(seed)
    words = _single_tokens(tokenizer)
    special = tokenizer.num_special_tokens_to_add(False)
    texts: dict[str, None] = {}
    for length in random.choice(length_U, _TRIES * count):
        texts.setdefault(" ".join(words[w] for w in random.integers(0, len(words), max(1, length - special))))
        if len(texts) == count:
            return as_texts(name, texts, tokenizer)
    raise ValueError(f"{len(words)} words make too few distinct texts of such lengths; {count} are wanted")


def _single_tokens(tokenizer: Tokenizer) -> Sequence[str]:
    """Return words that are one token each, in a fixed order, whatever marks the tokenizer puts before a word."""
    plain = sorted({token.lstrip("▁Ġ") for token in tokenizer.get_vocab()})
    candidates = [word for word in plain if len(word) > 1 and word.isascii() and word.isalpha() and word.islower()]
    lone = tokenizer.encode_batch_fast(candidates, add_special_tokens=False)
    words = [word for word, encoding in zip(candidates, lone, strict=True) if len(encoding.ids) == 1]
    return words[:: max(1, len(words) // _WORDS)]
