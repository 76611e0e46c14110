"""The door of the stage: a checked model folder → a scorer, on whatever machine a worker finds itself."""

from __future__ import annotations

from dataclasses import asdict
from typing import Literal

from engine.score.device import choose_device
from engine.score.folder import ModelFolder
from engine.score.probe import probe_equality
from engine.score.text import HuggingFaceText, open_text_scorer


def machine_facts(scorer: HuggingFaceText) -> dict[str, object]:
    """Return what this machine does to scores: versions, device, and whether a score depends on its content alone."""
    facts = {name: value for name, value in asdict(scorer.facts()).items() if name not in ("contents", "cut")}
    return facts | {"equality": "byte-equal" if probe_equality(scorer) else "equal within 1e-6"}


def open_scorer(
    folder: ModelFolder,
    *,
    device: Literal["auto", "cpu", "cuda"],
    dtype: Literal["auto", "float32"] = "float32",
    threads: int = 1,
    separator: str = "\n",
) -> HuggingFaceText:
    """Choose the device and the dtype, which the fingerprint must name, and load the model onto it.

    Raises
    ------
    DataError : the folder cannot be loaded whole. MachineError : cuda is wanted and absent.
    """
    return open_text_scorer(folder, device=choose_device(device, dtype), threads=threads, separator=separator)
