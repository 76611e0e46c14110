"""The path for any classifier. A GPU is played by a fake that refuses batches of too many tokens."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from engine.errors import MachineError
from engine.score.device import Device
from engine.score.exact import SHAPES, Exact
from engine.score.tokens import Tokens, as_tokens

CUDA = Device("cuda", "bfloat16")


class SmallGpu:
    """A model whose logit is the sum of the ids, with memory for some tokens at a time."""

    def __init__(self, memory: int) -> None:
        self.config = SimpleNamespace(num_labels=1)
        self.memory = memory
        self.tokens: list[int] = []

    def __call__(self, input_ids: Any, attention_mask: Any) -> Any:
        import torch

        assert attention_mask.all()
        self.tokens.append(input_ids.numel())
        if input_ids.numel() > self.memory:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return SimpleNamespace(logits=input_ids.sum(dim=1, keepdim=True).to(torch.bfloat16))


def upload(id_BL: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(id_BL)


def some_tokens() -> Tokens:
    random = np.random.default_rng(2)
    ids = [random.integers(0, 3, length).tolist() for length in random.integers(1, 40, 2000)]
    return as_tokens(ids, [False] * 2000)


def sums(tokens: Tokens) -> np.ndarray:
    return np.add.reduceat(tokens.id_T, tokens.start_U)


def test_a_gpu_gets_full_batches_and_scores_come_back_in_order_as_float32() -> None:
    gpu, tokens = SmallGpu(memory=1 << 20), some_tokens()
    path = Exact(gpu, CUDA, upload=upload)  # type: ignore[arg-type]
    logit_UK = path.logits(tokens)
    assert logit_UK.dtype == np.float32
    assert logit_UK[:, 0].tolist() == sums(tokens).tolist()
    assert sum(gpu.tokens) == path.computed_tokens(tokens)
    assert path.shapes == SHAPES["cuda"]
    assert path.halvings == 0


def test_a_gpu_out_of_memory_halves_the_tile_for_good_and_goes_on_where_it_was() -> None:
    gpu, tokens = SmallGpu(memory=9_000), some_tokens()
    path = Exact(gpu, CUDA, upload=upload)  # type: ignore[arg-type]
    assert path.logits(tokens)[:, 0].tolist() == sums(tokens).tolist()
    assert path.halvings == 2  # 32,768 → 16,384 → 8,192
    assert path.shapes.tile == 8_192
    refused = [tokens for tokens in gpu.tokens if tokens > 9_000]
    assert len(refused) == 2
    gpu.tokens.clear()
    path.logits(tokens)
    assert path.halvings == 2
    assert max(gpu.tokens) <= 8_192


def test_batches_done_before_memory_ran_out_are_not_computed_again() -> None:
    gpu, tokens = SmallGpu(memory=1 << 20), as_tokens([[1] * 30] * 1500 + [[1] * 20] * 1500, [False] * 3000)
    path = Exact(gpu, CUDA, upload=upload)  # type: ignore[arg-type]
    forward = gpu.__class__.__call__

    def shrink(self: SmallGpu, **inputs: Any) -> Any:
        if len(self.tokens) == 1:
            self.memory = 20_000
        return forward(self, **inputs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SmallGpu, "__call__", shrink)
        assert path.logits(tokens)[:, 0].tolist() == [30] * 1500 + [20] * 1500
    lengths_30 = 1500 * 30
    assert gpu.tokens[0] == 1092 * 30
    assert sum(gpu.tokens[2:]) < lengths_30 - gpu.tokens[0] + 1500 * 20 + 2 * 16_384


def test_a_single_content_that_does_not_fit_is_a_machine_error() -> None:
    path = Exact(SmallGpu(memory=25), CUDA, upload=upload)  # type: ignore[arg-type]
    with pytest.raises(MachineError, match="too little memory for one content of 39 tokens"):
        path.logits(some_tokens())
