"""The door of the stage: a checked model folder → a scorer, on whatever machine a worker finds itself."""

from __future__ import annotations

from typing import Literal

from engine.score.device import choose_device
from engine.score.folder import ModelFolder
from engine.score.text import HuggingFaceText, open_text_scorer


def open_scorer(
    folder: ModelFolder, *, device: Literal["auto", "cpu", "cuda"], threads: int = 1, separator: str = "\n"
) -> HuggingFaceText:
    """Choose the device and load the model onto it.

    Raises
    ------
    DataError : the folder cannot be loaded whole. MachineError : cuda is wanted and absent.
    """
    return open_text_scorer(folder, device=choose_device(device), threads=threads, separator=separator)
