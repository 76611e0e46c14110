"""The single place where a device and a dtype are chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.errors import MachineError

Dtype = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class Device:
    """Where a model computes, and in which dtype, which is part of the fingerprint.

    A CPU always computes in float32: one without native bf16 runs it 100 times slower.
    """

    name: Literal["cpu", "cuda"]
    dtype: Dtype = "float32"


def choose_device(wanted: Literal["auto", "cpu", "cuda"], dtype: Literal["auto", "float32"] = "auto") -> Device:
    """Return the device; `auto` takes a GPU where there is one, and the dtype that it multiplies fastest.

    That is bfloat16 from compute capability 8 on (Ampere), float16 from 7 on (Volta), float32 before.

    Raises
    ------
    MachineError : cuda is wanted and torch sees none. There is no silent fallback.
    """
    if wanted == "cpu":
        return Device("cpu")
    import torch

    if torch.cuda.is_available():
        return Device(
            "cuda", "float32" if dtype == "float32" else _fastest_dtype(torch.cuda.get_device_capability()[0])
        )
    if wanted == "cuda":
        raise MachineError(
            f"execute.device is cuda, but torch {torch.__version__} sees no CUDA device; set it to cpu, "
            "or install a CUDA build of torch on a machine with a GPU"
        )
    return Device("cpu")


def _fastest_dtype(capability: int) -> Dtype:
    if capability >= 8:
        return "bfloat16"
    return "float16" if capability >= 7 else "float32"
