"""How much arithmetic a text needs, and how much the machine can do."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.records import I64

_PROBE = 7  # tokens of the text that tells layers (7 rows) from head (1 row)
_ROWS = 1024
_SQUARE = 2048
_SECONDS = 0.15  # per matrix shape


@dataclass(frozen=True)
class Arithmetic:
    """Weights that every token meets, weights that a content meets once, and the linear layers' (in, out)."""

    token_weights: int
    content_weights: int
    layers: int
    hidden: int
    shapes: tuple[tuple[int, int], ...]

    def flops(self, length_U: I64) -> float:
        """Return useful operations: 2 × weights × rows, and two products of attention on the real lengths."""
        linear = 2.0 * (self.token_weights * int(length_U.sum()) + self.content_weights * len(length_U))
        return linear + 4.0 * self.layers * self.hidden * float(np.square(length_U.astype(np.float64)).sum())


def arithmetic_of(loaded: Any) -> Arithmetic:
    """Watch one text of a model pass its linear layers.

    Raises
    ------
    ValueError : a linear layer that sees neither every token nor one row per text.
    """
    import torch
    from torch import nn

    seen: list[tuple[int, int, int]] = []

    def watch(layer: nn.Linear, given: tuple[torch.Tensor, ...], _: torch.Tensor) -> None:
        seen.append((given[0].numel() // layer.in_features, layer.in_features, layer.out_features))

    hooks = [m.register_forward_hook(watch) for m in loaded.modules() if isinstance(m, nn.Linear)]
    with torch.inference_mode():
        ids = torch.ones(1, _PROBE, dtype=torch.int64, device=loaded.device)
        loaded(input_ids=ids, attention_mask=torch.ones_like(ids))
    for hook in hooks:
        hook.remove()
    if {rows for rows, _, _ in seen} - {1, _PROBE}:
        raise ValueError(f"linear layers see {sorted({rows for rows, _, _ in seen})} rows of {_PROBE} tokens")
    return Arithmetic(
        token_weights=sum(i * o for rows, i, o in seen if rows == _PROBE),
        content_weights=sum(i * o for rows, i, o in seen if rows == 1),
        layers=loaded.config.num_hidden_layers,
        hidden=loaded.config.hidden_size,
        shapes=tuple(sorted({(i, o) for rows, i, o in seen if rows == _PROBE})),
    )


class Peak:
    """The best rate of a matrix product, float32: the model's own shapes with 1,024 rows, and 2048 cubed."""

    def __init__(self, arithmetic: Arithmetic, device: str) -> None:
        import torch

        sizes = [(_ROWS, i, o) for i, o in arithmetic.shapes] + [(_SQUARE, _SQUARE, _SQUARE)]
        self._pairs = [(torch.randn(n, i, device=device), torch.randn(o, i, device=device)) for n, i, o in sizes]
        self._device = device

    def rate(self) -> float:
        """Return operations per second of the best shape; about a second of work."""
        return max(self._rate(a, b) for a, b in self._pairs)

    def _rate(self, a: Any, b: Any) -> float:
        from torch.nn.functional import linear

        linear(a, b)
        settle(self._device)
        products, start = 0, time.perf_counter()
        while time.perf_counter() - start < _SECONDS:
            linear(a, b)
            settle(self._device)
            products += 1
        return 2.0 * a.shape[0] * a.shape[1] * b.shape[0] * products / (time.perf_counter() - start)


def settle(device: str) -> None:
    """Wait until a GPU has done what it was given."""
    if device == "cuda":
        import torch

        torch.cuda.synchronize()
