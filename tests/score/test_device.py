from __future__ import annotations

import pytest

from engine.errors import MachineError
from engine.score.device import Device, choose_device


def test_the_cpu_is_float32() -> None:
    assert choose_device("cpu") == Device("cpu", "float32")


def test_auto_takes_what_the_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert choose_device("auto") == Device("cpu")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert choose_device("auto") == choose_device("cuda") == Device("cuda", "float32")


def test_cuda_that_is_absent_is_a_machine_error_never_a_silent_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(MachineError, match=r"execute\.device is cuda"):
        choose_device("cuda")
