"""Exact bins: creatives with equal codes are equal for every atom, and flips say which atoms hold."""

from __future__ import annotations

import numpy as np
import pytest
from generators import World, examples, make_world, trees, worlds, write
from hypothesis import given
from hypothesis import strategies as st
from oracles import Tree

from engine.expression import Atom, atom_mask, atoms, columns_of_atoms, parse
from engine.records import Column
from engine.replay.bins import Binning, find_bins
from engine.replay.codes import encode


def holds(binning: Binning, k: int, code_PN: np.ndarray) -> np.ndarray:
    """Return where atom k holds, by the number of its steps at or below each code."""
    odd_N = np.zeros(code_PN.shape[1], bool)
    for step in binning.flip_F[binning.flip_start_K[k] : binning.flip_start_K[k + 1]]:
        p = int(np.searchsorted(binning.first_P, step, side="right")) - 1
        odd_N ^= code_PN[p] >= step - binning.first_P[p]
    return odd_N


@examples(100)
@given(written=st.lists(trees(), min_size=1, max_size=5), world=worlds())
def test_codes_and_flips_say_what_atoms_say(written: list[Tree], world: World) -> None:
    asked = list(dict.fromkeys(atom for tree in written for atom in atoms(parse(write(tree)))))
    columns = columns_of_atoms(asked, world.creatives.columns)
    binning = find_bins(asked, world.creatives.columns)
    code_PN = encode(binning, len(world), 1)
    for k, atom in enumerate(asked):
        assert holds(binning, k, code_PN).tolist() == atom_mask(atom, columns[atom.column]).tolist()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int32, np.uint8, np.bool_])
@pytest.mark.parametrize("operator", [">=", ">", "<=", "<", "==", "!="])
def test_every_dtype_and_edge_of_its_range_is_binned_exactly(operator: str, dtype: type[np.generic]) -> None:
    values = np.array([0, 1, 1, 0, 1], dtype)
    constants = [0.0, -0.0, 1.0]
    if np.issubdtype(dtype, np.floating):
        extremes = [np.finfo(dtype).max, np.finfo(dtype).min, np.inf, -np.inf, np.nan, np.finfo(dtype).tiny, -0.0]
        values = np.concatenate([values, np.array(extremes, dtype)])
        constants += [1e300, -1e300, np.inf, -np.inf, float(np.finfo(dtype).max), 0.1, 1 / 3]
    column = Column("x", values)
    asked = [Atom("x", operator, constant) for constant in constants]
    binning = find_bins(asked, [column])
    code_PN = encode(binning, len(values), 1)
    for k, atom in enumerate(asked):
        assert holds(binning, k, code_PN).tolist() == atom_mask(atom, column).tolist(), atom


def test_levels_that_no_atom_tells_apart_share_a_code() -> None:
    column = Column("region", np.array([0, 1, 2, 3, -1]), ("US", "GB", "DE", "FR"))
    binning = find_bins([Atom("region", "in", ("US", "GB"))], [column])
    codes = encode(binning, 5, 1)[0].tolist()
    assert binning.bins[0].codes == 2
    assert codes[0] == codes[1] != codes[2]
    assert codes[2] == codes[3] == codes[4]


def test_clustered_thresholds_are_searched_by_halving_with_the_same_codes() -> None:
    edges = np.concatenate([np.linspace(0.1, 0.1001, 500), [5.0]])
    values = make_world(1, 400).creatives.columns[1].values_N
    values = np.concatenate([values, edges, np.nextafter(edges, 0)])
    binning = find_bins([Atom("x", ">=", float(edge)) for edge in edges], [Column("x", values)])
    known = np.isnan(values)
    wanted = np.where(known, 0, 1 + np.searchsorted(np.unique(edges), values, side="right"))
    assert encode(binning, len(values), 1)[0].tolist() == wanted.tolist()
