"""How the audits' strata were drawn, and the variance of a weighted sum under each method.

With n units of a stratum drawn, π their inclusion probabilities, u = value/π and ū = Σu/n (rows outside a segment are
units of value 0):

- srs      (1 − n/N) n/(n − 1) Σ(u − ū)²            Särndal, Swensson, Wretman 1992, eq. 3.7.4
- poisson  Σ (1 − π) u²                              ibid., eq. 3.5.3
- pps      n/(n − 1) Σ (1 − π)(u − ū)²               Brewer 2002, Combined Survey Sampling Inference, ch. 9, in the
                                                     form of R's survey
- cluster  the same over the clusters' totals; where all π are equal it is srs of clusters.

pps is a draw of fixed size with unequal π and no record of joint probabilities: they are approximated as those of a
design of high entropy (Hájek 1964, Ann. Math. Stat. 35, 1491–1523); a systematic draw from an ordered list is none.
Without its factors 1 − π it is the variance of a draw with replacement, which is never smaller and, for such designs,
the conservative bound. Units that were certain (π = 1) do not vary and leave n and ū. One unit alone: u² for (u − ū)².

Unanswered creatives are a second phase: within its stratum, who answered is a simple random part of the drawn. Its
number replaces the drawn one in the methods that draw creatives. Of clusters it adds, to the variance between them,
that of the second phase, (1 − r) m/(m − 1) Σ (v − v̄)² with v = √π u over the m answered creatives, r their share
(Särndal, Swensson, Wretman 1992, ch. 9: first-phase variance of the estimated totals, and the second phase given it).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.estimate.sum_kernels import spread_sums
from engine.records import F64, I64, Design, Draws, Flags

_CERTAIN = 1e-12


@dataclass(frozen=True)
class Strata:
    """H strata, as one policy's answers leave them.

    population_H : creatives. take_H : draws that the weights stand on. answered_H : their share of all draws.
    units_H : drawn units that were not certain to be (pps: answered creatives, cluster: clusters), else 0.
    spare_H : Σ (1 − π) over them.
    """

    method_H: tuple[str, ...]
    population_H: I64
    take_H: I64
    answered_H: F64
    units_H: I64
    spare_H: F64

    def drawn_by(self, method: str) -> Flags:
        """Return the strata that were drawn by a method."""
        return np.array([name == method for name in self.method_H], bool)

    @property
    def left_H(self) -> F64:
        """The share of each stratum that was not drawn."""
        return 1 - self.take_H / np.maximum(self.population_H, 1)

    def one_by_one(self, first_GH: F64, second_GH: F64, poisson_GH: F64) -> F64:
        """Return the variance of Σu of each segment and stratum under srs and Poisson sampling, (G, H).

        first, second : Σu and Σu². poisson : Σ (1 − π) u², read of strata that Poisson sampling drew.
        """
        take_H = np.maximum(self.take_H, 1)
        centred_GH = take_H / np.maximum(take_H - 1, 1) * (second_GH - first_GH**2 / take_H)
        spread_GH = np.where(take_H > 1, centred_GH, second_GH)
        return np.where(self.drawn_by("srs"), self.left_H * spread_GH, poisson_GH)

    def cubes(self, first_GH: F64, second_GH: F64, kappa_GH: F64, rho_GH: F64) -> tuple[F64, F64]:
        """Return the third moments of Σu of each segment under srs and Poisson sampling, (G,): see `one_by_one_cubes`.

        first, second : Σu and Σu². kappa, rho : Σ (1 − π)(1 − 2π) u³ and Σ (1 − π)² u³.
        """
        take_H, left_H = np.maximum(self.take_H, 1), self.left_H
        mean_GH = np.where(self.drawn_by("srs"), first_GH / take_H, 0.0)
        centre_GH = 2 * take_H * mean_GH**3 - 3 * mean_GH * second_GH  # units of value 0 stand outside of the segment
        return (kappa_GH + left_H * (2 * left_H - 1) * centre_GH).sum(1), (rho_GH + left_H**2 * centre_GH).sum(1)

    @property
    def clustered(self) -> bool:
        """Whether some stratum drew clusters."""
        return "cluster" in self.method_H


def strata_of(design: Design, draws: Draws, take_H: I64, answered_d: Flags) -> Strata:
    """Return the strata of all draws (those outside the period too), of which some answered."""
    answered_H = take_H / np.maximum(design.drawn_H, 1)
    units_H, spare_H = np.zeros(len(take_H), np.int64), np.zeros(len(take_H))
    for h, method in enumerate(design.method_H):
        mine_d = draws.stratum_d == h
        if method == "pps":
            chance = draws.chance_d[mine_d & answered_d] * answered_H[h]
        elif method == "cluster":
            first = np.unique(draws.cluster_d[mine_d], return_index=True)[1]
            chance = draws.chance_d[mine_d][first]
        else:
            continue
        spare = 1.0 - chance
        units_H[h], spare_H[h] = int((spare > _CERTAIN).sum()), float(spare.sum())
    return Strata(design.method_H, design.population_H, take_H, answered_H, units_H, spare_H)


def one_by_one_spread(
    strata: Strata, edge_G: I64, key_m: I64, weight_m: F64, value_m: F64, base_m: F64
) -> tuple[F64, F64, F64]:
    """Return the variance of Σu, u = weight · value, of each segment under srs and Poisson sampling, (G, H).

    Then Σv and Σv² of each segment, (G,), over the entries' parts v of it. base_m : 1/π, corrected for the unanswered.
    key_m : segment × stratum.
    """
    shape = (len(edge_G) - 1, len(strata.take_H))
    srs_H, left_H = strata.drawn_by("srs"), strata.left_H
    by_key, (whole, fourth) = spread_sums(edge_G, key_m, weight_m, value_m, base_m, srs_H, left_H)
    return strata.one_by_one(*by_key.reshape(3, *shape)), whole, fourth


def one_by_one_cubes(strata: Strata, segments: int, key_m: I64, u_m: F64, base_m: F64) -> tuple[F64, F64]:
    """Return Σ (1 − π)(1 − 2π)(u − ū)³ and Σ (1 − π)²(u − ū)³ of each segment, (G,).

    ū is the mean of what srs drew of a stratum and 0 under Poisson sampling, which pps is taken for here.
    base_m : 1/π, corrected for the unanswered. key_m : segment × stratum.
    """
    shape = (segments, len(strata.take_H))
    stratum_m = key_m % shape[1]
    left_m = np.where(strata.drawn_by("srs")[stratum_m], strata.left_H[stratum_m], 1 - 1 / base_m)

    def sums(value_m: F64) -> F64:
        return np.bincount(key_m, value_m, shape[0] * shape[1]).reshape(shape).astype(np.float64)

    cube_m = u_m**3 * left_m
    return strata.cubes(sums(u_m), sums(u_m * u_m), sums(cube_m * (2 * left_m - 1)), sums(cube_m * left_m))


def one_by_one_parts(strata: Strata, u_m: F64, base_m: F64, key_m: I64) -> F64:
    """Return the part of every entry in that variance."""
    stratum_m = key_m % len(strata.take_H)
    srs_m = strata.drawn_by("srs")[stratum_m]
    return u_m * u_m * np.where(srs_m, strata.left_H[stratum_m], 1 - 1 / base_m)


def fixed_size_spread(strata: Strata, u_T: F64, chance_T: F64, key_T: I64, segments: int) -> F64:
    """Return Brewer's variance of Σu of each segment, (G, H), over units (creatives or clusters) with their π."""
    shape = (segments, len(strata.take_H))
    spare_T = 1.0 - chance_T
    varies_T = spare_T > _CERTAIN

    def sums(value_T: F64) -> F64:
        return np.bincount(key_T, value_T, shape[0] * shape[1]).reshape(shape).astype(np.float64)

    units = np.maximum(strata.units_H, 1)
    mean = sums(u_T * varies_T) / units
    second = sums(spare_T * u_T * u_T)
    centred = second - 2 * mean * sums(spare_T * u_T) + mean**2 * strata.spare_H
    return np.where(units > 1, units / np.maximum(units - 1, 1) * centred, second)


def answering_spread(strata: Strata, u_m: F64, chance_m: F64, key_m: I64, segments: int) -> tuple[F64, F64]:
    """Return what the unanswered creatives of drawn clusters add, (G, H), and the part of every entry."""
    shape = (segments, len(strata.take_H))
    v_m = np.sqrt(chance_m) * u_m
    first = np.bincount(key_m, v_m, shape[0] * shape[1]).reshape(shape)
    second = np.bincount(key_m, v_m * v_m, shape[0] * shape[1]).reshape(shape)
    take, left_H = np.maximum(strata.take_H, 1), 1.0 - strata.answered_H
    spread = np.where(take > 1, take / np.maximum(take - 1, 1) * (second - first**2 / take), second)
    return left_H * spread, left_H[key_m % shape[1]] * v_m * v_m


def one_poisson_stratum() -> Strata:
    """Return the stratum of creatives that were drawn one by one, each with a probability of its own."""
    one = np.ones(1, np.int64)
    return Strata(("poisson",), one, one, np.ones(1), np.zeros(1, np.int64), np.zeros(1))


def centred_parts(u_T: F64, spare_T: F64, stratum_T: I64, units_H: I64, spare_H: F64) -> F64:
    """Return signed parts of the error of Σu whose squares add up to its variance, (T + H,).

    Units of a stratum are centred: √(k (1 − π)) (u − ū) with k = n/(n − 1), and the stratum's last part stands for
    those of its units that are not among the T and have u = 0. units_H : n; strata with n ≤ 1 are not centred, as
    those of Poisson sampling. spare_T, spare_H : 1 − π of each unit, and its sum over all units of the stratum.
    """
    strata = len(units_H)
    centred_H = units_H > 1
    mean_H = np.bincount(stratum_T, u_T * (spare_T > _CERTAIN), strata) / np.maximum(units_H, 1) * centred_H
    scale_H = np.where(centred_H, units_H / np.maximum(units_H - 1, 1), 1.0)
    rest_H = np.maximum(spare_H - np.bincount(stratum_T, spare_T, strata), 0.0)
    inside_T = np.sqrt(scale_H[stratum_T] * np.maximum(spare_T, 0.0)) * (u_T - mean_H[stratum_T])
    return np.concatenate([inside_T, np.sqrt(scale_H * rest_H) * mean_H])
