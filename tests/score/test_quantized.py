"""Layers in int8: exact products, scores near those of float32, and a word where there is no such path."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.errors import DataError, MachineError
from engine.records import Contents
from engine.score.device import Device, choose_device
from engine.score.encoder import Linear
from engine.score.folder import inspect_folder
from engine.score.open import machine_facts, open_scorer
from engine.score.opening import Opening
from engine.score.quantized import multiply_codes, pack_codes, quantize, quantize_layers, why_no_int8
from engine.score.text import open_text_scorer

has_path = pytest.mark.skipif(bool(why_no_int8()), reason=why_no_int8() or "it has one")
SCAM = {"scam": "SCAM"}


@has_path
@pytest.mark.parametrize(("inputs", "outputs"), [(32, 64), (384, 1152), (1536, 384), (50, 36), (31, 1)])
def test_products_of_codes_are_exact_for_every_number_of_rows(inputs: int, outputs: int) -> None:
    import torch

    random = np.random.default_rng(inputs)
    code_OI = random.integers(-127, 128, (outputs, inputs)).astype(np.int8)
    code_OI[0] = 127
    packed = pack_codes(torch.from_numpy(code_OI))
    for rows in (1, 2, 7, 16, 100, 513):
        code_TI = random.integers(0, 128, (rows, inputs)).astype(np.uint8)
        code_TI[0] = 127
        expected = code_TI.astype(np.int64) @ code_OI.T.astype(np.int64)
        assert (multiply_codes(code_TI, packed) == expected.astype(np.float32)).all()


@has_path
@pytest.mark.parametrize(("inputs", "outputs"), [(384, 96), (31, 5)])
def test_a_quantized_product_is_within_its_rounding_of_the_product(inputs: int, outputs: int) -> None:
    import torch

    random = np.random.default_rng(outputs)
    x_TI, weight_IO = (random.normal(size=shape).astype(np.float32) for shape in ((40, inputs), (inputs, outputs)))
    weight_IO[:, 2] = 0
    product, y_TO = Linear(torch.from_numpy(weight_IO), np.zeros(outputs, np.float32)), np.empty((40, outputs), "f4")
    whole = quantize(product)
    whole.multiply(x_TI, y_TO)
    plain_TO = x_TI.astype(np.float64) @ weight_IO
    half_T, half_O = np.ptp(x_TI, axis=1) / 254, np.abs(weight_IO).max(axis=0) / 254
    most_TO = half_T[:, None] * np.abs(weight_IO).sum(0) + half_O * (np.abs(x_TI).sum(1) + inputs * half_T)[:, None]
    assert (np.abs(y_TO - plain_TO) <= 1.01 * most_TO + 1e-5).all()
    assert np.abs(y_TO - plain_TO).mean() < 0.15 * most_TO.mean()
    part_TO = np.empty((40, 2), np.float32)
    whole.columns(1, 3).multiply(x_TI, part_TO)
    assert part_TO.tobytes() == y_TO[:, 1:3].tobytes()


@has_path
def test_scores_in_int8_are_near_those_in_float32_and_are_not_the_same(tiny: Path, texts: list[str]) -> None:
    contents = Contents(tuple((text,) for text in texts))
    plain = Opening(inspect_folder(tiny, SCAM), device="cpu")
    scorer = open_scorer(replace(plain, dtype="int8"))
    away = np.abs(scorer.score(contents) - open_scorer(plain).score(contents))
    assert 0 < away.max() < 0.1
    assert away.mean() < 0.02
    facts = machine_facts(scorer)
    assert (facts["dtype"], facts["path"], facts["equality"]) == ("int8", "packed", "byte-equal")


@has_path
def test_a_weight_that_is_not_a_number_is_not_hidden(tiny: Path, texts: list[str]) -> None:
    scorer = open_text_scorer(inspect_folder(tiny, SCAM), device=Device("cpu"))
    encoder = scorer._path._encoder  # type: ignore[union-attr]
    encoder.layers[0].up.weight_IO[3, 5] = float("nan")
    scorer._path = type(scorer._path)(quantize_layers(encoder))  # type: ignore[arg-type]
    assert np.isnan(scorer.score(Contents(((texts[-1],),)))).all()


def test_the_dtype_is_part_of_the_fingerprint(tiny: Path) -> None:
    plain = Opening(inspect_folder(tiny, SCAM))
    assert replace(plain, dtype="int8").fingerprint() != plain.fingerprint()


def test_a_new_kernel_changes_the_fingerprint_of_int8(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opening = Opening(inspect_folder(tiny, SCAM), dtype="int8")
    before = opening.fingerprint()
    monkeypatch.setattr("engine.score.opening.KERNEL_VERSION", 10_000)
    assert opening.fingerprint() != before


@has_path
def test_a_model_that_is_not_packed_is_refused(padless: Path) -> None:
    opening = Opening(inspect_folder(padless, {"scam": "LABEL_1"}), device="cpu", dtype="int8")
    with pytest.raises(DataError, match="GPT2ForSequenceClassification is not known; use float32"):
        open_scorer(opening)


@has_path
def test_a_model_of_pictures_is_refused(folders: dict[str, Path]) -> None:
    folder = inspect_folder(folders["vit"], SCAM)
    with pytest.raises(DataError, match="int8 belongs to texts"):
        open_scorer(Opening(folder, device="cpu", dtype="int8"))


def test_a_cpu_without_a_fast_path_is_refused_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: "DEFAULT")
    with pytest.raises(MachineError, match="no fast path: its instruction set is DEFAULT"):
        choose_device("cpu", "int8")


def test_a_cpu_whose_products_run_over_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: "AVX2")
    monkeypatch.setattr("engine.score.quantized.multiply_codes", lambda codes, _: np.full((len(codes), 16), 32767.0))
    with pytest.raises(MachineError, match="are not exact"):
        choose_device("cpu", "int8")


def test_a_gpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    with pytest.raises(MachineError, match=r"set execute\.device to cpu"):
        choose_device("auto", "int8")
