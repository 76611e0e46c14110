"""Human rejections as seeded draws: the same creative draws the same number in any order, split or truncation."""

from __future__ import annotations

import hashlib

import numpy as np

from engine.records import F64, U8, U64

_GOLDEN = 0x9E3779B97F4A7C15
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def draw_rejections(key_N: U64, probability_N: F64, seed: int, replicate: int, policy: str) -> U8:
    """Return 1 where a human rejects, with the given probability, shape (N,).

    Parameters
    ----------
    key_N : a 64-bit hash of the creative's id. probability_N : in [0, 1]; NaN rejects never.
    replicate : counts the repetitions whose spread joins the interval.
    """
    return (uniform(key_N, seed, replicate, policy) < probability_N).astype(np.uint8)


def uniform(key_N: U64, seed: int, replicate: int, policy: str) -> F64:
    """Return a number in [0, 1) for every key, a pure function of (seed, replicate, policy, key).

    Source: SplitMix64's finalizer (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators"), once
    over the key and once over it and the stream, of which 53 bits make the number.
    """
    name = f"{seed}\0{replicate}\0{policy}".encode()
    stream = np.uint64(int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "big"))
    return (_mix(_mix(key_N.astype(np.uint64)) ^ stream) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(bits_N: U64) -> U64:
    bits_N = bits_N + np.uint64(_GOLDEN)
    bits_N = (bits_N ^ (bits_N >> np.uint64(30))) * _FIRST
    bits_N = (bits_N ^ (bits_N >> np.uint64(27))) * _SECOND
    return bits_N ^ (bits_N >> np.uint64(31))
