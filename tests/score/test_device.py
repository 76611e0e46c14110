from __future__ import annotations

import pytest

from engine.errors import MachineError
from engine.score.device import Device, choose_device


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
    assert choose_device("auto") == choose_device("cuda") == Device("cuda", "bfloat16")


@pytest.mark.parametrize(
    ("capability", "dtype"), [((6, 1), "float32"), ((7, 0), "float16"), ((7, 5), "float16"), ((8, 0), "bfloat16")]
)
def test_the_dtype_of_a_gpu_follows_its_capability_unless_float32_is_wanted(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], dtype: str
) -> None:
    give_gpu(monkeypatch, capability)
    assert choose_device("cuda").dtype == dtype
    assert choose_device("cuda", "float32") == Device("cuda", "float32")


def test_cuda_that_is_absent_is_a_machine_error_never_a_silent_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    give_gpu(monkeypatch, None)
    with pytest.raises(MachineError, match=r"execute\.device is cuda"):
        choose_device("cuda")
