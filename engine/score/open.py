"""The door of the stage: a checked model folder → a scorer, on whatever machine a worker finds itself."""

from __future__ import annotations

from dataclasses import asdict

from engine.errors import DataError
from engine.score.device import choose_device
from engine.score.image import HuggingFaceImage, open_image_scorer
from engine.score.opening import Opening
from engine.score.picture_probe import probe_picture_equality
from engine.score.probe import probe_equality
from engine.score.text import HuggingFaceText, open_text_scorer

AnyScorer = HuggingFaceText | HuggingFaceImage
_COUNTS = ("contents", "cut", "pictures", "frames", "unread", "halvings")  # what differs from worker to worker


def open_scorer(opening: Opening) -> AnyScorer:
    """Choose the device and load the model onto it.

    Raises
    ------
    DataError : the folder cannot be loaded whole, or has no path in int8. MachineError : the device is absent, or has
        no fast arithmetic of the dtype.
    """
    folder, device = opening.folder, choose_device(opening.device, opening.dtype)
    if folder.kind == "image":
        if device.dtype == "int8":
            raise DataError(f"{folder.path}: reads pictures, and dtype int8 belongs to texts; use float32")
        return open_image_scorer(
            folder, device=device, threads=opening.threads, limits=opening.limits, frames=opening.frames
        )
    return open_text_scorer(folder, device=device, threads=opening.threads, fields=opening.fields)


def machine_facts(scorer: AnyScorer) -> dict[str, object]:
    """Return what this machine does to scores: versions, device, and whether a score depends on its content alone."""
    facts = {name: value for name, value in asdict(scorer.facts()).items() if name not in _COUNTS}
    equal = probe_picture_equality(scorer) if isinstance(scorer, HuggingFaceImage) else probe_equality(scorer)
    return facts | {"equality": "byte-equal" if equal else "equal within 1e-6"}
