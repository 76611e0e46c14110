from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from engine.errors import DataError
from engine.score.folder import inspect_folder
from engine.score.weights import INDEX, WEIGHTS, has_head, read_shapes, weight_files

OUTPUTS = {"scam": "SCAM"}


def refusal(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        inspect_folder(folder, OUTPUTS)
    return str(caught.value)


def shard(folder: Path) -> None:
    """Split the weights in two files with an index, the head in the second."""
    tensors = load_file(folder / WEIGHTS)
    names = sorted(tensors)
    parts = {"model-1.safetensors": names[6:], "model-2.safetensors": names[:6]}
    for file, some in parts.items():
        save_file({name: tensors[name] for name in some}, folder / file)
    index = {"weight_map": {name: file for file, some in parts.items() for name in some}}
    (folder / INDEX).write_text(json.dumps(index))
    (folder / WEIGHTS).unlink()


def test_the_header_tells_every_tensor(tiny: Path) -> None:
    shapes = read_shapes(weight_files(tiny))
    assert shapes == {name: tensor.shape for name, tensor in load_file(tiny / WEIGHTS).items()}
    assert has_head(shapes, 3)
    assert not has_head(shapes, 2)


@pytest.mark.parametrize(
    ("name", "holds"),
    [
        ("classifier.weight", True),
        ("classifier.out_proj.weight", True),
        ("score.weight", True),
        ("model.encoder.layers.0.weight", False),
        ("bert.scores.weight", False),
    ],
)
def test_a_head_is_known_by_its_name_and_rows(name: str, holds: bool) -> None:
    assert has_head({name: (2, 8)}, 2) is holds
    assert not has_head({name: (2,)}, 2)


def test_sharded_weights_are_read_through_their_index(broken: Path) -> None:
    whole = read_shapes(weight_files(broken))
    shard(broken)
    assert [file.name for file in weight_files(broken)] == ["model-1.safetensors", "model-2.safetensors"]
    assert read_shapes(weight_files(broken)) == whole
    assert [name for name, _ in inspect_folder(broken, OUTPUTS).files][-2:] == [
        "model-1.safetensors",
        "model-2.safetensors",
    ]


def test_a_shard_that_is_gone_is_refused(broken: Path) -> None:
    shard(broken)
    (broken / "model-2.safetensors").unlink()
    assert '"model-2.safetensors", which the folder lacks' in refusal(broken)


def test_an_index_that_points_outside_the_folder_is_refused(broken: Path) -> None:
    shard(broken)
    shutil.move(broken / "model-2.safetensors", broken.parent / "model-2.safetensors")
    text = (broken / INDEX).read_text().replace("model-2", "../model-2")
    (broken / INDEX).write_text(text)
    assert '"../model-2.safetensors", which the folder lacks' in refusal(broken)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"weight_map": 3}'])
def test_a_broken_index_is_refused(broken: Path, content: str) -> None:
    shard(broken)
    (broken / INDEX).write_text(content)
    assert INDEX in refusal(broken)


def test_a_folder_without_weights_is_refused(broken: Path) -> None:
    (broken / WEIGHTS).unlink()
    assert f"holds no {WEIGHTS}" in refusal(broken)


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_truncated_weights_are_refused(broken: Path, kept: int) -> None:
    content = (broken / WEIGHTS).read_bytes()
    (broken / WEIGHTS).write_bytes(content[:kept])
    assert f"{WEIGHTS} is truncated" in refusal(broken) or "its header says" in refusal(broken)


def test_bytes_past_the_end_are_refused(broken: Path) -> None:
    content = (broken / WEIGHTS).read_bytes()
    (broken / WEIGHTS).write_bytes(content + b"x")
    assert "its header says" in refusal(broken)


@pytest.mark.parametrize("header", [b"[]", b"{x", b'{"a": 1}', b'{"a": {"shape": [1], "data_offsets": [0]}}'])
def test_a_header_that_is_none_is_refused(broken: Path, header: bytes) -> None:
    (broken / WEIGHTS).write_bytes(len(header).to_bytes(8, "little") + header)
    assert "broken header" in refusal(broken)


def test_weights_without_a_head_are_refused_because_scores_would_be_random(broken: Path) -> None:
    tensors = {name: t for name, t in load_file(broken / WEIGHTS).items() if "classifier" not in name}
    save_file(tensors, broken / WEIGHTS)
    assert "scores would be random" in refusal(broken)


def test_weights_whose_head_has_fewer_rows_are_refused(broken: Path) -> None:
    tensors = load_file(broken / WEIGHTS)
    tensors["classifier.weight"] = np.zeros((2, 32), np.float32)
    save_file(tensors, broken / WEIGHTS)
    assert "no classification head of 3 rows" in refusal(broken)
