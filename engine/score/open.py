"""The door of the stage: a checked model folder → a scorer, on whatever machine a worker finds itself."""

from __future__ import annotations

from dataclasses import asdict
from typing import Literal

from engine.score.device import choose_device
from engine.score.folder import ModelFolder
from engine.score.frames import FrameRule
from engine.score.image import HuggingFaceImage, open_image_scorer
from engine.score.picture_probe import probe_picture_equality
from engine.score.pictures import PictureLimits
from engine.score.probe import probe_equality
from engine.score.text import HuggingFaceText, open_text_scorer

_COUNTS = ("contents", "cut", "pictures", "frames", "unread")  # what differs from worker to worker


def machine_facts(scorer: HuggingFaceText | HuggingFaceImage) -> dict[str, object]:
    """Return what this machine does to scores: versions, device, and whether a score depends on its content alone."""
    facts = {name: value for name, value in asdict(scorer.facts()).items() if name not in _COUNTS}
    equal = probe_picture_equality(scorer) if isinstance(scorer, HuggingFaceImage) else probe_equality(scorer)
    return facts | {"equality": "byte-equal" if equal else "equal within 1e-6"}


def open_scorer(
    folder: ModelFolder,
    *,
    device: Literal["auto", "cpu", "cuda"],
    threads: int = 1,
    separator: str = "\n",
    limits: PictureLimits | None = None,
    frames: FrameRule | None = None,
) -> HuggingFaceText | HuggingFaceImage:
    """Choose the device and load the model onto it.

    separator : between text fields. limits, frames : of images; the defaults where None.

    Raises
    ------
    DataError : the folder cannot be loaded whole. MachineError : cuda is wanted and absent.
    """
    chosen = choose_device(device)
    if folder.kind == "image":
        return open_image_scorer(folder, device=chosen, threads=threads, limits=limits, frames=frames)
    return open_text_scorer(folder, device=chosen, threads=threads, separator=separator)
