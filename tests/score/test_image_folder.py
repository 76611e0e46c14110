"""Image folders: what is refused before and while loading, and what the fingerprint holds."""

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
from gallery import IMAGE_OUTPUTS, change
from safetensors.numpy import load_file

from engine.errors import DataError
from engine.score.device import Device
from engine.score.fields import FieldRule
from engine.score.folder import inspect_folder
from engine.score.frames import FrameRule
from engine.score.image import open_image_scorer
from engine.score.opening import Opening
from engine.score.pictures import PictureLimits
from engine.score.weights import WEIGHTS

Rewrite = Callable[..., None]
PREPROCESSOR = "preprocessor_config.json"


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


def test_a_folder_without_a_preprocessor_is_refused(broken_vit: Path) -> None:
    (broken_vit / PREPROCESSOR).unlink()
    assert f"{PREPROCESSOR} is missing" in inspect_refusal(broken_vit)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "old/weights.pkl", "modeling_mine.py", "adapter_config.json"])
def test_pickles_code_and_adapters_are_refused(broken_vit: Path, name: str) -> None:
    (broken_vit / name).parent.mkdir(exist_ok=True)
    (broken_vit / name).write_bytes(b"{}")
    assert name in inspect_refusal(broken_vit)


@pytest.mark.parametrize("name", ["config.json", PREPROCESSOR])
def test_a_folder_that_asks_for_its_own_code_is_refused(broken_vit: Path, rewrite: Rewrite, name: str) -> None:
    rewrite(broken_vit / name, auto_map={"AutoImageProcessor": "mine.Processor"})
    assert f"{name} has auto_map" in inspect_refusal(broken_vit)


def test_code_asked_for_by_a_nested_preprocessor_is_refused(broken_vit: Path) -> None:
    nested = {"image_processor": {"auto_map": {"AutoImageProcessor": "mine.Processor"}}}
    (broken_vit / "processor_config.json").write_text(json.dumps(nested))
    assert "processor_config.json has auto_map" in inspect_refusal(broken_vit)


@pytest.mark.parametrize("key", ["quantization_config", "transformers_weights"])
def test_weights_that_are_not_what_they_seem_are_refused(broken_vit: Path, rewrite: Rewrite, key: str) -> None:
    rewrite(broken_vit / "config.json", **{key: "elsewhere"})
    assert key in inspect_refusal(broken_vit)


def test_a_model_without_a_trained_head_is_refused(broken_vit: Path) -> None:
    change(broken_vit, **{"classifier.weight": None, "classifier.bias": None})
    assert "no classification head of 3 rows" in inspect_refusal(broken_vit)


def test_a_head_without_its_bias_is_refused(broken_vit: Path) -> None:
    change(broken_vit, **{"classifier.bias": None})
    assert "the weights lack classifier.bias" in load_refusal(broken_vit)


def test_normalisation_that_was_never_trained_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    resnet = Path(shutil.copytree(folders["resnet"], tmp_path / "resnet"))
    name = next(name for name in load_file(resnet / WEIGHTS) if name.endswith("running_var"))
    change(resnet, **{name: None})
    assert f"the weights lack {name}" in load_refusal(resnet)


def test_wrong_labels_a_regression_and_max_length_are_refused_at_once(broken_vit: Path, rewrite: Rewrite) -> None:
    rewrite(broken_vit / "config.json", problem_type="regression")
    refused = inspect_refusal(broken_vit, {"scam": "SKAM"}, 64)
    assert 'the model has no label "SKAM" (did you mean "SCAM"?)' in refused
    assert "regression" in refused
    assert "max_length 64 is for texts" in refused


def test_truncated_weights_are_refused(broken_vit: Path) -> None:
    (broken_vit / WEIGHTS).write_bytes((broken_vit / WEIGHTS).read_bytes()[:-100])
    assert WEIGHTS in inspect_refusal(broken_vit)


def test_weights_left_over_or_of_another_shape_are_refused(broken_vit: Path, rewrite: Rewrite) -> None:
    change(broken_vit, **{"vit.layernorm.weight": np.zeros(16, np.float32)})
    assert "another shape than config.json says for vit.layernorm.weight" in load_refusal(broken_vit)
    rewrite(broken_vit / "config.json", num_hidden_layers=1)
    assert "without a place for" in load_refusal(broken_vit)


def test_a_preprocessor_that_needs_torchvision_is_refused(broken_vit: Path, rewrite: Rewrite) -> None:
    rewrite(broken_vit / PREPROCESSOR, image_processor_type="PPLCNetImageProcessor")
    refused = load_refusal(broken_vit)
    assert "torchvision" in refused


def test_an_unknown_preprocessor_is_refused(broken_vit: Path, rewrite: Rewrite) -> None:
    rewrite(broken_vit / PREPROCESSOR, image_processor_type="SesameImageProcessor")
    rewrite(broken_vit / "config.json", model_type="sesame")
    assert "the preprocessor cannot be loaded" in load_refusal(broken_vit)


def test_a_preprocessor_that_cannot_make_pixels_is_refused(broken_vit: Path, rewrite: Rewrite) -> None:
    rewrite(broken_vit / PREPROCESSOR, image_mean=[0.5, 0.5])
    assert "the preprocessor gives no pixel_values" in load_refusal(broken_vit)


def test_a_preprocessor_that_gives_patches_instead_of_pictures_is_refused(broken_vit: Path, rewrite: Rewrite) -> None:
    rewrite(broken_vit / PREPROCESSOR, image_processor_type="Siglip2ImageProcessor")
    assert "pictures of several shapes" in load_refusal(broken_vit)


@pytest.mark.parametrize("setting", [{"do_resize": False}, {"size": {"shortest_edge": 32}}])
def test_a_preprocessor_without_one_shape_is_refused(
    broken_vit: Path, rewrite: Rewrite, setting: dict[str, Any]
) -> None:
    rewrite(broken_vit / PREPROCESSOR, **setting)
    assert "pictures of several shapes" in load_refusal(broken_vit)


def test_a_preprocessor_of_another_size_than_the_model_is_refused(broken_vit: Path, rewrite: Rewrite) -> None:
    rewrite(broken_vit / PREPROCESSOR, size={"height": 40, "width": 40})
    assert "does not read what the preprocessor gives, (3, 40, 40)" in load_refusal(broken_vit)


@pytest.mark.parametrize("name", ["config.json", PREPROCESSOR])
def test_a_file_that_changed_after_the_inspection_is_refused(broken_vit: Path, name: str) -> None:
    folder = inspect_folder(broken_vit, IMAGE_OUTPUTS)
    (broken_vit / name).write_bytes((broken_vit / name).read_bytes() + b" ")
    with pytest.raises(DataError, match=f"{name} is not what it was"):
        open_image_scorer(folder, device=Device("cpu"))


def test_everything_that_decides_a_score_changes_the_fingerprint(folders: dict[str, Path], broken_vit: Path) -> None:
    opening = Opening(inspect_folder(folders["vit"], IMAGE_OUTPUTS))
    assert opening.fingerprint() == Opening(inspect_folder(broken_vit, IMAGE_OUTPUTS)).fingerprint()
    others = [
        replace(opening, folder=replace(opening.folder, activation="sigmoid")),
        replace(opening, dtype="bfloat16"),
        *(replace(opening, limits=limits) for limits in changed_limits()),
        *(replace(opening, frames=rule) for rule in changed_rules()),
    ]
    (broken_vit / "processor_config.json").write_text("{}")
    others.append(Opening(inspect_folder(broken_vit, IMAGE_OUTPUTS)))
    (broken_vit / PREPROCESSOR).write_text((broken_vit / PREPROCESSOR).read_text() + " ")
    others.append(Opening(inspect_folder(broken_vit, IMAGE_OUTPUTS)))
    assert len({each.fingerprint() for each in (opening, *others)}) == 1 + len(others)
    apart = replace(opening, fields=FieldRule(apart="max"))
    assert apart.fingerprint() == opening.fingerprint(), "a model of pictures joins no fields"


def changed_limits() -> list[PictureLimits]:
    return [PictureLimits(**{field: 77}) for field in ("bytes", "pixels", "ratio", "animation")]


def changed_rules() -> list[FrameRule]:
    return [FrameRule(combine="top_mean"), FrameRule(top=2), FrameRule(most=7)]
