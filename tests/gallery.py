"""Made-up pictures and tiny image models with seeded random weights, for the tests of images."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors.numpy import load_file, save_file

LABELS = {0: "COMPLIANT", 1: "SCAM", 2: "ADULT"}
IMAGE_OUTPUTS = {"adult": "ADULT", "scam": "SCAM"}


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    """Coloured noise over a slope, so that crops and turns all look different."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 128, (height, width, 3))
    pixels[..., 0] += np.linspace(0, 127, width).astype(int)
    pixels[..., 1] += np.linspace(0, 127, height).astype(int)[:, None]
    return Image.fromarray(pixels.astype(np.uint8))


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    stream = BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def animate(colours: list[str], kind: str = "GIF", size: tuple[int, int] = (20, 16)) -> bytes:
    """An animation, or a file of several pages, with one plain colour a frame."""
    frames = [Image.new("RGB", size, colour) for colour in colours]
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    return encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)


def save_vit(folder: Path, **labels: Any) -> Path:
    """A ViT of 32 × 32 pixels; the preprocessor squeezes any picture into them."""
    import torch
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessorPil

    size: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = ViTConfig(
        image_size=32, patch_size=8, intermediate_size=64, initializer_range=0.3, **size, **(labels or _labels())
    )
    torch.manual_seed(5)
    ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def save_resnet(folder: Path) -> Path:
    """A ResNet with bottlenecks, whose 1 × 1 convolutions are what threads divide otherwise; crops to 64 × 64."""
    import torch
    from transformers import ConvNextImageProcessorPil, ResNetConfig, ResNetForImageClassification

    torch.manual_seed(5)
    widths: dict[str, Any] = {"embedding_size": 64, "hidden_sizes": [256, 512], "depths": [1, 1]}
    ResNetForImageClassification(ResNetConfig(**widths, **_labels())).save_pretrained(folder)
    ConvNextImageProcessorPil(size={"shortest_edge": 64}).save_pretrained(folder)
    return folder


def save_convnext(folder: Path) -> Path:
    """A ConvNeXt of one label, so with a sigmoid; crops to 32 × 32."""
    import torch
    from transformers import ConvNextConfig, ConvNextForImageClassification, ConvNextImageProcessorPil

    torch.manual_seed(5)
    widths: dict[str, Any] = {"hidden_sizes": [16, 32], "depths": [1, 1], "num_stages": 2, "initializer_range": 0.3}
    config = ConvNextConfig(**widths, num_labels=1)
    ConvNextForImageClassification(config).save_pretrained(folder)
    ConvNextImageProcessorPil(size={"shortest_edge": 32}).save_pretrained(folder)
    return folder


def change(folder: Path, **tensors: np.ndarray | None) -> None:
    """Replace tensors of a saved model; None removes one."""
    changed = load_file(folder / "model.safetensors") | tensors
    save_file({name: t for name, t in changed.items() if t is not None}, folder / "model.safetensors")


def _labels() -> dict[str, Any]:
    return {"id2label": LABELS, "label2id": {name: number for number, name in LABELS.items()}}
