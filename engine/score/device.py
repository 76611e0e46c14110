"""The single place where a device and a dtype are chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.errors import MachineError


@dataclass(frozen=True)
class Device:
    """Where a model computes, and in which dtype.

    float32 everywhere: a CPU without native bf16 runs it 100 times slower, and what a narrower dtype on a GPU
    does to decisions near a threshold has not been measured yet. The dtype is part of the fingerprint.
    """

    name: Literal["cpu", "cuda"]
    dtype: Literal["float32"] = "float32"


def choose_device(wanted: Literal["auto", "cpu", "cuda"]) -> Device:
    """Return the device; `auto` takes a GPU where there is one.

    Raises
    ------
    MachineError : cuda is wanted and torch sees none. There is no silent fallback.
    """
    if wanted == "cpu":
        return Device("cpu")
    import torch

    if torch.cuda.is_available():
        return Device("cuda")
    if wanted == "cuda":
        raise MachineError(
            f"execute.device is cuda, but torch {torch.__version__} sees no CUDA device; set it to cpu, "
            "or install a CUDA build of torch on a machine with a GPU"
        )
    return Device("cpu")
