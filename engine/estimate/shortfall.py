"""Known exposure that drawn creatives do not stand for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.estimate.interval import t_quantile
from engine.estimate.sample import Sample
from engine.records import F64, I64

SURE = 0.999  # chance alone shows one in 2,000
ROUNDING = 1e-9  # of what is known
UNSEEN = "+unseen"  # what the rule of an interval that reaches to it ends with


def unjoined(rho_G: F64, *rules: NDArray[np.str_]) -> F64:
    """Return correlations that join intervals of two numbers: −1, the widest, where one of them reaches to the unseen.

    How far it reaches is no error of the sample, and the two may reach with one label or with the other.
    """
    reaches = np.any([np.char.endswith(rule.astype(str), UNSEEN) for rule in rules], axis=0)
    return np.where(reaches, -1.0, rho_G)


def shortfall(sample: Sample, kind_m: I64, exposure_m: F64, known_KG: F64) -> F64:
    """Return the exposure of each kind and segment that drawn rows stand for by less than the audit's error allows.

    kind_m : of every entry, below K. known_KG : exposure of all creatives. 0 where the shortfall may be chance.
    """
    out = np.zeros_like(known_KG)
    for k in range(len(known_KG)):
        value_m = exposure_m * (kind_m == k)
        short_G = known_KG[k] - sample.sums(sample.weight_m * value_m)
        short_G = np.where(short_G > ROUNDING * known_KG[k], short_G, 0.0)
        if short_G.any():
            variance, df = sample.history_spread(value_m)
            out[k] = np.where(short_G > t_quantile(SURE, df) * np.sqrt(variance), short_G, 0.0)
    return out
