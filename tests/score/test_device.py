from __future__ import annotations

import pytest

from engine.errors import MachineError
from engine.score.device import Device, Dtype, choose_device, fastest_dtype


def give_gpu(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int] | None) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: capability is not None)
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda: capability)


def test_the_cpu_is_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    give_gpu(monkeypatch, (9, 0))
    assert choose_device("cpu") == choose_device("cpu", "float32") == Device("cpu", "float32")


def test_auto_takes_what_the_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    give_gpu(monkeypatch, None)
    assert choose_device("auto") == Device("cpu", "float32")
    give_gpu(monkeypatch, (9, 0))
    assert choose_device("auto") == choose_device("cuda") == Device("cuda", "float32")
    assert choose_device("auto", "bfloat16") == Device("cuda", "bfloat16")


@pytest.mark.parametrize(
    ("capability", "dtype"), [((6, 1), "float32"), ((7, 0), "float16"), ((7, 5), "float16"), ((8, 0), "bfloat16")]
)
def test_a_gpu_refuses_a_dtype_that_it_is_slow_in_and_names_the_fastest(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], dtype: str
) -> None:
    give_gpu(monkeypatch, capability)
    assert fastest_dtype(capability[0]) == dtype
    assert choose_device("cuda", fastest_dtype(capability[0])).dtype == dtype
    if dtype != "bfloat16":
        with pytest.raises(MachineError, match=f"use {dtype}"):
            choose_device("cuda", "bfloat16")


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_cpu_refuses_narrow_dtypes(monkeypatch: pytest.MonkeyPatch, dtype: Dtype) -> None:
    give_gpu(monkeypatch, None)
    with pytest.raises(MachineError, match="a hundred times slower"):
        choose_device("auto", dtype)


def test_cuda_that_is_absent_is_a_machine_error_never_a_silent_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    give_gpu(monkeypatch, None)
    with pytest.raises(MachineError, match=r"execute\.device is cuda"):
        choose_device("cuda")
