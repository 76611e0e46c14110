"""Image classifiers as a Scorer: equal to transformers, one byte-equal score a content, every trap refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gallery import IMAGE_OUTPUTS, animate, change, encode, noise
from PIL import Image

from engine.records import F32, Contents
from engine.score.device import Device
from engine.score.folder import inspect_folder
from engine.score.frames import FrameRule
from engine.score.image import ROWS, HuggingFaceImage, open_image_scorer
from engine.score.open import machine_facts, open_scorer
from engine.score.opening import Opening
from engine.score.picture_probe import probe_picture_equality
from engine.score.pictures import PictureLimits

Rewrite = Callable[..., None]
OUTPUTS = {"vit": IMAGE_OUTPUTS, "resnet": IMAGE_OUTPUTS, "convnext": {"scam": "LABEL_0"}}
PICTURES: dict[str, Any] = {"limits": PictureLimits(), "frames": FrameRule()}
PREPROCESSOR = "preprocessor_config.json"


def open_model(folders: dict[str, Path], name: str = "vit", **settings: Any) -> HuggingFaceImage:
    return open_image_scorer(inspect_folder(folders[name], OUTPUTS[name]), device=Device("cpu"), **settings)


def contents(*images: tuple[bytes | None, ...]) -> Contents:
    return Contents((), images)


def photos(count: int) -> list[bytes]:
    """Pictures of many sizes and formats."""
    kinds = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
    return [encode(noise(20 + 7 * i % 90, 15 + 11 * i % 70, i), kinds[i % 5]) for i in range(count)]


def test_contents_count_texts_or_images() -> None:
    assert len(contents((b"a", None), ())) == 2
    assert len(Contents((("a",), ("b",)), ((b"a",), ()))) == 2
    assert len(Contents(())) == 0


def pipeline_scores(folder: Path, pictures: list[bytes]) -> F32:
    """Twin: the pipeline of transformers on RGB pictures, as its documentation has it."""
    from io import BytesIO

    from transformers import AutoImageProcessor, pipeline

    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")  # type: ignore[no-untyped-call]
    classify = pipeline("image-classification", model=str(folder), image_processor=processor, device="cpu")
    rows = []
    for picture in pictures:
        judged = classify(Image.open(BytesIO(picture)).convert("RGB"), top_k=None)
        by_label = {judgement["label"]: judgement["score"] for judgement in judged}
        rows.append([by_label.get(label, by_label.get("LABEL_0")) for label in ("ADULT", "SCAM")])
    return np.array(rows, np.float32)


@pytest.mark.parametrize("name", list(OUTPUTS))
def test_scores_are_those_of_the_pipeline_of_transformers(folders: dict[str, Path], name: str) -> None:
    pictures = photos(10)
    score_UP = open_model(folders, name).score(contents(*((picture,) for picture in pictures)))
    expected = pipeline_scores(folders[name], pictures)[:, : score_UP.shape[1]]
    assert np.abs(score_UP - expected).max() < 1e-6
    assert score_UP.std(axis=0).min() > 1e-4


@pytest.mark.parametrize("name", list(OUTPUTS))
def test_order_batch_mates_tails_and_threads_change_no_byte(folders: dict[str, Path], name: str) -> None:
    pictures = photos(ROWS + 9)
    score_UP = open_model(folders, name).score(contents(*((picture,) for picture in pictures)))
    random = np.random.default_rng(11)
    for threads in (1, 2, 3):
        scorer = open_model(folders, name, threads=threads)
        for size in (len(pictures), ROWS, 5, 1, 1):
            some = random.permutation(len(pictures))[:size]
            again_UP = scorer.score(contents(*((pictures[u],) for u in some)))
            assert again_UP.tobytes() == score_UP[some].tobytes()


@pytest.mark.parametrize("threads", [1, 2])
def test_a_pass_computes_on_one_thread_whatever_torch_is_set_to(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    import torch

    torch.set_num_threads(2)
    scorer = open_model(folders, threads=threads)
    honest, seen = scorer._forward, []

    def watched(pixel_BCHW: F32) -> F32:
        seen.append(torch.get_num_threads())
        return honest(pixel_BCHW)

    monkeypatch.setattr(scorer, "_forward", watched)
    scorer.score(contents(*((picture,) for picture in photos(5))))
    assert seen == [1] * 5


def test_scoring_leaves_the_threads_of_the_process_alone(folders: dict[str, Path]) -> None:
    import torch

    torch.set_num_threads(2)
    open_model(folders).score(contents((encode(noise(9, 9)),)))
    assert torch.get_num_threads() == 2


def test_the_order_of_frames_and_carousels_change_no_byte(folders: dict[str, Path]) -> None:
    scorer = open_model(folders, frames=FrameRule(combine="top_mean", top=3))
    pictures = photos(7)
    score_UP = scorer.score(contents(tuple(pictures), tuple(pictures[::-1]), (pictures[0],)))
    assert score_UP[0].tobytes() == score_UP[1].tobytes()
    alone_UP = scorer.score(contents(*((picture,) for picture in pictures)))
    assert np.allclose(score_UP[0], np.sort(alone_UP, axis=0)[-3:].mean(axis=0), atol=1e-7)


def test_an_animation_scores_as_its_frames_do(folders: dict[str, Path]) -> None:
    colours = ["red", "lime", "blue", "black", "white"]
    scorer = open_model(folders, frames=FrameRule(most=3))
    stills = [encode(Image.new("RGB", (20, 16), colours[i])) for i in (0, 2, 4)]
    score_UP = scorer.score(contents((animate(colours),), tuple(stills)))
    assert score_UP[0].tobytes() == score_UP[1].tobytes()
    assert scorer.facts().frames == 6


def test_contents_without_a_readable_picture_get_nan_and_are_counted(folders: dict[str, Path]) -> None:
    scorer = open_model(folders)
    good, bad = encode(noise(30, 20)), encode(noise(30, 20), "JPEG")[:300]
    score_UP = scorer.score(contents((good,), (), (None,), (bad, None), (bad, good), (b"",)))
    assert np.isnan(score_UP).all(axis=1).tolist() == [False, True, True, True, False, True]
    assert score_UP[4].tobytes() == score_UP[0].tobytes()
    facts = scorer.facts()
    assert (facts.contents, facts.pictures, facts.frames) == (6, 7, 2)
    assert facts.unread == (("image is broken", 2), ("image is empty", 1), ("image is null", 2))


def test_no_contents_and_nothing_but_gaps_give_the_right_shape(folders: dict[str, Path]) -> None:
    scorer = open_model(folders)
    assert scorer.score(Contents(())).shape == (0, 2)
    assert scorer.score(contents((), ())).shape == (2, 2)


@pytest.mark.parametrize("sides", [(1, 1), (1, 3), (3, 1), (3, 3), (1, 100), (300, 3)])
def test_pictures_of_odd_sides_get_a_score(folders: dict[str, Path], sides: tuple[int, int]) -> None:
    for name in OUTPUTS:
        assert np.isfinite(open_model(folders, name).score(contents((encode(noise(*sides)),)))).all()


def test_nan_of_the_model_itself_passes_through(broken_vit: Path) -> None:
    change(broken_vit, **{"classifier.bias": np.array([0, np.nan, 0], np.float32)})
    scorer = open_image_scorer(inspect_folder(broken_vit, IMAGE_OUTPUTS), device=Device("cpu"))
    assert np.isnan(scorer.score(contents((encode(noise(9, 9)),)))).all()


def test_no_more_pictures_are_decoded_than_the_model_is_ahead_of(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Count the frames that wait between reader and model."""
    scorer = open_model(folders)
    read, batches = [0], []
    honest_read, honest_score = scorer._preprocess, scorer._score_batch

    def counted(data: bytes | None) -> Any:
        read[0] += 1
        return honest_read(data)

    def scored(frames: list[F32], runners: Any) -> F32:
        batches.append((read[0], len(frames)))
        return honest_score(frames, runners)

    monkeypatch.setattr(scorer, "_preprocess", counted)
    monkeypatch.setattr(scorer, "_score_batch", scored)
    scorer.score(contents(*((encode(noise(9, 9)),) for _ in range(4 * ROWS))))
    done = 0
    for seen, size in batches:
        assert size == ROWS
        assert seen - done <= ROWS + 3
        done += size


def test_the_probe_agrees_and_notices_a_score_that_depends_on_its_position(folders: dict[str, Path]) -> None:
    scorer = open_model(folders)
    assert probe_picture_equality(scorer)
    honest = scorer.score_pixels

    def positional(frames: list[F32]) -> F32:
        return honest(frames) + np.arange(len(frames), dtype=np.float32)[:, None] * np.float32(1e-6)

    scorer.score_pixels = positional  # type: ignore[method-assign]
    assert not probe_picture_equality(scorer)


def test_the_door_opens_both_kinds(folders: dict[str, Path], tiny: Path) -> None:
    images = open_scorer(Opening(inspect_folder(folders["vit"], IMAGE_OUTPUTS), device="cpu"))
    texts = open_scorer(Opening(inspect_folder(tiny, IMAGE_OUTPUTS), device="cpu"))
    assert (images.folder.kind, texts.folder.kind) == ("image", "text")
    facts = machine_facts(images)
    assert facts["equality"] == "byte-equal"
    assert facts["shape"] == (3, 32, 32)
    assert not {"contents", "pictures", "frames", "unread"} & set(facts)
    assert machine_facts(texts)["equality"] == "byte-equal"


def test_a_fixed_number_of_rows_gives_the_same_scores(folders: dict[str, Path]) -> None:
    """The path of a GPU, on a CPU: dummies fill the tail and leave no trace."""
    scorer = open_model(folders)
    frames = [np.random.default_rng(i).standard_normal(scorer.shape).astype(np.float32) for i in range(ROWS + 3)]
    alone_FP = scorer.score_pixels(frames)
    whole: list[int] = []

    def wide(pixel_BCHW: F32) -> F32:
        whole.append(len(pixel_BCHW))
        return HuggingFaceImage._forward(cpu, pixel_BCHW)

    cpu = open_model(folders)
    scorer._device = Device("cuda")
    scorer._forward = wide  # type: ignore[method-assign]
    assert np.abs(scorer.score_pixels(frames) - alone_FP).max() < 1e-6
    assert whole == [ROWS, ROWS]
