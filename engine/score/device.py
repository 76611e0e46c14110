"""The single place where a device and a dtype are chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.errors import MachineError

Stored = Literal["float32", "bfloat16", "float16"]
Dtype = Literal[Stored, "int8"]
_CAPABILITY: dict[Stored, int] = {"float32": 0, "float16": 7, "bfloat16": 8}  # from which a GPU multiplies it fast


@dataclass(frozen=True)
class Device:
    """Where a model computes, and in which dtype, which is part of the fingerprint.

    A CPU computes in float32, or in int8 where that was asked for: one without native bf16 runs it 100 times slower.
    """

    name: Literal["cpu", "cuda"]
    dtype: Dtype = "float32"

    @property
    def stored(self) -> Stored:
        """What weights are loaded in; those of int8 are quantized from float32."""
        return "float32" if self.dtype == "int8" else self.dtype


def choose_device(wanted: Literal["auto", "cpu", "cuda"], dtype: Dtype = "float32") -> Device:
    """Return the device; `auto` takes a GPU where there is one.

    The dtype is the config's, for scores must not depend on where a worker runs; a machine that is slow in it refuses.

    Raises
    ------
    MachineError : cuda is wanted and torch sees none, or the device has no fast arithmetic of this dtype. There is no
        silent fallback.
    """
    device = _find_device(wanted)
    if dtype == "int8":
        return _choose_int8(device)
    if device == "cpu" and dtype != "float32":
        raise MachineError(f"dtype is {dtype}, which a CPU computes a hundred times slower; use float32, or a GPU")
    if device == "cuda":
        capability = _capability()
        if capability < _CAPABILITY[dtype]:
            raise MachineError(f"dtype is {dtype}, which this GPU is slow in; use {fastest_dtype(capability)}")
    return Device(device, dtype)


def fastest_dtype(capability: int) -> Stored:
    """Return what a GPU multiplies fastest: bfloat16 from compute capability 8 on (Ampere), float16 from 7 (Volta)."""
    return next(dtype for dtype in ("bfloat16", "float16", "float32") if capability >= _CAPABILITY[dtype])


def _choose_int8(device: Literal["cpu", "cuda"]) -> Device:
    from engine.score.quantized import why_no_int8

    if device == "cuda":
        raise MachineError("dtype is int8, which has no path on a GPU; set execute.device to cpu, or use float16")
    reason = why_no_int8()
    if reason:
        raise MachineError(f"dtype is int8, for which this CPU has no fast path: {reason}; use float32")
    return Device("cpu", "int8")


def _capability() -> int:
    import torch

    return int(torch.cuda.get_device_capability()[0])


def _find_device(wanted: Literal["auto", "cpu", "cuda"]) -> Literal["cpu", "cuda"]:
    if wanted == "cpu":
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if wanted == "cuda":
        raise MachineError(
            f"execute.device is cuda, but torch {torch.__version__} sees no CUDA device; set it to cpu, "
            "or install a CUDA build of torch on a machine with a GPU"
        )
    return "cpu"
