"""The compiled loops against slow ones in float64, compiled and as plain Python."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.records import F32, F64
from engine.score import loops

ORACLES: dict[int, Callable[[float], float]] = {
    loops.GELU: lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2,
    loops.GELU_TANH: lambda x: x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2,
    loops.RELU: lambda x: max(x, 0.0),
    loops.SILU: lambda x: x / (1 + math.exp(-x)),
    loops.TANH: math.tanh,
}
NOTHING = np.zeros(400, np.float32)


def rows(count: int, width: int) -> F32:
    return np.random.default_rng(count).normal(0, 3, (count, width)).astype(np.float32)


def layer_norm(x_TH: F64, weight_H: F32, shift_H: F32, epsilon: float) -> F64:
    mean, spread = x_TH.mean(axis=1, keepdims=True), np.sqrt(x_TH.var(axis=1, keepdims=True) + epsilon)
    return (x_TH - mean) / spread * weight_H + shift_H


@pytest.fixture(params=["compiled", "plain"])
def run(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run a loop compiled, or it and those that it calls as plain Python."""

    def call(name: str, *arguments: Any) -> None:
        with monkeypatch.context() as patch, np.errstate(invalid="ignore", over="ignore"):
            if request.param == "plain":
                for inner in ("exp", "erf", "_normalise", "_sortable"):
                    patch.setattr(loops, inner, getattr(loops, inner).py_func)
                getattr(loops, name).py_func(*arguments)
            else:
                getattr(loops, name)(*arguments)

    return call


@pytest.mark.parametrize("activation", ORACLES)
def test_activations_agree_with_their_formulas(run: Callable[..., None], activation: int) -> None:
    x_TN = np.linspace(-30, 30, 5 * 400, dtype=np.float32).reshape(5, 400)
    bias_N = rows(1, 400)[0]
    expected = np.vectorize(ORACLES[activation])((x_TN + bias_N).astype(np.float64))
    run("add_bias_and_activate", x_TN, bias_N, activation)
    assert np.abs(x_TN - expected).max() < 3e-6  # a unit in the last place of 30 is 2e-6
    small = np.abs(expected) < 1
    assert np.abs(x_TN - expected)[small].max() < 1e-6


@pytest.mark.parametrize("activation", ORACLES)
def test_activations_keep_nan_and_end_at_their_limits(run: Callable[..., None], activation: int) -> None:
    x_TN = np.array([[np.nan, 1e30, -1e30, np.inf]], np.float32)
    run("add_bias_and_activate", x_TN, NOTHING[:4], activation)
    nan, high, low, infinite = x_TN[0]
    assert np.isnan(nan)
    assert high == infinite == 1 if activation == loops.TANH else high == np.float32(1e30) and infinite == np.inf
    assert low == -1 if activation == loops.TANH else abs(low) <= 1


def test_exp_and_erf_are_as_close_as_they_say() -> None:
    x = np.linspace(-87, 87, 20_001, dtype=np.float32)
    assert max(abs(loops.exp(value) / math.exp(value) - 1) for value in x) < 2e-7
    assert max(abs(loops.erf(value) - math.erf(value)) for value in x / 16) < 5e-7


@pytest.mark.parametrize("width", [1, 7, 32, 384])
def test_the_norm_of_a_sum_agrees_with_float64(run: Callable[..., None], width: int) -> None:
    x_TH, plus_TH, weight_H, shift_H, bias_H = rows(9, width), rows(8, width)[:8], *rows(3, width)
    plus_TH = np.concatenate([plus_TH, plus_TH[:1]])
    expected = layer_norm(x_TH.astype(np.float64) + plus_TH + bias_H, weight_H, shift_H, 1e-5)
    run("add_and_normalise", x_TH, plus_TH, bias_H, weight_H, shift_H, np.float32(1e-5))
    assert np.abs(x_TH - expected).max() < 2e-5


def test_embeddings_are_sums_of_words_and_places_normalised_and_followed_by_zeros(run: Callable[..., None]) -> None:
    word_VH, place_PH, weight_H, shift_H = rows(20, 32), rows(6, 32), rows(1, 32)[0], rows(2, 32)[0]
    id_T, place_T = np.array([3, 19, 3], np.int32), np.array([0, 1, 5], np.int32)
    x_TH = rows(5, 32)
    run("embed", id_T, place_T, word_VH, place_PH, weight_H, shift_H, np.float32(1e-12), x_TH)
    expected = layer_norm(word_VH[id_T].astype(np.float64) + place_PH[place_T], weight_H, shift_H, 1e-12)
    assert np.abs(x_TH[:3] - expected).max() < 2e-5
    assert not x_TH[3:].any()


def test_places_are_numbered_as_transformers_does(run: Callable[..., None]) -> None:
    import torch
    from transformers.models.roberta.modeling_roberta import RobertaEmbeddings

    id_lists = [[5, 1, 7, 1, 1, 3], [1], [4, 4]]
    id_T, length_S = np.concatenate(id_lists).astype(np.int32), np.array([6, 1, 2])
    place_T = np.empty(9, np.int32)
    run("number_places", id_T, length_S, 1, place_T)
    theirs = [RobertaEmbeddings.create_position_ids_from_input_ids(torch.tensor([ids]), 1)[0] for ids in id_lists]
    assert place_T.tolist() == torch.cat(theirs).tolist()
    run("number_places", id_T, length_S, -1, place_T)
    assert place_T.tolist() == [0, 1, 2, 3, 4, 5, 0, 0, 1]


def encode(run: Callable[..., None], x_TI: F32) -> tuple[NDArray[np.uint8], F32, F32]:
    code_TI, (low_T, step_T) = np.full(x_TI.shape, 99, np.uint8), np.empty((2, len(x_TI)), np.float32)
    run("encode", x_TI, code_TI, low_T, step_T)
    return code_TI, low_T, step_T


def test_codes_are_the_nearest_of_128_numbers_from_the_lowest_to_the_highest(run: Callable[..., None]) -> None:
    x_TI = rows(40, 70)
    x_TI[:20] = np.abs(x_TI[:20])
    x_TI[20:30] = -np.abs(x_TI[20:30])
    x_TI[0, 0], x_TI[20, 0] = 0.0, -0.0
    code_TI, low_T, step_T = encode(run, x_TI)
    for t, row in enumerate(x_TI.astype(np.float64)):
        assert low_T[t] == row.min()
        assert step_T[t] == pytest.approx((row.max() - row.min()) / 127, rel=1e-6)
        assert {code_TI[t].min(), code_TI[t].max()} == {0, 127}
        assert np.abs(row.min() + step_T[t] * code_TI[t] - row).max() < 0.501 * step_T[t]


def test_rows_without_a_range_or_beyond_all_numbers_have_codes_0(run: Callable[..., None]) -> None:
    x_TI = np.zeros((6, 20), np.float32)
    x_TI[1], x_TI[2, 3] = -2.5, 1e-38
    x_TI[3, 4], x_TI[4, 5], x_TI[5, 6] = np.nan, -np.nan, np.inf
    code_TI, low_T, step_T = encode(run, x_TI)
    assert not code_TI.any()
    assert low_T[:3].tolist() == [0, -2.5, 0]
    assert (step_T[:3] < 1e-38).all()
    out_TO = np.empty((6, 2), np.float32)
    one_O = np.ones(2, np.float32)
    run("decode", np.zeros((6, 2), np.float32), low_T, step_T, one_O, 20 * one_O, out_TO)
    assert out_TO[:3, 0].tolist() == [0, -50, 0]
    assert np.isnan(out_TO[3:]).all()


def test_decoded_products_are_those_of_the_numbers_that_codes_stand_for(run: Callable[..., None]) -> None:
    random = np.random.default_rng(6)
    code_TI, weight_IO = random.integers(0, 128, (9, 30)), random.integers(-127, 128, (30, 5))
    low_T, step_T = random.normal(size=(2, 9)).astype(np.float32)
    scale_O = random.random(5).astype(np.float32)
    expected = (low_T[:, None] + step_T[:, None] * code_TI.astype(np.float64)) @ (weight_IO * scale_O)
    y_TO = np.empty((9, 5), np.float32)
    sum_O = (weight_IO.sum(0) * scale_O).astype(np.float32)
    run("decode", (code_TI @ weight_IO).astype(np.float32), low_T, step_T, scale_O, sum_O, y_TO)
    assert np.allclose(y_TO, expected, rtol=1e-5, atol=1e-2)


def test_a_row_is_the_same_bytes_wherever_it_stands() -> None:
    x_TH, plus_TH, weight_H = rows(30, 100), rows(31, 100)[:30], rows(1, 100)[0]
    whole, alone = x_TH.copy(), x_TH.copy()
    loops.add_and_normalise(whole, plus_TH, weight_H, weight_H, weight_H, np.float32(1e-12))
    loops.add_bias_and_activate(whole, weight_H, loops.GELU)
    for t in range(30):
        row = alone[t : t + 1]
        loops.add_and_normalise(row, plus_TH[t : t + 1], weight_H, weight_H, weight_H, np.float32(1e-12))
        loops.add_bias_and_activate(row, weight_H, loops.GELU)
    assert alone.tobytes() == whole.tobytes()
