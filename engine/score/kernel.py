"""The forward pass, made so that a row of the result depends on that row of the input alone.

What threatens that on a CPU: MKL picks another kernel, with another order of summation, for a matrix product
of very few rows, and with several threads it cuts a small product into such pieces. So no product gets fewer
than BLOCK rows, and a product by a single column gets a multiple of them. Masks are the other threat, for
transformers drops a mask that happens to be all ones: batches hold texts of one length and need none, and
packed tokens (packed.py) are without padding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from engine.records import F32, F64

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.score.folder import Activation

# Part of every fingerprint. Raise it with any change here or in shapes.py, tokens.py, transformer.py, text.py,
# exact.py, encoder.py, loops.py, packed.py, packing.py, quantized.py that may change a bit of some score: product size,
# attention, activation, clip, join. All is made anew.
KERNEL_VERSION = 2

# Measured with MKL 2024.2 on AVX2, 20 shapes of layers, up to 1,200 rows: 4 rows are enough with one thread,
# 12 with two; a single column (a head with one label) needs a multiple of 4.
BLOCK = 16


def widen_products(model: nn.Module) -> None:
    """Make every linear layer of a model compute at least BLOCK rows, the added ones zero."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D  # GPT-2's linear layer, in spite of its name

    for module in model.modules():
        if isinstance(module, nn.Linear):
            _widen(module, single=module.out_features == 1)
        elif isinstance(module, Conv1D):
            _widen(module, single=module.nf == 1)


def forward(model: nn.Module, ids: Tensor) -> Tensor:
    """Return logits, shape (B, K), of token ids, int64, shape (B, L), none of them padding, on their device."""
    import torch

    with torch.inference_mode():
        logits: Tensor = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    return logits


def activate(logit_BK: F32, activation: Activation) -> F32:
    """Turn logits into scores in [0, 1].

    In float64, rounded once: a vectorised float32 exponential may treat the last elements of an array apart.
    """
    logit: F64 = logit_BK.astype(np.float64)
    if activation == "softmax":
        power = np.exp(logit - logit.max(axis=1, keepdims=True))
        score: F64 = power / power.sum(axis=1, keepdims=True)
    else:
        odds = np.exp(-np.abs(logit))
        score = np.where(logit >= 0, 1.0, odds) / (1.0 + odds)
    return score.astype(np.float32)


def _widen(layer: nn.Module, single: bool) -> None:
    from torch.nn.functional import pad

    plain: Callable[[Tensor], Tensor] = layer.forward

    def widened(input: Tensor) -> Tensor:
        rows = input.numel() // input.shape[-1]
        if rows >= BLOCK and not single:
            return plain(input)
        wide = pad(input.reshape(rows, -1), (0, 0, 0, -rows % BLOCK))
        return plain(wide)[:rows].reshape(*input.shape[:-1], -1)

    layer.forward = widened
