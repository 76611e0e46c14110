"""Which creatives a sampled run scores: a share of them, drawn by a hash, and every labelled one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
from blake3 import blake3

from engine.records import F64, Flags

_BITS = 53  # what float64 holds exactly


@dataclass(frozen=True)
class SampleRule:
    """Each creative (or each advertiser with all its creatives) is drawn with probability `share`, by its hash."""

    share: float
    by: Literal["creative", "advertiser"]
    seed: int

    def drawn(self, creative_id: pa.Array, advertiser_id: pa.Array) -> Flags:
        """Return which creatives are drawn; the same id is drawn in every run of this seed and a larger share."""
        return uniform(creative_id if self.by == "creative" else advertiser_id, self.seed) < self.share


def uniform(ids: pa.Array, seed: int) -> F64:
    """Return a number in [0, 1) of each id, as good as random, from the id and the seed alone."""
    distinct = ids.dictionary_encode()
    key = str(seed).encode() + b"\0"
    digests = [
        int.from_bytes(blake3(key + value.encode()).digest(8), "little") >> (64 - _BITS)
        for value in distinct.dictionary.to_pylist()
    ]
    number = np.array(digests, np.float64) / 2.0**_BITS
    return np.asarray(number[distinct.indices.to_numpy()])
