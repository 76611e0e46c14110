"""Simulated submissions of real texts: every advertiser resubmits a small pool, sometimes as near-copies."""

from dataclasses import dataclass

import numpy as np

from demo_world.advertisers import CUNNING, REGION_SHARE, Advertisers
from demo_world.arrays import F32, I64, Bool
from demo_world.rhythm import submission_times
from demo_world.texts import Texts, fold, near_copy

NEAR_COPY_SHARE = 0.15
CUNNING_FAVOUR = 1.5  # how much likelier a cunning actor takes a text that v1 scores below 0.5


@dataclass(frozen=True)
class Contents:
    """Distinct texts that are submitted; a near-copy has the label of its source."""

    body_C: tuple[str, ...]
    violating_C: Bool
    is_copy_C: Bool


@dataclass(frozen=True)
class Creatives:
    """One entry a creative in order of submission; advertiser and content are indices."""

    advertiser_N: I64
    content_N: I64
    submitted_N: I64
    region_N: I64


@dataclass(frozen=True)
class _Picks:
    """What an advertiser (or all of them) submits: a source text each, and whether as a near-copy."""

    advertiser_N: I64
    text_N: I64
    copied_N: Bool


def submit(
    advertisers: Advertisers, texts: Texts, v1_T: F32, trained: Texts, rng: np.random.Generator
) -> tuple[Creatives, Contents]:
    """Let every advertiser submit its creatives.

    Parameters
    ----------
    v1_T : float32 in [0, 1]; the live model's score of every text, which cunning actors have probed.
    trained : texts that no near-copy may equal.
    """
    picks = _pick_texts(advertisers, texts, v1_T, rng)
    contents, content_N = _write_copies(picks, texts, trained, rng)
    advertiser_N = picks.advertiser_N
    from_day_N, until_day_N = advertisers.from_day_A[advertiser_N], advertisers.until_day_A[advertiser_N]
    submitted_N = submission_times(rng, from_day_N, until_day_N)
    abroad_N = rng.random(len(advertiser_N)) < 0.15
    away_N = rng.choice(len(REGION_SHARE), len(advertiser_N), p=REGION_SHARE)
    region_N = np.where(abroad_N, away_N, advertisers.region_A[advertiser_N])
    order = np.argsort(submitted_N, kind="stable")
    creatives = Creatives(advertiser_N[order], content_N[order], submitted_N[order], region_N[order])
    return creatives, contents


def _pick_texts(advertisers: Advertisers, texts: Texts, v1_T: F32, rng: np.random.Generator) -> _Picks:
    """Draw a pool of texts for every advertiser and its submissions from the pool."""
    violating, compliant = np.flatnonzero(texts.violating_T), np.flatnonzero(~texts.violating_T)
    even = np.full(len(violating), 1.0 / len(violating))
    missed = np.where(v1_T[violating] < 0.5, CUNNING_FAVOUR, 1.0)
    favour = missed / missed.sum()
    chosen: list[I64] = []
    for a, size in enumerate(advertisers.size_A.tolist()):
        pool = min(int(np.ceil(0.8 * size**0.5)), 60)
        chance = favour if advertisers.kind_A[a] == CUNNING else even
        bad = rng.choice(violating, min(pool, len(violating)), replace=False, p=chance)
        good = rng.choice(compliant, min(pool, len(compliant)), replace=False)
        breaks = rng.random(size) < advertisers.violating_A[a]
        chosen.append(np.where(breaks, _skewed(bad, size, rng), _skewed(good, size, rng)))
    text_N = np.concatenate(chosen)
    advertiser_N = np.repeat(np.arange(len(advertisers.size_A)), advertisers.size_A)
    return _Picks(advertiser_N, text_N, rng.random(len(text_N)) < NEAR_COPY_SHARE)


def _skewed(pool: I64, size: int, rng: np.random.Generator) -> I64:
    """Draws from the pool, of its first texts oftener."""
    return pool[(len(pool) * rng.random(size) ** 1.5).astype(np.int64)]


def _write_copies(
    picks: _Picks,
    texts: Texts,
    trained: Texts,
    rng: np.random.Generator,
) -> tuple[Contents, I64]:
    """Write one near-copy for every (advertiser, text) that needs one; keep only contents that are used."""
    key_N = picks.advertiser_N * len(texts.body_T) + picks.text_N
    copies, copy_N = np.unique(key_N[picks.copied_N], return_inverse=True)
    source = copies % len(texts.body_T)
    taken = {fold(body) for body in (*texts.body_T, *trained.body_T)}
    bodies = [*texts.body_T, *(near_copy(texts.body_T[t], taken, rng) for t in source.tolist())]
    violating = np.concatenate([texts.violating_T, texts.violating_T[source]])
    content_N = picks.text_N.copy()
    content_N[picks.copied_N] = len(texts.body_T) + copy_N
    used, content_N = np.unique(content_N, return_inverse=True)
    contents = Contents(tuple(bodies[c] for c in used.tolist()), violating[used], used >= len(texts.body_T))
    return contents, content_N
