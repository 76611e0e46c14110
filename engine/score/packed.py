"""The forward pass of a BERT-like classifier over packed tokens, on a CPU, its layers in float32 or int8.

Of the last layer everything but keys and values is computed for first tokens alone: the classifier reads nothing else.
Array letters: T rows of a tile, S its contents, H width, U contents, K classes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from engine.records import F32
from engine.score import loops
from engine.score.encoder import Encoder, Layer, Norm, Product
from engine.score.packing import Tile, full_rows, plan_tiles
from engine.score.tokens import Tokens

# Most tokens of a tile, by measurement (README).
TILE = 512
# Tiles whose first tokens wait for the end of the last layer: bounds memory.
_WAITING = 64


class Packed:
    """A classifier over packed tokens. It computes `threads` tiles at a time, each on one thread."""

    name = "packed"

    def __init__(self, encoder: Encoder, threads: int = 1, tile: int = TILE) -> None:
        self._encoder = encoder
        self._tile = tile
        self._local = threading.local()
        self._map: Callable[..., Iterator[Any]] = map if threads == 1 else ThreadPoolExecutor(threads).map

    def logits(self, tokens: Tokens) -> F32:
        """Return logits, float32, shape (U, K)."""
        _refuse_strange(tokens, self._encoder)
        logit_UK = np.empty((len(tokens.length_U), len(self._encoder.classifier.bias_O)), np.float32)
        tiles = plan_tiles(tokens.length_U, self._tile)
        for first in range(0, len(tiles), _WAITING):
            some = tiles[first : first + _WAITING]
            logit_UK[np.concatenate([tile.index_S for tile in some])] = self._read(tokens, some)
        return logit_UK

    def _read(self, tokens: Tokens, tiles: tuple[Tile, ...]) -> F32:
        """Return the logits of some tiles: each up to the attention of the last layer, then all first tokens."""
        rows = full_rows(max(self._tile, tiles[0].rows))  # the first tile holds the longest content
        parts = list(self._map(lambda tile: self._pass(rows).read(tokens, tile), tiles))
        x_SH, context_SH = (np.concatenate(part) for part in zip(*parts, strict=True))
        cuts = [slice(first, first + self._tile) for first in range(0, len(x_SH), self._tile)]
        ends = self._map(lambda cut: self._pass(rows).finish(x_SH[cut], context_SH[cut]), cuts)
        return np.concatenate(list(ends))

    def computed_tokens(self, tokens: Tokens) -> int:
        """Return the rows of the matrix products over all tokens, zero rows included."""
        return sum(tile.rows for tile in plan_tiles(tokens.length_U, self._tile))

    def _pass(self, rows: int) -> _Pass:
        """Return the pass of the running thread, with scratch memory of its own for at least so many rows."""
        import torch

        torch.set_num_threads(1)  # no product is cut in two: threads take whole tiles
        forward: _Pass | None = getattr(self._local, "forward", None)
        if forward is None or forward.rows < rows:
            forward = self._local.forward = _Pass(self._encoder, rows)
        return forward


class _Pass:
    """One thread's forward pass, with scratch memory for `rows` rows."""

    def __init__(self, encoder: Encoder, rows: int) -> None:
        self._encoder = encoder
        self.rows = rows
        width, inner = encoder.width, encoder.inner_width
        self._embedded = _aligned(rows * encoder.word_VE.shape[1])
        self._x = _aligned(rows * width) if encoder.project else self._embedded
        self._mixed = _aligned(rows * 3 * width)
        self._context = _aligned(rows * width)
        self._product = _aligned(rows * width)
        self._inner = _aligned(rows * inner)
        mix = encoder.layers[-1].mix
        self._queries, self._others = mix.columns(0, width), mix.columns(width, 3 * width)

    def read(self, tokens: Tokens, tile: Tile) -> tuple[F32, F32]:
        """Return x and attended values of first tokens, shape (S, H) each, as the end of the last layer needs them."""
        x_TH = self._embed(tokens, tile)
        context_TH = _rows(self._context, tile.rows, self._encoder.width)
        context_TH[tile.tokens :] = 0
        for layer in self._encoder.layers[:-1]:
            mixed_TM = self._multiply(x_TH, layer.mix, self._mixed)
            loops.add_bias(mixed_TM, layer.mix.bias_O)
            _attend(mixed_TM, tile, self._encoder.heads, context_TH)
            self._end_layer(layer, x_TH, context_TH)
        return x_TH[tile.first_S], self._attend_first(x_TH, tile)

    def finish(self, x_SH: F32, context_SH: F32) -> F32:
        """Return logits, shape (S, K), from what `read` returned."""
        contents, width = x_SH.shape
        x_TH = _filled(_rows(self._x, full_rows(contents), width), x_SH)
        context_TH = _filled(_rows(self._context, full_rows(contents), width), context_SH)
        self._end_layer(self._encoder.layers[-1], x_TH, context_TH)
        head = self._multiply(x_TH, self._encoder.head, self._product)
        loops.add_bias_and_activate(head, self._encoder.head.bias_O, self._encoder.head_activation)
        classifier = self._encoder.classifier
        logit_TK = self._multiply(head, classifier, np.empty(head.shape[0] * len(classifier.bias_O), np.float32))
        loops.add_bias(logit_TK, classifier.bias_O)
        return logit_TK[:contents]

    def _embed(self, tokens: Tokens, tile: Tile) -> F32:
        encoder = self._encoder
        first_S = tokens.start_U[tile.index_S]
        id_T = tokens.id_T[np.repeat(first_S - tile.first_S, tile.length_S) + np.arange(tile.tokens)]
        place_T = np.empty_like(id_T)
        loops.number_places(id_T, tile.length_S, encoder.unplaced, place_T)
        norm = encoder.embedding_norm
        x_TE = _rows(self._embedded, tile.rows, encoder.word_VE.shape[1])
        loops.embed(id_T, place_T, encoder.word_VE, encoder.place_PE, norm.weight_H, norm.shift_H, norm.epsilon, x_TE)
        if encoder.project is None:
            return x_TE
        x_TH = self._multiply(x_TE, encoder.project, self._x)
        loops.add_bias(x_TH, encoder.project.bias_O)
        return x_TH

    def _end_layer(self, layer: Layer, x_TH: F32, context_TH: F32) -> None:
        """Change x into the output of a layer, given what its attention gathered."""
        _normalise(x_TH, self._multiply(context_TH, layer.out, self._product), layer.out, layer.out_norm)
        inner_TI = self._multiply(x_TH, layer.up, self._inner)
        loops.add_bias_and_activate(inner_TI, layer.up.bias_O, self._encoder.activation)
        _normalise(x_TH, self._multiply(inner_TI, layer.down, self._product), layer.down, layer.down_norm)

    def _attend_first(self, x_TH: F32, tile: Tile) -> F32:
        """Return what the first tokens gather in the last layer, shape (S, H)."""
        width, contents = self._encoder.width, len(tile.index_S)
        pair_TM = self._multiply(x_TH, self._others, self._mixed)
        loops.add_bias(pair_TM, self._others.bias_O)
        first_TH = _filled(_rows(self._context, full_rows(contents), width), x_TH[tile.first_S])
        query_TH = self._multiply(first_TH, self._queries, self._product)
        loops.add_bias(query_TH, self._queries.bias_O)
        return _attend_first(query_TH, pair_TM, tile, self._encoder.heads)

    def _multiply(self, x_TI: F32, product: Product, scratch: F32) -> F32:
        """Return x times the weight, without the bias, in scratch memory."""
        y_TO = _rows(scratch, len(x_TI), len(product.bias_O))
        product.multiply(x_TI, y_TO)
        return y_TO


def _attend(mixed_TM: F32, tile: Tile, heads: int, context_TH: F32) -> None:
    """Set the rows of context to what each token gathers from the tokens of its own content."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    mixed, context = torch.from_numpy(mixed_TM), torch.from_numpy(context_TH)
    for run in tile.runs():
        parts = mixed[run.rows].view(run.count, run.length, 3, heads, -1).permute(2, 0, 3, 1, 4)
        gathered = scaled_dot_product_attention(*parts)  # contents, heads, tokens, numbers
        context[run.rows].view(run.count, run.length, heads, -1).copy_(gathered.transpose(1, 2))


def _attend_first(query_TH: F32, pair_TM: F32, tile: Tile, heads: int) -> F32:
    """Return what the first token of each content gathers, shape (S, H); queries stand in the order of contents."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    query, pair = torch.from_numpy(query_TH), torch.from_numpy(pair_TM)
    gathered, first = [], 0
    for run in tile.runs():
        keys, values = pair[run.rows].view(run.count, run.length, 2, heads, -1).permute(2, 0, 3, 1, 4)
        some = query[first : first + run.count].view(run.count, heads, 1, -1)
        gathered.append(scaled_dot_product_attention(some, keys, values).reshape(run.count, -1))
        first += run.count
    return torch.cat(gathered).numpy()


def _normalise(x_TH: F32, plus_TH: F32, layer: Product, norm: Norm) -> None:
    loops.add_and_normalise(x_TH, plus_TH, layer.bias_O, norm.weight_H, norm.shift_H, norm.epsilon)


def _aligned(size: int) -> F32:
    """Return memory that begins where torch lets it begin, at a cache line: products into numpy's own take longer."""
    import torch

    array: F32 = torch.empty(size).numpy()
    return array


def _rows(scratch: F32, rows: int, width: int) -> F32:
    return scratch[: rows * width].reshape(rows, width)


def _filled(into_TH: F32, from_SH: F32) -> F32:
    """Copy rows and set those beyond them to zero."""
    into_TH[: len(from_SH)] = from_SH
    into_TH[len(from_SH) :] = 0
    return into_TH


def _refuse_strange(tokens: Tokens, encoder: Encoder) -> None:
    """Refuse what no tokenizer of the model made: the compiled loops check no bounds."""
    places = len(encoder.place_PE) - encoder.unplaced - 1
    if len(tokens.length_U) and int(tokens.length_U.max()) > places:
        raise ValueError(f"a content of {tokens.length_U.max()} tokens, but the model has {places} places")
    if len(tokens.id_T) and not 0 <= int(tokens.id_T.min()) <= int(tokens.id_T.max()) < len(encoder.word_VE):
        raise ValueError(f"token ids beyond the {len(encoder.word_VE)} of the model")
