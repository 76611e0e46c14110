"""Near-copies: texts so alike that one score may stand for all of them, and how well it does.

A text is the set of its shingles: runs of SHINGLE characters of the normalised text (NFKC, case folded, white space
squeezed). MinHash (Broder 1997, "On the resemblance and containment of documents") keeps the least of each of `size`
hashes; the share of equal entries of two sketches estimates the Jaccard similarity J of the sets, with a standard
error of sqrt(J (1 − J) / size). A set knows no order and no number: a text written twice is a near-copy of itself.

Limits: the hashes are public, so whoever writes ads can make texts of equal sketches; and one changed word in a long
text can change what a model says. `agreement` measures that on members which were scored themselves as well.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.errors import DataError, UsageError
from engine.records import F32, F64, I32, I64, U64

if TYPE_CHECKING:
    from datasketch import MinHash

U32 = NDArray[np.uint32]

# Part of what names a sketch. Raise it with any change that may change a bit of one, that of the library included.
SKETCH_VERSION = 1
SHINGLE = 5
FEWEST = 32  # distinct shingles; a text with fewer is nobody's near-copy: one word makes too much of it
LEAST_SIMILARITY = 0.7  # below it the bands are so narrow that they sort nothing out
_SEED = 1
_CHUNK = 8192  # shingles hashed at once: 4 · size bytes each
_MOST = 256  # leaders compared in a bucket, the newest: what keeps a flood of one template linear
_NOTHING = np.uint32(2**32 - 1)
_STEP, _MIX = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xFF51AFD7ED558CCD)
_SHIFT, _HALF = np.uint64(33), np.uint64(32)

# --- Sketches --------------------------------------------------------------------------------------------------------


def sketch_texts(texts: Sequence[str], size: int = 128) -> U32:
    """Return the MinHash sketch of each text, 4 · size bytes; a function of the text alone.

    A text with fewer than FEWEST distinct shingles gets the sketch of no shingles, all entries 2^32 − 1.

    Returns
    -------
    uint32, shape (U, size).

    Raises
    ------
    UsageError : the package that hashes is not installed.
    """
    blank = _blank(size)
    sketch_UK = np.full((len(texts), size), _NOTHING, np.uint32)
    for u, text in enumerate(texts):
        shingles = np.unique(_shingles(text))
        if len(shingles) >= FEWEST:
            sketch = blank.copy()
            for first in range(0, len(shingles), _CHUNK):
                sketch.update_batch(shingles[first : first + _CHUNK].tolist())
            sketch_UK[u] = sketch.hashvalues
    return sketch_UK


def _blank(size: int) -> MinHash:
    try:
        from datasketch import MinHash
    except ImportError:
        raise UsageError(
            "near-copies need the package datasketch, which is not installed: pip install 'ad-backtest[near]'"
        ) from None
    return MinHash(num_perm=size, seed=_SEED, hashfunc=int, scheme="affine32")


def normalise(text: str) -> str:
    """Return the text as shingles see it."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _shingles(text: str) -> U64:
    """Return a 32-bit hash of each run of SHINGLE characters, in order."""
    code = np.frombuffer(normalise(text).encode("utf-32-le", "surrogatepass"), "<u4").astype(np.uint64)
    count = max(0, len(code) - SHINGLE + 1)
    mixed = np.zeros(count, np.uint64)
    for i in range(SHINGLE):
        mixed = _scatter(mixed * _STEP + code[i : i + count])
    return mixed >> _HALF


def _scatter(mixed: U64) -> U64:
    """Spread what differs in a few bits over all; arithmetic modulo 2^64."""
    return (mixed ^ (mixed >> _SHIFT)) * _MIX


# --- Groups ----------------------------------------------------------------------------------------------------------


def group_near_copies(sketch_UK: U32, similarity: float) -> I64:
    """Return for each text its representative: the first of its group, itself where it is alone.

    In order, a text joins the earlier representative whose sketch agrees most with its own (of equals the first) if
    the similarity estimated between the two is at least `similarity`; else it represents itself. Nobody joins through
    a third text, and nothing that comes later changes what came before. Without shingles a text stays alone.

    Where at most m of K entries may differ, one of m + 1 bands of entries is equal (the pigeonhole principle), so
    candidates are those that share a band, and none that the estimate accepts is missed. Two things stand between that
    and exact Jaccard: the estimate's error (0.027 at 0.9 with 128 entries, so texts that lie so near to `similarity`
    fall on either side), and that of a bucket's representatives only the 256 newest are compared.
    Memory beside the sketches: 12 bytes a text and band and about 60 a text; 13 bands for 128 entries at 0.9.

    Parameters
    ----------
    sketch_UK : uint32, shape (U, K), from one call or several put together.
    similarity : from LEAST_SIMILARITY to 1; 1 groups equal sketches alone.

    Raises
    ------
    UsageError : the similarity lies outside.
    """
    from engine.read.kernels import lead

    if not LEAST_SIMILARITY <= similarity <= 1.0:
        raise UsageError(f"near-copies: similarity is {similarity}; give one from {LEAST_SIMILARITY} to 1")
    texts, size = sketch_UK.shape
    needed = next(n for n in range(size + 1) if n / size >= similarity)
    bucket_UB = _buckets(sketch_UK, size - needed + 1)
    bands = bucket_UB.shape[1]
    newest_BX = np.full((bands, int(bucket_UB.max(initial=0)) + 1), -1, np.int32)
    earlier_UB, seen_U = np.full((texts, bands), -1, np.int32), np.full(texts, -1, np.int32)
    leader_U = -(sketch_UK.min(axis=1) == _NOTHING).astype(np.int64)
    lead(np.ascontiguousarray(sketch_UK), bucket_UB, needed, _MOST, newest_BX, earlier_UB, seen_U, leader_U)
    return leader_U


def _buckets(sketch_UK: U32, bands: int) -> I32:
    """Return a number for the entries of each band, equal where they are equal; bands differ by one entry at most."""
    found = np.empty((len(sketch_UK), bands), np.int32)
    for b, entries in enumerate(np.array_split(np.arange(sketch_UK.shape[1]), bands)):
        mixed = np.zeros(len(sketch_UK), np.uint64)
        for k in entries:
            mixed = _scatter(mixed * _STEP + sketch_UK[:, k])
        found[:, b] = np.unique(mixed, return_inverse=True)[1]
    return found


# --- Agreement -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Side:
    """At one threshold: the share of members on the same side of it, and how many at most change sides.

    changed_high : bound, at 95 %, of the share that would change sides were every member scored itself.
    """

    threshold: float
    equal: float
    changed_high: float


@dataclass(frozen=True)
class Agreement:
    """How the score of a representative stands for that of a member: absolute differences, and sides of thresholds."""

    members: int
    mean_difference: float
    max_difference: float
    sides: tuple[Side, ...]


def agreement(score_representative_n: F32 | F64, score_own_n: F32 | F64, thresholds: Sequence[float]) -> Agreement:
    """Compare what members got from their representatives with their own scores.

    The bound is the exact binomial one (Clopper and Pearson 1934, Biometrika 26, 404–413), one-sided, each threshold
    for itself; it rests on members drawn at random from all that are not their own representative. Without members
    the differences are NaN and anything may change.

    Parameters
    ----------
    score_representative_n, score_own_n : of one dtype, to which thresholds are rounded: score >= threshold.

    Raises
    ------
    DataError : a score is NaN, which stands on no side.
    """
    if np.isnan(score_representative_n).any() or np.isnan(score_own_n).any():
        raise DataError("near-copies: a re-scored member or its representative has no score (NaN)")
    members = len(score_own_n)
    difference = np.abs(score_representative_n.astype(np.float64) - score_own_n.astype(np.float64))
    return Agreement(
        members,
        float(difference.mean()) if members else np.nan,
        float(difference.max()) if members else np.nan,
        tuple(_side(score_representative_n, score_own_n, threshold) for threshold in thresholds),
    )


def _side(score_representative_n: F32 | F64, score_own_n: F32 | F64, threshold: float) -> Side:
    from scipy.special import betaincinv

    edge = score_own_n.dtype.type(threshold)
    members = len(score_own_n)
    changed = int(((score_representative_n >= edge) != (score_own_n >= edge)).sum())
    high = 1.0 if changed == members else float(betaincinv(changed + 1, members - changed, 0.95))
    return Side(threshold, 1 - changed / members if members else np.nan, high)
