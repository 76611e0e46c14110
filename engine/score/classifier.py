"""An image folder → model and preprocessor in memory, tried once on made-up pictures before any real one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import DataError
from engine.records import F32
from engine.score.device import Device
from engine.score.folder import ModelFolder, refuse_changed
from engine.score.transformer import be_quiet, first_line, load_model

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import nn

_SIDES = ((64, 48), (37, 211), (3, 1))  # of the made-up pictures: any processor must give them one shape


@dataclass(frozen=True)
class ImageClassifier:
    """A classifier ready to run. shape : (channels, height, width) of every picture that it reads."""

    model: nn.Module
    processor: Any
    shape: tuple[int, ...]
    attention: str


def load_classifier(folder: ModelFolder, device: Device) -> ImageClassifier:
    """Load what `inspect_folder` accepted; nothing is downloaded, no code of the folder runs.

    Raises
    ------
    DataError : files that changed since; weights that do not fit; a preprocessor that needs more than Pillow, gives
        pictures of several shapes or of one that the model does not read.
    """
    refuse_changed(folder)
    be_quiet()
    processor = _load_processor(folder)
    shape = _try_processor(folder, processor)
    model = load_model(folder, device)
    _try_model(folder, model, device, shape)
    return ImageClassifier(model, processor, shape, str(model.config._attn_implementation))


def preprocess(processor: Any, frame: Image) -> F32:
    """Turn one RGB frame into what the model reads, float32, shape (channels, height, width)."""
    pixels: F32 = processor(images=frame, return_tensors="np")["pixel_values"][0]
    return pixels.astype(np.float32, copy=False)


def forward(model: nn.Module, pixel_BCHW: F32, device: Device) -> F32:
    """Return logits, float32, shape (B, K)."""
    import torch

    with torch.inference_mode():
        pixels = torch.from_numpy(pixel_BCHW).to(device.name, dtype=getattr(torch, device.dtype))
        logit_BK: F32 = model(pixel_values=pixels).logits.float().cpu().numpy()
    return logit_BK


def _load_processor(folder: ModelFolder) -> Any:
    """Load the preprocessor that computes with Pillow, wherever another one is installed too.

    Two that compute differently would give two scores under one fingerprint.
    """
    from transformers import AutoImageProcessor

    try:
        processor = AutoImageProcessor.from_pretrained(  # type: ignore[no-untyped-call]
            folder.path, backend="pil", local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # configs and missing packages each raise kinds of their own
        raise DataError(f"{folder.path}: the preprocessor cannot be loaded: {first_line(error)}") from error
    if getattr(processor, "backend", None) != "pil":
        raise DataError(
            f"{folder.path}: {type(processor).__name__} has no Pillow backend; torchvision and others are not "
            "used; save the model with a preprocessor that has one, such as ViTImageProcessor"
        )
    return processor


def _try_processor(folder: ModelFolder, processor: Any) -> tuple[int, ...]:
    from PIL import Image

    try:
        frames = [Image.new("RGB", sides, "gray") for sides in _SIDES]
        shapes = {preprocess(processor, frame).shape for frame in frames}
    except Exception as error:  # as in _load_processor
        raise DataError(f"{folder.path}: the preprocessor gives no pixel_values: {first_line(error)}") from error
    if len(shapes) > 1 or len(shape := shapes.pop()) != 3:
        raise DataError(
            f"{folder.path}: the preprocessor gives pictures of several shapes; turn on do_resize with a height and "
            "a width, or do_center_crop with do_resize"
        )
    return shape


def _try_model(folder: ModelFolder, model: Any, device: Device, shape: tuple[int, ...]) -> None:
    try:
        logit_BK = forward(model, np.zeros((1, *shape), np.float32), device)
    except Exception as error:  # each architecture has its own complaint
        raise DataError(
            f"{folder.path}: the model does not read what the preprocessor gives, {shape}: {first_line(error)}"
        ) from error
    if logit_BK.shape != (1, len(folder.labels)):
        raise DataError(f"{folder.path}: the model gives logits of shape {logit_BK.shape}, not one per label")
