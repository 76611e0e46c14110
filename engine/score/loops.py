"""Compiled loops of the packed forward pass. Arrays in, arrays out; the callers have checked.

Every loop treats a row alone and every element by its column, so no result depends on how many rows there are or
where one stands. Sums may be reordered (that lets them use vector registers), always in the same way for a width.
Multiplications and additions may be fused. No loop swallows a NaN.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from engine.records import F32, I32, I64, U8

# Activations by number, so that one compiled loop serves all. TANH is exact and slow: made for heads alone.
GELU, GELU_TANH, RELU, SILU, TANH = range(5)

# Codes of activations end here: two products of 127 and 127 fit into the 16 bits in which a CPU without VNNI adds them.
CODES = 127
_NARROWEST, _INFINITE = np.float32(1e-30), np.float32(np.inf)  # a row that spans less than that is its lowest number

_FUSED = {"contract", "nsz"}
_REORDERED = _FUSED | {"reassoc"}

_ONE, _TWO, _HALF = np.float32(1), np.float32(2), np.float32(0.5)
_ROOT_HALF = np.float32(math.sqrt(0.5))

# exp: Cephes expf. Added to a small number, _SHIFT leaves 127 + the rounded number in its lowest bits.
_LOG2_E = np.float32(math.log2(math.e))
_LN2_HIGH, _LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
_SHIFT = np.float32(12_582_912 + 127)
_LARGEST = np.float32(87)
_E0, _E1, _E2 = np.float32(1.9875691500e-4), np.float32(1.3981999507e-3), np.float32(8.3334519073e-3)
_E3, _E4, _E5 = np.float32(4.1665795894e-2), np.float32(1.6666665459e-1), np.float32(5.0000001201e-1)

# erf: a minimax rational function on [-4, 4], outside of which float32 knows only 1.
_FOUR = np.float32(4)
_P0, _P1, _P2 = np.float32(-2.72614225801306e-10), np.float32(2.77068142495902e-08), np.float32(-2.10102402082508e-06)
_P3, _P4 = np.float32(-5.69250639462346e-05), np.float32(-7.34990630326855e-04)
_P5, _P6 = np.float32(-2.95459980854025e-03), np.float32(-1.60960333262415e-02)
_Q0, _Q1, _Q2 = np.float32(-1.45660718464996e-05), np.float32(-2.13374055278905e-04), np.float32(-1.68282697438203e-03)
_Q3, _Q4 = np.float32(-7.37332916720468e-03), np.float32(-1.42647390514189e-02)

# The tanh form of GELU: tanh(a (x + b x³)) with the constants of Hendrycks & Gimpel (2016).
_TANH_A, _TANH_B = np.float32(math.sqrt(2 / math.pi)), np.float32(0.044715)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FUSED)
def exp(x: np.float32) -> np.float32:
    """Return e**x within 2e-7 of itself, x cut to [-87, 87]."""
    x = -_LARGEST if x < -_LARGEST else x
    x = _LARGEST if x > _LARGEST else x
    shifted = x * _LOG2_E + _SHIFT
    whole = shifted - _SHIFT
    r = (x - whole * _LN2_HIGH) - whole * _LN2_LOW
    power = ((((_E0 * r + _E1) * r + _E2) * r + _E3) * r + _E4) * r + _E5
    power_of_two = np.int32(np.float32(shifted).view(np.int32) << 23).view(np.float32)
    return (power * (r * r) + r + _ONE) * power_of_two


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FUSED)
def erf(x: np.float32) -> np.float32:
    """Return the error function within 5e-7."""
    x = _FOUR if x > _FOUR else x
    x = -_FOUR if x < -_FOUR else x
    z = x * x
    above = (((((_P0 * z + _P1) * z + _P2) * z + _P3) * z + _P4) * z + _P5) * z + _P6
    below = (((_Q0 * z + _Q1) * z + _Q2) * z + _Q3) * z + _Q4
    return x * above / below


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FUSED)
def encode(x_TI: F32, code_TI: U8, low_T: F32, step_T: F32) -> None:
    """Write each row as whole numbers from 0 to CODES: x is low + step × code, within half a step.

    Extremes are found among the bits, which sort like the numbers once those of negative ones are turned round: so
    they take vector registers, and a NaN is an extreme, which makes low or step of its row NaN.
    """
    for t in range(x_TI.shape[0]):
        bits_I = x_TI[t].view(np.int32)
        smallest = largest = _sortable(bits_I[0])
        for i in range(len(bits_I)):
            smallest = np.int32(min(smallest, _sortable(bits_I[i])))
            largest = np.int32(max(largest, _sortable(bits_I[i])))
        low = np.int32(_sortable(smallest)).view(np.float32)
        width = np.int32(_sortable(largest)).view(np.float32) - low
        low_T[t] = low
        step_T[t] = width / np.float32(CODES)
        if _NARROWEST < width < _INFINITE:
            per_unit = np.float32(CODES) / width
            for i in range(x_TI.shape[1]):
                code_TI[t, i] = np.int32((x_TI[t, i] - low) * per_unit + _HALF)
        else:
            code_TI[t] = 0


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FUSED)
def decode(product_TO: F32, low_T: F32, step_T: F32, scale_O: F32, sum_O: F32, y_TO: F32) -> None:
    """Set y to the products of the numbers that codes stand for, given the products of codes.

    scale_O : what a step of the weights is; sum_O : the sum of the weights of each output.
    """
    for t in range(product_TO.shape[0]):
        for o in range(product_TO.shape[1]):
            y_TO[t, o] = product_TO[t, o] * (step_T[t] * scale_O[o]) + low_T[t] * sum_O[o]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FUSED)
def add_bias(x_TN: F32, bias_N: F32) -> None:
    """Add a bias to every row, in place."""
    for t in range(x_TN.shape[0]):
        for n in range(x_TN.shape[1]):
            x_TN[t, n] += bias_N[n]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FUSED)
def add_bias_and_activate(x_TN: F32, bias_N: F32, activation: int) -> None:
    """Add a bias to every row and apply an activation, in place."""
    for t in range(x_TN.shape[0]):
        if activation == GELU:
            for n in range(x_TN.shape[1]):
                x = x_TN[t, n] + bias_N[n]
                x_TN[t, n] = _HALF * x * (_ONE + erf(x * _ROOT_HALF))
        elif activation == GELU_TANH:
            for n in range(x_TN.shape[1]):
                x = x_TN[t, n] + bias_N[n]
                x_TN[t, n] = x / (_ONE + exp(-_TWO * _TANH_A * (x + _TANH_B * x * x * x)))
        elif activation == RELU:
            for n in range(x_TN.shape[1]):
                x = x_TN[t, n] + bias_N[n]
                x_TN[t, n] = np.float32(0) if x < 0 else x
        elif activation == SILU:
            for n in range(x_TN.shape[1]):
                x = x_TN[t, n] + bias_N[n]
                x_TN[t, n] = x / (_ONE + exp(-x))
        else:
            for n in range(x_TN.shape[1]):
                x_TN[t, n] = math.tanh(np.float64(x_TN[t, n] + bias_N[n]))


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_REORDERED)
def add_and_normalise(x_TH: F32, plus_TH: F32, bias_H: F32, weight_H: F32, shift_H: F32, epsilon: np.float32) -> None:
    """Set x to the layer norm of x + plus + bias, row by row."""
    for t in range(x_TH.shape[0]):
        for h in range(x_TH.shape[1]):
            x_TH[t, h] += plus_TH[t, h] + bias_H[h]
        _normalise(x_TH[t], weight_H, shift_H, epsilon)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_REORDERED)
def embed(
    id_T: I32, place_T: I32, word_VH: F32, place_PH: F32, weight_H: F32, shift_H: F32, epsilon: np.float32, x_TH: F32
) -> None:
    """Set the first rows of x to the layer norm of the embeddings of words and places, the rest to 0."""
    for t in range(len(id_T)):
        for h in range(x_TH.shape[1]):
            x_TH[t, h] = word_VH[id_T[t], h] + place_PH[place_T[t], h]
        _normalise(x_TH[t], weight_H, shift_H, epsilon)
    x_TH[len(id_T) :] = np.float32(0)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FUSED)
def number_places(id_T: I32, length_S: I64, ignored: int, place_T: I32) -> None:
    """Number the tokens of each sequence from ignored + 1; a token whose id is `ignored` has that place.

    With ignored = -1 that is 0, 1, 2, ... (BERT); with the id of the padding token it is RoBERTa's rule.
    """
    t = 0
    for s in range(len(length_S)):
        place = ignored
        for _ in range(length_S[s]):
            if id_T[t] == ignored:
                place_T[t] = ignored
            else:
                place += 1
                place_T[t] = place
            t += 1


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FUSED)
def _sortable(bits: np.int32) -> np.int32:
    """Turn the bits of a float32 into an integer that sorts like it, and back."""
    return np.int32(bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF)))


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_REORDERED)
def _normalise(x_H: F32, weight_H: F32, shift_H: F32, epsilon: np.float32) -> None:
    """Scale a row to mean 0 and variance 1, then to its weight and shift, in place."""
    width = np.float32(len(x_H))
    total = np.float32(0)
    for h in range(len(x_H)):
        total += x_H[h]
    mean = total / width
    square = np.float32(0)
    for h in range(len(x_H)):
        away = x_H[h] - mean
        square += away * away
    scale = _ONE / np.sqrt(square / width + epsilon)
    for h in range(len(x_H)):
        x_H[h] = (x_H[h] - mean) * scale * weight_H[h] + shift_H[h]
