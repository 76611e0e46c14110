"""Near-copies: sketches of texts, groups against exact Jaccard and plain loops, agreement of scores."""

from __future__ import annotations

import math
import pickle
import random
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from generators import examples
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import DataError, UsageError
from engine.read import near_copies
from engine.read.kernels import lead
from engine.read.near_copies import FEWEST, SHINGLE, agreement, group_near_copies, sketch_texts

WORDS = ("loan", "free", "click", "naïve", "★", "贷款", "offer", "casino", "shoes", "bank", "tax", "now", "gift")
NOTHING = 2**32 - 1


def text(seed: int, words: int = 30) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=words)) + f" number {seed}"


def variant(of: str, seed: int, changes: int) -> str:
    """Change that many characters of a text, each to a letter that it lacks."""
    generator, letters = random.Random(seed), list(of)
    for at in generator.sample(range(len(letters)), changes):
        letters[at] = "q"
    return "".join(letters)


def jaccard(one: str, two: str) -> float:
    """The slow twin of a sketch: shingles as sets of strings."""
    sets = [{whole[i : i + SHINGLE] for i in range(len(whole) - SHINGLE + 1)} for whole in (one, two)]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def leaders(sketches: list[list[int]], similarity: float) -> list[int]:
    """The slow twin of the groups: every earlier representative is compared, no bands."""
    found: list[int] = []
    for u, sketch in enumerate(sketches):
        best, most = u, 0.0
        if any(entry != NOTHING for entry in sketch):
            for v in sorted(set(found)):
                share = sum(a == b for a, b in zip(sketch, sketches[v], strict=True)) / len(sketch)
                if share >= similarity and share > most:
                    best, most = v, share
        found.append(best)
    return found


@st.composite
def sketches(draw: st.DrawFn, size: int = 16) -> list[list[int]]:
    """Sketches that differ from a few first ones in a few entries; some have no shingles."""
    base = [[100 * b + k for k in range(size)] for b in range(draw(st.integers(1, 3)))]
    found = []
    for _ in range(draw(st.integers(0, 25))):
        sketch = list(draw(st.sampled_from([*base, [NOTHING] * size])))
        if sketch[0] != NOTHING:
            for at in draw(st.lists(st.integers(0, size - 1), max_size=6)):
                sketch[at] = draw(st.integers(0, 3))
        found.append(sketch)
    return found


def as_array(rows: list[list[int]], size: int = 16) -> near_copies.U32:
    return np.array(rows, np.uint32).reshape(-1, size)


# --- Sketches --------------------------------------------------------------------------------------------------------


def test_a_sketch_depends_on_its_text_alone() -> None:
    texts = [text(seed) for seed in range(12)]
    together = sketch_texts(texts)
    assert together.dtype == np.uint32
    assert together.shape == (12, 128)
    assert np.array_equal(sketch_texts(texts[::-1])[::-1], together)
    assert np.array_equal(np.vstack([sketch_texts([one]) for one in texts]), together)
    assert np.array_equal(pickle.loads(pickle.dumps(sketch_texts))(texts), together)


def test_a_sketch_is_the_same_in_another_process_and_as_written_down() -> None:
    code = (
        "from engine.read.near_copies import sketch_texts; "
        "print(sketch_texts(['The quick brown fox jumps over the lazy dog, thrice'])[0, :3].tolist())"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert printed == "[30187517, 70295489, 119088109]"


def test_a_long_text_is_sketched_in_pieces_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = sketch_texts([text(3, 400)])
    monkeypatch.setattr(near_copies, "_CHUNK", 7)
    assert np.array_equal(sketch_texts([text(3, 400)]), whole)


@pytest.mark.parametrize("changes", [0, 1, 4, 15, 60])
def test_equal_entries_estimate_the_jaccard_similarity_of_the_shingles(changes: int) -> None:
    size = 2048
    for seed in range(6):
        one, two = text(seed, 60), variant(text(seed, 60), seed, changes)
        exact = jaccard(one, two)
        found = sketch_texts([one, two], size)
        bound = 4 * math.sqrt(exact * (1 - exact) / size)
        assert abs((found[0] == found[1]).mean() - exact) <= bound


def test_case_width_and_white_space_are_no_difference() -> None:
    plain = "buy these shoes today: 50 % off, only while stocks last"
    one, two = sketch_texts([plain, "  BUY\u00a0these\n\nSHOES today: 50 % ｏｆｆ, only\twhile stocks last "])
    assert np.array_equal(one, two)


def test_a_text_with_too_few_shingles_has_the_sketch_of_none() -> None:
    letters = "".join(chr(0x4E00 + i) for i in range(FEWEST + SHINGLE - 1))
    short = ["", " \n", "ok", letters[:-1], "ha" * 500]
    assert (sketch_texts(short) == NOTHING).all()
    assert (sketch_texts([letters]) != NOTHING).any()


def test_lone_surrogates_are_characters_like_others() -> None:
    assert (sketch_texts([text(1).replace(" ", "\ud800")]) != sketch_texts([text(1)])).any()


def test_a_missing_package_is_named_with_the_command_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasketch", None)
    with pytest.raises(UsageError, match=r"datasketch.*pip install 'ad-backtest\[near\]'"):
        sketch_texts(["a"])


# --- Groups ----------------------------------------------------------------------------------------------------------


@examples(150)
@given(rows=sketches(), similarity=st.sampled_from([0.7, 0.75, 0.8, 13 / 16, 0.9, 1.0]))
def test_groups_are_those_of_all_pairs(rows: list[list[int]], similarity: float) -> None:
    assert group_near_copies(as_array(rows), similarity).tolist() == leaders(rows, similarity)


@examples(100)
@given(rows=sketches(), similarity=st.sampled_from([0.7, 0.9]), cut=st.integers(0, 25), seed=st.integers(0, 99))
def test_what_comes_later_changes_no_representative(
    rows: list[list[int]], similarity: float, cut: int, seed: int
) -> None:
    later = rows[cut:]
    random.Random(seed).shuffle(later)
    first = group_near_copies(as_array(rows[:cut]), similarity).tolist()
    assert group_near_copies(as_array(rows[:cut] + later), similarity).tolist()[:cut] == first


@examples(100)
@given(rows=sketches(), similarity=st.sampled_from([0.7, 0.8, 0.95]))
def test_every_text_is_similar_to_a_representative_that_represents_itself_and_comes_first(
    rows: list[list[int]], similarity: float
) -> None:
    found = group_near_copies(as_array(rows), similarity)
    for u, v in enumerate(found.tolist()):
        assert v <= u
        assert found[v] == v
        assert u == v or np.mean(np.array(rows[u]) == np.array(rows[v])) >= similarity


@examples(60)
@given(rows=sketches())
def test_at_similarity_1_only_equal_sketches_are_grouped_and_all_of_them(rows: list[list[int]]) -> None:
    found = group_near_copies(as_array(rows), 1.0).tolist()
    for u, sketch in enumerate(rows):
        assert found[u] == (u if sketch[0] == NOTHING else rows.index(sketch))


@pytest.mark.parametrize("kernel", [lead, lead.py_func], ids=["compiled", "python"])
@pytest.mark.parametrize("most", [1, 2, 100])
def test_a_flooded_bucket_is_searched_among_its_newest_leaders(kernel: Callable[..., None], most: int) -> None:
    sketch_UK = as_array([[0, 0], [0, 1], [0, 2], [0, 0], [0, 2], [0, 1]], 2)
    leader_U = np.zeros(6, np.int64)
    scratch = np.full((1, 1), -1, np.int32), np.full((6, 1), -1, np.int32), np.full(6, -1, np.int32)
    kernel(sketch_UK, np.zeros((6, 1), np.int32), 2, most, *scratch, leader_U)
    assert leader_U.tolist() == {1: [0, 1, 2, 3, 4, 5], 2: [0, 1, 2, 3, 2, 5], 100: [0, 1, 2, 0, 2, 1]}[most]


def test_a_text_that_is_near_a_member_but_not_its_representative_stays_apart() -> None:
    chain = as_array([[k + (k < shift) * 100 for k in range(16)] for shift in (0, 3, 6)])
    assert group_near_copies(chain, 0.8).tolist() == [0, 0, 2]


def test_empty_and_short_texts_stay_alone_and_near_copies_meet() -> None:
    base, other = text(1, 60), text(2, 60)
    texts = ["", base, "ok", "", other, variant(base, 1, 1), "ok", other.upper()]
    assert jaccard(base, texts[5]) > 0.95
    assert jaccard(base, other) < 0.7
    assert group_near_copies(sketch_texts(texts), 0.9).tolist() == [0, 1, 2, 3, 4, 1, 6, 4]


def test_no_text_gives_no_group() -> None:
    assert group_near_copies(sketch_texts([]), 0.9).tolist() == []


def test_groups_of_texts_are_those_of_exact_jaccard_where_the_estimate_has_room() -> None:
    bases = [text(seed, 80) for seed in range(15)]
    texts = [variant(bases[seed % 15], seed, 1 + seed % 2) if seed >= 15 else bases[seed] for seed in range(60)]
    exact = [[jaccard(one, two) for two in bases] for one in texts]
    assert min(row[u % 15] for u, row in enumerate(exact)) > 0.92
    assert max(row[v] for u, row in enumerate(exact) for v in range(15) if v != u % 15) < 0.7
    assert group_near_copies(sketch_texts(texts), 0.8).tolist() == [u % 15 for u in range(60)]


@pytest.mark.parametrize("similarity", [0.69, 1.01, math.nan])
def test_a_similarity_without_meaning_is_refused(similarity: float) -> None:
    with pytest.raises(UsageError, match="similarity"):
        group_near_copies(sketch_texts(["a"]), similarity)


# --- Agreement -------------------------------------------------------------------------------------------------------


def test_agreement_counts_differences_and_changed_sides() -> None:
    given_n, own_n = np.array([0.5, 0.2, 0.9, 0.4], np.float32), np.array([0.5, 0.6, 0.9, 0.3], np.float32)
    found = agreement(given_n, own_n, [0.5, 0.3, 0.95])
    assert found.members == 4
    assert found.mean_difference == pytest.approx(0.125)
    assert found.max_difference == pytest.approx(0.4)
    assert [side.equal for side in found.sides] == [0.75, 0.75, 1.0]


@pytest.mark.parametrize(("changed", "members"), [(0, 1), (0, 50), (3, 50), (49, 50), (50, 50)])
def test_the_bound_is_the_largest_share_that_would_show_so_few_changes_once_in_twenty(
    changed: int, members: int
) -> None:
    own_n = np.zeros(members)
    given_n = np.where(np.arange(members) < changed, 1.0, 0.0)
    high = agreement(given_n, own_n, [0.5]).sides[0].changed_high
    so_few = sum(math.comb(members, k) * high**k * (1 - high) ** (members - k) for k in range(changed + 1))
    assert so_few == pytest.approx(1.0 if changed == members else 0.05)


def test_a_threshold_is_rounded_to_the_dtype_of_the_scores() -> None:
    score_n = np.array([0.7], np.float32)
    assert agreement(score_n, np.nextafter(score_n, np.float32(1)), [0.7]).sides[0].equal == 1.0
    assert agreement(score_n, np.nextafter(score_n, np.float32(0)), [0.7]).sides[0].equal == 0.0


def test_without_a_member_nothing_is_known() -> None:
    found = agreement(np.zeros(0, np.float32), np.zeros(0, np.float32), [0.5])
    assert found.members == 0
    assert math.isnan(found.mean_difference)
    assert found.sides[0].changed_high == 1.0


def test_a_missing_score_stands_on_no_side() -> None:
    with pytest.raises(DataError, match="NaN"):
        agreement(np.array([0.5]), np.array([np.nan]), [0.5])
