"""Texts → token ids, without a padding token among them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.records import I32, I64, Flags

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

    from engine.score.shapes import Batch

# A text is cut to this many characters per token of max_length before it is tokenized, which bounds time and
# memory: 10 MB of text would take 15 s and 4 GB. Ordinary text has 4 to 5 characters a token.
CHARACTERS_PER_TOKEN = 64
_CHARACTERS_AT_ONCE = 1 << 20


@dataclass(frozen=True, eq=False)
class Tokens:
    """Token ids of U contents, one after the other. Models with one tokenizer share them.

    id_T : int32, all ids. start_U : int64, where each content begins. length_U : int32, at least 1.
    cut_U : bool, the text was longer than the model reads.
    """

    id_T: I32
    start_U: I64
    length_U: I32
    cut_U: Flags

    def ids(self, batch: Batch) -> I64:
        """Return the ids of a batch, int64, shape (rows, length); a dummy row repeats the first content."""
        row_B = np.where(batch.index_B < 0, batch.index_B[0], batch.index_B)
        id_BL: I64 = self.id_T[self.start_U[row_B][:, None] + np.arange(batch.length)].astype(np.int64)
        return id_BL


def as_tokens(id_lists: Sequence[Sequence[int]], cut: Sequence[bool]) -> Tokens:
    """Pack lists of token ids, none of them empty."""
    length_U = np.array([len(ids) for ids in id_lists], np.int32)
    end_U = np.cumsum(length_U, dtype=np.int64)
    flat = np.fromiter((i for ids in id_lists for i in ids), np.int32, count=int(length_U.sum()))
    return Tokens(flat, end_U - length_U, length_U, np.array(cut, np.bool_))


def tokenize(tokenizer: Tokenizer, texts: Sequence[str], max_length: int, blank: int) -> Tokens:
    """Tokenize texts, cut to `max_length` tokens.

    Parameters
    ----------
    tokenizer : one that cuts at max_length and does not pad.
    blank : the token id that stands for a text without any token.
    """
    limit = max_length * CHARACTERS_PER_TOKEN
    id_lists: list[Sequence[int]] = []
    cut: list[bool] = []
    for some in _portions(texts, limit):
        encodings: list[Encoding] = tokenizer.encode_batch_fast([text[:limit] for text in some])
        for text, encoding in zip(some, encodings, strict=True):
            id_lists.append(encoding.ids or (blank,))
            cut.append(len(text) > limit or bool(encoding.overflowing))
    return as_tokens(id_lists, cut)


def _portions(texts: Sequence[str], limit: int) -> Iterator[Sequence[str]]:
    """Split texts into runs of bounded size: an encoding takes some hundred bytes a token."""
    first = size = 0
    for number, text in enumerate(texts):
        size += min(len(text), limit)
        if size > _CHARACTERS_AT_ONCE:
            yield texts[first : number + 1]
            first, size = number + 1, 0
    if first < len(texts):
        yield texts[first:]
