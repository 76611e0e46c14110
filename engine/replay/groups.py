"""Creatives with equal codes, added up: they get equal decisions under every strategy.

That pays where there are far fewer groups than creatives and many outcomes to add up: see `pays`. The number of groups
is counted on a sample of groups (by a hash of their key), which a sample of creatives would not tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from engine.records import I32, I64, U64
from engine.replay import code_kernels as kernels
from engine.replay.code_kernels import Codes
from engine.replay.crew import parts, work_off

WORTH = 256  # to group a creative takes about as long as to add it up under so many outcomes
_SAMPLE_BITS = 6  # one group in 64 is counted
_KEY_BITS = 64


@dataclass(frozen=True)
class Rows:
    """N creatives, or groups of them.

    code_PN : unsigned. home_N : int32, frame × cells + cell. weight_NX : int64; columns read_V of it are weights.
    """

    code_PN: Codes
    home_N: I32
    weight_NX: I64
    read_V: I64


@dataclass(frozen=True)
class Key:
    """How codes of all columns, and above them the home, lie within 64 bits: where each begins, and how wide it is."""

    shifts: tuple[int, ...]
    widths: tuple[int, ...]


def add_up_groups(rows: Rows, codes: tuple[int, ...], homes: int, outcomes: int, threads: int) -> Rows:
    """Return groups, or the rows themselves where grouping does not pay or a key does not fit.

    Parameters
    ----------
    codes : number of codes of every column. outcomes : number of distinct outcomes that will be added up.
    """
    count = len(rows.home_N)
    key = _make_key(codes, homes)
    if not pays(0, count, outcomes) or sum(key.widths) > _KEY_BITS:
        return rows
    key_N = np.empty(count, np.uint64)
    work_off([partial(_write_keys, rows, key, key_N, at) for at in parts(count, threads)], threads)
    expected = _count_groups(key_N)
    if not pays(expected, count, outcomes):
        return rows
    found: dict[int, I64] = {}
    room = (expected + expected // 4) // threads + 1024
    work_off([partial(_fill, key_N, rows, room, found, (part, threads)) for part in range(threads)], threads)
    cell_UE = np.concatenate([found[part] for part in range(threads)])
    key_U = cell_UE[:, 0].view(np.uint64)
    code_PU = np.empty((len(codes), len(key_U)), rows.code_PN.dtype)
    for code_U, shift, width in zip(code_PU, key.shifts, key.widths, strict=False):
        code_U[:] = (key_U >> np.uint64(shift)) & np.uint64((1 << width) - 1)
    home_U = (key_U >> np.uint64(key.shifts[-1])).astype(np.int32)
    return Rows(code_PU, home_U, cell_UE, np.arange(1, cell_UE.shape[1]))


def pays(groups: int, rows: int, outcomes: int) -> bool:
    """Say whether grouping costs less than it saves."""
    return outcomes * (rows - groups) > WORTH * rows


def _make_key(codes: tuple[int, ...], homes: int) -> Key:
    widths = tuple((max(count, 2) - 1).bit_length() for count in (*codes, homes))
    return Key(tuple(sum(widths[:p]) for p in range(len(widths))), widths)


def _write_keys(rows: Rows, key: Key, key_N: U64, at: slice) -> None:
    key_N[at] = rows.home_N[at]
    key_N[at] <<= np.uint64(key.shifts[-1])
    for code_N, shift in zip(rows.code_PN, key.shifts, strict=False):
        kernels.add_to_keys(code_N[at], shift, key_N[at])


def _count_groups(key_N: U64) -> int:
    """Estimate how many distinct keys there are, from all rows of a share of them."""
    bits = _SAMPLE_BITS if len(key_N) > 1 << 16 else 0
    chosen_n = np.empty(2 * (len(key_N) >> bits) + 1024, np.uint64)
    count = kernels.sample_keys(key_N, bits, chosen_n)
    return min(len(key_N), len(np.unique(chosen_n[:count])) << bits)


def _fill(key_N: U64, rows: Rows, room: int, found: dict[int, I64], part_2: tuple[int, int]) -> None:
    """Group the keys of one part, with ever more room until they fit."""
    while True:
        slot_T = np.full(1 << (2 * room - 1).bit_length(), -1, np.int32)
        cell_UE = np.empty((room, 1 + len(rows.read_V)), np.int64)
        used = kernels.group(key_N, rows.weight_NX, rows.read_V, np.array(part_2), slot_T, cell_UE)
        if used >= 0:
            found[part_2[0]] = cell_UE[:used]
            return
        room *= 2
