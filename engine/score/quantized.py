"""Layers of an encoder in int8: products of whole numbers, exact, so that a row of them depends on that row alone.

A weight is scale × code with one scale an output, an activation low + step × code with a range for each token. Codes
of activations have 7 bits, for a CPU without VNNI adds pairs of products in 16 bits. All that is not a product of a
layer stays float32: embeddings, attention, activation, norms, head.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.records import F32, U8
from engine.score import loops
from engine.score.encoder import Encoder, Layer, Linear, Product

if TYPE_CHECKING:
    from torch import Tensor

_MOST = 127  # codes of weights lie in [-127, 127]


@dataclass(frozen=True, eq=False)
class QuantizedLinear:
    """code_OI : int8. packed : the same as products read it. scale_O, sum_O : see `loops.decode`. bias_O : float32."""

    code_OI: Tensor
    packed: Tensor
    scale_O: F32
    sum_O: F32
    bias_O: F32

    def multiply(self, x_TI: F32, y_TO: F32) -> None:
        """Set y to x times the weight, without the bias."""
        code_TI = np.empty(x_TI.shape, np.uint8)
        low_T, step_T = np.empty((2, len(x_TI)), np.float32)
        loops.encode(x_TI, code_TI, low_T, step_T)
        product_TO = multiply_codes(code_TI, self.packed)
        loops.decode(product_TO, low_T, step_T, self.scale_O, self.sum_O, y_TO)

    def columns(self, first: int, last: int) -> QuantizedLinear:
        """Return a part of the outputs, packed anew."""
        code_OI, outputs = self.code_OI[first:last].contiguous(), slice(first, last)
        return QuantizedLinear(
            code_OI, pack_codes(code_OI), self.scale_O[outputs], self.sum_O[outputs], self.bias_O[outputs]
        )


def quantize_layers(encoder: Encoder) -> Encoder:
    """Return the encoder with layers in int8; the rest shares memory with the one given."""
    return replace(encoder, layers=tuple(_quantize_layer(layer) for layer in encoder.layers))


def _quantize_layer(layer: Layer) -> Layer:
    mix, out, up, down = (quantize(product) for product in (layer.mix, layer.out, layer.up, layer.down))
    return replace(layer, mix=mix, out=out, up=up, down=down)


def quantize(product: Product) -> QuantizedLinear:
    """Return a linear layer in int8."""
    import torch

    assert isinstance(product, Linear), "a layer is quantized once"
    weight_OI = product.weight_IO.t()
    scale_O = weight_OI.abs().amax(1) / _MOST
    code_OI = torch.where(scale_O[:, None] > 0, weight_OI / scale_O[:, None], 0).round().to(torch.int8)
    sum_O = scale_O.double() * code_OI.sum(1)
    return QuantizedLinear(code_OI, pack_codes(code_OI), scale_O.numpy(), sum_O.float().numpy(), product.bias_O)


def pack_codes(code_OI: Tensor) -> Tensor:
    """Return weights as `multiply_codes` reads them."""
    import torch

    packed: Tensor = torch.ops.onednn.qlinear_prepack(code_OI.contiguous(), None)
    return packed


def multiply_codes(code_TI: U8, packed: Tensor) -> F32:
    """Return the products of codes, float32, shape (T, O): whole numbers, rounded only beyond 2^24."""
    import torch

    outputs = packed.shape[1]
    one_O, zero_O = torch.ones(outputs), torch.zeros(outputs, dtype=torch.int64)
    no_post_op: tuple[Any, ...] = ("none", [], "")
    product: Tensor = torch.ops.onednn.qlinear_pointwise(
        torch.from_numpy(code_TI), 1.0, 0, packed, one_O, zero_O, None, 1.0, 0, torch.float32, *no_post_op
    )
    whole_TO: F32 = product.numpy()
    return whole_TO


def why_no_int8() -> str:
    """Say why this CPU has no fast and exact product of codes; empty where it has one."""
    import torch

    if not torch._C._has_mkldnn:
        return f"torch {torch.__version__} is built without oneDNN"
    capability = torch.backends.cpu.get_cpu_capability()
    if not capability.startswith("AVX"):
        return f"its instruction set is {capability}; int8 was measured with AVX2"
    return "" if _is_exact() else "its products of whole numbers are not exact"


def _is_exact() -> bool:
    """Multiply the largest codes, which are the first to run over."""
    import torch

    inputs, most = 256, np.uint8(loops.CODES)
    code_OI = torch.full((16, inputs), _MOST, dtype=torch.int8)
    code_OI[::2] *= -1
    product_TO = multiply_codes(np.full((16, inputs), most), pack_codes(code_OI))
    whole_OI = code_OI.numpy().astype(np.int64)
    return bool((product_TO == int(most) * whole_OI.sum(1)).all())
