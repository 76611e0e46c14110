"""The forward pass of any classifier of transformers, over batches of one exact length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from engine.errors import MachineError
from engine.records import F32, I64
from engine.score.device import Device
from engine.score.kernel import forward
from engine.score.shapes import DUMMY, Batch, Shapes, plan_batches
from engine.score.tokens import Tokens

if TYPE_CHECKING:
    from torch import Tensor, nn

# Tile sizes: on a CPU by measurement (README). A GPU wants larger ones; its results may depend on the rows.
SHAPES = {"cpu": Shapes(tile=1024, ragged=True), "cuda": Shapes(tile=32_768, ragged=False)}


class Upload(Protocol):
    """How token ids reach the device."""

    def __call__(self, id_BL: I64, /) -> Tensor: ...


class Exact:
    """A model of transformers, which gets texts of one length at a time.

    Where a GPU runs out of memory the tile is halved, for good: `shapes` and `halvings` tell.
    """

    name = "exact lengths"

    def __init__(self, model: nn.Module, device: Device, threads: int = 1, upload: Upload | None = None) -> None:
        config: Any = model.config
        self._model, self._classes = model, int(config.num_labels)
        self._threads = threads
        self._upload = upload or _uploader(device)
        self.shapes = SHAPES[device.name]
        self.halvings = 0

    def logits(self, tokens: Tokens) -> F32:
        """Return logits, float32, shape (U, K).

        Raises
        ------
        MachineError : the GPU has too little memory for a single content.
        """
        import torch

        torch.set_num_threads(self._threads)
        done: list[tuple[I64, Tensor]] = []
        left = plan_batches(tokens.length_U, self.shapes)
        while left:
            try:
                logits = forward(self._model, self._upload(tokens.ids(left[0])))
            except torch.OutOfMemoryError:
                left = self._halve(left, tokens)
            else:  # fetched at the end, so that a GPU need not wait for the plan of its next batch
                done.append((left[0].index_B, logits))
                left = left[1:]
        return _gather(done, len(tokens.length_U), self._classes)

    def computed_tokens(self, tokens: Tokens) -> int:
        """Return the tokens of all batches, dummies included."""
        return sum(batch.length * len(batch.index_B) for batch in plan_batches(tokens.length_U, self.shapes))

    def _halve(self, left: tuple[Batch, ...], tokens: Tokens) -> tuple[Batch, ...]:
        """Halve the tile and plan what is left once more."""
        import torch

        if self.shapes.full_rows(left[0].length) == 1:
            raise MachineError(
                f"the GPU has too little memory for one content of {left[0].length} tokens; lower max_length, "
                "set execute.device to cpu, or free its memory"
            )
        torch.cuda.empty_cache()
        self.shapes = Shapes(self.shapes.tile // 2, self.shapes.ragged)
        self.halvings += 1
        index = np.concatenate([batch.index_B[batch.index_B != DUMMY] for batch in left])
        again = plan_batches(tokens.length_U[index], self.shapes)
        return tuple(
            Batch(batch.length, np.where(batch.index_B == DUMMY, DUMMY, index[batch.index_B])) for batch in again
        )


def _gather(done: list[tuple[I64, Tensor]], contents: int, classes: int) -> F32:
    logit_UK = np.empty((contents, classes), np.float32)
    for index_B, logits in done:
        real_B = index_B != DUMMY
        logit_UK[index_B[real_B]] = logits.float().cpu().numpy()[real_B]
    return logit_UK


def _uploader(device: Device) -> Upload:
    import torch

    return CudaUpload() if device.name == "cuda" else torch.from_numpy


class CudaUpload:
    """Copies from pinned memory on a stream of its own, while the batch before is computed. Has not run yet."""

    def __init__(self) -> None:
        import torch

        self._stream: torch.cuda.Stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]

    def __call__(self, id_BL: I64) -> Tensor:
        import torch

        pinned = torch.from_numpy(id_BL).pin_memory()
        with torch.cuda.stream(self._stream):
            ids = pinned.to("cuda", non_blocking=True)
        compute = torch.cuda.current_stream()
        compute.wait_stream(self._stream)
        ids.record_stream(compute)
        return ids
