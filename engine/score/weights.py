"""The header of safetensors files: which tensors a model folder holds, read without loading one.

Format: 8 bytes little-endian length n, n bytes of JSON {name: {dtype, shape, data_offsets}}, then the data.
Source: https://huggingface.co/docs/safetensors, section "Format".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from engine.errors import DataError

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
_LARGEST_HEADER = 100_000_000  # bytes; the limit that the format itself sets
_HEADS = "classifier|cls_classifier|score|classification_head|logits_proj|out_proj|head|fc"
_HEAD = re.compile(rf"(^|\.)({_HEADS})(\.\w+)*\.weight$")


def weight_files(folder: Path) -> tuple[Path, ...]:
    """Return the files that hold the weights, sorted by name.

    Raises
    ------
    DataError : no safetensors, or an index that names a file outside the folder or one that is not there.
    """
    if (folder / WEIGHTS).is_file():
        return (folder / WEIGHTS,)
    if not (folder / INDEX).is_file():
        raise DataError(f"{folder}: holds no {WEIGHTS} and no {INDEX}; save the model with save_pretrained()")
    names = _indexed_names(folder / INDEX)
    for name in names:
        if Path(name).name != name or not (folder / name).is_file():
            raise DataError(f'{folder}: {INDEX} names "{name}", which the folder lacks; copy it again')
    return tuple(folder / name for name in names)


def read_shapes(files: tuple[Path, ...]) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor in some safetensors files.

    Raises
    ------
    DataError : a file is truncated, or its header is not one.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for file in files:
        shapes |= _file_shapes(file)
    return shapes


def has_head(shapes: Mapping[str, tuple[int, ...]], labels: int) -> bool:
    """Say whether some classification tensor has one row per label."""
    return any(_HEAD.search(name) and shape[0] == labels for name, shape in shapes.items() if len(shape) == 2)


def _indexed_names(index: Path) -> list[str]:
    try:
        names = set(json.loads(index.read_bytes())["weight_map"].values())
        return sorted(str(name) for name in names)
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{index.parent}: {INDEX} is broken ({error!r}); copy it again") from error


def _file_shapes(file: Path) -> dict[str, tuple[int, ...]]:
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > min(size - 8, _LARGEST_HEADER):
            raise DataError(f"{file.parent}: {file.name} is truncated at {size} bytes; copy it again")
        try:
            header = json.loads(stream.read(length))
            header.pop("__metadata__", None)
            shapes = {name: tuple(int(n) for n in tensor["shape"]) for name, tensor in header.items()}
            end = 8 + length + max((int(tensor["data_offsets"][1]) for tensor in header.values()), default=0)
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise DataError(f"{file.parent}: {file.name} has a broken header; copy it again") from error
    if end != size:
        raise DataError(f"{file.parent}: {file.name} has {size} bytes, its header says {end}; copy it again")
    return shapes
