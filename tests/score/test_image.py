"""Image classifiers as a Scorer: equal to transformers, one byte-equal score a content, every trap refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gallery import IMAGE_OUTPUTS, animate, encode, noise, save_convnext, save_resnet, save_vit
from PIL import Image
from safetensors.numpy import load_file, save_file

from engine.errors import DataError
from engine.records import F32, Contents
from engine.score.device import Device
from engine.score.folder import ModelFolder, fingerprint, image_fingerprint, inspect_folder
from engine.score.frames import FrameRule
from engine.score.image import ROWS, HuggingFaceImage, open_image_scorer
from engine.score.open import machine_facts, open_scorer
from engine.score.picture_probe import probe_picture_equality
from engine.score.pictures import PictureLimits
from engine.score.weights import WEIGHTS

Rewrite = Callable[..., None]
OUTPUTS = {"vit": IMAGE_OUTPUTS, "resnet": IMAGE_OUTPUTS, "convnext": {"scam": "LABEL_0"}}
PICTURES: dict[str, Any] = {"limits": PictureLimits(), "frames": FrameRule()}
PREPROCESSOR = "preprocessor_config.json"


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders of three tiny models; do not change them."""
    root = tmp_path_factory.mktemp("pictured")
    saved = {"vit": save_vit, "resnet": save_resnet, "convnext": save_convnext}
    return {name: save(root / name) for name, save in saved.items()}


@pytest.fixture
def broken(folders: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the tiny ViT to break."""
    return Path(shutil.copytree(folders["vit"], tmp_path / "broken"))


def open_model(folders: dict[str, Path], name: str = "vit", **settings: Any) -> HuggingFaceImage:
    return open_image_scorer(inspect_folder(folders[name], OUTPUTS[name]), device=Device("cpu"), **settings)


def contents(*images: tuple[bytes | None, ...]) -> Contents:
    return Contents((), images)


def photos(count: int) -> list[bytes]:
    """Pictures of many sizes and formats."""
    kinds = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
    return [encode(noise(20 + 7 * i % 90, 15 + 11 * i % 70, i), kinds[i % 5]) for i in range(count)]


def inspect_refusal(folder: Path, outputs: dict[str, str] = IMAGE_OUTPUTS, max_length: int | None = None) -> str:
    with pytest.raises(DataError) as caught:
        inspect_folder(folder, outputs, max_length)
    assert all(str(folder) in fault and "\n" not in fault for fault in caught.value.faults)
    return str(caught.value)


def load_refusal(folder: Path) -> str:
    """Return why a folder that `inspect_folder` accepts is refused at load."""
    accepted = inspect_folder(folder, IMAGE_OUTPUTS)
    with pytest.raises(DataError) as caught:
        open_image_scorer(accepted, device=Device("cpu"))
    assert all(str(folder) in fault and "\n" not in fault for fault in caught.value.faults)
    return str(caught.value)


def change(folder: Path, **tensors: np.ndarray | None) -> None:
    changed = load_file(folder / WEIGHTS) | tensors
    save_file({name: t for name, t in changed.items() if t is not None}, folder / WEIGHTS)


def test_contents_count_texts_or_images() -> None:
    assert len(contents((b"a", None), ())) == 2
    assert len(Contents((("a",), ("b",)), ((b"a",), ()))) == 2
    assert len(Contents(())) == 0


def test_an_image_folder_tells_its_facts(folders: dict[str, Path]) -> None:
    folder = inspect_folder(folders["vit"], IMAGE_OUTPUTS)
    assert (folder.kind, folder.architecture, folder.activation) == ("image", "ViTForImageClassification", "softmax")
    assert (folder.vocabulary, folder.max_length, folder.tokenizer_files) == (0, 0, ())
    assert [name for name, _ in folder.files] == ["config.json", PREPROCESSOR, WEIGHTS]
    assert inspect_folder(folders["convnext"], {"scam": "LABEL_0"}).activation == "sigmoid"


def test_inspecting_an_image_folder_loads_neither_torch_nor_transformers(folders: dict[str, Path]) -> None:
    code = (
        "import sys; from pathlib import Path; import engine.score.open\n"
        "from engine.score.folder import inspect_folder\n"
        f"inspect_folder(Path({str(folders['vit'])!r}), {IMAGE_OUTPUTS!r})\n"
        "assert not {'torch', 'transformers', 'PIL', 'ray'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_a_folder_without_a_preprocessor_is_refused(broken: Path) -> None:
    (broken / PREPROCESSOR).unlink()
    assert f"{PREPROCESSOR} is missing" in inspect_refusal(broken)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "old/weights.pkl", "modeling_mine.py", "adapter_config.json"])
def test_pickles_code_and_adapters_are_refused(broken: Path, name: str) -> None:
    (broken / name).parent.mkdir(exist_ok=True)
    (broken / name).write_bytes(b"{}")
    assert name in inspect_refusal(broken)


@pytest.mark.parametrize("name", ["config.json", PREPROCESSOR])
def test_a_folder_that_asks_for_its_own_code_is_refused(broken: Path, rewrite: Rewrite, name: str) -> None:
    rewrite(broken / name, auto_map={"AutoImageProcessor": "mine.Processor"})
    assert f"{name} has auto_map" in inspect_refusal(broken)


def test_code_asked_for_by_a_nested_preprocessor_is_refused(broken: Path) -> None:
    nested = {"image_processor": {"auto_map": {"AutoImageProcessor": "mine.Processor"}}}
    (broken / "processor_config.json").write_text(json.dumps(nested))
    assert "processor_config.json has auto_map" in inspect_refusal(broken)


@pytest.mark.parametrize("key", ["quantization_config", "transformers_weights"])
def test_weights_that_are_not_what_they_seem_are_refused(broken: Path, rewrite: Rewrite, key: str) -> None:
    rewrite(broken / "config.json", **{key: "elsewhere"})
    assert key in inspect_refusal(broken)


def test_a_model_without_a_trained_head_is_refused(broken: Path) -> None:
    change(broken, **{"classifier.weight": None, "classifier.bias": None})
    assert "no classification head of 3 rows" in inspect_refusal(broken)


def test_a_head_without_its_bias_is_refused(broken: Path) -> None:
    change(broken, **{"classifier.bias": None})
    assert "the weights lack classifier.bias" in load_refusal(broken)


def test_normalisation_that_was_never_trained_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    resnet = Path(shutil.copytree(folders["resnet"], tmp_path / "resnet"))
    name = next(name for name in load_file(resnet / WEIGHTS) if name.endswith("running_var"))
    change(resnet, **{name: None})
    assert f"the weights lack {name}" in load_refusal(resnet)


def test_wrong_labels_a_regression_and_max_length_are_refused_at_once(broken: Path, rewrite: Rewrite) -> None:
    rewrite(broken / "config.json", problem_type="regression")
    refused = inspect_refusal(broken, {"scam": "SKAM"}, 64)
    assert 'the model has no label "SKAM" (did you mean "SCAM"?)' in refused
    assert "regression" in refused
    assert "max_length 64 is for texts" in refused


def test_truncated_weights_are_refused(broken: Path) -> None:
    (broken / WEIGHTS).write_bytes((broken / WEIGHTS).read_bytes()[:-100])
    assert WEIGHTS in inspect_refusal(broken)


def test_weights_left_over_or_of_another_shape_are_refused(broken: Path, rewrite: Rewrite) -> None:
    change(broken, **{"vit.layernorm.weight": np.zeros(16, np.float32)})
    assert "another shape than config.json says for vit.layernorm.weight" in load_refusal(broken)
    rewrite(broken / "config.json", num_hidden_layers=1)
    assert "without a place for" in load_refusal(broken)


def test_a_preprocessor_that_needs_torchvision_is_refused(broken: Path, rewrite: Rewrite) -> None:
    rewrite(broken / PREPROCESSOR, image_processor_type="PPLCNetImageProcessor")
    refused = load_refusal(broken)
    assert "torchvision" in refused


def test_an_unknown_preprocessor_is_refused(broken: Path, rewrite: Rewrite) -> None:
    rewrite(broken / PREPROCESSOR, image_processor_type="SesameImageProcessor")
    rewrite(broken / "config.json", model_type="sesame")
    assert "the preprocessor cannot be loaded" in load_refusal(broken)


def test_a_preprocessor_that_cannot_make_pixels_is_refused(broken: Path, rewrite: Rewrite) -> None:
    rewrite(broken / PREPROCESSOR, image_mean=[0.5, 0.5])
    assert "the preprocessor gives no pixel_values" in load_refusal(broken)


def test_a_preprocessor_that_gives_patches_instead_of_pictures_is_refused(broken: Path, rewrite: Rewrite) -> None:
    rewrite(broken / PREPROCESSOR, image_processor_type="Siglip2ImageProcessor")
    assert "pictures of several shapes" in load_refusal(broken)


@pytest.mark.parametrize("setting", [{"do_resize": False}, {"size": {"shortest_edge": 32}}])
def test_a_preprocessor_without_one_shape_is_refused(broken: Path, rewrite: Rewrite, setting: dict[str, Any]) -> None:
    rewrite(broken / PREPROCESSOR, **setting)
    assert "pictures of several shapes" in load_refusal(broken)


def test_a_preprocessor_of_another_size_than_the_model_is_refused(broken: Path, rewrite: Rewrite) -> None:
    rewrite(broken / PREPROCESSOR, size={"height": 40, "width": 40})
    assert "does not read what the preprocessor gives, (3, 40, 40)" in load_refusal(broken)


@pytest.mark.parametrize("name", ["config.json", PREPROCESSOR])
def test_a_file_that_changed_after_the_inspection_is_refused(broken: Path, name: str) -> None:
    folder = inspect_folder(broken, IMAGE_OUTPUTS)
    (broken / name).write_bytes((broken / name).read_bytes() + b" ")
    with pytest.raises(DataError, match=f"{name} is not what it was"):
        open_image_scorer(folder, device=Device("cpu"))


def test_everything_that_decides_a_score_changes_the_fingerprint(folders: dict[str, Path], broken: Path) -> None:
    folder = inspect_folder(folders["vit"], IMAGE_OUTPUTS)
    plain = image_fingerprint(folder, **PICTURES)
    assert plain == image_fingerprint(inspect_folder(broken, IMAGE_OUTPUTS), **PICTURES)
    others = [
        image_fingerprint(replace(folder, outputs=folder.outputs[::-1]), **PICTURES),
        image_fingerprint(replace(folder, activation="sigmoid"), **PICTURES),
        image_fingerprint(folder, **PICTURES, dtype="bfloat16"),
        image_fingerprint(folder, **PICTURES, backend="onnxruntime"),
        *(image_fingerprint(folder, **PICTURES | {"limits": limits}) for limits in changed_limits()),
        *(image_fingerprint(folder, **PICTURES | {"frames": rule}) for rule in changed_rules()),
    ]
    (broken / "processor_config.json").write_text("{}")
    others.append(image_fingerprint(inspect_folder(broken, IMAGE_OUTPUTS), **PICTURES))
    (broken / PREPROCESSOR).write_text((broken / PREPROCESSOR).read_text() + " ")
    others.append(image_fingerprint(inspect_folder(broken, IMAGE_OUTPUTS), **PICTURES))
    assert len({plain, *others}) == 1 + len(others)


def changed_limits() -> list[PictureLimits]:
    return [PictureLimits(**{field: 77}) for field in ("bytes", "pixels", "ratio", "animation")]


def changed_rules() -> list[FrameRule]:
    return [FrameRule(combine="top_mean"), FrameRule(top=2), FrameRule(most=7)]


def test_a_fingerprint_of_the_other_kind_is_a_mistake(folders: dict[str, Path], tiny: Path) -> None:
    with pytest.raises(ValueError, match="reads images"):
        fingerprint(inspect_folder(folders["vit"], IMAGE_OUTPUTS), fields=1, separator="\n")
    texts: ModelFolder = inspect_folder(tiny, IMAGE_OUTPUTS)
    with pytest.raises(ValueError, match="reads texts"):
        image_fingerprint(texts, **PICTURES)


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


def test_nan_of_the_model_itself_passes_through(broken: Path) -> None:
    change(broken, **{"classifier.bias": np.array([0, np.nan, 0], np.float32)})
    scorer = open_image_scorer(inspect_folder(broken, IMAGE_OUTPUTS), device=Device("cpu"))
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
    images = open_scorer(inspect_folder(folders["vit"], IMAGE_OUTPUTS), device="cpu")
    texts = open_scorer(inspect_folder(tiny, IMAGE_OUTPUTS), device="cpu")
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
